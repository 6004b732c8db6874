/** A turn of the event loop now and then, so that pages stay alive and signals are seen. */
import { turn } from '@convnets/tensor/worker'

/** A function to await between batches: gives the host a turn where it has had none for `interval` milliseconds. */
export function breather(interval = 30): () => Promise<void> {
  let last = performance.now()
  return async () => {
    if (performance.now() - last < interval) return
    await turn()
    last = performance.now()
  }
}
