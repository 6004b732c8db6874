/** How carefully products are summed: for everything (`setPrecision`), for what runs inside a function, or for one call. */
import { ArgumentError } from './errors.ts'
import { checkSynchronous } from './synchronous.ts'

/**
 * `fast` allows algorithms that change the last digits: Winograd's for convolutions with 3 x 3 kernels, which is two to three
 * times as fast and differs from the plain sum by about 1e-5 of the largest output, and weights with a norm folded in
 * (`conv2dBatchNorm`), so that results with and without gradients differ in the last digits. `strict` uses neither, and sums in
 * short parts, which rounds less.
 */
export type Precision = 'fast' | 'strict'

export function checkPrecision(op: string, precision: Precision): Precision {
  if (precision !== 'fast' && precision !== 'strict') {
    throw new ArgumentError(`${op}: precision expects 'fast' or 'strict', got '${String(precision)}'`)
  }
  return precision
}

let scoped: Precision | undefined

/** The precision of the innermost `withPrecision` that runs, if any. */
export function scopedPrecision(): Precision | undefined {
  return scoped
}

/** Runs `fn` under a precision, or as it is for undefined. */
export function inPrecision<T>(precision: Precision | undefined, fn: () => T): T {
  const former = scoped
  scoped = precision ?? former
  try {
    return fn()
  } finally {
    scoped = former
  }
}

/**
 * Runs `fn` under a precision of its own, whatever `setPrecision` has chosen. Gradients are computed under the precision of
 * the step that they belong to, also when `backward` is called later, outside.
 *
 * ```ts
 * const logits = withPrecision('strict', () => model.forward(images))
 * ```
 *
 * @throws ArgumentError for anything but 'fast' and 'strict', and for an async function, of which only the beginning would be inside.
 */
export function withPrecision<T>(precision: Precision, fn: () => T): T {
  checkSynchronous('withPrecision', fn)
  return inPrecision(checkPrecision('withPrecision', precision), fn)
}
