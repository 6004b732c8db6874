import { existsSync } from 'node:fs'
import type { Worker } from 'node:worker_threads'
import { ArgumentError, FormatError, memory, ShapeError } from '@convnets/tensor'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  type Batch,
  DataLoader,
  type DataLoaderOptions,
  type Sample,
  type SampleSource,
  sampleSource,
  WorkerError,
  weightedSampler,
} from '../src/index.ts'
// @ts-expect-error: JavaScript, which workers read as it is.
import * as untyped from './modules/pictures.mjs'

const modules: Readonly<Record<string, SampleSource>> = untyped

// Every worker compiles the package; on a busy machine that alone can take longer than a test has by default.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

interface Read {
  readonly indices: number[]
  readonly target: number[]
  readonly shape: readonly number[]
  readonly input: Float32Array
}

function read({ input, target, indices }: Batch): Read {
  const result = {
    indices: Array.from(indices),
    target: Array.from(target.dataSync()),
    shape: input.shape,
    input: input.dataSync() as Float32Array,
  }
  input.dispose()
  target.dispose()
  return result
}

async function readAll(batches: AsyncIterable<Batch>): Promise<Read[]> {
  const all: Read[] = []
  for await (const batch of batches) all.push(read(batch))
  return all
}

const loaders: { close(): Promise<void> }[] = []
function load(name: string, options: DataLoaderOptions<number, Batch> = {}): DataLoader {
  const loader = new DataLoader(modules[name]!, { batchSize: 5, ...options })
  loaders.push(loader)
  return loader
}

/** The threads that the code under test starts. */
const threads: Worker[] = []
const node = process.getBuiltinModule('node:worker_threads')
const Original = node.Worker

let tensorsBefore = 0
beforeEach(() => {
  tensorsBefore = memory().tensors
  threads.length = 0
  node.Worker = class extends Original {
    constructor(...args: ConstructorParameters<typeof Original>) {
      super(...args)
      threads.push(this)
    }
  }
})
afterEach(async () => {
  node.Worker = Original
  vi.restoreAllMocks()
  await Promise.all(loaders.splice(0).map((loader) => loader.close()))
  expect(memory().tensors).toBe(tensorsBefore)
})

describe('batches are the same, byte for byte', () => {
  test.each([
    ['good', [1, 2, 5]],
    ['promised', [2]],
    ['floats', [2]],
  ] as const)('%s, on none and on %j workers', async (name, counts) => {
    const options = { shuffle: true, seed: 3 }
    const alone = load(name, options)
    const expected = [
      await readAll(alone.epoch(0)),
      await readAll(alone.epoch(1)),
      await readAll(alone.epoch(1, { from: 4 })),
    ]
    expect(expected[0]).toHaveLength(8)
    expect(expected[0]).not.toEqual(expected[1])
    for (const workers of counts) {
      const loader = load(name, { ...options, workers })
      const got = [
        await readAll(loader.epoch(0)),
        await readAll(loader.epoch(1)),
        await readAll(loader.epoch(1, { from: 4 })),
      ]
      expect(got).toEqual(expected)
      expect(threads.splice(0)).toHaveLength(workers)
      await loader.close()
    }
  })

  test('with samples that repeat, and whatever is made of a whole batch', async () => {
    const options: DataLoaderOptions<number, Batch> = {
      sampler: weightedSampler(Array.from({ length: 37 }, (_, i) => (i < 4 ? 9 : 1))),
      seed: 5,
      batchTransform(batch, generator) {
        const input = batch.input.mul(generator.uniform())
        batch.input.dispose()
        return { ...batch, input }
      },
    }
    const expected = await readAll(load('good', options).epoch(2))
    // A sample that comes again is augmented anew.
    const seen = expected.flatMap(({ indices }) => indices)
    expect(new Set(seen).size).toBeLessThan(seen.length)
    expect(await readAll(load('good', { ...options, workers: 2 }).epoch(2))).toEqual(expected)
  })

  test('where samples are of different sizes and kinds, with fields of their own', async () => {
    const collate = (samples: readonly Sample<number>[]): readonly Sample<number>[] => samples
    const walk = async (workers: number): Promise<unknown[]> => {
      const loader = new DataLoader(modules.mixed!, { batchSize: 3, workers, collate })
      loaders.push(loader)
      const all: unknown[] = []
      for await (const batch of loader.epoch(0)) all.push(batch)
      return all
    }
    const expected = await walk(0)
    expect(expected[1]).toMatchObject([{ label: 'caption 3', from: { file: '3.png' } }, {}, {}])
    expect(await walk(2)).toEqual(expected)
  })

  test('on a host without worker threads', async () => {
    const expected = await readAll(load('good').epoch(0))
    vi.spyOn(process, 'getBuiltinModule').mockImplementation(((id: string) =>
      id === 'node:worker_threads' ? undefined : node) as typeof process.getBuiltinModule)
    const loader = load('good', { workers: 2 })
    vi.restoreAllMocks()
    expect(await readAll(loader.epoch(0))).toEqual(expected)
    expect(threads).toEqual([])
  })

  test('in two epochs that are walked at once', async () => {
    const loader = load('good', { workers: 2, shuffle: true })
    const expected = [await readAll(loader.epoch(0)), await readAll(loader.epoch(1))]
    expect(await Promise.all([readAll(loader.epoch(0)), readAll(loader.epoch(1))])).toEqual(expected)
    expect(threads).toHaveLength(2)
  })
})

describe('no more than asked for', () => {
  test('is made ahead of a slow taker, and memory is used again', async () => {
    const loader = load('large', { batchSize: 2, workers: 2, prefetch: 3 })
    const epoch = loader.epoch(0)[Symbol.asyncIterator]()
    const jobs = (): number => posts.length
    const posts: { memory?: SharedArrayBuffer }[] = []
    const post = Original.prototype.postMessage
    vi.spyOn(Original.prototype, 'postMessage').mockImplementation(function (this: Worker, job) {
      posts.push(job)
      return post.call(this, job)
    })
    read((await epoch.next()).value)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(jobs()).toBe(6)
    for (let taken = 2; taken <= 32; taken++) {
      read((await epoch.next()).value)
      expect(jobs()).toBeLessThanOrEqual(Math.min(32, taken + 5))
    }
    expect(await epoch.next()).toEqual({ done: true, value: undefined })
    // Six batches under way, and one on its way back.
    expect(posts).toHaveLength(32)
    expect(posts.filter(({ memory }) => memory === undefined).length).toBeLessThanOrEqual(7)
  })

  test('is waited for: an epoch that is left gives up what it has ordered', async () => {
    const loader = load('slow', { batchSize: 1, workers: 2, prefetch: 8 })
    for await (const batch of loader.epoch(0)) {
      read(batch)
      break
    }
    await expect(
      (async () => {
        for await (const batch of loader.epoch(0)) {
          read(batch)
          throw new Error('no more')
        }
      })(),
    ).rejects.toThrow('no more')
    expect((await readAll(loader.epoch(0, { from: 38 }))).map(({ indices }) => indices)).toEqual([[38], [39]])
  })
})

/** The error that an epoch ends in, and the batches before it. */
async function failure(epoch: AsyncIterable<Batch>): Promise<{ error: unknown; batches: number }> {
  let batches = 0
  try {
    for await (const batch of epoch) {
      read(batch)
      batches++
    }
  } catch (error) {
    return { error, batches }
  }
  throw new Error('nothing failed')
}

describe('an error of a sample', () => {
  test.each([0, 1, 2])('keeps its class, fields and place on %i workers', async (workers) => {
    const broken = await failure(load('broken', { workers }).epoch(0))
    expect(broken.error).toBeInstanceOf(FormatError)
    expect(broken).toMatchObject({
      batches: 2,
      error: {
        message: 'photos/13.jpg: at byte 7: expected a picture, got nonsense',
        file: 'photos/13.jpg',
        offset: 7,
        expected: 'a picture',
        got: 'nonsense',
      },
    })
    const missing = await failure(load('missing', { workers }).epoch(0))
    expect(missing).toMatchObject({ batches: 2, error: { message: 'gone', code: 'ENOENT', path: 'photos/13.jpg' } })
    const labelled = await failure(load('labelled', { workers }).epoch(0))
    expect(labelled.error).toBeInstanceOf(ArgumentError)
    expect(labelled).toMatchObject({
      batches: 2,
      error: { message: expect.stringContaining('sample 13 expects a class number as label, got 0.5') },
    })
    const sizes = await failure(load('sizes', { workers }).epoch(0))
    expect(sizes.error).toBeInstanceOf(ShapeError)
    expect(sizes).toMatchObject({
      batches: 0,
      error: { message: expect.stringContaining('sample 1 expects a picture of 6 x 5 x 3') },
    })
  })

  test('leaves the workers at work', async () => {
    const loader = load('broken', { workers: 2 })
    await failure(loader.epoch(0))
    expect(await readAll(loader.epoch(0, { from: 3 }))).toHaveLength(1)
    expect(threads).toHaveLength(2)
  })

  test('that is no plain data says so', async () => {
    const { error } = await failure(load('unsendable', { workers: 1 }).epoch(0))
    expect(error).toMatchObject({ name: 'DataCloneError', message: expect.stringMatching(/could not be cloned/) })
  })
})

describe('a worker that is gone', () => {
  test.each([
    [
      'exiting',
      /worker \d of 'exiting' of file:.*pictures\.mjs exited with code 3 while it made samples 10, 11, 12, 13, 14/,
    ],
    ['throwing', /worker \d of 'throwing' of .* died: out of the blue while it made samples 10, 11, 12, 13, 14/],
  ])('because it was %s is an error at once, and the next epoch has new ones', async (name, message) => {
    const loader = load(name, { workers: 2 })
    // No timeout is set: nothing but the loss itself can end the wait.
    const { error } = await failure(loader.epoch(0))
    expect(error).toBeInstanceOf(WorkerError)
    expect((error as Error).message).toMatch(message)
    expect(threads).toHaveLength(2)
    expect(await readAll(loader.epoch(0, { from: 3 }))).toHaveLength(1)
    expect(threads).toHaveLength(4)
  })

  test('because it was killed', async () => {
    const epoch = load('hanging', { workers: 2 }).epoch(0)[Symbol.asyncIterator]()
    for (let batch = 0; batch < 2; batch++) read((await epoch.next()).value)
    const next = epoch.next()
    await threads[0]!.terminate()
    await expect(next).rejects.toThrow(WorkerError)
    await expect(next).rejects.toThrow(/exited with code 1/)
  })

  test('because it ran out of memory', async () => {
    const loader = load('greedy', { workers: 1 })
    const Small = node.Worker
    node.Worker = class extends Small {
      constructor(script: string | URL, options: ConstructorParameters<typeof Original>[1]) {
        super(script, { ...options, resourceLimits: { maxOldGenerationSizeMb: 64 } })
      }
    }
    const { error } = await failure(loader.epoch(0))
    expect(error).toBeInstanceOf(WorkerError)
    expect((error as Error).message).toMatch(/died: Worker terminated due to reaching memory limit/)
  })

  test('that spins for ever is given up after the time it may take', async () => {
    const loader = load('spinning', { workers: 2, timeout: 5000 })
    const { error, batches } = await failure(loader.epoch(0))
    expect(error).toBeInstanceOf(WorkerError)
    expect(error).toMatchObject({ message: 'DataLoader: workers expects a batch within 5000 ms, got none' })
    // None, if it took the workers as long to come up.
    expect(batches).toBeLessThanOrEqual(2)
  })

  test('does not come up', async () => {
    const { error: renamed } = await failure(load('renamed', { workers: 2 }).epoch(0))
    expect(renamed).toBeInstanceOf(WorkerError)
    expect((renamed as Error).message).toMatch(
      /could not load 'constructor' of file:.*: it exports no 'constructor' made by/,
    )
    const nowhere = new DataLoader(sampleSource(new URL('nowhere.mjs', import.meta.url), 'good', modules.good!), {
      workers: 1,
    })
    const { error } = await failure(nowhere.epoch(0))
    expect(error).toBeInstanceOf(WorkerError)
    expect((error as Error).message).toMatch(/could not load 'good' of file:.*nowhere\.mjs: Cannot find module/)
    expect(existsSync(new URL('nowhere.mjs', import.meta.url))).toBe(false)
  })

  test('has another dataset than the program', async () => {
    const { error } = await failure(load('shrinking', { workers: 1 }).epoch(0))
    expect((error as Error).message).toMatch(
      /expects to be the same everywhere, got 4 samples in a worker and 5 in the program/,
    )
  })
})

describe('an epoch stops when told', () => {
  test.each([0, 2])('while it waits, on %i workers, with the reason given', async (workers) => {
    const loader = load('hanging', { workers })
    const reason = new Error('enough')
    await expect(readAll(loader.epoch(0, { signal: AbortSignal.abort(reason) }))).rejects.toBe(reason)
    const controller = new AbortController()
    const epoch = loader.epoch(0, { signal: controller.signal })[Symbol.asyncIterator]()
    for (let batch = 0; batch < 2; batch++) read((await epoch.next()).value)
    const next = epoch.next()
    controller.abort(reason)
    await expect(next).rejects.toBe(reason)
    expect(await epoch.next()).toEqual({ done: true, value: undefined })
  })

  test('when the loader is closed', async () => {
    const loader = load('slow', { batchSize: 1, workers: 2 })
    const epoch = loader.epoch(0)[Symbol.asyncIterator]()
    read((await epoch.next()).value)
    const next = (async () => {
      for (;;) read((await epoch.next()).value)
    })()
    next.catch(() => {})
    await loader.close()
    await expect(next).rejects.toThrow('DataLoader: closed while batches were being made')
    expect(threads.map(({ threadId }) => threadId)).toEqual([-1, -1])
  })
})

describe('DataLoader refuses', () => {
  test.each([
    [
      'workers without a source',
      () => new DataLoader(modules.good!.dataset, { workers: 1 }),
      /workers expects a SampleSource/,
    ],
    ['half a worker', () => load('good', { workers: 0.5 }), 'workers expects a non-negative integer, got 0.5'],
    ['to make nothing ahead', () => load('good', { prefetch: 0 }), 'prefetch expects a positive integer, got 0'],
    [
      'a timeout before the start',
      () => load('good', { timeout: -1 }),
      'timeout expects a non-negative integer, got -1',
    ],
    ['two transforms', () => load('good', { transform: (pixels) => pixels }), 'transform expects to be part of the'],
    ['an address that is none', () => sampleSource('pictures', 'x', modules.good!), /url expects import\.meta\.url/],
    ['a name that is none', () => sampleSource(import.meta.url, '', modules.good!), /name expects the name/],
    [
      'plain for with workers',
      () => [...load('good', { workers: 1 }).epoch(0)],
      "workers answer later; iterate with 'for await'",
    ],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(ArgumentError)
    expect(make).toThrow(message)
  })
})
