/** Ctrl-C and SIGTERM: the first one asks the run to stop, the next one ends the process. */
import { Interruption } from './failure.ts'

/** Milliseconds within which a second signal is the first one, passed on by a wrapper such as npx. */
const ECHO = 200

/** What signals come from: the process. */
export interface SignalSource {
  on(signal: 'SIGINT' | 'SIGTERM', listener: (signal: 'SIGINT' | 'SIGTERM') => void): unknown
  off(signal: 'SIGINT' | 'SIGTERM', listener: (signal: 'SIGINT' | 'SIGTERM') => void): unknown
}

/**
 * A signal that is aborted, with an `Interruption` as its reason, by the first Ctrl-C or SIGTERM. Listening ends then, so
 * that the next one does what it does by default: the process ends at once, even in the middle of a computation.
 */
export function stopSignal(source: SignalSource): AbortSignal {
  const stop = new AbortController()
  const signals = ['SIGINT', 'SIGTERM'] as const
  const listener = (signal: 'SIGINT' | 'SIGTERM'): void => {
    if (stop.signal.aborted) return
    stop.abort(new Interruption(signal))
    setTimeout(() => {
      for (const name of signals) source.off(name, listener)
    }, ECHO).unref()
  }
  for (const name of signals) source.on(name, listener)
  return stop.signal
}
