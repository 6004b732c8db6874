import { ArgumentError, memory, ShapeError } from '@convnets/tensor'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  arrayDataset,
  type Batch,
  compose,
  DataLoader,
  type Dataset,
  ImageDataset,
  mapDataset,
  randomCrop,
  randomHorizontalFlip,
  type Sample,
  subset,
} from '../src/index.ts'

/** Pictures of 2 x 3 x channels; the first value of picture i is i. */
function pictures(length: number, channels = 1): ImageDataset {
  const size = 6 * channels
  return new ImageDataset({
    images: Uint8Array.from({ length: length * size }, (_, i) => (i % size === 0 ? i / size : (i * 5) % 256)),
    height: 2,
    width: 3,
    channels,
    labels: Uint8Array.from({ length }, (_, i) => i % 4),
    classes: ['a', 'b', 'c', 'd'],
  })
}

/** The same samples, promised, the later ones of each pair first. */
const promised = (dataset: ImageDataset): Dataset => ({
  length: dataset.length,
  get: async (index) => {
    await new Promise((resolve) => setTimeout(resolve, index % 2 === 0 ? 2 : 0))
    return dataset.get(index)
  },
})

interface Read {
  readonly indices: number[]
  readonly target: number[]
  readonly input: number[]
  readonly shape: readonly number[]
}

/** What a batch holds; frees it. */
function read({ input, target, indices }: Batch): Read {
  const result = {
    indices: Array.from(indices),
    target: Array.from(target.dataSync()),
    input: Array.from(input.dataSync()),
    shape: input.shape,
  }
  expect([input.dtype, target.dtype]).toEqual(['float32', 'int32'])
  input.dispose()
  target.dispose()
  return result
}

const readAll = (batches: Iterable<Batch>): Read[] => Array.from(batches, read)

async function readLater(batches: AsyncIterable<Batch>): Promise<Read[]> {
  const all: Read[] = []
  for await (const batch of batches) all.push(read(batch))
  return all
}

let tensorsBefore = 0
beforeEach(() => {
  tensorsBefore = memory().tensors
})
afterEach(() => {
  expect(memory().tensors).toBe(tensorsBefore)
})

const augment = compose(randomHorizontalFlip(), randomCrop([2, 3], { padding: 1 }))

describe('batches', () => {
  test('hold (N, C, H, W) from 0 to 1, labels and indices, in the order of the data', () => {
    const data = pictures(5, 2)
    const [first, , last] = readAll(new DataLoader(data, { batchSize: 2 }).epoch(0))
    expect(first?.shape).toEqual([2, 2, 2, 3])
    expect(first?.indices).toEqual([0, 1])
    expect(first?.target).toEqual([0, 1])
    const expected: number[] = []
    for (let n = 0; n < 2; n++) {
      for (let c = 0; c < 2; c++) {
        for (let i = 0; i < 6; i++) expected.push(Math.fround(data.get(n).image.data[i * 2 + c]! / 255))
      }
    }
    expect(first?.input).toEqual(expected)
    expect(last).toMatchObject({ indices: [4], target: [0], shape: [1, 2, 2, 3] })
  })

  test('cover the data once per epoch, whatever the sizes', () => {
    const sizes = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 50 }), fc.boolean(), fc.boolean())
    fc.assert(
      fc.property(sizes, fc.nat(1000), ([length, batchSize, shuffle, dropLast], seed) => {
        fc.pre(!dropLast || batchSize <= length)
        const loader = new DataLoader(pictures(length), { batchSize, shuffle, dropLast, seed })
        const all = readAll(loader.epoch(seed))
        expect(all.length).toBe(loader.length)
        expect(loader.epoch(seed).length).toBe(loader.length)
        const seen = all.flatMap(({ indices }) => indices)
        expect(seen.length).toBe(loader.samples)
        expect(new Set(seen).size).toBe(seen.length)
        expect(seen.length).toBe(dropLast ? Math.floor(length / batchSize) * batchSize : length)
        for (const { indices } of all.slice(0, -1)) expect(indices.length).toBe(batchSize)
        for (const { indices, target } of all) expect(target).toEqual(indices.map((i) => i % 4))
        if (!shuffle) expect(seen).toEqual(seen.map((_, i) => i))
      }),
      { numRuns: 200, seed: 1 },
    )
  })

  test('are the same for the same seed and epoch, and others for other ones', () => {
    const options = { batchSize: 4, shuffle: true, transform: augment }
    const epoch = (seed: number, n: number): Read[] =>
      readAll(new DataLoader(pictures(20), { ...options, seed }).epoch(n))
    expect(epoch(1, 3)).toEqual(epoch(1, 3))
    const order = (reads: Read[]): number[] => reads.flatMap(({ indices }) => indices)
    expect(order(epoch(1, 3))).not.toEqual(order(epoch(1, 4)))
    expect(order(epoch(1, 3))).not.toEqual(order(epoch(2, 3)))
    expect(order(epoch(1, 3)).sort((a, b) => a - b)).toEqual(order(epoch(2, 3)).sort((a, b) => a - b))
  })

  test('taken up anywhere go on as the whole epoch does', () => {
    const loader = new DataLoader(pictures(23), { batchSize: 4, shuffle: true, seed: 9, transform: augment })
    const whole = readAll(loader.epoch(2))
    for (let from = 0; from <= loader.length; from++) {
      const rest = loader.epoch(2, { from })
      expect(rest.length).toBe(loader.length - from)
      expect(readAll(rest)).toEqual(whole.slice(from))
    }
  })

  test('an epoch can be walked again, and two at once do not disturb each other', () => {
    const loader = new DataLoader(pictures(9), { batchSize: 2, shuffle: true, transform: augment })
    const epoch = loader.epoch(0)
    const whole = readAll(epoch)
    expect(readAll(epoch)).toEqual(whole)
    const a = epoch[Symbol.iterator]()
    const b = epoch[Symbol.iterator]()
    for (const expected of whole) {
      expect(read(a.next().value)).toEqual(expected)
      expect(read(b.next().value)).toEqual(expected)
    }
  })

  test('a sample is augmented by seed, epoch and index alone, wherever it stands', () => {
    const data = pictures(16)
    const bySample = (loader: DataLoader, epoch: number): Map<number, number[]> =>
      new Map(readAll(loader.epoch(epoch)).map(({ indices, input }) => [indices[0]!, input]))
    const options = { transform: augment, seed: 4 }
    const straight = bySample(new DataLoader(data, options), 1)
    const shuffled = bySample(new DataLoader(data, { ...options, shuffle: true }), 1)
    expect(shuffled).toEqual(straight)
    expect([...shuffled.keys()]).not.toEqual([...straight.keys()])
    expect(bySample(new DataLoader(data, options), 2)).not.toEqual(straight)
    expect(bySample(new DataLoader(data, { ...options, seed: 5 }), 1)).not.toEqual(straight)
  })

  test('neighbouring samples and epochs are augmented independently', () => {
    const data = pictures(400)
    const flipped = (epoch: number): boolean[] => {
      const seen: boolean[] = []
      const spy = new DataLoader(data, {
        batchSize: 100,
        transform: (pixels, generator) => {
          seen.push(generator.uniform() < 0.5)
          return pixels
        },
      })
      readAll(spy.epoch(epoch))
      return seen
    }
    const [first, second] = [flipped(0), flipped(1)]
    const agree = (a: boolean[], b: boolean[]): number => a.filter((value, i) => value === b[i]).length / a.length
    // Five standard deviations around one half.
    for (const share of [
      agree(first, second),
      agree(first, [...first.slice(1), true]),
      first.filter(Boolean).length / 400,
    ]) {
      expect(Math.abs(share - 0.5)).toBeLessThan(5 * Math.sqrt(0.25 / 400))
    }
  })

  test('leaving early leaves nothing behind', async () => {
    const loader = new DataLoader(pictures(9), { batchSize: 2 })
    for (const batch of loader.epoch(0)) {
      read(batch)
      break
    }
    for await (const batch of loader.epoch(0)) {
      read(batch)
      break
    }
  })
})

describe('promised samples', () => {
  test('give the batches that samples at hand give', async () => {
    const data = pictures(11)
    const options = { batchSize: 3, shuffle: true, seed: 2, transform: augment }
    const expected = readAll(new DataLoader(data, options).epoch(1))
    expect(await readLater(new DataLoader(promised(data), options).epoch(1))).toEqual(expected)
    expect(await readLater(new DataLoader(data, options).epoch(1))).toEqual(expected)
    expect(await readLater(new DataLoader(promised(data), options).epoch(1, { from: 2 }))).toEqual(expected.slice(2))
  })

  test('refuses options that it does not have', () => {
    expect(() => new DataLoader(pictures(2), { batch_size: 2 } as object)).toThrow(
      'DataLoader: options expects one of batchSize, shuffle, sampler, dropLast, seed, transform, collate, batchTransform, workers, prefetch, timeout, got batch_size (did you mean batchSize?)',
    )
  })

  test('cannot be walked with a plain for', () => {
    const loader = new DataLoader(promised(pictures(2)))
    expect(() => readAll(loader.epoch(0))).toThrow(ArgumentError)
    expect(() => readAll(loader.epoch(0))).toThrow("sample 0 is a promise; iterate the epoch with 'for await'")
  })

  test('a sample that fails comes out where its batch would', async () => {
    const data = pictures(6)
    const failing: Dataset = {
      length: 6,
      get: async (index) => {
        if (index === 3) throw new Error('sample 3 is gone')
        return data.get(index)
      },
    }
    const batches = new DataLoader(failing, { batchSize: 2 }).epoch(0)[Symbol.asyncIterator]()
    read((await batches.next()).value)
    await expect(batches.next()).rejects.toThrow('sample 3 is gone')
    expect(await batches.next()).toEqual({ done: true, value: undefined })
  })
})

describe('datasets', () => {
  test('collate makes whatever is asked for', () => {
    const captions = arrayDataset([
      { image: pictures(1).get(0).image, label: 'a boot' },
      { image: pictures(1).get(0).image, label: 'a shirt' },
    ])
    const loader = new DataLoader(captions, { batchSize: 2, collate: (samples) => samples.map(({ label }) => label) })
    expect([...loader.epoch(0)]).toEqual([['a boot', 'a shirt']])
  })

  test('map and subset keep to their indices', async () => {
    const doubled = mapDataset(arrayDataset([1, 2, 3]), (item, index) => item * 10 + index)
    expect(doubled.length).toBe(3)
    expect(doubled.get(2)).toBe(32)
    expect(await mapDataset(promised(pictures(3)), ({ label }) => label).get(2)).toBe(2)
    const some = subset(doubled, [2, 0, 2])
    expect([some.length, some.get(0), some.get(1), some.get(2)]).toEqual([3, 32, 10, 32])
    expect(() => subset(doubled, [3])).toThrow('index expects an integer from 0 to 2, got 3')
    expect(() => some.get(3)).toThrow(ArgumentError)
    expect(() => arrayDataset([]).get(0)).toThrow(ArgumentError)
    expect(() => pictures(2).get(-1)).toThrow(ArgumentError)
    expect(() => pictures(2).get(0.5)).toThrow(/got 0.5/)
  })

  test('an ImageDataset refuses parts that do not fit', () => {
    const parts = { images: new Uint8Array(12), height: 2, width: 3, channels: 1, classes: ['a'] }
    expect(() => new ImageDataset({ ...parts, labels: Uint8Array.of(0) })).toThrow(ShapeError)
    expect(() => new ImageDataset({ ...parts, labels: Uint8Array.of(0) })).toThrow(
      'images expects 6 bytes for 1 pictures of 2 x 3 x 1, got 12',
    )
    expect(() => new ImageDataset({ ...parts, labels: Uint8Array.of(0, 1) })).toThrow(
      'labels expects classes below 1, got 1 at index 1',
    )
  })
})

describe('DataLoader refuses', () => {
  const data = pictures(10)
  test.each([
    [
      'an empty dataset',
      () => new DataLoader(arrayDataset<Sample>([])),
      'dataset expects at least one sample, got none',
    ],
    ['a batch of none', () => new DataLoader(data, { batchSize: 0 }), 'batchSize expects a positive integer, got 0'],
    ['half a sample', () => new DataLoader(data, { batchSize: 1.5 }), 'batchSize expects a positive integer, got 1.5'],
    [
      'a batch larger than the data, when incomplete ones are dropped',
      () => new DataLoader(data, { batchSize: 11, dropLast: true }),
      'batchSize with dropLast expects at most the 10 samples of the dataset, got 11',
    ],
    ['a seed that is none', () => new DataLoader(data, { seed: -1 }), 'seed expects a non-negative integer'],
    ['an epoch that is none', () => new DataLoader(data).epoch(-1), 'epoch expects a non-negative integer, got -1'],
    [
      'a batch behind the end',
      () => new DataLoader(data).epoch(0, { from: 11 }),
      'from expects an integer from 0 to 10, got 11',
    ],
    [
      'a batch before the start',
      () => new DataLoader(data).epoch(0, { from: -1 }),
      'from expects an integer from 0 to 10, got -1',
    ],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(ArgumentError)
    expect(make).toThrow(message)
  })

  test('pictures of different sizes in a batch, and labels that are no classes', () => {
    const mixed = arrayDataset([pictures(1).get(0), { image: pictures(1, 3).get(0).image, label: 0 }])
    expect(() => readAll(new DataLoader(mixed, { batchSize: 2 }).epoch(0))).toThrow(ShapeError)
    expect(() => readAll(new DataLoader(mixed, { batchSize: 2 }).epoch(0))).toThrow(
      'sample 1 expects a picture of 2 x 3 x 1 like the first of its batch, got 2 x 3 x 3',
    )
    const wrong = arrayDataset([{ image: pictures(1).get(0).image, label: 0.5 }])
    expect(() => readAll(new DataLoader(wrong).epoch(0))).toThrow('sample 0 expects a class number as label, got 0.5')
  })

  test('a batch larger than the data is one batch when incomplete ones count', () => {
    const all = readAll(new DataLoader(data, { batchSize: 64 }).epoch(0))
    expect(all.map(({ indices }) => indices.length)).toEqual([10])
  })
})
