/** Which source pixels make a target pixel along one axis, and by what weights. */
import { filters, type Interpolation } from './filters.ts'

/** Fraction bits of the fixed-point weights: 32 less 8 for the pixel and 2 for sums beyond [0, 1]. */
export const PRECISION_BITS = 22

/** For each of `size` target pixels, `counts[i]` source pixels from `first[i]` with weights from `i * stride` on. */
export interface Taps {
  readonly size: number
  /** Weights per target pixel: the most that one has, filled up with zeros to a multiple of 4. */
  readonly stride: number
  readonly first: Int32Array
  readonly counts: Int32Array
  /** They sum to 1. */
  readonly weights: Float64Array
}

/**
 * Pillow's `precompute_coeffs`: weights for `to` pixels out of the pixels from `low` to `high` (fractions of pixels
 * allowed) of an axis of `from`.
 */
export function makeTaps(
  interpolation: Exclude<Interpolation, 'nearest'>,
  from: number,
  low: number,
  high: number,
  to: number,
): Taps {
  const filter = filters[interpolation]
  const scale = (high - low) / to
  const filterScale = Math.max(scale, 1)
  const support = filter.support * filterScale
  const most = Math.min(Math.ceil(support) * 2 + 1, from)
  const stride = (most + 3) & ~3
  const first = new Int32Array(to)
  const counts = new Int32Array(to)
  const weights = new Float64Array(to * stride)
  const shrink = 1 / filterScale
  for (let i = 0; i < to; i++) {
    const centre = low + (i + 0.5) * scale
    const begin = Math.max(0, Math.trunc(centre - support + 0.5))
    const count = Math.min(from, Math.trunc(centre + support + 0.5)) - begin
    const at = i * stride
    let sum = 0
    for (let k = 0; k < count; k++) {
      const weight = filter.weight((k + begin - centre + 0.5) * shrink)
      weights[at + k] = weight
      sum += weight
    }
    if (sum !== 0) for (let k = 0; k < count; k++) weights[at + k]! /= sum
    first[i] = begin
    counts[i] = count
  }
  return { size: to, stride, first, counts, weights }
}

/** The weights in fixed point, rounded half away from zero. */
export function fixedWeights({ weights }: Taps): Int32Array {
  const fixed = new Int32Array(weights.length)
  for (let i = 0; i < fixed.length; i++) {
    const weight = weights[i]!
    // Storing cuts off the fraction.
    fixed[i] = weight * (1 << PRECISION_BITS) + (weight < 0 ? -0.5 : 0.5)
  }
  return fixed
}
