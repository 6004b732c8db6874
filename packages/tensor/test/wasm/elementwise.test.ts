import { Buffer as NodeBuffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import type { Buffer } from '../../src/backends/backend.ts'
import { loops } from '../../src/backends/reference/loops.ts'
import { reference } from '../../src/backends/reference/reference.ts'
import type { WasmBuffer } from '../../src/backends/wasm/derived.ts'
import { elementwise } from '../../src/backends/wasm/elementwise.ts'
import { Engine } from '../../src/backends/wasm/engine.ts'
import { Heap } from '../../src/backends/wasm/memory.ts'
import { type DType, dtypes, type TypedArray, zeroArray } from '../../src/dtype.ts'
import { type Expr, f } from '../../src/formula.ts'
import { integer, numbers, pick } from './random.ts'

const engine = new Engine({ threads: 1, initialPages: 32 })
const kernels = elementwise(engine, loops(engine))

function upload(data: TypedArray, dtype: DType): WasmBuffer {
  const buffer = engine.alloc(dtype, data.length)
  engine.array(buffer).set(data)
  return buffer
}

/** Whether `body` writes nowhere but into the blocks of the buffers that it returns, and its workspace. */
function writesOnlyInto(body: () => readonly Buffer[]): boolean {
  const { heap } = engine
  const before = heap.u8.slice()
  const mark = heap.mark()
  const taken: { ptr: number; size: number }[] = []
  heap.workspace = (size) => {
    const ptr = Heap.prototype.workspace.call(heap, size)
    taken.push({ ptr, size })
    return ptr
  }
  const blocks = body().map((buffer) => (buffer as WasmBuffer).block as NonNullable<WasmBuffer['block']>)
  heap.workspace = Heap.prototype.workspace
  heap.release(mark)
  const after = heap.u8
  for (const { ptr, size } of [...blocks, ...taken]) before.set(after.subarray(ptr, ptr + size), ptr)
  return compareBytes(before, after) === 0
}

function compareBytes(a: TypedArray, b: TypedArray): number {
  const [x, y] = [a, b].map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength))
  return NodeBuffer.compare(x as Uint8Array, y as Uint8Array)
}

interface Operand {
  readonly dtype: DType
  readonly data: TypedArray
  readonly offset: number
  readonly strides: readonly number[]
}

/** A random way through a new array that walks over `extents`: dense, broadcast, permuted, sliced or backwards. */
function randomOperand(random: () => number, extents: readonly number[], dtype: DType): Operand {
  const axes = extents.map((_, d) => d)
  if (random() < 0.4) axes.sort(() => random() - 0.5)
  const strides = extents.map(() => 0)
  let size = 1
  for (const axis of axes.reverse()) {
    if (random() < 0.25) continue
    const gap = random() < 0.2 ? 2 : 1
    strides[axis] = size * gap
    size *= (extents[axis] as number) * gap
  }
  let offset = integer(random, 0, 3)
  const data = zeroArray(dtype, size + offset)
  if (random() < 0.15) {
    const axis = integer(random, 0, extents.length - 1)
    offset += (strides[axis] ?? 0) * ((extents[axis] ?? 1) - 1)
    strides[axis] = -(strides[axis] ?? 0)
  }
  for (let i = 0; i < data.length; i++) {
    if (dtype === 'bool') data[i] = random() < 0.5 ? 1 : 0
    else if (dtype === 'uint8') data[i] = integer(random, 0, 255)
    else if (dtype === 'int32') data[i] = integer(random, -1000, 1000)
    else data[i] = random() < 0.1 ? pick(random, [0, -0, Infinity, -Infinity, Number.NaN, 1]) : random() * 20 - 10
  }
  return { dtype, data, offset, strides }
}

function randomExtents(random: () => number): number[] {
  const rank = integer(random, 0, 4)
  return Array.from({ length: rank }, () => pick(random, [1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 33]))
}

const exactUnary = [f.neg, f.abs, f.sqrt, f.floor, f.ceil, f.round, f.trunc, f.not]
const exactBinary = [f.add, f.sub, f.mul, f.div, f.min, f.max, f.lt, f.le, f.gt, f.ge, f.eq, f.ne, f.and, f.or]

/** A formula of functions that every backend rounds the same way. */
function randomFormula(random: () => number, operands: number, params: number, depth: number): Expr {
  if (depth === 0 || random() < 0.15) {
    const kind = random()
    if (kind < 0.7) return f.input(integer(random, 0, operands - 1))
    return kind < 0.85 && params > 0 ? f.param(integer(random, 0, params - 1)) : f.const(pick(random, [0, 1, 0.5, -2]))
  }
  const child = (): Expr => randomFormula(random, operands, params, depth - 1)
  const kind = random()
  if (kind < 0.3) return pick(random, exactUnary)(child())
  if (kind < 0.9) return pick(random, exactBinary)(child(), child())
  return f.select(child(), child(), child())
}

function mapBoth(
  formula: Expr,
  operands: readonly Operand[],
  params: readonly number[],
  extents: readonly number[],
  out: DType,
  inDouble = false,
  mayUseTemporaries = false,
): { got: TypedArray; expected: TypedArray } {
  const made = operands.map(({ data, dtype }) => upload(data, dtype))
  const views = operands.map(({ offset, strides }, k) => ({ buffer: made[k] as Buffer, offset, strides }))
  let result: Buffer | undefined
  const clean = writesOnlyInto(() => {
    result = kernels.map(formula, views, params, extents, out)
    return [result]
  })
  // A table of results lies in memory that is free again.
  expect(clean || mayUseTemporaries).toBe(true)
  const got = engine.array(result as Buffer).slice()
  for (const buffer of [...made, result as Buffer]) engine.free(buffer)
  const own = operands.map(({ data, dtype, offset, strides }) => {
    const wide = inDouble && dtype === 'float32'
    return {
      buffer: reference.upload(wide ? 'float64' : dtype, wide ? Float64Array.from(data) : data),
      offset,
      strides,
    }
  })
  const expected = reference.map(formula, own, params, extents, inDouble && out === 'float32' ? 'float64' : out)
  const values = reference.readSync(expected)
  for (const buffer of [expected, ...own.map(({ buffer }) => buffer)]) reference.free(buffer)
  return { got, expected: values }
}

describe('map', () => {
  it('equals the reference to the bit over random formulas, shapes, strides and dtypes', () => {
    const random = numbers(1)
    for (let round = 0; round < 300; round++) {
      const extents = randomExtents(random)
      const count = integer(random, 1, 4)
      const operands = Array.from({ length: count }, (_, k) =>
        randomOperand(
          random,
          extents,
          k === 0 ? 'float32' : pick(random, ['float32', 'float32', 'int32', 'uint8', 'bool']),
        ),
      )
      const params = [Math.fround(random() * 4 - 2), 3]
      const formula = randomFormula(random, count, params.length, integer(random, 1, 4))
      const out = pick<DType>(random, ['float32', 'float32', 'float32', 'bool'])
      const { got, expected } = mapBoth(formula, operands, params, extents, out)
      expect(got, `round ${round}, extents ${extents}, ${JSON.stringify(formula)}`).toEqual(expected)
    }
  })

  it('converts between dtypes as the reference does', () => {
    const random = numbers(2)
    for (const from of ['float32', 'int32', 'uint8', 'bool'] as const) {
      for (const to of ['float32', 'int32', 'uint8', 'bool'] as const) {
        for (const extents of [[1], [3], [64], [1000], [5, 7], [3, 5, 9]]) {
          const operand = randomOperand(random, extents, from)
          if (to !== 'bool' && from === 'float32')
            operand.data.forEach((x, i) => {
              operand.data[i] = Number.isFinite(x) ? Math.abs(x) : 1.7
            })
          const { got, expected } = mapBoth(f.input(0), [operand], [], extents, to)
          expect(got, `${from} to ${to}`).toEqual(expected)
        }
      }
    }
  })

  it('computes with integers alone exactly', () => {
    const data = new Int32Array([2 ** 31 - 1, 2 ** 24 + 1, -(2 ** 31), 7])
    const other = new Int32Array([2 ** 31 - 2, 2 ** 24, 5, 7])
    const operand = (values: Int32Array): Operand => ({ dtype: 'int32', data: values, offset: 0, strides: [1] })
    const pair = [operand(data), operand(other)]
    expect([...mapBoth(f.sub(f.input(0), f.input(1)), pair, [], [4], 'int32').got]).toEqual([1, 1, 2 ** 31 - 5, 0])
    expect([...mapBoth(f.eq(f.input(0), f.input(1)), pair, [], [4], 'bool').got]).toEqual([0, 0, 0, 1])
  })

  it('computes with bytes alone as with doubles', () => {
    const random = numbers(4)
    const formula = f.div(f.sub(f.input(0), f.param(0)), 0.229)
    for (const dtype of ['uint8', 'bool'] as const) {
      for (const out of ['float32', 'uint8', 'int32', 'bool'] as const) {
        for (const extents of [[1500], [30, 50], [5]]) {
          const operand = randomOperand(random, extents, dtype)
          const { got, expected } = mapBoth(formula, [operand], [0.485], extents, out, false, true)
          expect(got).toEqual(expected)
        }
      }
    }
    const data = Uint8Array.from({ length: 2000 }, (_, i) => i)
    const operand: Operand = { dtype: 'uint8', data, offset: 1, strides: [1] }
    const { got } = mapBoth(f.div(f.input(0), 255), [operand], [], [1999], 'float32', false, true)
    expect(got).toEqual(Float32Array.from({ length: 1999 }, (_, i) => ((i + 1) % 256) / 255))
  })

  it('is near the reference in float64 for all functions', () => {
    const random = numbers(3)
    const x = f.input(0)
    const y = f.input(1)
    const formulas: Record<string, Expr> = {
      exp: f.exp(x),
      log: f.log(f.abs(x)),
      sigmoid: f.div(1, f.add(1, f.exp(f.neg(x)))),
      silu: f.div(x, f.add(1, f.exp(f.neg(x)))),
      tanh: f.tanh(x),
      gelu: f.mul(f.mul(0.5, x), f.add(1, f.erf(f.mul(x, Math.SQRT1_2)))),
      softplus: f.add(f.max(x, 0), f.log1p(f.exp(f.neg(f.abs(x))))),
      elu: f.select(f.gt(x, 0), x, f.expm1(x)),
      sin: f.sin(x),
      cos: f.cos(x),
      pow: f.pow(f.abs(x), y),
      square: f.pow(x, 2),
      cube: f.pow(x, 3),
      inverse: f.pow(x, -1),
      byParam: f.pow(x, f.param(0)),
    }
    for (const [name, formula] of Object.entries(formulas)) {
      for (const extents of [[1], [2, 3], [1029], [6, 35], [4, 3, 5, 16]]) {
        const operands = [0, 1].map(() => {
          const operand = randomOperand(random, extents, 'float32')
          operand.data.forEach((value, i) => {
            operand.data[i] = Number.isFinite(value) ? value * 0.7 : 0.3
          })
          return operand
        })
        const { got, expected } = mapBoth(formula, operands, [2], extents, 'float32', true)
        got.forEach((value, i) => {
          const exact = expected[i] as number
          const bound = 4e-6 * Math.abs(exact) + 1e-7
          expect(Object.is(value, exact) || Math.abs(value - exact) <= bound, `${name}: ${value} for ${exact}`).toBe(
            true,
          )
        })
      }
    }
  })

  it('gives vectors and tails the same bits, for every length', () => {
    const formula = f.tanh(f.mul(f.input(0), f.param(0)))
    const data = Float32Array.from({ length: 70 }, (_, i) => Math.sin(i * 1.7) * 3)
    const run = (offset: number, length: number): Float32Array => {
      const view = (from: number): Operand => ({ dtype: 'float32', data, offset: from, strides: [1] })
      return mapBoth(formula, [view(offset)], [0.37], [length], 'float32').got as Float32Array
    }
    const whole = run(0, 64)
    for (let offset = 0; offset < 6; offset++) {
      for (let length = 1; length <= 40; length++) {
        expect(run(offset, length)).toEqual(whole.slice(offset, offset + length))
      }
    }
  })

  it('has the same bits on several threads', () => {
    const many = new Engine({ threads: 3 })
    const shared = elementwise(many, loops(many))
    const length = 300_007
    const channels = 7
    const x = many.alloc('float32', length * channels)
    const scale = many.alloc('float32', channels)
    many.array(x).forEach((_, i, array) => {
      array[i] = Math.cos(i)
    })
    many.array(scale).set([1, 2, 3, 4, 5, 6, 7])
    const formula = f.exp(f.mul(f.input(0), f.input(1)))
    const views = [
      { buffer: x, offset: 0, strides: [channels, 1] },
      { buffer: scale, offset: 0, strides: [0, 1] },
    ]
    const run = (extents: number[]): TypedArray => {
      const result = shared.map(
        formula,
        views.map((view) => ({ ...view, strides: view.strides.slice(-extents.length) })),
        [],
        extents,
        'float32',
      )
      const copy = many.array(result).slice()
      many.free(result)
      return copy
    }
    many.pool.threads = 1
    const alone = run([length, channels])
    many.pool.threads = 3
    for (let i = 0; i < 30; i++) expect(compareBytes(run([length, channels]), alone)).toBe(0)
    many.pool.threads = 1
  })

  it('multiplies images by a number per channel or per pixel, channels innermost or not', () => {
    const random = numbers(7)
    const data = (length: number): Float32Array => Float32Array.from({ length }, () => random() * 2 - 1)
    const formula = f.add(f.mul(f.input(0), f.input(1)), f.input(2))
    const check = (extents: readonly number[], ...strides: readonly (readonly number[])[]): void => {
      const operands = strides.map((own): Operand => {
        const last = extents.reduce((sum, extent, d) => sum + (extent - 1) * (own[d] as number), 0)
        return { dtype: 'float32', data: data(last + 3), offset: 2, strides: own }
      })
      const { got, expected } = mapBoth(formula, operands, [], extents, 'float32')
      expect(got, `extents ${extents}`).toEqual(expected)
    }
    for (const batch of [1, 2, 3]) {
      for (const channels of [1, 3, 4, 5, 7, 18]) {
        for (const pixels of [2, 9, 35]) {
          const image = pixels * channels
          check([batch, pixels, channels], [image, channels, 1], [channels, 0, 1], [pixels, 1, 0])
          // Pixels and channels of a larger image.
          check([batch, pixels, channels], [2 * image + 1, 2 * channels, 1], [channels, 0, 1], [0, 0, 1])
          check([batch, channels, pixels], [image, pixels, 1], [channels, 1, 0], [0, channels, 1])
          // Four loops, of which two are left.
          check([batch, pixels, 3, channels], [3 * image, 3 * channels, channels, 1], [9, 0, 3, 0], [pixels, 1, 0, 0])
        }
      }
    }
    // Rows so long that they are split, with rests of no, of few and of many elements.
    for (const length of [8192, 8193, 9001]) {
      check([3, 2, length], [2 * length, length, 1], [2, 1, 0], [0, 1, 0])
      check([2, 3, length], [3 * length + 2, length, 1], [1, 0, 0], [0, 0, 1])
    }
  })

  it('makes empty results', () => {
    const operand: Operand = { dtype: 'float32', data: new Float32Array(0), offset: 0, strides: [3, 1] }
    expect(mapBoth(f.exp(f.input(0)), [operand], [], [0, 3], 'float32').got).toHaveLength(0)
  })
})

describe('update', () => {
  const weight = f.input(0)
  const moment = f.input(1)
  const grad = f.input(2)
  const nextMoment = f.add(f.mul(f.param(0), moment), grad)
  const momentum = [f.sub(weight, f.mul(f.param(1), nextMoment)), nextMoment]

  it.each(['float32', 'float64'] as const)('steps in place from the values before, %s', (dtype) => {
    const random = numbers(5)
    for (const length of [1, 2, 3, 4, 5, 15, 16, 17, 100, 4096, 4097, 12_345]) {
      const array = (): TypedArray => new dtypes[dtype].array(Array.from({ length }, () => random() * 2 - 1))
      const data = [array(), array(), array()]
      const [w, m, g] = data.map((values) => upload(values, dtype)) as [WasmBuffer, WasmBuffer, WasmBuffer]
      const params = [0.5, 0.25]
      const step = (): Buffer[] => {
        kernels.update(momentum, [{ targets: [w, m], others: [g] }], params)
        return [w, m]
      }
      expect(writesOnlyInto(step)).toBe(true)
      const own = data.map((values) => reference.upload(dtype, values))
      reference.update(momentum, [{ targets: own.slice(0, 2), others: own.slice(2) }], params)
      expect(engine.array(w)).toEqual(reference.readSync(own[0] as Buffer))
      expect(engine.array(m)).toEqual(reference.readSync(own[1] as Buffer))
      expect(engine.array(g)).toEqual(data[2])
      expect([w.version, m.version, g.version]).toEqual([1, 1, 0])
      for (const buffer of [w, m, g]) engine.free(buffer)
      for (const buffer of own) reference.free(buffer)
    }
  })

  it.each([1, 2, 3])('steps many sets of all lengths at once, %i threads', (threads) => {
    const many = new Engine({ threads })
    const shared = elementwise(many, loops(many))
    const random = numbers(7)
    const lengths = [1, 4097, 3, 0, 70_001, 4, 64, 12_345, 5, 4096, 17]
    for (let round = 0; round < 3; round++) {
      const data = lengths.map((length) => [0, 1, 2].map(() => Float32Array.from({ length }, () => random() * 2 - 1)))
      const sets = data.map((arrays) => {
        const [w, m, g] = arrays.map((values) => {
          const buffer = many.alloc('float32', values.length)
          many.array(buffer).set(values)
          return buffer
        }) as [WasmBuffer, WasmBuffer, WasmBuffer]
        return { targets: [w, m], others: [g] }
      })
      shared.update(momentum, sets, [0.5, 0.25])
      for (const [i, { targets, others }] of sets.entries()) {
        const own = (data[i] as Float32Array[]).map((values) => reference.upload('float32', values))
        reference.update(momentum, [{ targets: own.slice(0, 2), others: own.slice(2) }], [0.5, 0.25])
        for (const [k, buffer] of [...targets, ...others].entries()) {
          expect(many.array(buffer)).toEqual(reference.readSync(own[k] as Buffer))
          many.free(buffer)
        }
        expect(targets.map(({ version }) => version)).toEqual([1, 1])
        for (const buffer of own) reference.free(buffer)
      }
    }
    many.pool.threads = 1
  })

  it('raises versions once even for an empty buffer', () => {
    const empty = upload(new Float32Array(0), 'float32')
    kernels.update([f.neg(f.input(0))], [{ targets: [empty], others: [] }], [])
    expect(empty.version).toBe(1)
    engine.free(empty)
  })
})

it('leaves no buffer behind', () => {
  expect(engine.memory.buffers).toBe(0)
  expect(engine.memory.bytes).toBe(0)
})
