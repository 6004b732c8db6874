import { ArgumentError } from '@convnets/tensor'
import { expect, test } from 'vitest'
import { DataLoader, generatorDataset, Image, type Sample, subset } from '../src/index.ts'

const sample = (i: number): Sample => ({ image: new Image(Uint8Array.of(i, i), 1, 2, 1), label: i })

/** Samples 0 to `length - 1`, with a count of how many were made and how many generators were ended. */
function counted(length: number) {
  const counts = { made: 0, ended: 0 }
  function* generate(): Generator<Sample> {
    try {
      for (let i = 0; i < length; i++) {
        counts.made++
        yield sample(i)
      }
    } finally {
      counts.ended++
    }
  }
  return { counts, generate }
}

async function labels(loader: DataLoader, epoch: number, from = 0): Promise<number[][]> {
  const all: number[][] = []
  for await (const { input, target } of loader.epoch(epoch, { from })) {
    all.push(Array.from(target.dataSync()))
    input.dispose()
    target.dispose()
  }
  return all
}

test('a loader walks a generator once per epoch, and keeps nothing', async () => {
  const { counts, generate } = counted(7)
  const loader = new DataLoader(generatorDataset(7, generate), { batchSize: 3 })
  const expected = [[0, 1, 2], [3, 4, 5], [6]]
  expect(await labels(loader, 0)).toEqual(expected)
  expect(counts).toEqual({ made: 7, ended: 0 })
  expect(await labels(loader, 1)).toEqual(expected)
  // The first generator is ended before the second one begins.
  expect(counts).toEqual({ made: 14, ended: 1 })
  expect(await labels(loader, 2, 1)).toEqual(expected.slice(1))
})

test('an async generator of which a part is asked for, in any order', async () => {
  const dataset = generatorDataset(100, async function* () {
    for (let i = 0; i < 100; i++) yield sample(i)
  })
  const loader = new DataLoader(subset(dataset, [5, 6, 90, 2, 2]), { batchSize: 5 })
  expect(await labels(loader, 0)).toEqual([[5, 6, 90, 2, 2]])
  expect(await Promise.all([9, 3, 50].map((i) => dataset.get(i)))).toEqual([9, 3, 50].map(sample))
})

test('what cannot be is an error, and the next item comes from a new generator', async () => {
  const short = generatorDataset(9, () => [sample(0), sample(1)])
  await expect(short.get(5)).rejects.toThrow('generatorDataset: generate expects to give 9 items, got 2')
  expect(await short.get(1)).toEqual(sample(1))
  let broken = true
  const failing = generatorDataset(3, function* () {
    yield sample(0)
    if (broken) throw new Error('a stream broke')
    yield sample(1)
  })
  await expect(failing.get(1)).rejects.toThrow('a stream broke')
  broken = false
  expect(await failing.get(1)).toEqual(sample(1))
  expect(() => failing.get(3)).toThrow(ArgumentError)
  for (const length of [0, 1.5, -1, Number.NaN]) {
    expect(() => generatorDataset(length, () => [])).toThrow('generatorDataset: length expects a positive integer')
  }
})
