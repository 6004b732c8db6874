/** A turn of the event loop now and then, so that pages stay alive and signals are seen. */

/** Waits for whatever else the host has to do: input, timers, signals. */
const turn: () => Promise<void> =
  typeof setImmediate === 'function'
    ? () => new Promise((resolve) => setImmediate(resolve))
    : () =>
        // A message, because nested timers are held back by 4 ms.
        new Promise((resolve) => {
          const { port1, port2 } = new MessageChannel()
          port1.onmessage = () => {
            port1.close()
            resolve()
          }
          port2.postMessage(null)
        })

/** A function to await between batches: gives the host a turn where it has had none for `interval` milliseconds. */
export function breather(interval = 30): () => Promise<void> {
  let last = performance.now()
  return async () => {
    if (performance.now() - last < interval) return
    await turn()
    last = performance.now()
  }
}
