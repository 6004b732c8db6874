/** Functions during which something holds: lifetimes, gradients, seeds, precisions. */
import { ArgumentError } from './errors.ts'

/** @throws ArgumentError for what is no function, and for an async one, which goes on when it no longer holds. */
export function checkSynchronous(op: string, fn: unknown): void {
  if (typeof fn !== 'function') throw new ArgumentError(`${op}: fn expects a function, got ${typeof fn}`)
  // By name, as programs compiled for old hosts have no class of async functions.
  if (fn.constructor.name === 'AsyncFunction') {
    throw new ArgumentError(
      `${op}: fn expects a synchronous function, got an async one, of which what follows the first await would run outside`,
    )
  }
}
