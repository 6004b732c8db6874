/** Batches from datasets, in an order and with augmentations that are a function of seed, epoch and sample alone. */
import { ArgumentError, Generator, readOptions } from '@convnets/tensor'
import { type Batch, type Collate, collateImages, collateMade, samplesOf } from './collate.ts'
import type { Dataset, Sample } from './dataset.ts'
import { Epoch } from './epoch.ts'
import { randomSampler, type Sampler, sequentialSampler } from './samplers.ts'
import { makeSamples, makeSamplesNow, type Order, type SampleParts } from './samples.ts'
import { SampleSource } from './source.ts'
import type { Transform } from './transforms.ts'
import { Team } from './workers/team.ts'
import { canHaveWorkers, isWorker } from './workers/threads.ts'

/** How a `DataLoader` makes batches. */
export interface DataLoaderOptions<Label, Made> {
  /** Samples per batch (default 1). */
  readonly batchSize?: number
  /** A new order in every epoch (default false: the order of the dataset). */
  readonly shuffle?: boolean
  /** Which samples an epoch takes, in which order; instead of `shuffle`. */
  readonly sampler?: Sampler
  /** Leave out a last batch that is not full (default false). */
  readonly dropLast?: boolean
  /** What order and augmentations follow from (default 0). */
  readonly seed?: number
  /** Applied to every picture, with a generator of that picture's own in that epoch. A `SampleSource` has its own. */
  readonly transform?: Transform
  /** Makes a batch of samples (default `collateImages`). */
  readonly collate?: Collate<Label, Made>
  /** Applied to every batch, with a generator of its own: `mixUp`, `cutMix` and their like. */
  readonly batchTransform?: (batch: Made, generator: Generator) => Made
  /**
   * Worker threads that make the samples (default 0: none). They need a `SampleSource`, and an epoch that is walked with
   * `for await`. Where a host has none, the batches are the same, made by the thread that asks for them.
   */
  readonly workers?: number
  /** Batches per worker that are made ahead of their turn (default 2). */
  readonly prefetch?: number
  /** Milliseconds after which a batch that workers have not made is a `WorkerError` (default 0: never). */
  readonly timeout?: number
}

/** Which purpose a generator serves: the first stream under the loader's seed. */
const ORDER = 0
const AUGMENTATION = 1
const BATCH = 2

const notIterable = (index: number): ArgumentError =>
  new ArgumentError(`DataLoader: sample ${index} is a promise; iterate the epoch with 'for await'`)

function checkCount(name: string, value: number, least: number): void {
  const expected = least === 0 ? 'non-negative' : 'positive'
  if (!Number.isSafeInteger(value) || value < least) {
    throw new ArgumentError(`DataLoader: ${name} expects a ${expected} integer, got ${value}`)
  }
}

/**
 * Cuts a dataset into batches.
 *
 * The same seed and epoch give the same batches with the same augmentations, from wherever an epoch is taken up and on any
 * number of workers: the order comes from (seed, epoch), the generator of a sample's transform from (seed, epoch, index of
 * the sample, how often it has come before). Made tensors belong to whoever receives the batch; none is made ahead of its
 * turn, so leaving an epoch early leaves nothing behind.
 *
 * Workers start with the first epoch and stay for the next ones. They do not keep a program alive that is done; `close()`,
 * or `await using`, ends them at once.
 */
export class DataLoader<Label = number, Made = Batch> {
  readonly dataset: Dataset<Sample<Label>>
  readonly batchSize: number
  readonly shuffle: boolean
  readonly dropLast: boolean
  readonly seed: number
  readonly workers: number
  readonly #parts: SampleParts<Label>
  readonly #sampler: Sampler
  /** Whether a sample may come more than once in an epoch. */
  readonly #mayRepeat: boolean
  readonly #collate: Collate<Label, Made> | undefined
  readonly #batchTransform: ((batch: Made, generator: Generator) => Made) | undefined
  readonly #generator: Generator
  readonly #team: Team | undefined

  /**
   * Throws `ArgumentError` for an empty dataset, for `dropLast` with a batch that is larger than an epoch, for workers
   * without a `SampleSource`, and for workers inside of a worker, which is what a module that trains gets when workers
   * import it.
   */
  constructor(dataset: Dataset<Sample<Label>> | SampleSource<Label>, options: DataLoaderOptions<Label, Made> = {}) {
    const read = readOptions('DataLoader', options, {
      batchSize: 1,
      shuffle: false,
      sampler: undefined,
      dropLast: false,
      seed: 0,
      transform: undefined,
      collate: undefined,
      batchTransform: undefined,
      workers: 0,
      prefetch: 2,
      timeout: 0,
    })
    const { batchSize, shuffle, sampler, dropLast, seed, transform, collate, batchTransform } = read
    const { workers, prefetch, timeout } = read
    const isSource = dataset instanceof SampleSource
    checkCount('batchSize', batchSize, 1)
    checkCount('workers', workers, 0)
    checkCount('prefetch', prefetch, 1)
    checkCount('timeout', timeout, 0)
    if (isSource && transform) {
      throw new ArgumentError('DataLoader: transform expects to be part of the SampleSource, got one of the loader too')
    }
    if (workers > 0 && !isSource) {
      throw new ArgumentError(
        'DataLoader: workers expects a SampleSource, made by sampleSource in a module that workers can import, got a dataset',
      )
    }
    if (workers > 0 && isWorker()) {
      throw new ArgumentError(
        'DataLoader: workers expects a program, got a worker: the module of sampleSource must not make loaders, as every worker imports it',
      )
    }
    if (sampler && shuffle) throw new ArgumentError('DataLoader: shuffle expects to be left out beside a sampler')
    const parts: SampleParts<Label> = isSource ? dataset : { dataset, transform }
    const { length } = parts.dataset
    if (length === 0) throw new ArgumentError('DataLoader: dataset expects at least one sample, got none')
    const samples = sampler?.length ?? length
    if (dropLast && batchSize > samples) {
      throw new ArgumentError(
        `DataLoader: batchSize with dropLast expects at most the ${samples} samples of ${sampler ? 'the sampler' : 'the dataset'}, got ${batchSize}`,
      )
    }
    this.dataset = parts.dataset
    this.batchSize = batchSize
    this.shuffle = shuffle
    this.dropLast = dropLast
    this.seed = seed
    this.workers = workers
    this.#parts = parts
    this.#sampler = sampler ?? (shuffle ? randomSampler(length) : sequentialSampler(length))
    this.#mayRepeat = sampler !== undefined
    this.#collate = collate
    this.#batchTransform = batchTransform
    this.#generator = new Generator(seed)
    if (workers > 0 && isSource && canHaveWorkers())
      this.#team = new Team(this, dataset, { workers, prefetch, timeout })
  }

  /** Batches per epoch. */
  get length(): number {
    const batches = this.#sampler.length / this.batchSize
    return this.dropLast ? Math.floor(batches) : Math.ceil(batches)
  }

  /** Samples per epoch: all of the dataset or the sampler, or less with `dropLast`. */
  get samples(): number {
    return this.dropLast ? this.length * this.batchSize : this.#sampler.length
  }

  /**
   * The batches of epoch `epoch` (from 0) from batch `from` (default 0) on; the same that the whole epoch would have given
   * from there. A `signal` ends a wait for samples with its reason. Throws `ArgumentError` unless `from` is between 0 and
   * `length`, and for options that are none; walking it rejects with what dataset, transform or collate throw, at the batch
   * where they do, and with `WorkerError` if a worker cannot start or dies.
   */
  epoch(epoch: number, options: { from?: number; signal?: AbortSignal | undefined } = {}): Epoch<Made> {
    const { from, signal } = readOptions('DataLoader.epoch', options, { from: 0, signal: undefined })
    if (!Number.isSafeInteger(epoch) || epoch < 0) {
      throw new ArgumentError(`DataLoader.epoch: epoch expects a non-negative integer, got ${epoch}`)
    }
    const batches = this.length
    if (!Number.isInteger(from) || from < 0 || from > batches) {
      throw new ArgumentError(`DataLoader.epoch: from expects an integer from 0 to ${batches}, got ${from}`)
    }
    const team = this.#team
    return new Epoch(
      batches - from,
      () => {
        if (this.workers > 0) throw new ArgumentError(`DataLoader: workers answer later; iterate with 'for await'`)
        return this.#now(this.#plan(epoch), from, signal)
      },
      () => (team ? this.#made(this.#plan(epoch), from, signal, team) : this.#later(this.#plan(epoch), from, signal)),
    )
  }

  /** Ends the workers, if there are any; a later epoch starts new ones. Epochs under way reject with `WorkerError`. */
  async close(): Promise<void> {
    await this.#team?.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #plan(epoch: number): Plan {
    const { batchSize } = this
    const order = this.#order(epoch)
    const repeats = this.#mayRepeat ? repeatsOf(order) : undefined
    const forBatches = this.#generator.fork(BATCH, epoch)
    return {
      samples: this.#generator.fork(AUGMENTATION, epoch),
      part(batch) {
        const start = batch * batchSize
        const end = Math.min(start + batchSize, order.length)
        return { indices: order.slice(start, end), repeats: repeats?.slice(start, end) }
      },
      batch: (batch) => forBatches.fork(batch),
    }
  }

  #order(epoch: number): Int32Array {
    const { length } = this.dataset
    const order = Int32Array.from(this.#sampler.order(this.#generator.fork(ORDER, epoch)))
    if (order.length !== this.#sampler.length) {
      throw new ArgumentError(
        `DataLoader: sampler expects to give ${this.#sampler.length} indices, got ${order.length}`,
      )
    }
    const wrong = order.find((index) => index < 0 || index >= length)
    if (wrong !== undefined) {
      throw new ArgumentError(`DataLoader: sampler expects to give indices from 0 to ${length - 1}, got ${wrong}`)
    }
    return order
  }

  #collated(samples: readonly Sample<Label>[], indices: Int32Array): Made {
    // Without `collate`, `Made` is `Batch`: nothing else tells the compiler otherwise.
    return this.#collate ? this.#collate(samples, indices) : (collateImages(samples, indices) as unknown as Made)
  }

  #finished(made: Made, plan: Plan, batch: number): Made {
    return this.#batchTransform ? this.#batchTransform(made, plan.batch(batch)) : made
  }

  *#now(plan: Plan, from: number, signal: AbortSignal | undefined): IterableIterator<Made, void, undefined> {
    for (let batch = from; batch < this.length; batch++) {
      signal?.throwIfAborted()
      const part = plan.part(batch)
      const samples = makeSamplesNow(this.#parts, plan.samples, part, notIterable)
      yield this.#finished(this.#collated(samples, part.indices), plan, batch)
    }
  }

  async *#later(plan: Plan, from: number, signal: AbortSignal | undefined): AsyncGenerator<Made, void, undefined> {
    // The next samples are on their way while a batch is being worked on; tensors are only made when asked for.
    let ahead: { part: Order; samples: Promise<Sample<Label>[]> } | undefined
    const start = (batch: number): typeof ahead => {
      if (batch >= this.length) return undefined
      const part = plan.part(batch)
      const samples = makeSamples(this.#parts, plan.samples, part)
      samples.catch(() => {})
      return { part, samples }
    }
    ahead = start(from)
    for (let batch = from; ahead; batch++) {
      const { part, samples } = ahead
      const ready = await orAborted(samples, signal)
      ahead = start(batch + 1)
      yield this.#finished(this.#collated(ready, part.indices), plan, batch)
    }
  }

  async *#made(
    plan: Plan,
    from: number,
    signal: AbortSignal | undefined,
    team: Team,
  ): AsyncGenerator<Made, void, undefined> {
    const orders = { first: from, end: this.length, part: plan.part, seed: plan.samples.seed }
    const floats = this.#collate === undefined
    for await (const { batch, indices, made, done } of team.batches(orders, floats, signal)) {
      let result: Made
      if (this.#collate) result = this.#collate(samplesOf<Label>(made), indices)
      else {
        result = collateMade(made, indices) as unknown as Made
        done()
      }
      yield this.#finished(result, plan, batch)
    }
  }
}

interface Plan {
  /** Generator of the epoch's augmentations. */
  readonly samples: Generator
  /** Which samples batch number `batch` holds. */
  readonly part: (batch: number) => Order
  /** Generator of batch number `batch`. */
  readonly batch: (batch: number) => Generator
}

/** How often each entry of an order has come before; undefined if none has. */
function repeatsOf(order: Int32Array): Int32Array | undefined {
  const seen = new Map<number, number>()
  const repeats = order.map((index) => {
    const before = seen.get(index) ?? 0
    seen.set(index, before + 1)
    return before
  })
  return seen.size === order.length ? undefined : repeats
}

async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  signal.throwIfAborted()
  let stop: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop)
  })
  return Promise.race([promise, aborted]).finally(() => stop && signal.removeEventListener('abort', stop))
}
