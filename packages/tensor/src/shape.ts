/** Pure integer arithmetic on shapes. Everything here throws a `ShapeError` or `ArgumentError` that names op and argument. */
import type { ConvSpec, Samples, Windows } from './backends/backend.ts'
import { ArgumentError, ShapeError } from './errors.ts'

/** Extents of a tensor, outermost first; a scalar has none. */
export type Shape = readonly number[]

/** A size for height and width, or one for both. */
export type Pair = number | readonly [number, number]

/** (2, 3) for messages. */
export function show(shape: Shape): string {
  return `(${shape.join(', ')})`
}

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  let size = 1
  for (const extent of shape) size *= extent
  return size
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, i) => extent === b[i])
}

/** Extent `i` of a shape whose rank is known. */
export function at(shape: readonly number[], i: number): number {
  const value = shape[i]
  if (value === undefined) throw new ShapeError(`internal: no axis ${i} in ${show(shape)}`)
  return value
}

/** Checks that an argument is a list. */
export function checkShapeKind(op: string, argument: string, value: unknown): void {
  if (!Array.isArray(value))
    throw new ShapeError(`${op}: ${argument} expects an array of integers, got ${String(value)}`)
}

/** Checks that `shape` is a list of non-negative integers. */
export function checkShape(op: string, shape: Shape): void {
  checkShapeKind(op, 'shape', shape)
  for (const extent of shape) {
    if (!Number.isSafeInteger(extent) || extent < 0) {
      throw new ShapeError(`${op}: shape expects non-negative integers, got ${show(shape)}`)
    }
  }
  if (!Number.isSafeInteger(sizeOf(shape))) throw new ShapeError(`${op}: shape ${show(shape)} has too many elements`)
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  let step = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step
    step *= at(shape, i)
  }
  return strides
}

/** `axis` counted from the front; negative axes count from the back. */
export function checkAxis(op: string, axis: number, rank: number, argument = 'dim'): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    const range = rank === 0 ? 'none (a scalar has no axes)' : `an integer from ${-rank} to ${rank - 1}`
    throw new ShapeError(`${op}: ${argument} expects ${range}, got ${axis}`)
  }
  return axis < 0 ? axis + rank : axis
}

/** Several distinct axes, sorted; all of them where none are named. */
export function checkAxes(op: string, axes: number | readonly number[] | undefined, rank: number): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i)
  const list = Array.isArray(axes) ? (axes as readonly number[]) : [axes as number]
  const checked = list.map((axis) => checkAxis(op, axis, rank))
  if (new Set(checked).size !== checked.length)
    throw new ShapeError(`${op}: dim names an axis twice: [${list.join(', ')}]`)
  return checked.sort((a, b) => a - b)
}

/** The shape that operands are repeated to, as in NumPy and PyTorch: extents match from the right or are 1. */
export function broadcastShapes(op: string, shapes: readonly Shape[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length))
  const out = new Array<number>(rank).fill(1)
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const axis = rank - shape.length + i
      const extent = at(shape, i)
      if (extent === 1 || extent === out[axis]) continue
      if (out[axis] !== 1) {
        throw new ShapeError(
          `${op}: shapes ${shapes.map(show).join(' and ')} do not broadcast: ${out[axis]} and ${extent} differ`,
        )
      }
      out[axis] = extent
    }
  }
  return out
}

/** Resolves one -1 in a target shape so that the element count is kept. */
export function resolveShape(op: string, shape: Shape, target: Shape): number[] {
  checkShapeKind(op, 'shape', target)
  const size = sizeOf(shape)
  const open = target.indexOf(-1)
  const out = [...target]
  if (open >= 0) {
    const rest = sizeOf(target.filter((_, i) => i !== open))
    if (target.indexOf(-1, open + 1) >= 0) throw new ShapeError(`${op}: shape has more than one -1: ${show(target)}`)
    if (rest === 0 || size % rest !== 0) {
      throw new ShapeError(`${op}: ${size} elements of ${show(shape)} do not fill ${show(target)}`)
    }
    out[open] = size / rest
  }
  checkShape(op, out)
  if (sizeOf(out) !== size)
    throw new ShapeError(`${op}: ${size} elements of ${show(shape)} do not fill ${show(target)}`)
  return out
}

/** Checks an integer option. */
export function checkInteger(op: string, argument: string, value: number, min: number): number {
  if (!Number.isSafeInteger(value) || value < min) {
    throw new ArgumentError(`${op}: ${argument} expects an integer of at least ${min}, got ${value}`)
  }
  return value
}

/** Checks a finite number within [min, max]. */
export function checkNumber(op: string, argument: string, value: number, min: number, max: number = Infinity): number {
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    const range = max === Infinity ? `a number of at least ${min}` : `a number from ${min} to ${max}`
    throw new ArgumentError(`${op}: ${argument} expects ${range}, got ${value}`)
  }
  return value
}

/** [height, width] of a size given as a number or a pair. */
export function pair(op: string, argument: string, value: Pair, min: number): [number, number] {
  const sides: readonly (number | undefined)[] = Array.isArray(value) ? value : [value as number, value as number]
  const [height, width, more] = sides
  if (height === undefined || width === undefined || more !== undefined) {
    throw new ArgumentError(`${op}: ${argument} expects a number or [height, width], got [${value}]`)
  }
  return [checkInteger(op, argument, height, min), checkInteger(op, argument, width, min)]
}

/**
 * Padding of a convolution: a number, [height, width], [top, right, bottom, left], or `'same'`, which is TensorFlow's
 * SAME: the output has ceil(input / stride) cells and the odd cell of padding lies at the bottom and right.
 */
export type Padding = Pair | readonly [top: number, right: number, bottom: number, left: number] | 'same'

/** Cells of padding before and after along one axis for TensorFlow's SAME. */
function samePadding(input: number, kernel: number, stride: number, dilation: number): [number, number] {
  const total = Math.max(0, (Math.ceil(input / stride) - 1) * stride + (kernel - 1) * dilation + 1 - input)
  return [Math.floor(total / 2), total - Math.floor(total / 2)]
}

export interface ConvGeometry {
  readonly stride: Pair
  readonly padding: Padding
  readonly dilation: Pair
  readonly groups: number
}

/** [[top, bottom], [left, right]] of a padding. */
function resolvePadding(
  op: string,
  padding: Padding,
  input: readonly [number, number],
  kernel: readonly [number, number],
  stride: readonly [number, number],
  dilation: readonly [number, number],
): [[number, number], [number, number]] {
  if (padding === 'same') {
    return [
      samePadding(input[0], kernel[0], stride[0], dilation[0]),
      samePadding(input[1], kernel[1], stride[1], dilation[1]),
    ]
  }
  if (typeof padding !== 'number' && padding.length === 4) {
    const [top, right, bottom, left] = padding.map((cells) => checkInteger(op, 'padding', cells, 0))
    return [
      [top ?? 0, bottom ?? 0],
      [left ?? 0, right ?? 0],
    ]
  }
  if (typeof padding === 'string') throw new ArgumentError(`${op}: padding expects numbers or 'same', got '${padding}'`)
  const [height, width] = pair(op, 'padding', padding as Pair, 0)
  return [
    [height, height],
    [width, width],
  ]
}

/** The numbers of a convolution of x (N, C, H, W) with weight (O, C/groups, kh, kw), all checked. */
export function convSpec(op: string, x: Shape, weight: Shape, geometry: ConvGeometry): ConvSpec {
  if (x.length !== 4) throw new ShapeError(`${op}: x expects rank 4 (N, C, H, W), got ${show(x)}`)
  if (weight.length !== 4)
    throw new ShapeError(`${op}: weight expects rank 4 (O, C/groups, kh, kw), got ${show(weight)}`)
  const [batch, inChannels, inHeight, inWidth] = x as [number, number, number, number]
  const [outChannels, groupChannels, kernelHeight, kernelWidth] = weight as [number, number, number, number]
  const groups = checkInteger(op, 'groups', geometry.groups, 1)
  if (inChannels % groups !== 0 || outChannels % groups !== 0) {
    throw new ShapeError(
      `${op}: groups expects a divisor of ${inChannels} input and ${outChannels} output channels, got ${groups}`,
    )
  }
  if (groupChannels * groups !== inChannels) {
    const from = groups === 1 ? '' : ` (${inChannels} channels in ${groups} groups)`
    throw new ShapeError(`${op}: weight expects ${inChannels / groups} input channels${from}, got ${groupChannels}`)
  }
  if (kernelHeight === 0 || kernelWidth === 0)
    throw new ShapeError(`${op}: weight has an empty kernel: ${show(weight)}`)
  const stride = pair(op, 'stride', geometry.stride, 1)
  const dilation = pair(op, 'dilation', geometry.dilation, 1)
  const [[padTop, padBottom], [padLeft, padRight]] = resolvePadding(
    op,
    geometry.padding,
    [inHeight, inWidth],
    [kernelHeight, kernelWidth],
    stride,
    dilation,
  )
  const spanHeight = (kernelHeight - 1) * dilation[0] + 1
  const spanWidth = (kernelWidth - 1) * dilation[1] + 1
  const outHeight = Math.floor((inHeight + padTop + padBottom - spanHeight) / stride[0]) + 1
  const outWidth = Math.floor((inWidth + padLeft + padRight - spanWidth) / stride[1]) + 1
  if (outHeight < 1 || outWidth < 1) {
    throw new ShapeError(
      `${op}: x of height and width (${inHeight}, ${inWidth}) is smaller than the kernel's span (${spanHeight}, ${spanWidth}) ` +
        `with padding (${padTop}+${padBottom}, ${padLeft}+${padRight})`,
    )
  }
  return {
    batch,
    inHeight,
    inWidth,
    inChannels,
    outHeight,
    outWidth,
    outChannels,
    kernelHeight,
    kernelWidth,
    strideHeight: stride[0],
    strideWidth: stride[1],
    padTop,
    padLeft,
    dilationHeight: dilation[0],
    dilationWidth: dilation[1],
    groups,
  }
}

/**
 * Windows of pooling along one axis, as PyTorch: with `ceilMode` a last window may hang over the end, but one that
 * would start in the padding beyond the input is dropped; averages count padding up to its end when asked.
 */
export function poolWindows(
  op: string,
  input: number,
  kernel: number,
  stride: number,
  padding: number,
  dilation: number,
  ceilMode: boolean,
  countIncludePad: boolean,
): Windows {
  if (padding * 2 > kernel) {
    throw new ArgumentError(`${op}: padding expects at most half of kernel ${kernel}, got ${padding}`)
  }
  const span = (kernel - 1) * dilation + 1
  const steps = (input + 2 * padding - span) / stride
  let output = (ceilMode ? Math.ceil(steps) : Math.floor(steps)) + 1
  if (ceilMode && (output - 1) * stride >= input + padding) output--
  if (output < 1 || input < 1) {
    throw new ShapeError(`${op}: x of size ${input} is smaller than kernel ${kernel} with padding ${padding}`)
  }
  const starts = new Int32Array(output)
  const ends = new Int32Array(output)
  const counts = new Int32Array(output)
  for (let i = 0; i < output; i++) {
    const start = i * stride - padding
    const end = Math.min(start + span, input + padding)
    starts[i] = Math.max(start, 0)
    ends[i] = Math.min(end, input)
    counts[i] = countIncludePad ? end - start : Math.min(end, input) - Math.max(start, 0)
  }
  return { starts, ends, counts }
}

/** Windows of adaptive pooling: cell i covers floor(i * input / output) to ceil((i + 1) * input / output). */
export function adaptiveWindows(input: number, output: number): Windows {
  const starts = Int32Array.from({ length: output }, (_, i) => Math.floor((i * input) / output))
  const ends = Int32Array.from({ length: output }, (_, i) => Math.ceil(((i + 1) * input) / output))
  return { starts, ends, counts: ends.map((end, i) => end - (starts[i] ?? 0)) }
}

/** Sampling positions of nearest (cell floor(i * input / output)) and bilinear interpolation, as PyTorch. */
export function sampleAxis(
  input: number,
  output: number,
  mode: 'nearest' | 'bilinear',
  alignCorners: boolean,
): Samples {
  const low = new Int32Array(output)
  const high = new Int32Array(output)
  const fraction = new Float64Array(output)
  for (let i = 0; i < output; i++) {
    if (mode === 'nearest') {
      low[i] = high[i] = Math.min(Math.floor(i * (input / output)), input - 1)
      continue
    }
    const position = alignCorners
      ? output > 1
        ? (i * (input - 1)) / (output - 1)
        : 0
      : Math.max(0, (i + 0.5) * (input / output) - 0.5)
    const cell = Math.min(Math.floor(position), input - 1)
    low[i] = cell
    high[i] = Math.min(cell + 1, input - 1)
    fraction[i] = position - cell
  }
  return { low, high, fraction }
}
