import { checkSynchronous } from './synchronous.ts'

/** Whether ops record gradients at the moment. */
let recording = true

/** Whether ops record gradients at the moment; false inside `noGrad`. */
export function isGradEnabled(): boolean {
  return recording
}

/** Runs `fn` with recording on or off, and puts it back as it was. */
export function withGradMode<T>(enabled: boolean, fn: () => T): T {
  const former = recording
  recording = enabled
  try {
    return fn()
  } finally {
    recording = former
  }
}

/**
 * Runs `fn` without recording gradients: its results require none, and nothing is saved for a backward pass.
 *
 * @throws ArgumentError for an async function, of which only the beginning would be inside.
 */
export function noGrad<T>(fn: () => T): T {
  checkSynchronous('noGrad', fn)
  return withGradMode(false, fn)
}

/** Runs `fn` with recording on, inside `noGrad`. Throws as that does. */
export function enableGrad<T>(fn: () => T): T {
  checkSynchronous('enableGrad', fn)
  return withGradMode(true, fn)
}
