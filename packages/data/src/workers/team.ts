/** A loader's workers over all its epochs: started when needed, replaced when broken, ended with the loader. */
import type { Order } from '../samples.ts'
import type { SampleSource } from '../source.ts'
import { Crew, type Ticket } from './crew.ts'
import type { Made } from './protocol.ts'

export interface TeamOptions {
  readonly workers: number
  readonly prefetch: number
  readonly timeout: number
}

/** Batches to make: numbers `first` to `end - 1`. */
export interface Orders {
  readonly first: number
  readonly end: number
  readonly part: (batch: number) => Order
  /** Seed of the epoch's augmentations. */
  readonly seed: number
}

/** A batch in shared memory, until `done()`. */
export interface Delivery {
  readonly batch: number
  readonly indices: Int32Array
  readonly made: Made
  done(): void
}

/** A crew that its owner may forget: the registry ends it when the owner is gone. */
interface Holder {
  crew: Crew | undefined
}

const forgotten = new FinalizationRegistry<Holder>(({ crew }) => void crew?.close())

/**
 * The codec, before any worker wants it: on Linux with glibc a native module must be loaded by the main thread first, or
 * its memory goes with the first worker that ends (sharp's documentation, "Known conflicts", worker threads).
 */
async function loadCodecFirst(): Promise<void> {
  const name = 'sharp'
  await import(/* @vite-ignore */ /* webpackIgnore: true */ name).catch(() => {})
}

export class Team {
  readonly #source: SampleSource<unknown>
  readonly #options: TeamOptions
  readonly #holder: Holder = { crew: undefined }

  constructor(owner: object, source: SampleSource<unknown>, options: TeamOptions) {
    this.#source = source
    this.#options = options
    forgotten.register(owner, this.#holder)
  }

  async #crew(): Promise<Crew> {
    await loadCodecFirst()
    const { crew } = this.#holder
    if (crew?.alive) return crew
    const fresh = new Crew(this.#source, this.#options.workers)
    this.#holder.crew = fresh
    return fresh
  }

  /**
   * The batches in order. At most `prefetch` per worker are under way or wait to be taken, however slow the taker is; when
   * it leaves, those are given up.
   */
  async *batches(
    { first, end, part, seed }: Orders,
    floats: boolean,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Delivery, void, undefined> {
    signal?.throwIfAborted()
    const crew = await this.#crew()
    const { workers, prefetch, timeout } = this.#options
    const ahead: { indices: Int32Array; ticket: Ticket }[] = []
    let next = first
    try {
      for (let batch = first; batch < end; batch++) {
        while (next < end && ahead.length < workers * prefetch) {
          const order = part(next++)
          ahead.push({ indices: order.indices, ticket: crew.submit({ ...order, seed, floats }) })
        }
        const { indices, ticket } = ahead[0]!
        const made = await crew.wait(ticket, timeout, signal)
        ahead.shift()
        yield { batch, indices, made, done: () => crew.recycle(made) }
      }
    } finally {
      for (const { ticket } of ahead) ticket.cancel()
    }
  }

  async close(): Promise<void> {
    await this.#holder.crew?.close()
    this.#holder.crew = undefined
  }
}
