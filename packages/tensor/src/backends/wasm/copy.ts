/** Moving elements without computing: `copy` in all its strided forms, and `fill`. */
import { type DType, dtypes } from '../../dtype.ts'
import { mergeLoops } from '../../loops.ts'
import type { Buffer, View } from '../backend.ts'
import { type FunctionBuilder, i32, i32x4, i64, ints, type Local, memory, type Value, v128 } from './asm.ts'
import type { Engine, Kernels } from './engine.ts'
import type { Kernel } from './kernel-cache.ts'
import { transpose4 } from './kernels/pack.ts'
import { forEachStep, longestLoop } from './merge.ts'

/** Bytes that are copied as one row where all is one run. */
const runBytes = 65536
/** Bytes that take about 10 microseconds to copy, and elements that are moved one by one. */
const grainBytes = 2 ** 18
const grainElements = 2 ** 13
/** Runs from this length on are left to `memory.copy`, whose call costs as much as some vectors. */
const longRun = 1024
/** Columns of a tile of a transposition: their source lines stay in the first-level cache. */
const tile = 64

/** Rows of runs. Arguments: source, target, bytes of a run, bytes from row to row of both, first row and end. */
function runsKernel(engine: Engine): Kernel {
  return engine.kernel('copy runs', (m) =>
    m.func('run', ints(7), (b, source, target, bytes, fromRow, toRow, from, to) => {
      b.add(source, i32.mul(fromRow, from))
      b.add(target, i32.mul(toRow, from))
      const at = b.local('i32')
      const last = b.let(i32.sub(bytes, 16))
      b.for(b.let(from), to, 1, () => {
        b.block((done) => {
          b.if(i32.geU(bytes, longRun), () => {
            b.emit(memory.copy(target, source, bytes))
            done()
          })
          b.set(at, 0)
          b.if(i32.geU(bytes, 16), () => {
            b.for(at, last, 16, () => b.emit(v128.store(i32.add(target, at), v128.load(i32.add(source, at)))))
            // The last vector overlaps the one before if the bytes are no multiple of 16.
            b.emit(v128.store(i32.add(target, last), v128.load(i32.add(source, last))))
            done()
          })
          b.for(at, i32.and(bytes, -4), 4, () => b.emit(i32.store(i32.add(target, at), i32.load(i32.add(source, at)))))
          b.for(at, bytes, 1, () => b.emit(i32.store8(i32.add(target, at), i32.load8U(i32.add(source, at)))))
        })
        b.add(source, fromRow)
        b.add(target, toRow)
      })
    }),
  )
}

function moveElement(b: FunctionBuilder, size: number, target: Value<'i32'>, source: Value<'i32'>): void {
  if (size === 1) b.emit(i32.store8(target, i32.load8U(source)))
  else if (size === 4) b.emit(i32.store(target, i32.load(source)))
  else b.emit(i64.store(target, i64.load(source)))
}

/**
 * Rows of elements one by one. Arguments: source, target, elements of a row, bytes from element to element of both,
 * bytes from row to row of both, first row and end.
 */
function elementsKernel(engine: Engine, size: number): Kernel {
  return engine.kernel(`copy elements ${size}`, (m) =>
    m.func('run', ints(9), (b, source, target, count, fromStep, toStep, fromRow, toRow, from, to) => {
      b.add(source, i32.mul(fromRow, from))
      b.add(target, i32.mul(toRow, from))
      const [p, q, left] = [b.local('i32'), b.local('i32'), b.local('i32')]
      b.for(b.let(from), to, 1, () => {
        b.set(p, source)
        b.set(q, target)
        b.set(left, count)
        b.repeat(left, () => {
          moveElement(b, size, q, p)
          b.add(p, fromStep)
          b.add(q, toStep)
        })
        b.add(source, fromRow)
        b.add(target, toRow)
      })
    }),
  )
}

/** Four rows of four 32-bit elements, `fromStep` apart, written as columns, `toStep` apart. */
function transposeBlock(
  b: FunctionBuilder,
  source: Value<'i32'>,
  target: Value<'i32'>,
  fromStep: Value<'i32'>,
  toStep: Value<'i32'>,
): void {
  const p = b.let(source)
  const rows = [0, 1, 2, 3].map(() => {
    const row = b.let(v128.load(p))
    b.add(p, fromStep)
    return row
  })
  const q = b.let(target)
  for (const column of transpose4(b, rows)) {
    b.emit(v128.store(q, column))
    b.add(q, toStep)
  }
}

/**
 * Matrices of 32-bit elements whose source runs along a (`A` elements, at least 4) and whose target runs along b (`B`
 * elements, at least 4). Arguments: source, target, bytes from b to b in the source and from a to a in the target, A, B,
 * bytes from matrix to matrix of both, tiles of b in a matrix, first tile and end.
 */
function transposeKernel(engine: Engine): Kernel {
  return engine.kernel('copy transposed', (m) =>
    m.func('run', ints(11), (b, source, target, fromStep, toStep, A, B, fromNext, toNext, tiles, from, to) => {
      const [row, column, begin, end] = [b.local('i32'), b.local('i32'), b.local('i32'), b.local('i32')]
      const [p, q] = [b.local('i32'), b.local('i32')]
      /** The last block of four overlaps the one before if the count is no multiple of 4. */
      const fours = (i: Local<'i32'>, to: Value<'i32'>, body: () => void): void =>
        b.loop((again) => {
          b.if(i32.gtU(i32.add(i, 4), to), () => b.set(i, i32.sub(to, 4)))
          body()
          b.add(i, 4)
          again(i32.ltU(i, to))
        })
      b.for(b.let(from), to, 1, (unit) => {
        const matrix = b.let(i32.divU(unit, tiles))
        b.set(begin, i32.mul(i32.remU(unit, tiles), tile))
        b.set(end, i32.add(begin, tile))
        b.if(i32.gtU(end, B), () => b.set(end, B))
        b.if(i32.ltU(i32.sub(end, begin), 4), () => b.set(begin, i32.sub(end, 4)))
        b.set(p, i32.add(source, i32.mul(matrix, fromNext)))
        b.set(q, i32.add(target, i32.mul(matrix, toNext)))
        b.set(row, 0)
        fours(row, A, () => {
          const source = b.let(i32.add(p, i32.shl(row, 2)))
          const target = b.let(i32.add(q, i32.mul(row, toStep)))
          b.set(column, begin)
          fours(column, end, () =>
            transposeBlock(
              b,
              i32.add(source, i32.mul(column, fromStep)),
              i32.add(target, i32.shl(column, 2)),
              fromStep,
              toStep,
            ),
          )
        })
      })
    }),
  )
}

/**
 * Transposes matrices of 32-bit elements, of at least 4 by 4: `steps` are the bytes from b to b in the source and from
 * a to a in the target, `nexts` those from matrix to matrix.
 */
function transpose(
  engine: Engine,
  pointers: readonly [source: number, target: number],
  steps: readonly [number, number],
  a: number,
  b: number,
  matrices = 1,
  nexts: readonly [number, number] = [0, 0],
): void {
  const tiles = Math.ceil(b / tile)
  const args = [...pointers, ...steps, a, b, ...nexts, tiles]
  engine.parallel(transposeKernel(engine), args, matrices * tiles, grainBytes / (tile * a * 8))
}

/** to = the transposes of `count` matrices (rows, columns) of 32-bit elements, of at least 4 by 4, that follow each other. */
export function transposeMatrices(
  engine: Engine,
  from: number,
  to: number,
  rows: number,
  columns: number,
  count: number,
): void {
  const bytes = rows * columns * 4
  transpose(engine, [from, to], [columns * 4, rows * 4], columns, rows, count, [bytes, bytes])
}

/** to (columns, rows) = the transpose of from (rows, columns) of 32-bit elements; pitches are those from row to row. */
export function transposeMatrix(
  engine: Engine,
  from: number,
  to: number,
  rows: number,
  columns: number,
  fromPitch: number = columns,
  toPitch: number = rows,
): void {
  // Found again by way of the strides, but sooner.
  if (rows >= 4 && columns >= 4) transpose(engine, [from, to], [fromPitch * 4, toPitch * 4], columns, rows)
  else {
    const strides = [
      [fromPitch, 1],
      [1, toPitch],
    ]
    copyStrided(engine, 4, [from, to], [rows, columns], strides)
  }
}

/** Writes the same 8 bytes over and over. Arguments: address, the bytes as two integers, first vector and end. */
function fillKernel(engine: Engine): Kernel {
  return engine.kernel('fill', (m) =>
    m.func('run', ints(5), (b, target, low, high, from, to) => {
      const pattern = b.let(i32x4.replace(i32x4.replace(i32x4.splat(low), 1, high), 3, high))
      const end = b.let(i32.add(target, i32.shl(to, 4)))
      b.for(b.let(i32.add(target, i32.shl(from, 4))), end, 16, (p) => b.emit(v128.store(p, pattern)))
    }),
  )
}

/** One run of bytes. */
function copyRun(engine: Engine, source: number, target: number, bytes: number): void {
  const rows = Math.floor(bytes / runBytes)
  const done = rows * runBytes
  if (rows > 0) {
    engine.parallel(runsKernel(engine), [source, target, runBytes, runBytes, runBytes], rows, grainBytes / runBytes)
  }
  if (bytes > done) engine.run(runsKernel(engine), source + done, target + done, bytes - done, 0, 0, 0, 1)
}

/**
 * Copies elements of `size` bytes; `pointers` are where the walks through source and target begin, `strides` count
 * elements. The two must not overlap.
 */
function copyStrided(
  engine: Engine,
  size: number,
  pointers: number[],
  extents: readonly number[],
  strides: readonly (readonly number[])[],
): void {
  if (extents.includes(0)) return
  const walk = mergeLoops(extents, strides)
  const [from, to] = walk.strides as [number[], number[]]
  const sizes = [size, size]
  const at = (): [number, number] => pointers as [number, number]
  const rest = (...done: readonly number[]): number[] => walk.extents.map((_, d) => d).filter((d) => !done.includes(d))
  const extent = (d: number): number => walk.extents[d] ?? 1
  const bytes = (own: readonly number[], d: number): number => (own[d] ?? 0) * size

  const run = from.findIndex((stride, d) => stride === 1 && to[d] === 1)
  if (walk.extents.length === 0 || run >= 0) {
    const length = extent(run) * size
    if (length >= 2 * runBytes) {
      forEachStep(walk, rest(run), sizes, pointers, () => copyRun(engine, ...at(), length))
      return
    }
    const outer = longestLoop(walk, run)
    forEachStep(walk, rest(run, outer), sizes, pointers, () =>
      engine.parallel(
        runsKernel(engine),
        [...at(), length, bytes(from, outer), bytes(to, outer)],
        extent(outer),
        grainBytes / (length + 64),
      ),
    )
    return
  }

  const a = from.findIndex((stride, d) => stride === 1 && extent(d) >= 4)
  const b = to.findIndex((stride, d) => stride === 1 && extent(d) >= 4)
  if (size === 4 && a >= 0 && b >= 0) {
    const outer = longestLoop(walk, a, b)
    const [matrices, nexts] = [extent(outer), [bytes(from, outer), bytes(to, outer)] as const]
    forEachStep(walk, rest(a, b, outer), sizes, pointers, () =>
      transpose(engine, at(), [bytes(from, b), bytes(to, a)], extent(a), extent(b), matrices, nexts),
    )
    return
  }

  const inner = longestLoop(walk)
  const outer = longestLoop(walk, inner)
  const steps = [bytes(from, inner), bytes(to, inner), bytes(from, outer), bytes(to, outer)]
  forEachStep(walk, rest(inner, outer), sizes, pointers, () =>
    engine.parallel(
      elementsKernel(engine, size),
      [...at(), extent(inner), ...steps],
      extent(outer),
      grainElements / extent(inner),
    ),
  )
}

/** Copies 32-bit elements from one place to another in the order of `extents`; strides count elements. */
export function moveElements(
  engine: Engine,
  from: number,
  to: number,
  extents: readonly number[],
  fromStrides: readonly number[],
  toStrides: readonly number[],
): void {
  copyStrided(engine, 4, [from, to], extents, [fromStrides, toStrides])
}

export function copies(engine: Engine): Pick<Kernels, 'copy' | 'fill'> {
  function copy(source: View, target: View, extents: readonly number[]): void {
    const pointers = [source, target].map(({ buffer, offset }) => engine.ptr(buffer, offset))
    copyStrided(engine, dtypes[source.buffer.dtype].bytes, pointers, extents, [source.strides, target.strides])
  }

  function fill(dtype: DType, length: number, value: number): Buffer {
    const buffer = engine.alloc(dtype, length)
    const elements = new dtypes[dtype].array(8 / dtypes[dtype].bytes)
    const words = new Int32Array(elements.buffer)
    elements.fill(value)
    // To write zeros where zeros are would only make the system find memory for them.
    if (buffer.block?.blank && words.every((word) => word === 0)) return buffer
    // Whole vectors: the block is a multiple of 64 bytes.
    const vectors = Math.ceil((length * dtypes[dtype].bytes) / 16)
    if (vectors > 0) {
      const args = [engine.ptr(buffer), words[0] as number, words[1] as number]
      engine.parallel(fillKernel(engine), args, vectors, grainBytes / 16)
    }
    return buffer
  }

  return { copy, fill }
}
