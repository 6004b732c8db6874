import { ArgumentError, Generator } from '@convnets/tensor'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  arrayDataset,
  DataLoader,
  distributedSampler,
  randomSampler,
  type Sampler,
  sequentialSampler,
  stratifiedSampler,
  weightedSampler,
} from '../src/index.ts'

const order = (sampler: Sampler, seed = 1): number[] => Array.from(sampler.order(new Generator(seed)))
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
const sorted = (values: number[]): number[] => values.toSorted((a, b) => a - b)

describe('every sampler', () => {
  const samplers: readonly (readonly [string, Sampler])[] = [
    ['sequential', sequentialSampler(20)],
    ['random', randomSampler(20)],
    ['random, fewer', randomSampler(20, { samples: 7 })],
    ['random, more', randomSampler(20, { samples: 45 })],
    ['random with replacement', randomSampler(20, { replacement: true })],
    ['weighted', weightedSampler(upTo(20))],
    ['weighted without replacement', weightedSampler(upTo(20), { replacement: false, samples: 5 })],
    ['stratified', stratifiedSampler(upTo(20).map((i) => i % 3))],
    ['distributed', distributedSampler(randomSampler(20), { rank: 1, worldSize: 3 })],
  ]
  test.each(samplers)('gives as many indices as it says, the same for the same seed: %s', (name, sampler) => {
    const first = order(sampler)
    expect(first).toHaveLength(sampler.length)
    expect(order(sampler)).toEqual(first)
    for (const index of first) expect(upTo(20)).toContain(index)
    if (name === 'sequential') expect(first).toEqual(upTo(20))
    else expect(order(sampler, 2)).not.toEqual(first)
  })
})

describe('randomSampler', () => {
  test('takes every sample once, or goes round again', () => {
    expect(sorted(order(randomSampler(20)))).toEqual(upTo(20))
    const more = order(randomSampler(20, { samples: 45 }))
    expect(sorted(more.slice(0, 20))).toEqual(upTo(20))
    expect(sorted(more.slice(20, 40))).toEqual(upTo(20))
    expect(new Set(more.slice(40)).size).toBe(5)
    expect(more.slice(20, 40)).not.toEqual(more.slice(0, 20))
  })

  test('with replacement takes all equally often in the mean', () => {
    const drawn = order(randomSampler(10, { replacement: true, samples: 20_000 }))
    for (let i = 0; i < 10; i++) {
      // Five standard deviations of a binomial count.
      const count = drawn.filter((index) => index === i).length
      expect(Math.abs(count - 2000)).toBeLessThan(5 * Math.sqrt(20_000 * 0.1 * 0.9))
    }
  })
})

describe('weightedSampler', () => {
  const weights = [1, 0, 3, 0.5, 5.5]
  test('draws in proportion to the weights', () => {
    const drawn = order(weightedSampler(weights, { samples: 50_000 }))
    for (const [i, weight] of weights.entries()) {
      const share = weight / 10
      const count = drawn.filter((index) => index === i).length
      expect(Math.abs(count - 50_000 * share)).toBeLessThanOrEqual(5 * Math.sqrt(50_000 * share * (1 - share)))
    }
  })

  test('without replacement draws each at most once: the first in proportion, the second among those left', () => {
    const sampler = weightedSampler(weights, { replacement: false, samples: 2 })
    const runs = 20_000
    const counts = new Map<string, number>()
    for (let seed = 0; seed < runs; seed++) {
      const pair = order(sampler, seed)
      expect(pair[0]).not.toBe(pair[1])
      counts.set(pair.join(), (counts.get(pair.join()) ?? 0) + 1)
    }
    for (const [i, first] of weights.entries()) {
      for (const [j, second] of weights.entries()) {
        if (i === j) continue
        const share = first === 0 ? 0 : (first / 10) * (second / (10 - first))
        const count = counts.get(`${i},${j}`) ?? 0
        expect(Math.abs(count - runs * share)).toBeLessThanOrEqual(5 * Math.sqrt(runs * share * (1 - share)))
      }
    }
    expect(sorted(order(weightedSampler(weights, { replacement: false, samples: 4 })))).toEqual([0, 2, 3, 4])
  })
})

describe('stratifiedSampler', () => {
  test('takes every sample once, and spreads every class evenly', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 40 }), fc.nat(1000), (counts, batch, seed) => {
        const labels = counts.flatMap((count, label) => Array.from({ length: count }, () => label))
        const all = order(stratifiedSampler(labels), seed)
        expect(sorted(all)).toEqual(upTo(labels.length))
        for (let at = 0; at + batch <= all.length; at += batch) {
          const part = all.slice(at, at + batch)
          for (const [label, count] of counts.entries()) {
            const share = count / labels.length
            const got = part.filter((index) => labels[index] === label).length
            expect(Math.abs(got - share * batch)).toBeLessThan(1 + share * counts.length + 1e-9)
          }
        }
      }),
      { numRuns: 300, seed: 1 },
    )
  })

  test('shuffles within classes', () => {
    const labels = upTo(40).map((i) => i % 2)
    const evens = order(stratifiedSampler(labels)).filter((index) => index % 2 === 0)
    expect(evens).not.toEqual(sorted(evens))
  })
})

describe('distributedSampler', () => {
  // From PyTorch 1.13: list(DistributedSampler(range(n), num_replicas=w, rank=r, shuffle=False, drop_last=d)).
  test.each([
    [
      10,
      3,
      false,
      [
        [0, 3, 6, 9],
        [1, 4, 7, 0],
        [2, 5, 8, 1],
      ],
    ],
    [
      10,
      3,
      true,
      [
        [0, 3, 6],
        [1, 4, 7],
        [2, 5, 8],
      ],
    ],
    [2, 5, false, [[0], [1], [0], [1], [0]]],
    [
      8,
      4,
      false,
      [
        [0, 4],
        [1, 5],
        [2, 6],
        [3, 7],
      ],
    ],
    [
      8,
      4,
      true,
      [
        [0, 4],
        [1, 5],
        [2, 6],
        [3, 7],
      ],
    ],
  ])('%i samples on %i ranks, dropLast %s, as PyTorch', (n, worldSize, dropLast, expected) => {
    const parts = upTo(worldSize).map((rank) =>
      order(distributedSampler(sequentialSampler(n), { rank, worldSize, dropLast })),
    )
    expect(parts).toEqual(expected)
  })

  test('with loaders of one seed the ranks take every sample once', () => {
    const data = arrayDataset(
      upTo(23).map((label) => ({ image: { data: new Uint8Array(1), height: 1, width: 1, channels: 1 }, label })),
    )
    const seen = upTo(4).flatMap((rank) => {
      const sampler = distributedSampler(randomSampler(23), { rank, worldSize: 4 })
      const loader = new DataLoader(data, { sampler, batchSize: 2, seed: 9, collate: (_, indices) => [...indices] })
      expect([loader.length, loader.samples]).toEqual([3, 6])
      return [...loader.epoch(3)].flat()
    })
    expect(seen).toHaveLength(24)
    expect(new Set(seen).size).toBe(23)
  })
})

describe('they refuse', () => {
  test.each([
    ['no samples', () => sequentialSampler(0), 'length expects an integer from 1, got 0'],
    ['half a draw', () => randomSampler(3, { samples: 0.5 }), 'samples expects an integer from 1, got 0.5'],
    ['a negative weight', () => weightedSampler([1, -1]), 'weights expects finite numbers from 0, got -1 at index 1'],
    ['weights without a sum', () => weightedSampler([0, 0]), 'weights expects a positive, finite sum, got 0'],
    ['a weight that is none', () => weightedSampler([Number.NaN]), 'got NaN at index 0'],
    [
      'more draws than there are',
      () => weightedSampler([1, 0, 1], { replacement: false, samples: 3 }),
      'samples expects at most the 2 positive weights, got 3',
    ],
    ['half a class', () => stratifiedSampler([0, 0.5]), 'labels expects integers, got 0.5 at index 1'],
    ['no labels', () => stratifiedSampler([]), 'number of labels expects an integer from 1, got 0'],
    [
      'a rank that is none',
      () => distributedSampler(sequentialSampler(3), { rank: 2, worldSize: 2 }),
      'rank expects an integer below 2',
    ],
    [
      'a rank without samples',
      () => distributedSampler(sequentialSampler(2), { rank: 0, worldSize: 3, dropLast: true }),
      'dropLast expects at least one sample for each of 3 ranks, got 2 in all',
    ],
    [
      'sampler and shuffle',
      () =>
        new DataLoader(
          arrayDataset([{ image: { data: new Uint8Array(1), height: 1, width: 1, channels: 1 }, label: 0 }]),
          { sampler: sequentialSampler(1), shuffle: true },
        ),
      'shuffle expects to be left out beside a sampler',
    ],
    [
      'a sampler of another dataset',
      () => [
        ...new DataLoader(
          arrayDataset([{ image: { data: new Uint8Array(1), height: 1, width: 1, channels: 1 }, label: 0 }]),
          { sampler: sequentialSampler(2) },
        ).epoch(0),
      ],
      'sampler expects to give indices from 0 to 0, got 1',
    ],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(ArgumentError)
    expect(make).toThrow(message)
  })
})
