/**
 * Pooling. All kinds are windows given by their ends (see `Windows`): plain, ceil-mode and adaptive pooling share one
 * pair of kernels. Averages and their gradients are transposes of each other; the gradient of a maximum goes to the
 * cell that won, whose position is saved.
 */

import type { PoolSpec } from '../backends/backend.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import { apply, checkFloat, checkTensors, type Op, records, run } from '../op.ts'
import { checkOptionNames, optionNames } from '../options.ts'
import { local } from '../scope.ts'
import { adaptiveWindows, type Pair, pair, poolWindows, show } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { gather } from './gather.ts'
import { reshape } from './reshape.ts'

export interface Pool2dOptions {
  /** Step of the window. Default: the kernel size. */
  readonly stride?: Pair
  /** Cells of padding on each side, at most half the kernel. Default 0. */
  readonly padding?: Pair
  /** Rounds the output size up, so that a last window may hang over the edge. Default false. */
  readonly ceilMode?: boolean
}

const inShape = (s: PoolSpec): number[] => [s.batch, s.channels, s.height, s.width]
const outShape = (s: PoolSpec): number[] => [s.batch, s.channels, s.rows.starts.length, s.columns.starts.length]

function checkImage(op: string, x: Tensor): void {
  checkTensors(op, { x })
  if (x.rank !== 4) throw new ShapeError(`${op}: x expects rank 4 (N, C, H, W), got ${show(x.shape)}`)
  checkFloat(op, 'x', x)
}

function slidingSpec(
  op: string,
  x: Tensor,
  kernel: Pair,
  options: Pool2dOptions,
  dilation: Pair,
  includePad: boolean,
): PoolSpec {
  checkImage(op, x)
  const [kh, kw] = pair(op, 'kernel', kernel, 1)
  const [sh, sw] = pair(op, 'stride', options.stride ?? kernel, 1)
  const [ph, pw] = pair(op, 'padding', options.padding ?? 0, 0)
  const [dh, dw] = pair(op, 'dilation', dilation, 1)
  const ceil = options.ceilMode ?? false
  const [batch, channels, height, width] = x.shape as [number, number, number, number]
  return {
    batch,
    channels,
    height,
    width,
    rows: poolWindows(op, height, kh, sh, ph, dh, ceil, includePad),
    columns: poolWindows(op, width, kw, sw, pw, dw, ceil, includePad),
  }
}

function adaptiveSpec(op: string, x: Tensor, size: Pair): PoolSpec {
  checkImage(op, x)
  const [oh, ow] = pair(op, 'size', size, 1)
  const [batch, channels, height, width] = x.shape as [number, number, number, number]
  if (height === 0 || width === 0) throw new ShapeError(`${op}: x expects at least one cell, got ${show(x.shape)}`)
  return { batch, channels, height, width, rows: adaptiveWindows(height, oh), columns: adaptiveWindows(width, ow) }
}

const avgPoolOp: Op<PoolSpec> = {
  name: 'avgPool2d',
  infer: ([x], spec) => ({ shape: outShape(spec), dtype: (x as Tensor).dtype }),
  forward: ([x], spec, _, backend) => backend.avgPool((x as Tensor).storage.buffer, spec),
  backward: (g, { attrs }) => [apply(avgPoolGradOp, [g], attrs)],
}

const avgPoolGradOp: Op<PoolSpec> = {
  name: 'avgPool2d gradient',
  infer: ([g], spec) => ({ shape: inShape(spec), dtype: (g as Tensor).dtype }),
  forward: ([g], spec, _, backend) => backend.avgPoolGrad((g as Tensor).storage.buffer, spec),
  backward: (h, { attrs }) => [apply(avgPoolOp, [h], attrs)],
}

interface MaxPoolAttrs extends PoolSpec {
  /** Whether positions are asked for; where a gradient is recorded they are there anyway. */
  readonly indexed: boolean
}

const maxPoolOp: Op<MaxPoolAttrs> = {
  name: 'maxPool2d',
  infer: ([x], spec) => ({ shape: outShape(spec), dtype: (x as Tensor).dtype }),
  forward([x], spec, meta, backend) {
    const { output, indices } = backend.maxPool((x as Tensor).storage.buffer, spec, spec.indexed || records([x]))
    return { output, extra: indices ? [{ buffer: indices, shape: meta.shape, dtype: 'int32' }] : [] }
  },
  backward: (g, { attrs, extra }) => [apply(maxPoolGradOp, [g, extra(0)], attrs)],
}

const maxPoolGradOp: Op<PoolSpec> = {
  name: 'maxPool2d gradient',
  infer: ([g], spec) => ({ shape: inShape(spec), dtype: (g as Tensor).dtype }),
  forward: ([g, indices], spec, _, backend) =>
    backend.maxPoolGrad((g as Tensor).storage.buffer, (indices as Tensor).storage.buffer, spec),
  saves: () => ({ inputs: [1] }),
  backward(h, { attrs, input }) {
    // The transpose of putting g where the maxima lie: reading h there.
    const flat = (t: Tensor): Tensor => reshape(t, [attrs.batch, attrs.channels, -1])
    return [reshape(gather(flat(h), 2, flat(input(1))), outShape(attrs)), undefined]
  },
}

export interface AvgPool2dOptions extends Pool2dOptions {
  /** Whether padding counts as cells of value 0 in the average. Default true, as in PyTorch. */
  readonly countIncludePad?: boolean
}

const avgPoolOptions = optionNames<AvgPool2dOptions>({
  stride: true,
  padding: true,
  ceilMode: true,
  countIncludePad: true,
})

/** Average over windows of (N, C, H, W). */
export function avgPool2d(x: Tensor, kernel: Pair, options: AvgPool2dOptions = {}): Tensor {
  checkOptionNames('avgPool2d', options, avgPoolOptions)
  return apply(avgPoolOp, [x], slidingSpec('avgPool2d', x, kernel, options, 1, options.countIncludePad ?? true))
}

export interface MaxPool2dOptions extends Pool2dOptions {
  /** Distance between the cells of a window. Only 1 is supported. */
  readonly dilation?: Pair
}

const maxPoolOptions = optionNames<MaxPool2dOptions>({ stride: true, padding: true, ceilMode: true, dilation: true })

function maxSpec(x: Tensor, kernel: Pair, options: MaxPool2dOptions, indexed: boolean): MaxPoolAttrs {
  checkOptionNames('maxPool2d', options, maxPoolOptions)
  const [dh, dw] = pair('maxPool2d', 'dilation', options.dilation ?? 1, 1)
  if (dh !== 1 || dw !== 1) throw new ArgumentError(`maxPool2d: dilation expects 1, got [${dh}, ${dw}]`)
  return { ...slidingSpec('maxPool2d', x, kernel, options, 1, false), indexed }
}

/** Maximum over windows of (N, C, H, W); padding never wins. */
export function maxPool2d(x: Tensor, kernel: Pair, options: MaxPool2dOptions = {}): Tensor {
  return apply(maxPoolOp, [x], maxSpec(x, kernel, options, false))
}

/** As `maxPool2d`, with the int32 positions (row * W + column) of the maxima. */
export function maxPool2dWithIndices(
  x: Tensor,
  kernel: Pair,
  options: MaxPool2dOptions = {},
): { readonly values: Tensor; readonly indices: Tensor } {
  const { output, extra } = run(maxPoolOp, [x], maxSpec(x, kernel, options, true))
  return { values: output, indices: extra[0] as Tensor }
}

/** Average over windows that divide (N, C, H, W) into `size` cells, as evenly as possible. */
export function adaptiveAvgPool2d(x: Tensor, size: Pair): Tensor {
  return apply(avgPoolOp, [x], adaptiveSpec('adaptiveAvgPool2d', x, size))
}

/** Maximum over windows that divide (N, C, H, W) into `size` cells, as evenly as possible. */
export function adaptiveMaxPool2d(x: Tensor, size: Pair): Tensor {
  return apply(maxPoolOp, [x], { ...adaptiveSpec('adaptiveMaxPool2d', x, size), indexed: false })
}

/** Mean over height and width: (N, C, H, W) to (N, C). */
export function globalAvgPool2d(x: Tensor): Tensor {
  return local(() => {
    const y = adaptiveAvgPool2d(x, 1)
    return reshape(y, y.shape.slice(0, 2))
  })
}
