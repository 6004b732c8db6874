/** Resampling of images. The op is linear in x, so its gradient is the transposed kernel, and the other way round. */

import type { InterpolateSpec } from '../backends/backend.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import { apply, checkFloat, checkTensors, type Op } from '../op.ts'
import { checkOptionNames } from '../options.ts'
import { type Pair, pair, sampleAxis, show } from '../shape.ts'
import type { Tensor } from '../tensor.ts'

export interface InterpolateOptions {
  /** 'nearest' (default) or 'bilinear'. */
  readonly mode?: 'nearest' | 'bilinear'
  /** Bilinear only: corner cells keep their values, sizes count distances between centres. Default false. */
  readonly alignCorners?: boolean
}

const interpolateOp: Op<InterpolateSpec> = {
  name: 'interpolate',
  infer: ([x], s) => ({
    shape: [s.batch, s.channels, s.rows.low.length, s.columns.low.length],
    dtype: (x as Tensor).dtype,
  }),
  forward: ([x], spec, _, backend) => backend.interpolate((x as Tensor).storage.buffer, spec),
  backward: (g, { attrs }) => [apply(interpolateGradOp, [g], attrs)],
}

const interpolateGradOp: Op<InterpolateSpec> = {
  name: 'interpolate gradient',
  infer: ([g], s) => ({ shape: [s.batch, s.channels, s.height, s.width], dtype: (g as Tensor).dtype }),
  forward: ([g], spec, _, backend) => backend.interpolateGrad((g as Tensor).storage.buffer, spec),
  backward: (h, { attrs }) => [apply(interpolateOp, [h], attrs)],
}

/** x (N, C, H, W) resampled to `size`, as `torch.nn.functional.interpolate` does for a size. */
export function interpolate(x: Tensor, size: Pair, options: InterpolateOptions = {}): Tensor {
  checkTensors('interpolate', { x })
  checkOptionNames('interpolate', options, ['mode', 'alignCorners'])
  const { mode = 'nearest', alignCorners = false } = options
  if (x.rank !== 4) throw new ShapeError(`interpolate: x expects rank 4 (N, C, H, W), got ${show(x.shape)}`)
  checkFloat('interpolate', 'x', x)
  if (mode !== 'nearest' && mode !== 'bilinear') {
    throw new ArgumentError(`interpolate: mode expects 'nearest' or 'bilinear', got ${String(mode)}`)
  }
  if (alignCorners && mode === 'nearest')
    throw new ArgumentError('interpolate: alignCorners expects mode bilinear, got nearest')
  const [outHeight, outWidth] = pair('interpolate', 'size', size, 1)
  const [batch, channels, height, width] = x.shape as [number, number, number, number]
  if (height === 0 || width === 0)
    throw new ShapeError(`interpolate: x expects at least one cell, got ${show(x.shape)}`)
  return apply(interpolateOp, [x], {
    batch,
    height,
    width,
    channels,
    rows: sampleAxis(height, outHeight, mode, alignCorners),
    columns: sampleAxis(width, outWidth, mode, alignCorners),
  })
}
