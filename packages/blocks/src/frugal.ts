/** Memory of passes that record no gradients: what only the inside of a block needed is freed as the block ends. */
import { isGradEnabled, tidy } from '@convnets/tensor'

let keeping = false

/**
 * Runs the inside of a block. Where no gradients are recorded, everything that it made is freed but the result, so that a
 * network takes the memory of its widest block instead of that of all blocks; forward hooks inside must read outputs at
 * once or clone them. Where gradients are recorded, it is they that decide.
 */
export function frugal<T>(fn: () => T): T {
  return keeping || isGradEnabled() ? fn() : tidy(fn)
}

/** Runs `fn` with everything left for the scope around it, for the sake of hooks that collect outputs inside of blocks. */
export function lavish<T>(fn: () => T): T {
  const former = keeping
  keeping = true
  try {
    return fn()
  } finally {
    keeping = former
  }
}
