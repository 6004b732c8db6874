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
