/**
 * Separable resampling of (batch, height, width, channels). Each output cell is a weighted sum of at most four input
 * cells; a weight of 0 drops its cell, so that an infinity next to a nearest neighbour does no harm.
 */
import type { TypedArray } from '../../dtype.ts'
import type { InterpolateSpec } from '../backend.ts'

/** Calls `visit` with an output element, one of its input elements and that one's weight. */
function forEachTap(spec: InterpolateSpec, visit: (out: number, input: number, weight: number) => void): void {
  const { batch, height, width, channels, rows, columns } = spec
  let out = 0
  for (let n = 0; n < batch; n++) {
    for (let oy = 0; oy < rows.low.length; oy++) {
      for (let ox = 0; ox < columns.low.length; ox++, out += channels) {
        for (const [iy, rowWeight] of taps(rows.low[oy]!, rows.high[oy]!, rows.fraction[oy]!)) {
          for (const [ix, columnWeight] of taps(columns.low[ox]!, columns.high[ox]!, columns.fraction[ox]!)) {
            const input = ((n * height + iy) * width + ix) * channels
            const weight = rowWeight * columnWeight
            if (weight !== 0) for (let c = 0; c < channels; c++) visit(out + c, input + c, weight)
          }
        }
      }
    }
  }
}

function taps(low: number, high: number, fraction: number): readonly [index: number, weight: number][] {
  return [
    [low, 1 - fraction],
    [high, fraction],
  ]
}

/** Resamples x. */
export function interpolate(x: TypedArray, spec: InterpolateSpec, out: TypedArray): void {
  out.fill(0)
  forEachTap(spec, (at, input, weight) => {
    out[at]! += weight * x[input]!
  })
}

/** Gradient by the input of `interpolate`. */
export function interpolateGrad(g: TypedArray, spec: InterpolateSpec, out: TypedArray): void {
  out.fill(0)
  forEachTap(spec, (at, input, weight) => {
    out[input]! += weight * g[at]!
  })
}
