/**
 * Pooling of (batch, height, width, channels): output cell (oy, ox) covers the input rows rows.starts[oy] to
 * rows.ends[oy] - 1 and the columns likewise.
 */
import type { TypedArray } from '../../dtype.ts'
import type { PoolSpec } from '../backend.ts'

/** Calls `visit` for each output element, with where its channel of its image starts in the input and its row and column. */
function forEachOutput(spec: PoolSpec, visit: (out: number, image: number, oy: number, ox: number) => void): void {
  const { batch, height, width, channels, rows, columns } = spec
  let out = 0
  for (let n = 0; n < batch; n++) {
    for (let oy = 0; oy < rows.starts.length; oy++) {
      for (let ox = 0; ox < columns.starts.length; ox++) {
        for (let c = 0; c < channels; c++) visit(out++, n * height * width * channels + c, oy, ox)
      }
    }
  }
}

/** Sum of each window divided by rows.counts * columns.counts; empty windows give 0. */
export function avgPool(x: TypedArray, spec: PoolSpec, out: TypedArray): void {
  const { width, channels, rows, columns } = spec
  forEachOutput(spec, (at, image, oy, ox) => {
    let sum = 0
    for (let iy = rows.starts[oy]!; iy < rows.ends[oy]!; iy++) {
      for (let ix = columns.starts[ox]!; ix < columns.ends[ox]!; ix++) sum += x[image + (iy * width + ix) * channels]!
    }
    const cells = rows.counts[oy]! * columns.counts[ox]!
    out[at] = cells > 0 ? sum / cells : 0
  })
}

/** Gradient by the input of `avgPool`: each cell of a window gets its share. */
export function avgPoolGrad(g: TypedArray, spec: PoolSpec, out: TypedArray): void {
  const { width, channels, rows, columns } = spec
  out.fill(0)
  forEachOutput(spec, (at, image, oy, ox) => {
    const share = g[at]! / (rows.counts[oy]! * columns.counts[ox]!)
    for (let iy = rows.starts[oy]!; iy < rows.ends[oy]!; iy++) {
      for (let ix = columns.starts[ox]!; ix < columns.ends[ox]!; ix++) {
        out[image + (iy * width + ix) * channels]! += share
      }
    }
  })
}

/**
 * Maximum of each window and its position row * width + column: the first among equals in row-major order, NaN before
 * every number (and the last NaN, as in PyTorch). Empty windows give -Infinity and -1.
 */
export function maxPool(x: TypedArray, spec: PoolSpec, out: TypedArray, indices: TypedArray | null): void {
  const { width, channels, rows, columns } = spec
  forEachOutput(spec, (at, image, oy, ox) => {
    let best = -Infinity
    let index = -1
    for (let iy = rows.starts[oy]!; iy < rows.ends[oy]!; iy++) {
      for (let ix = columns.starts[ox]!; ix < columns.ends[ox]!; ix++) {
        const value = x[image + (iy * width + ix) * channels]!
        if (index < 0 || value > best || Number.isNaN(value)) {
          best = value
          index = iy * width + ix
        }
      }
    }
    out[at] = best
    if (indices) indices[at] = index
  })
}

/** Gradient by the input of `maxPool`: everything goes to the cell that was the maximum. */
export function maxPoolGrad(g: TypedArray, indices: TypedArray, spec: PoolSpec, out: TypedArray): void {
  out.fill(0)
  forEachOutput(spec, (at, image) => {
    const index = indices[at]!
    if (index >= 0) out[image + index * spec.channels]! += g[at]!
  })
}
