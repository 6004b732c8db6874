/** Matrix products. Those with few rows, which would not earn back that B is packed, read B as it lies. */
import type { Buffer, MatmulSpec } from '../../backend.ts'
import { f32x4, i32, ints, type Local, type Value, v128 } from '../asm.ts'
import { transposeMatrix } from '../copy.ts'
import type { Engine, Kernels } from '../engine.ts'
import { multiplyAdd } from '../math.ts'
import { gemm, grainWork, packingRows } from './gemm.ts'
import { type PackSource, pack, packedBytes, transpose4 } from './pack.ts'
import { least } from './rows.ts'
import { eachUnit, loadFloats, rowPointers, storeFloats } from './tile.ts'
import { tileFor } from './tile-choice.ts'

/** Products of a few rows take the streaming kernels. */
const fewRows = 8

/** C = A B^T + bias for few rows of A: dot products of rows that lie as they are, two rows of A by four of B. */
function dots(engine: Engine, a: number, b_: number, bias: number, c: number, m: number, n: number, k: number): void {
  const rows = Math.min(m, 2)
  const kernel = engine.kernel(`dots ${rows} ${bias !== 0}`, (module) => {
    module.func('run', ints(9), (b, a, bAt, biasAt, c, m, n, k, from, to) => {
      const acc = Array.from({ length: rows }, () => [0, 1, 2, 3].map(() => b.local('v128')))
      const rowsA = Array.from({ length: rows }, () => b.local('i32'))
      const rowsC = Array.from({ length: rows }, () => b.local('i32'))
      const rowsB = [0, 1, 2, 3].map(() => b.local('i32'))
      const [count, row] = [b.local('i32'), b.local('i32')]
      const step = (load: typeof v128.load, bytes: number) => {
        const right = rowsB.map((pointer) => b.let(load(pointer)))
        rowsA.forEach((pointer, i) => {
          const left = b.let(load(pointer))
          right.forEach((vector, j) => {
            b.set(acc[i]![j]!, multiplyAdd(engine.fma, left, vector, acc[i]![j]!))
          })
        })
        for (const pointer of [...rowsA, ...rowsB]) b.add(pointer, bytes)
      }
      eachUnit(b, from, to, (unit) => {
        const column = b.let(i32.shl(unit, 2))
        const columns = b.let(i32.sub(n, column))
        b.set(row, 0)
        b.for(row, m, rows, () => {
          rowPointers(b, rowsB, i32.add(bAt, i32.mul(i32.mul(column, k), 4)), i32.mul(k, 4), column, n)
          rowPointers(b, rowsA, i32.add(a, i32.mul(i32.mul(row, k), 4)), i32.mul(k, 4), row, m)
          rowPointers(b, rowsC, i32.add(c, i32.mul(i32.add(i32.mul(row, n), column), 4)), i32.mul(n, 4), row, m)
          for (const x of acc.flat()) b.set(x, f32x4.const(0))
          b.set(count, i32.shrU(k, 2))
          b.if(count, () => b.repeat(count, () => step(v128.load, 16)))
          b.set(count, i32.and(k, 3))
          b.if(count, () => b.repeat(count, () => step(v128.load32Zero, 4)))
          rowsC.forEach((pointer, i) => {
            const [p, q, r, s] = transpose4(b, acc[i]!)
            const sums = f32x4.add(f32x4.add(p!, q!), f32x4.add(r!, s!))
            const value = b.let(bias ? f32x4.add(sums, v128.load(i32.add(biasAt, i32.shl(column, 2)))) : sums)
            b.if(
              i32.geU(columns, 4),
              () => b.emit(v128.store(pointer, value)),
              () => {
                for (const lane of [0, 1, 2])
                  b.if(i32.gtU(columns, lane), () => b.emit(v128.store32Lane(pointer, value, lane, lane * 4)))
              },
            )
          })
        })
      })
    })
  })
  engine.parallel(kernel, [a, b_, bias, c, m, n, k], Math.ceil(n / 4), Math.ceil(grainWork / (4 * m * k)))
}

/** Bytes of a row of C that a unit of `streams` makes: with as much of some rows of B, in the first-level cache. */
const streamBytes = 4096

/**
 * C = A B + bias for few rows of A and B (k, n) as it lies: a few rows of B at a time are added to C. Walking down columns
 * would touch another page of memory with every number.
 */
function streams(
  engine: Engine,
  a: number,
  b_: number,
  bias: number,
  c: number,
  m: number,
  n: number,
  k: number,
): void {
  const rows = Math.min(m, 2)
  const depth = 8 / rows
  const tail = n % 4
  const kernel = engine.kernel(`streams ${rows} ${tail} ${bias !== 0}`, (module) => {
    module.func('run', ints(9), (b, a, bAt, biasAt, c, m, n, k, from, to) => {
      const local = () => b.local('i32')
      const [step, row, at, end] = [local(), local(), local(), local()]
      const rowsA = Array.from({ length: rows }, local)
      const rowsC = Array.from({ length: rows }, local)
      const factors = rowsA.map(() => Array.from({ length: depth }, () => b.local('v128')))
      const bytes = b.let(i32.shl(n, 2))
      const [firstB, ...others] = Array.from({ length: depth }, local) as [Local<'i32'>, ...Local<'i32'>[]]
      /** The vectors in [at, end) of a row, and a narrow last one if there is one here. */
      const eachVector = (start: Value<'i32'>, unitEnd: Value<'i32'>, body: (count: number) => void) => {
        b.set(at, start)
        b.set(end, least(unitEnd, i32.and(bytes, -16)))
        b.for(at, end, 16, () => body(4))
        if (tail) b.if(i32.gtU(unitEnd, i32.and(bytes, -16)), () => body(tail))
      }
      eachUnit(b, from, to, (unit) => {
        const start = b.let(i32.mul(unit, streamBytes))
        const unitEnd = b.let(least(i32.add(start, streamBytes), bytes))
        const eachRows = (body: () => void) => {
          b.set(row, 0)
          b.for(row, m, rows, () => {
            rowPointers(b, rowsC, i32.add(c, i32.mul(row, bytes)), bytes, row, m)
            body()
          })
        }
        eachRows(() =>
          eachVector(start, unitEnd, (count) => {
            const value = b.let(bias ? loadFloats(i32.add(biasAt, at), 0, count) : f32x4.const(0))
            for (const pointer of rowsC) storeFloats(b, b.let(i32.add(pointer, at)), value, 0, count)
          }),
        )
        const part = (depth: number) => {
          b.set(firstB, i32.add(bAt, i32.mul(step, bytes)))
          others.slice(0, depth - 1).forEach((pointer, d) => {
            b.set(pointer, i32.add(d === 0 ? firstB : others[d - 1]!, bytes))
          })
          const rowsB = [firstB, ...others].slice(0, depth)
          eachRows(() => {
            const aAt = i32.add(a, i32.shl(i32.add(i32.mul(row, k), step), 2))
            rowPointers(b, rowsA, aAt, i32.shl(k, 2), row, m)
            rowsA.forEach((pointer, i) => {
              for (let d = 0; d < depth; d++) b.set(factors[i]![d]!, v128.load32Splat(pointer, d * 4))
            })
            eachVector(start, unitEnd, (count) => {
              const right = rowsB.map((pointer) => b.let(loadFloats(b.let(i32.add(pointer, at)), 0, count)))
              // All are read before any is written, as the last row may stand twice.
              const places = rowsC.map((pointer) => b.let(i32.add(pointer, at)))
              const sums = places.map((place) => b.let(loadFloats(place, 0, count)))
              right.forEach((vector, d) => {
                sums.forEach((sum, i) => {
                  b.set(sum, multiplyAdd(engine.fma, factors[i]![d]!, vector, sum))
                })
              })
              sums.forEach((sum, i) => {
                storeFloats(b, places[i]!, sum, 0, count)
              })
            })
          })
        }
        b.set(step, 0)
        b.for(step, i32.sub(k, i32.remU(k, depth)), depth, () => part(depth))
        b.for(step, k, 1, () => part(1))
      })
    })
  })
  const units = Math.ceil((4 * n) / streamBytes)
  engine.parallel(kernel, [a, b_, bias, c, m, n, k], units, Math.ceil((grainWork * units) / (m * n * k)))
}

/** C = A B + bias for one product, by whichever way suits its shape; B begins `offset` elements from the start of its buffer. */
function product(
  engine: Engine,
  a: number,
  b: Buffer,
  offset: number,
  bias: number,
  c: number,
  spec: MatmulSpec,
): void {
  const { m, n, k, transA, transB } = spec
  let rows = a
  if (transA && m > 1) {
    // A panel as wide as the matrix is its transpose.
    rows = engine.workspace(m * k * 4)
    transposeMatrix(engine, a, rows, k, m)
  }
  if (m <= fewRows) {
    const few = transB ? dots : streams
    few(engine, rows, engine.ptr(b, offset), bias, c, m, n, k)
    return
  }
  const shape = tileFor(engine, n)
  const source = {
    n,
    columnStride: transB ? k : 1,
    depths: [1, 1, k],
    strides: [0, 0, transB ? 1 : n],
  } as const
  const { columns } = shape
  const key = `matmul ${columns} ${source.n} ${source.columnStride} ${source.depths} ${source.strides}`
  const bytes = packedBytes(source, columns)
  const from = engine.ptr(b, offset)
  const fill = (to: number): void => pack(engine, from, to, source, columns)
  if (offset === 0 && engine.isRecurring(b, key)) {
    gemm(engine, shape, rows, engine.derived(b, key, bytes, fill), bias, c, m, n, k)
  } else if (m <= packingRows) {
    gemm(engine, shape, rows, from, bias, c, m, n, k, { lying: transB ? 'columns' : 'rows' })
  } else {
    const packed = engine.workspace(bytes)
    fill(packed)
    gemm(engine, shape, rows, packed, bias, c, m, n, k)
  }
}

/** Bytes of both operands that are copied at a time. */
const copiedBytes = 1e6

/** C (m, n) = A^T B for A (k, m) and B (k, n) of many rows, which are copied into the order of the product part by part. */
export function outerProducts(engine: Engine, a: number, b: number, c: number, m: number, n: number, k: number): void {
  const shape = tileFor(engine, n)
  const most = Math.max(512, Math.floor(copiedBytes / (4 * (m + n))))
  const part = Math.ceil(k / Math.ceil(k / most))
  const source = (rows: number) =>
    ({ n, columnStride: 1, depths: [1, 1, rows], strides: [0, 0, n] }) as const satisfies PackSource
  const left = engine.workspace(m * part * 4)
  const right = engine.workspace(packedBytes(source(part), shape.columns))
  for (let from = 0; from < k; from += part) {
    const rows = Math.min(part, k - from)
    transposeMatrix(engine, a + from * m * 4, left, rows, m)
    pack(engine, b + from * n * 4, right, source(rows), shape.columns)
    gemm(engine, shape, left, right, 0, c, m, n, rows, { more: from > 0 })
  }
}

/** The matrix products of the wasm backend; `plain` serves dtypes other than float32. */
export function matmulKernels(engine: Engine, plain: Pick<Kernels, 'matmul'>): Pick<Kernels, 'matmul'> {
  return {
    matmul(a, b, bias, spec) {
      if (a.dtype !== 'float32') return plain.matmul(a, b, bias, spec)
      const { m, n, k, transA, offsetsA, offsetsB } = spec
      const batch = offsetsA.length
      const out = engine.alloc('float32', batch * m * n)
      if (out.length === 0) return out
      if (k === 0) {
        const floats = engine.heap.floats(out.ptr, out.length)
        const row = bias ? engine.heap.floats(engine.ptr(bias), n) : new Float32Array(n)
        for (let i = 0; i < floats.length; i += n) floats.set(row, i)
        return out
      }
      const biasAt = bias ? engine.ptr(bias) : 0
      // One B for all and A without gaps: one tall product.
      const tall =
        !transA &&
        batch > 1 &&
        offsetsB.every((at) => at === offsetsB[0]) &&
        offsetsA.every((at, i) => at === offsetsA[0]! + i * m * k)
      const one = tall ? { ...spec, m: batch * m } : spec
      for (let i = 0; i < (tall ? 1 : batch); i++) {
        const mark = engine.mark()
        const at = engine.ptr(out, i * m * n)
        product(engine, engine.ptr(a, offsetsA[i]!), b, offsetsB[i]!, biasAt, at, one)
        engine.release(mark)
      }
      return out
    },
  }
}
