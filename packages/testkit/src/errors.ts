/** How far numbers are from what they should be, and how far they may be. */
import { ConvnetsError } from '@convnets/tensor'

/** A golden file whose contents are not what its format promises. The message names file and field. */
export class GoldenError extends ConvnetsError {
  override name = 'GoldenError'
}

/**
 * Largest absolute difference over the largest absolute expected value; the difference itself where all expected values
 * are 0. NaN where a number is missing, or is NaN or infinite on one side alone.
 */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.NaN
  let difference = 0
  let largest = 0
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i] as number
    const b = expected[i] as number
    if (Object.is(a, b) || a === b) {
      if (Number.isFinite(b)) largest = Math.max(largest, Math.abs(b))
      continue
    }
    if (!Number.isFinite(a) || !Number.isFinite(b)) return Number.NaN
    difference = Math.max(difference, Math.abs(a - b))
    largest = Math.max(largest, Math.abs(b))
  }
  return largest === 0 ? difference : difference / largest
}

/** Whether an error is within a tolerance; NaN is not. */
export function within(error: number, tolerance: number): boolean {
  return error <= tolerance
}

/** How much arithmetic may differ from the goldens, as relative errors. */
export interface Tolerances {
  readonly output: number
  readonly gradient: number
  readonly trainingLoss: number
}

/**
 * Tolerances of the goldens by the arithmetic that is measured: the reference backend in float64, or kernels in
 * float32. `winograd` is for 3 x 3 convolutions by way of Winograd's transform, whose rounding is larger.
 */
export const tolerances: Readonly<Record<'float64' | 'float32' | 'winograd', Tolerances>> = {
  float64: { output: 1e-10, gradient: 1e-9, trainingLoss: 1e-9 },
  float32: { output: 2e-6, gradient: 1e-5, trainingLoss: 1e-4 },
  winograd: { output: 5e-5, gradient: 1e-4, trainingLoss: 1e-4 },
}

/** What float32 arithmetic of PyTorch itself was off by, from which the tolerances of a model follow. */
export interface ModelErrors {
  readonly logits: number
  readonly loss?: number
  readonly gradNormWorst?: number
  readonly gradNormMedian?: number
}

/** Tolerances of one model: logits, and of its training step the loss and the norms of the gradients. */
export interface ModelTolerances {
  readonly logits: number
  readonly loss: number
  readonly gradNormWorst: number
  readonly gradNormMedian: number
}

/**
 * Tolerances of a model: five times PyTorch's own float32 error, and never less than a floor. The floors of the fast precision
 * allow for Winograd: a sum that differs by 1e-6 can turn a ReLU near 0 or another cell of a pooling window on or off, which
 * moves all gradients below it by some 1e-4.
 */
export function modelTolerances(own: ModelErrors, precision: 'fast' | 'strict'): ModelTolerances {
  const larger = (floor: number, error = 0): number => Math.max(floor, 5 * error)
  return {
    logits: precision === 'strict' ? larger(2e-5, own.logits) : 5e-4,
    loss: larger(1e-5, own.loss),
    gradNormWorst: larger(2e-3, own.gradNormWorst),
    gradNormMedian: larger(precision === 'strict' ? 1e-4 : 5e-4, own.gradNormMedian),
  }
}
