import { Buffer as NodeBuffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import type { Buffer } from '../../src/backends/backend.ts'
import { reference } from '../../src/backends/reference/reference.ts'
import { copies } from '../../src/backends/wasm/copy.ts'
import type { WasmBuffer } from '../../src/backends/wasm/derived.ts'
import { Engine } from '../../src/backends/wasm/engine.ts'
import { type DType, type TypedArray, zeroArray } from '../../src/dtype.ts'
import { integer, numbers, pick } from './random.ts'

const engine = new Engine({ threads: 1, initialPages: 32 })
const { copy, fill } = copies(engine)

interface Way {
  readonly offset: number
  readonly strides: readonly number[]
  /** Elements that a buffer needs for it. */
  readonly size: number
}

/** A way through a buffer that meets no element twice, unless `repeats`: axes in some order, with gaps. */
function randomWay(random: () => number, extents: readonly number[], repeats: boolean): Way {
  const axes = extents.map((_, d) => d)
  if (random() < 0.7) axes.sort(() => random() - 0.5)
  const strides = extents.map(() => 0)
  let size = 1
  for (const axis of axes.reverse()) {
    if (repeats && random() < 0.1) continue
    strides[axis] = size
    size *= (extents[axis] as number) + (random() < 0.2 ? 1 : 0)
  }
  let offset = integer(random, 0, 5)
  size += offset
  if (random() < 0.1 && extents.length > 0) {
    const axis = integer(random, 0, extents.length - 1)
    offset += (strides[axis] as number) * ((extents[axis] as number) - 1)
    strides[axis] = -(strides[axis] as number)
  }
  return { offset, strides, size }
}

function numbered(dtype: DType, size: number): TypedArray {
  const data = zeroArray(dtype, size)
  for (let i = 0; i < size; i++) data[i] = dtype === 'bool' ? i % 2 : i + 1
  return data
}

function compare(dtype: DType, extents: readonly number[], from: Way, to: Way): void {
  const data = numbered(dtype, from.size)
  const before = zeroArray(dtype, to.size)
  const [source, target] = [data, before].map((values) => {
    const buffer = engine.alloc(dtype, values.length)
    engine.array(buffer).set(values)
    return buffer
  }) as [WasmBuffer, WasmBuffer]
  const heap = engine.heap.u8.slice()
  copy({ buffer: source, ...from }, { buffer: target, ...to }, extents)
  const got = engine.array(target).slice()
  // Nothing but the target has changed: not even the rest of its block.
  const after = engine.heap.u8
  heap.set(after.subarray(target.ptr, target.ptr + got.byteLength), target.ptr)
  expect(NodeBuffer.compare(heap, after)).toBe(0)
  expect(target.version).toBe(0)
  for (const buffer of [source, target]) engine.free(buffer)

  const [x, y] = [data, before].map((values) => reference.upload(dtype, values)) as [Buffer, Buffer]
  reference.copy({ buffer: x, ...from }, { buffer: y, ...to }, extents)
  expect(got, `${dtype} ${extents} from ${from.strides} to ${to.strides}`).toEqual(reference.readSync(y))
  for (const buffer of [x, y]) reference.free(buffer)
}

const dtypeNames: DType[] = ['float32', 'float32', 'int32', 'uint8', 'bool', 'float64']

describe('copy', () => {
  it('equals the reference over random shapes, strides and dtypes', () => {
    const random = numbers(11)
    for (let round = 0; round < 600; round++) {
      const rank = integer(random, 0, 4)
      const extents = Array.from({ length: rank }, () => pick(random, [1, 2, 3, 4, 5, 6, 8, 11, 16, 19]))
      compare(pick(random, dtypeNames), extents, randomWay(random, extents, true), randomWay(random, extents, false))
    }
  })

  it('changes layouts of images both ways', () => {
    for (const dtype of ['float32', 'int32', 'uint8', 'float64'] as const) {
      for (const [n, c, h, w] of [
        [2, 3, 7, 9],
        [1, 64, 14, 14],
        [3, 65, 9, 15],
        [2, 4, 1, 4],
        [1, 130, 3, 67],
      ] as const) {
        const size = n * c * h * w
        const planes = { offset: 0, strides: [c * h * w, h * w, w, 1], size }
        const pixels = { offset: 0, strides: [c * h * w, 1, w * c, c], size }
        compare(dtype, [n, c, h, w], planes, pixels)
        compare(dtype, [n, c, h, w], pixels, planes)
      }
    }
  })

  it('copies runs of every length', () => {
    for (const dtype of ['float32', 'uint8'] as const) {
      for (const run of [...Array.from({ length: 40 }, (_, i) => i + 1), 255, 256, 1023, 1024, 1025, 4000]) {
        const size = 3 * (run + 5)
        compare(dtype, [3, run], { offset: 1, strides: [run + 3, 1], size }, { offset: 2, strides: [run + 1, 1], size })
      }
      compare(dtype, [70_001], { offset: 3, strides: [1], size: 70_004 }, { offset: 1, strides: [1], size: 70_002 })
    }
  })

  it('does nothing over an empty extent', () => {
    compare('float32', [4, 0], { offset: 0, strides: [1, 1], size: 4 }, { offset: 0, strides: [1, 1], size: 4 })
  })

  it('is the same on several threads', () => {
    const many = new Engine({ threads: 3 })
    const kernels = copies(many)
    const [n, c, p] = [6, 70, 1023]
    const planes = { offset: 0, strides: [c * p, p, 1] }
    const pixels = { offset: 0, strides: [c * p, 1, c] }
    const source = many.alloc('float32', n * c * p)
    const floats = many.array(source)
    for (let i = 0; i < floats.length; i++) floats[i] = i
    const target = many.alloc('float32', source.length)
    const run = (from: Omit<Way, 'size'>): Uint8Array => {
      many.array(target).fill(0)
      kernels.copy({ buffer: source, ...from }, { buffer: target, ...planes }, [n, c, p])
      return new Uint8Array(many.array(target).slice().buffer)
    }
    for (const from of [planes, pixels]) {
      many.pool.threads = 1
      const alone = run(from)
      many.pool.threads = 3
      for (let i = 0; i < 50; i++) expect(NodeBuffer.compare(run(from), alone)).toBe(0)
    }
    many.pool.threads = 1
  })
})

describe('fill', () => {
  it.each([
    ['float32', 0.1],
    ['float32', Number.NaN],
    ['float64', -Math.PI],
    ['int32', -1],
    ['int32', 2 ** 31 - 1],
    ['uint8', 255],
    ['bool', 1],
  ] as const)('%s with %d', (dtype, value) => {
    for (const length of [0, 1, 2, 3, 7, 16, 17, 9001]) {
      const heap = engine.heap.u8.slice()
      const buffer = fill(dtype, length, value) as WasmBuffer
      expect(engine.array(buffer)).toEqual(zeroArray(dtype, length).fill(value))
      const { ptr, size } = buffer.block as NonNullable<WasmBuffer['block']>
      heap.set(engine.heap.u8.subarray(ptr, ptr + size), ptr)
      expect(NodeBuffer.compare(heap, engine.heap.u8)).toBe(0)
      engine.free(buffer)
    }
  })

  it('gives zeros where memory was used before, where it never was, and where it is both', () => {
    const own = new Engine({ threads: 1, initialPages: 4 })
    const { fill } = copies(own)
    const zeros = (length: number): WasmBuffer => {
      const buffer = fill('float32', length, 0) as WasmBuffer
      expect(own.array(buffer)).toEqual(new Float32Array(length))
      return buffer
    }
    const used = zeros(1000)
    expect(used.block?.blank).toBe(true)
    own.array(used).fill(3)
    own.free(used)
    const again = zeros(1000)
    expect(again.block?.blank).toBe(false)
    own.array(again).fill(4)
    own.free(again)
    expect(zeros(5000).block?.blank).toBe(false)
    // Memory that grows is as new.
    const large = zeros(100_000)
    expect(large.block?.blank).toBe(true)
    own.free(large)
  })

  it('tells -0 from zero where memory is new', () => {
    const own = new Engine({ threads: 1, initialPages: 4 })
    const buffer = copies(own).fill('float32', 5, -0) as WasmBuffer
    expect(Object.is(own.array(buffer)[3], -0)).toBe(true)
  })
})
