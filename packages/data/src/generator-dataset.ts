/** Datasets whose items come one after the other out of a generator. */
import { ArgumentError } from '@convnets/tensor'
import { checkIndex, type Dataset } from './dataset.ts'

/** A generator that is at work, and the number of the item that it gives next. */
interface Run<Item> {
  readonly items: Iterator<Item> | AsyncIterator<Item>
  next: number
}

/**
 * The `length` items of what `generate` gives: a generator function (`function*` or `async function*`), or anything that can
 * be walked anew at every call. Nothing is kept, so there may be more items than memory holds.
 *
 * It is for walking in order, as a `DataLoader` without `shuffle` does. An item that lies ahead is reached by making those
 * before it, and one that lies behind by beginning anew, so that a shuffled epoch would make every item many times over;
 * each worker thread makes all items and passes over those of the others. Items are promised: batches come by `for await`.
 *
 * Throws `ArgumentError` for a length below 1. `get` rejects with `ArgumentError` if there are fewer items, and with what
 * the generator throws.
 */
export function generatorDataset<Item>(
  length: number,
  generate: () => Iterable<Item> | AsyncIterable<Item>,
): Dataset<Item> & { get(index: number): Promise<Item> } {
  if (!Number.isSafeInteger(length) || length < 1) {
    throw new ArgumentError(`generatorDataset: length expects a positive integer, got ${length}`)
  }
  let run: Run<Item> | undefined
  const start = (): Run<Item> => {
    const items = generate()
    return {
      items: Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator](),
      next: 0,
    }
  }
  const reach = async (index: number): Promise<Item> => {
    if (run && run.next > index) {
      const { items } = run
      run = undefined
      await items.return?.()
    }
    const current = run ?? start()
    // Until the item is there: a generator that fails is begun anew.
    run = undefined
    for (;;) {
      const { done, value } = await current.items.next()
      if (done) {
        throw new ArgumentError(`generatorDataset: generate expects to give ${length} items, got ${current.next}`)
      }
      if (current.next++ < index) continue
      run = current
      return value
    }
  }
  // One after the other, however many are asked for at once.
  let line: Promise<unknown> = Promise.resolve()
  return {
    length,
    get(index) {
      checkIndex(index, length)
      const item = line.then(() => reach(index))
      line = item.catch(() => {})
      return item
    },
  }
}
