/** Batches from datasets, in an order and with augmentations that are a function of seed, epoch and sample alone. */
import { ArgumentError, Generator } from '@convnets/tensor'
import { type Batch, type Collate, collateImages } from './collate.ts'
import type { Dataset, Sample } from './dataset.ts'
import type { Transform } from './transforms.ts'

/** How a `DataLoader` makes batches. */
export interface DataLoaderOptions<Label, Made> {
  /** Samples per batch (default 1). */
  readonly batchSize?: number
  /** A new order in every epoch (default false: the order of the dataset). */
  readonly shuffle?: boolean
  /** Leave out a last batch that is not full (default false). */
  readonly dropLast?: boolean
  /** What order and augmentations follow from (default 0). */
  readonly seed?: number
  /** Applied to every picture, with a generator of that picture's own in that epoch. */
  readonly transform?: Transform
  /** Makes a batch of samples (default `collateImages`). */
  readonly collate?: Collate<Label, Made>
}

/** Which purpose a generator serves: the first stream under the loader's seed. */
const ORDER = 0
const AUGMENTATION = 1

const notIterable = (index: number): ArgumentError =>
  new ArgumentError(`DataLoader: sample ${index} is a promise; iterate the epoch with 'for await'`)

/** The batches of one epoch, once or again: with `for` if the dataset has its samples at hand, with `for await` always. */
export class Epoch<Made> implements Iterable<Made>, AsyncIterable<Made> {
  /** Number of batches. */
  readonly length: number
  readonly #now: () => Iterator<Made>
  readonly #later: () => AsyncIterator<Made>

  constructor(length: number, now: () => Iterator<Made>, later: () => AsyncIterator<Made>) {
    this.length = length
    this.#now = now
    this.#later = later
  }

  [Symbol.iterator](): Iterator<Made> {
    return this.#now()
  }

  [Symbol.asyncIterator](): AsyncIterator<Made> {
    return this.#later()
  }
}

/**
 * Cuts a dataset into batches.
 *
 * The same seed and epoch give the same batches with the same augmentations, from wherever an epoch is taken up: the order
 * comes from (seed, epoch), the generator of a sample's transform from (seed, epoch, index of the sample). Made tensors
 * belong to whoever receives the batch; nothing is made ahead of its turn, so leaving an epoch early leaves nothing behind.
 */
export class DataLoader<Label = number, Made = Batch> {
  readonly dataset: Dataset<Sample<Label>>
  readonly batchSize: number
  readonly shuffle: boolean
  readonly dropLast: boolean
  readonly seed: number
  readonly #transform: Transform | undefined
  readonly #collate: Collate<Label, Made>
  readonly #generator: Generator

  /** Throws `ArgumentError` for an empty dataset, and for `dropLast` with a batch that is larger than the dataset. */
  constructor(dataset: Dataset<Sample<Label>>, options: DataLoaderOptions<Label, Made> = {}) {
    const { batchSize = 1, shuffle = false, dropLast = false, seed = 0, transform, collate } = options
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw new ArgumentError(`DataLoader: batchSize expects a positive integer, got ${batchSize}`)
    }
    if (dataset.length === 0) throw new ArgumentError('DataLoader: dataset expects at least one sample, got none')
    if (dropLast && batchSize > dataset.length) {
      throw new ArgumentError(
        `DataLoader: batchSize with dropLast expects at most the ${dataset.length} samples of the dataset, got ${batchSize}`,
      )
    }
    this.dataset = dataset
    this.batchSize = batchSize
    this.shuffle = shuffle
    this.dropLast = dropLast
    this.seed = seed
    this.#transform = transform
    // Without `collate`, `Made` is `Batch`: nothing else tells the compiler otherwise.
    this.#collate = collate ?? (collateImages as unknown as Collate<Label, Made>)
    this.#generator = new Generator(seed)
  }

  /** Batches per epoch. */
  get length(): number {
    const batches = this.dataset.length / this.batchSize
    return this.dropLast ? Math.floor(batches) : Math.ceil(batches)
  }

  /** Samples per epoch: all of the dataset, or less with `dropLast`. */
  get samples(): number {
    return this.dropLast ? this.length * this.batchSize : this.dataset.length
  }

  /**
   * The batches of epoch `epoch` (from 0) from batch `from` (default 0) on; the same that the whole epoch would have given
   * from there. Throws `ArgumentError` unless `from` is between 0 and `length`.
   */
  epoch(epoch: number, { from = 0 }: { from?: number } = {}): Epoch<Made> {
    if (!Number.isSafeInteger(epoch) || epoch < 0) {
      throw new ArgumentError(`DataLoader.epoch: epoch expects a non-negative integer, got ${epoch}`)
    }
    const batches = this.length
    if (!Number.isInteger(from) || from < 0 || from > batches) {
      throw new ArgumentError(`DataLoader.epoch: from expects an integer from 0 to ${batches}, got ${from}`)
    }
    const plan = (): Plan<Label> => this.#plan(epoch)
    return new Epoch(
      batches - from,
      () => this.#now(plan(), from),
      () => this.#later(plan(), from),
    )
  }

  #plan(epoch: number): Plan<Label> {
    const { dataset, batchSize } = this
    const order = this.shuffle ? this.#generator.fork(ORDER, epoch).permutation(dataset.length) : undefined
    const streams = this.#generator.fork(AUGMENTATION, epoch)
    const transform = this.#transform
    return {
      indices: (batch) => {
        const start = batch * batchSize
        const end = Math.min(start + batchSize, dataset.length)
        return order ? order.slice(start, end) : Int32Array.from({ length: end - start }, (_, i) => start + i)
      },
      finish: (sample, index) =>
        transform ? { ...sample, image: transform(sample.image, streams.fork(index)) } : sample,
    }
  }

  *#now({ indices, finish }: Plan<Label>, from: number): IterableIterator<Made, void, undefined> {
    for (let batch = from; batch < this.length; batch++) {
      const chosen = indices(batch)
      const samples: Sample<Label>[] = []
      for (const index of chosen) {
        const sample = this.dataset.get(index)
        if (sample instanceof Promise) {
          sample.catch(() => {})
          throw notIterable(index)
        }
        samples.push(finish(sample, index))
      }
      yield this.#collate(samples, chosen)
    }
  }

  async *#later({ indices, finish }: Plan<Label>, from: number): AsyncGenerator<Made, void, undefined> {
    const gather = async (chosen: Int32Array): Promise<Sample<Label>[]> =>
      Promise.all(Array.from(chosen, async (index) => finish(await this.dataset.get(index), index)))
    // The next samples are on their way while a batch is being worked on; tensors are only made when asked for.
    let ahead: { chosen: Int32Array; samples: Promise<Sample<Label>[]> } | undefined
    const start = (batch: number): typeof ahead => {
      if (batch >= this.length) return undefined
      const chosen = indices(batch)
      const samples = gather(chosen)
      samples.catch(() => {})
      return { chosen, samples }
    }
    ahead = start(from)
    for (let batch = from; ahead; batch++) {
      const { chosen, samples } = ahead
      const ready = await samples
      ahead = start(batch + 1)
      yield this.#collate(ready, chosen)
    }
  }
}

interface Plan<Label> {
  /** Which samples batch number `batch` holds. */
  readonly indices: (batch: number) => Int32Array
  /** The sample after its transform. */
  readonly finish: (sample: Sample<Label>, index: number) => Sample<Label>
}
