/** Rank 4 lies channels-last in memory; what users see must not show it. Checked against plain arithmetic on indices. */
import { describe, expect, it } from 'vitest'
import {
  type Backend,
  type DType,
  fromChannelsLast,
  type Generator,
  permute,
  reference,
  reshape,
  type Tensor,
  tensor,
  wasm,
} from '../src/index.ts'
import { between, forSeeds } from './numbers.ts'

const both: [string, Backend][] = [
  ['reference', reference],
  ['wasm', wasm],
]

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)

/** Multi-index of a flat logical index. */
function unravel(flat: number, shape: readonly number[]): number[] {
  const index = new Array<number>(shape.length)
  let rest = flat
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = rest % shape[axis]!
    rest = Math.floor(rest / shape[axis]!)
  }
  return index
}

const ravel = (index: readonly number[], shape: readonly number[]): number =>
  index.reduce((flat, i, axis) => flat * shape[axis]! + i, 0)

function randomShape(random: Generator, rank: number): number[] {
  return Array.from({ length: rank }, () => between(random, 1, 5))
}

/** Another shape of the same size, by shuffling and merging its prime factors. */
function refactor(random: Generator, size: number, rank: number): number[] {
  const shape = new Array<number>(rank).fill(1)
  let rest = size
  for (let p = 2; rest > 1; p++) for (; rest % p === 0; rest /= p) shape[random.integer(rank)]! *= p
  return shape
}

describe.each(both)('on %s', (_, backend) => {
  const counting = (shape: number[]): Tensor =>
    tensor(
      Float32Array.from({ length: sizeOf(shape) }, (_, i) => i),
      { shape, backend },
    )

  it('data comes back in the order it went in', () => {
    for (const shape of [
      [],
      [5],
      [2, 3],
      [2, 3, 4],
      [2, 3, 4, 5],
      [1, 3, 1, 5],
      [2, 1, 3, 4],
      [2, 2, 2, 2, 2],
      [2, 0, 3, 4],
    ]) {
      expect([...counting(shape).dataSync()]).toEqual(Array.from({ length: sizeOf(shape) }, (_, i) => i))
    }
  })

  it('numbers are where they belong in every size of matrix and number of matrices, made and overwritten', () => {
    // Some channels and cells, odd ones, many matrices, one that is too large for a part, and what lies as it is.
    for (const shape of [
      [3, 4, 2, 2],
      [5, 3, 7, 7],
      [2, 7, 1, 3],
      [2, 5, 3, 3],
      [600, 40, 3, 3],
      [1, 300, 21, 25],
      [7, 64, 1, 1],
    ]) {
      const x = counting(shape)
      const [, channels, , width] = shape as [number, number, number, number]
      const last = shape.map((extent) => extent - 1)
      expect(x.select(0, last[0]!).select(0, last[1]!).select(0, last[2]!).dataSync().at(-1)).toBe(sizeOf(shape) - 1)
      if (channels > 2)
        expect(x.select(0, 0).select(0, 2).select(0, 0).dataSync()[0]).toBe((sizeOf(shape) / shape[0]! / channels) * 2)
      expect([...x.select(0, 0).select(0, 0).select(0, 0).dataSync()]).toEqual(
        Array.from({ length: width }, (_, i) => i),
      )
      expect(x.dataSync().every((value, i) => value === i)).toBe(true)
      x.assign_(x.dataSync().map((value) => -value))
      expect(x.dataSync().every((value, i) => value === -i)).toBe(true)
    }
  })

  it('reshape keeps logical order, over 300 random pairs of shapes of rank 1 to 5', () => {
    forSeeds(300, (random) => {
      const from = randomShape(random, between(random, 1, 5))
      const to = refactor(random, sizeOf(from), between(random, 1, 5))
      const x = counting(from)
      expect([...reshape(x, to).dataSync()]).toEqual([...x.dataSync()])
      const open = to.map((extent, i) => (i === 0 ? -1 : extent))
      expect(reshape(x, open).shape).toEqual(to)
    })
  })

  it('permute moves element by element, over 300 random permutations of rank 1 to 5', () => {
    forSeeds(300, (random) => {
      const shape = randomShape(random, between(random, 1, 5))
      const dims = [...random.permutation(shape.length)]
      const y = permute(counting(shape), dims)
      expect(y.shape).toEqual(dims.map((axis) => shape[axis]))
      const expected = Array.from({ length: y.size }, (_, flat) => {
        const index = new Array<number>(shape.length)
        unravel(flat, y.shape).forEach((i, axis) => {
          index[dims[axis]!] = i
        })
        return ravel(index, shape)
      })
      expect([...y.dataSync()]).toEqual(expected)
    })
  })

  it('images enter channels-last without being rearranged', () => {
    const bytes = Uint8ClampedArray.from({ length: 24 }, (_, i) => i)
    const image = fromChannelsLast(bytes, [2, 4, 3], { backend })
    expect([image.shape, image.dtype]).toEqual([[1, 3, 2, 4], 'uint8'])
    expect([...image.select(1, 2).dataSync()]).toEqual([2, 5, 8, 11, 14, 17, 20, 23])
    const batch = fromChannelsLast(Float32Array.from(bytes), [2, 2, 2, 3], { backend })
    expect([...batch.dataSync()]).toEqual([
      0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, 12, 15, 18, 21, 13, 16, 19, 22, 14, 17, 20, 23,
    ])
  })

  it('nested arrays come back as they went in', async () => {
    const nested = [
      [
        [
          [1, 2],
          [3, 4],
        ],
        [
          [5, 6],
          [7, 8],
        ],
        [
          [9, 10],
          [11, 12],
        ],
      ],
    ]
    const x = tensor(nested, { backend })
    expect(x.shape).toEqual([1, 3, 2, 2])
    expect(await x.array()).toEqual(nested)
    expect(await tensor(7, { backend }).array()).toBe(7)
    expect([...(await x.data())]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
  })

  it('what is read is a copy', () => {
    const x = counting([2, 3])
    x.dataSync()[0] = 99
    expect(x.dataSync()[0]).toBe(0)
    const source = new Float32Array([1, 2])
    const y = tensor(source, { backend })
    source[0] = 99
    expect(y.dataSync()[0]).toBe(1)
  })

  it('dtypes convert as documented: towards zero for integers, to 0 and 1 for bool', () => {
    const numbers = [0, 0.4, 0.9, 1, 1.9, 100.5, 255]
    const as = (from: DType, to: DType, values = numbers): number[] => [
      ...tensor(values, { dtype: from, backend }).to(to).dataSync(),
    ]
    expect(as('float32', 'int32', [-2.9, -0.5, ...numbers])).toEqual([-2, 0, 0, 0, 0, 1, 1, 100, 255].map((v) => v + 0))
    expect(as('float64', 'uint8')).toEqual([0, 0, 0, 1, 1, 100, 255])
    expect(as('float32', 'bool')).toEqual([0, 1, 1, 1, 1, 1, 1])
    expect(as('float64', 'float32')).toEqual(numbers.map(Math.fround))
    expect(as('float32', 'float64')).toEqual(numbers.map(Math.fround))
    expect(as('int32', 'float64', [-2147483648, 2147483647])).toEqual([-2147483648, 2147483647])
    expect(as('uint8', 'float32', [0, 200, 255])).toEqual([0, 200, 255])
    expect(as('uint8', 'int32', [0, 200, 255])).toEqual([0, 200, 255])
    expect(as('bool', 'float32', [0, 1])).toEqual([0, 1])
    expect(as('bool', 'int32', [0, 1])).toEqual([0, 1])
    expect(as('int32', 'bool', [-3, 0, 7])).toEqual([1, 0, 1])
    const dtypes: DType[] = ['float32', 'float64', 'int32', 'uint8', 'bool']
    for (const from of dtypes) for (const to of dtypes) expect(as(from, to, [0, 1, 1, 0])).toEqual([0, 1, 1, 0])
  })

  it('assign_ overwrites in logical order and converts to the dtype', () => {
    const x = counting([1, 2, 2, 2])
    x.assign_([1, 2, 3, 4, 5, 6, 7, 8])
    expect([...x.dataSync()]).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    x.assign_(
      tensor(
        [
          [
            [
              [8, 7],
              [6, 5],
            ],
            [
              [4, 3],
              [2, 1],
            ],
          ],
        ],
        { backend },
      ),
    )
    expect([...x.dataSync()]).toEqual([8, 7, 6, 5, 4, 3, 2, 1])
    const flags = tensor([true, true, false], { backend })
    flags.assign_([0, 5, -1])
    expect([...flags.dataSync()]).toEqual([0, 1, 1])
  })
})

it('tensors move between backends with their elements in place', () => {
  const x = tensor(
    Float32Array.from({ length: 120 }, (_, i) => i),
    { shape: [2, 3, 4, 5], backend: wasm },
  )
  const y = x.to(reference)
  expect(y.backend).toBe(reference)
  expect([...y.to(wasm).dataSync()]).toEqual([...x.dataSync()])
  const target = tensor(new Float32Array(120), { shape: [2, 3, 4, 5], backend: reference })
  expect([...target.assign_(x).dataSync()]).toEqual([...x.dataSync()])
})
