/**
 * Lets the event loop turn once: input, messages, signals and threads that are starting get through. Await it between the
 * steps of a training loop of your own. Costs a few microseconds.
 */
export function turn(): Promise<void> {
  if (typeof setImmediate === 'function') return new Promise((resolve) => setImmediate(resolve))
  // A message, because browsers hold nested timers back by 4 ms.
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })
}
