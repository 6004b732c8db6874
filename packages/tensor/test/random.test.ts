import { describe, expect, it } from 'vitest'
import {
  ArgumentError,
  type Backend,
  defaultGenerator,
  dropout,
  dropout2d,
  dropPath,
  Generator,
  manualSeed,
  ones,
  rand,
  randn,
  reference,
  seeded,
  type Tensor,
  wasm,
} from '../src/index.ts'
import { philox } from '../src/random.ts'

/** Philox 4x32-10 as its authors print it, with 64-bit arithmetic: an independent writing of the same function. */
function philoxByTheBook(counter: readonly number[], key: readonly number[]): number[] {
  const mask = 0xffffffffn
  let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint]
  let [k0, k1] = key.map(BigInt) as [bigint, bigint]
  for (let round = 0; round < 10; round++) {
    const [p0, p1] = [0xd2511f53n * c0, 0xcd9e8d57n * c2]
    ;[c0, c1, c2, c3] = [((p1 >> 32n) ^ c1 ^ k0) & mask, p1 & mask, ((p0 >> 32n) ^ c3 ^ k1) & mask, p0 & mask]
    k0 = (k0 + 0x9e3779b9n) & mask
    k1 = (k1 + 0xbb67ae85n) & mask
  }
  return [c0, c1, c2, c3].map(Number)
}

const words = (seed: number, block: number): number[] => {
  const out = new Uint32Array(4)
  philox(seed, block, out)
  return [...out]
}

const hex = (numbers: readonly number[]): string => numbers.map((n) => n.toString(16).padStart(8, '0')).join(' ')

describe('Philox 4x32-10', () => {
  it('by the book gives the known answers of the Random123 distribution', () => {
    expect(hex(philoxByTheBook([0, 0, 0, 0], [0, 0]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8')
    const all = 0xffffffff
    expect(hex(philoxByTheBook([all, all, all, all], [all, all]))).toBe('408f276d 41c83b0e a20bc7c6 6d5451fd')
    const pi = philoxByTheBook([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])
    expect(hex(pi)).toBe('d16cfe09 94fdcceb 5001e420 24126ea1')
  })

  it('of the library gives the known answer for counter 0 and key 0', () => {
    expect(hex(words(0, 0))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8')
  })

  it('of the library agrees with the book for all seeds and blocks up to 2^53', () => {
    const random = new Generator(1)
    const edges = [0, 1, 0xffffffff, 0x100000000, Number.MAX_SAFE_INTEGER]
    const large = (): number => Math.floor(random.uniform() * Number.MAX_SAFE_INTEGER)
    const pairs = edges.flatMap((seed) => edges.map((block) => [seed, block] as const))
    for (let i = 0; i < 500; i++) pairs.push([large(), large()])
    const split = (n: number): [number, number] => [n % 0x100000000, Math.floor(n / 0x100000000)]
    for (const [seed, block] of pairs) {
      expect(words(seed, block)).toEqual(philoxByTheBook([...split(block), 0, 0], split(seed)))
    }
  })
})

/** Chi-squared of counts against equal shares, over its degrees of freedom: about 1. */
function chiSquared(counts: readonly number[]): number {
  const mean = counts.reduce((a, b) => a + b, 0) / counts.length
  return counts.reduce((sum, n) => sum + (n - mean) ** 2 / mean, 0) / (counts.length - 1)
}

describe('Generator', () => {
  it('is a function of its seed and position', () => {
    const [a, b] = [new Generator(7), new Generator(7)]
    const draws = Array.from({ length: 20 }, () => a.uniform())
    expect(Array.from({ length: 20 }, () => b.uniform())).toEqual(draws)
    expect(new Set(draws).size).toBe(20)
    const state = a.state()
    const next = [a.uniform(), a.normal(), a.integer(10)]
    a.restore(state)
    expect([a.uniform(), a.normal(), a.integer(10)]).toEqual(next)
    const c = new Generator(0)
    c.restore(JSON.parse(JSON.stringify(state)))
    expect([c.uniform(), c.normal(), c.integer(10)]).toEqual(next)
  })

  it('draws uniform numbers, integers and permutations evenly', () => {
    const random = new Generator(3)
    const counts = new Array<number>(50).fill(0)
    for (let i = 0; i < 50_000; i++) counts[Math.floor(random.uniform() * 50)]!++
    expect(chiSquared(counts)).toBeLessThan(1.6)
    const dice = new Array<number>(6).fill(0)
    for (let i = 0; i < 30_000; i++) dice[random.integer(6)]!++
    expect(chiSquared(dice)).toBeLessThan(3)
    const orders = new Map<string, number>()
    for (let i = 0; i < 12_000; i++) {
      const key = random.permutation(4).join('')
      orders.set(key, (orders.get(key) ?? 0) + 1)
    }
    expect(orders.size).toBe(24)
    expect(chiSquared([...orders.values()])).toBeLessThan(2)
  })

  it('forks streams that differ from each other and do not move it', () => {
    const random = new Generator(11)
    const before = random.state()
    const firsts = [random.fork(0), random.fork(1), random.fork(0, 0), random.fork(0, 1), random].map((g) => g.uint32())
    expect(new Set(firsts).size).toBe(5)
    random.restore(before)
    expect(random.fork(0, 1).uint32()).toBe(firsts[3])
    expect(random.state()).toEqual(before)
  })

  it('is refused seeds, states and ranges that make no sense', () => {
    for (const seed of [-1, 0.5, Number.NaN, 2 ** 53, '1' as unknown as number]) {
      expect(() => new Generator(seed)).toThrow(/Generator: seed expects a non-negative integer/)
    }
    const random = new Generator(1)
    for (const n of [0, -1, 1.5, 2 ** 32 + 1]) expect(() => random.integer(n)).toThrow(/n expects an integer from 1/)
    expect(() => random.restore({ seed: 1, offset: -1 })).toThrow(ArgumentError)
  })

  it('is the default one until another is put in its place', () => {
    manualSeed(5)
    const a = defaultGenerator().uint32()
    manualSeed(5)
    expect(seeded(5, () => defaultGenerator().uint32())).toBe(a)
    expect(defaultGenerator().uint32()).toBe(a)
    expect(() =>
      seeded(1, () => {
        throw new Error('inside')
      }),
    ).toThrow('inside')
    expect(defaultGenerator().state()).toEqual({ seed: 5, offset: 1 })
    manualSeed(0)
  })
})

const both: [string, Backend][] = [
  ['reference', reference],
  ['wasm', wasm],
]

describe.each(both)('random tensors on %s', (_, backend) => {
  const numbers = (x: Tensor): number[] => [...x.dataSync()]

  it('are the words of the stream, scaled', () => {
    const generator = new Generator(9)
    generator.take(4)
    const x = numbers(rand([10], { backend, generator }))
    const expected = [1, 2, 3].flatMap((block) => words(9, block)).slice(0, 10)
    x.forEach((value, i) => {
      expect(value).toBe((expected[i]! >>> 8) / 0x1000000)
    })
    expect(generator.state()).toEqual({ seed: 9, offset: 4 })
  })

  it('repeat with the seed and differ without', () => {
    const make = (seed: number) => numbers(randn([33], { backend, generator: new Generator(seed) }))
    expect(make(1)).toEqual(make(1))
    expect(make(1)).not.toEqual(make(2))
    const one = new Generator(1)
    expect(numbers(rand([8], { backend, generator: one }))).not.toEqual(numbers(rand([8], { backend, generator: one })))
  })

  it('are uniform and normal', () => {
    const generator = new Generator(2)
    const u = numbers(rand([40_000], { backend, generator }))
    const counts = new Array<number>(40).fill(0)
    for (const value of u) counts[Math.floor(value * 40)]!++
    expect(chiSquared(counts)).toBeLessThan(1.7)
    const z = numbers(randn([40_000], { backend, generator }))
    const moment = (k: number): number => z.reduce((sum, v) => sum + v ** k, 0) / z.length
    expect(Math.abs(moment(1))).toBeLessThan(0.02)
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.03)
    expect(Math.abs(moment(3))).toBeLessThan(0.06)
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.15)
  })

  it('drop the share they are told, scale the rest, and drop whole channels and samples', () => {
    const share = (x: Tensor): number => numbers(x).filter((v) => v === 0).length / x.size
    const x = ones([20, 50, 4, 5], { backend })
    for (const p of [0.1, 0.5, 0.9]) {
      const y = dropout(x, { p, generator: new Generator(4) })
      expect(share(y)).toBeCloseTo(p, 1)
      expect(new Set(numbers(y))).toEqual(new Set([0, Math.fround(1 / (1 - p))]))
    }
    const channels = numbers(dropout2d(x, { generator: new Generator(4) }))
    for (let i = 0; i < 1000; i++) expect(new Set(channels.slice(i * 20, i * 20 + 20)).size).toBe(1)
    const samples = numbers(dropPath(x, { generator: new Generator(4) }))
    for (let i = 0; i < 20; i++) expect(new Set(samples.slice(i * 1000, i * 1000 + 1000)).size).toBe(1)
    expect(new Set(samples).size).toBe(2)
    expect(share(dropout(x, { p: 1 }))).toBe(1)
    expect(share(dropout(x, { p: 0 }))).toBe(0)
  })
})

it('gives the same uniform numbers on every backend, to the bit', () => {
  const make = (backend: Backend) => rand([1001], { backend, generator: new Generator(3) }).dataSync()
  expect(make(wasm)).toEqual(make(reference))
})
