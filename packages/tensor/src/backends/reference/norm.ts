/**
 * Normalisation over extents [a, b, c, d]: statistics over b and d for each (a, c), weight and bias of c * d elements.
 *
 * With h = (x - mean) / sqrt(variance + eps), y = h * weight + bias and u = g * weight, the chain through mean and
 * variance gives (Ioffe and Szegedy, arXiv 1502.03167, section 3)
 *
 *   dx = (u - avg(u) - h * avg(u * h)) / sqrt(variance + eps),   dweight = sum(g * h),   dbias = sum(g).
 */
import type { TypedArray } from '../../dtype.ts'
import type { NormExtents } from '../backend.ts'

/** Writes y, and for each (a, c) the mean and the biased variance. */
export function normalize(
  x: TypedArray,
  weight: TypedArray | null,
  bias: TypedArray | null,
  [a, b, c, d]: NormExtents,
  eps: number,
  out: TypedArray,
  mean: TypedArray,
  variance: TypedArray,
): void {
  for (let ia = 0; ia < a; ia++) {
    for (let ic = 0; ic < c; ic++) {
      const start = (ia * b * c + ic) * d
      let sum = 0
      for (let ib = 0; ib < b; ib++) for (let id = 0; id < d; id++) sum += x[start + ib * c * d + id]!
      const average = sum / (b * d)
      let squares = 0
      for (let ib = 0; ib < b; ib++) {
        for (let id = 0; id < d; id++) squares += (x[start + ib * c * d + id]! - average) ** 2
      }
      const spread = squares / (b * d)
      const scale = 1 / Math.sqrt(spread + eps)
      for (let ib = 0; ib < b; ib++) {
        for (let id = 0; id < d; id++) {
          const at = start + ib * c * d + id
          const h = (x[at]! - average) * scale
          out[at] = h * (weight?.[ic * d + id] ?? 1) + (bias?.[ic * d + id] ?? 0)
        }
      }
      mean[ia * c + ic] = average
      variance[ia * c + ic] = spread
    }
  }
}

/** Writes the gradients by x, weight and bias. */
export function normalizeGrad(
  g: TypedArray,
  x: TypedArray,
  weight: TypedArray | null,
  mean: TypedArray,
  variance: TypedArray,
  [a, b, c, d]: NormExtents,
  eps: number,
  gradX: TypedArray,
  gradWeight: TypedArray,
  gradBias: TypedArray,
): void {
  for (let ia = 0; ia < a; ia++) {
    for (let ic = 0; ic < c; ic++) {
      const start = (ia * b * c + ic) * d
      const average = mean[ia * c + ic]!
      const scale = 1 / Math.sqrt(variance[ia * c + ic]! + eps)
      let sumU = 0
      let sumUH = 0
      for (let ib = 0; ib < b; ib++) {
        for (let id = 0; id < d; id++) {
          const at = start + ib * c * d + id
          const u = g[at]! * (weight?.[ic * d + id] ?? 1)
          sumU += u
          sumUH += u * (x[at]! - average) * scale
        }
      }
      for (let ib = 0; ib < b; ib++) {
        for (let id = 0; id < d; id++) {
          const at = start + ib * c * d + id
          const h = (x[at]! - average) * scale
          gradX[at] = (g[at]! * (weight?.[ic * d + id] ?? 1) - sumU / (b * d) - (h * sumUH) / (b * d)) * scale
        }
      }
    }
  }
  for (let ic = 0; ic < c; ic++) {
    for (let id = 0; id < d; id++) {
      let sumG = 0
      let sumGH = 0
      for (let ia = 0; ia < a; ia++) {
        const average = mean[ia * c + ic]!
        const scale = 1 / Math.sqrt(variance[ia * c + ic]! + eps)
        for (let ib = 0; ib < b; ib++) {
          const at = ((ia * b + ib) * c + ic) * d + id
          sumG += g[at]!
          sumGH += g[at]! * (x[at]! - average) * scale
        }
      }
      gradWeight[ic * d + id] = sumGH
      gradBias[ic * d + id] = sumG
    }
  }
}
