/** How much a pickle may ask for. */
import { ArgumentError, readOptions } from '@convnets/tensor'

/** Limits of the pickle machine. The defaults are many times what the largest published checkpoints need. */
export interface PickleLimits {
  /** Instructions (default 20 million). */
  readonly opcodes?: number
  /** Dicts, lists, sets, tuples, byte strings and tensors, each of which takes far more memory than bytes (default 300,000). */
  readonly objects?: number
  /** Remembered values (default 4 million). */
  readonly memo?: number
  /** Containers open within each other (default 200), and values on the stack per open container (1 million). */
  readonly depth?: number
  /** Bytes of one text, byte string or number (default 16 MiB; 256 for a number). */
  readonly stringBytes?: number
  /** Elements of one tensor (default 2^31). */
  readonly elements?: number
  /** Bytes of the pickle itself, without the tensors (default 256 MiB). */
  readonly pickleBytes?: number
}

export const defaultLimits: Required<PickleLimits> = {
  opcodes: 20_000_000,
  objects: 300_000,
  memo: 4_000_000,
  depth: 200,
  stringBytes: 2 ** 24,
  elements: 2 ** 31,
  pickleBytes: 2 ** 28,
}

/** Limits with the defaults for what is absent. Throws `ArgumentError` for what is no positive integer. */
export function completeLimits(limits: PickleLimits = {}): Required<PickleLimits> {
  const complete = readOptions('limits', limits, defaultLimits)
  for (const [name, value] of Object.entries(complete)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new ArgumentError(`limits: ${name} expects a positive integer, got ${value}`)
    }
  }
  return complete
}
