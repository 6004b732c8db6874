/** Convolution and its gradients: which algorithm serves which shape. */
import type { Buffer, ConvSpec } from '../../backend.ts'
import { moveElements } from '../copy.ts'
import type { Engine, Kernels } from '../engine.ts'
import { depthwise, depthwiseWeightGradient } from './depthwise.ts'
import { type DirectSpec, direct } from './direct.ts'
import { gemm, packingRows } from './gemm.ts'
import { outerProducts } from './matmul.ts'
import { type Lying, type PackSource, pack, packedBytes } from './pack.ts'
import { pixelwise, pixelwiseWeightGradient, suitsPixelwise, suitsPixelwiseWeightGradient } from './small-maps.ts'
import type { Ending, TileShape } from './tile.ts'
import { tileFor } from './tile-choice.ts'
import { weightGradient } from './weight-grad.ts'
import { foldedWeights, plainWeights, type Weights } from './weights.ts'
import { winograd } from './winograd.ts'
import { winogradWeightGradient } from './winograd-grad.ts'
import { winogradSide } from './winograd-side.ts'
import { transformWeights } from './winograd-weights.ts'

/** Whether pixels are rows of a matrix product: a 1 x 1 kernel that looks at pixels of the input only. */
function isSampling(s: ConvSpec): boolean {
  return (
    s.kernelHeight === 1 &&
    s.kernelWidth === 1 &&
    s.padTop === 0 &&
    s.padLeft === 0 &&
    s.groups === 1 &&
    (s.outHeight - 1) * s.strideHeight < s.inHeight &&
    (s.outWidth - 1) * s.strideWidth < s.inWidth
  )
}

/** Whether it looks at every pixel once. */
function isPointwise(s: ConvSpec): boolean {
  return isSampling(s) && s.outHeight === s.inHeight && s.outWidth === s.inWidth
}

/** Moves the pixels that a 1 x 1 kernel with a stride looks at between an image and where they lie close together. */
function movePixels(engine: Engine, from: number, to: number, spec: ConvSpec, together: boolean): void {
  const { batch, outHeight, outWidth, inHeight, inWidth, inChannels, strideHeight, strideWidth } = spec
  const row = inWidth * inChannels
  const apart = [inHeight * row, strideHeight * row, strideWidth * inChannels, 1]
  const close = [outHeight * outWidth * inChannels, outWidth * inChannels, inChannels, 1]
  const extents = [batch, outHeight, outWidth, inChannels]
  moveElements(engine, from, to, extents, ...(together ? ([apart, close] as const) : ([close, apart] as const)))
}

/** The pixels of x that a 1 x 1 kernel looks at, as rows of a matrix: x itself, or a copy for the running call. */
function sampled(engine: Engine, x: number, spec: ConvSpec): number {
  if (isPointwise(spec)) return x
  const copy = engine.workspace(spec.batch * spec.outHeight * spec.outWidth * spec.inChannels * 4)
  movePixels(engine, x, copy, spec, true)
  return copy
}

/** One input and one output channel per group. */
function isDepthwise({ groups, inChannels, outChannels }: ConvSpec): boolean {
  return groups > 1 && groups === inChannels && groups === outChannels
}

/** Weights of one group: where they start and how they lie, and how far on the next group's are, in elements. */
interface GroupSource extends PackSource {
  /** What tells them from all others of the same weights. */
  readonly key: string
  readonly start: number
  readonly groupStride: number
}

/** The packed weights of all groups, kept as long as the weights do not change. */
function packGroups(engine: Engine, weights: Weights, groups: number, columns: number, source: GroupSource): number {
  const { key, start, groupStride } = source
  const bytes = packedBytes(source, columns)
  return weights.derived(`${key} ${columns} ${groups}`, bytes * groups, (from, to) => {
    for (let group = 0; group < groups; group++) {
      pack(engine, from + 4 * (start + group * groupStride), to + group * bytes, source, columns)
    }
  })
}

/** The weights of a 1 x 1 kernel for a product: packed or, where few rows meet weights that change, as they lie. */
function rightOf(
  engine: Engine,
  weights: Weights,
  rows: number,
  { columns }: TileShape,
  source: GroupSource,
  lying: Lying,
): [right: number, lying?: Lying] {
  const once = rows <= packingRows ? weights.once(`${source.key} ${columns}`) : undefined
  return once === undefined ? [packGroups(engine, weights, 1, columns, source)] : [once, lying]
}

function forward(
  engine: Engine,
  x: Buffer,
  weights: Weights,
  bias: number,
  out: Buffer,
  spec: ConvSpec,
  ending: Ending = {},
): void {
  const { groups, kernelHeight, kernelWidth, outChannels } = spec
  const groupIn = spec.inChannels / groups
  const groupOut = outChannels / groups
  const depth = kernelHeight * kernelWidth * groupIn
  const side = winogradSide(engine, spec)
  if (side) {
    const transformed = transformWeights(engine, weights, spec, side, false)
    winograd(engine, engine.ptr(x), transformed, bias, engine.ptr(out), spec, side, ending)
    return
  }
  const source: GroupSource = {
    key: `forward ${groupOut} ${depth}`,
    start: 0,
    groupStride: groupOut * depth,
    n: groupOut,
    columnStride: depth,
    depths: [1, 1, depth],
    strides: [0, 0, 1],
  }
  if (isDepthwise(spec)) {
    const packed = packGroups(engine, weights, 1, 4, { ...source, n: groups })
    depthwise(engine, engine.ptr(x), packed, bias, engine.ptr(out), placed(spec, ending))
    return
  }
  const sampling = isSampling(spec)
  const shape = tileFor(engine, groupOut)
  if (sampling) {
    const pixels = spec.batch * spec.outHeight * spec.outWidth
    const rows = sampled(engine, engine.ptr(x), spec)
    const [right, lying] = rightOf(engine, weights, pixels, shape, source, 'columns')
    gemm(engine, shape, rows, right, bias, engine.ptr(out), pixels, outChannels, groupIn, { ...ending, lying })
    return
  }
  const packed = packGroups(engine, weights, groups, shape.columns, source)
  dense(engine, engine.ptr(x), packed, bias, engine.ptr(out), placed(spec, ending), shape)
}

/** A convolution whose outputs lie one after the other. Field by field: hosts need microseconds to spread an object of so many. */
function placed(s: ConvSpec, ending: Ending): DirectSpec {
  const outColumn = s.outChannels * 4
  const outRow = s.outWidth * outColumn
  return {
    batch: s.batch,
    inHeight: s.inHeight,
    inWidth: s.inWidth,
    inChannels: s.inChannels,
    outHeight: s.outHeight,
    outWidth: s.outWidth,
    kernelHeight: s.kernelHeight,
    kernelWidth: s.kernelWidth,
    strideHeight: s.strideHeight,
    strideWidth: s.strideWidth,
    padTop: s.padTop,
    padLeft: s.padLeft,
    dilationHeight: s.dilationHeight,
    dilationWidth: s.dilationWidth,
    groups: s.groups,
    groupOut: s.outChannels / s.groups,
    outImage: s.outHeight * outRow,
    outRow,
    outColumn,
    ending,
  }
}

/** Every convolution that has no algorithm of its own. */
function dense(
  engine: Engine,
  x: number,
  packed: number,
  bias: number,
  y: number,
  spec: DirectSpec,
  shape: TileShape,
): void {
  const algorithm = suitsPixelwise(engine, spec) ? pixelwise : direct
  algorithm(engine, x, packed, bias, y, spec, shape)
}

/** Along one axis, the cells of the input whose index is `phase` modulo the stride, as a convolution of g. */
interface Phase {
  readonly phase: number
  /** How many such cells there are. */
  readonly cells: number
  /** Cells of the kernel that reach them: `last`, `last - step`, ...: `taps` in number. */
  readonly taps: number
  readonly last: number
  readonly step: number
  readonly dilation: number
  readonly pad: number
}

/**
 * The gradient by the input sums, for input cell i, over all kernel cells k for which (i + pad - k * dilation) is a
 * multiple of the stride. Which k these are depends on i modulo the stride alone; from one to the next k rises by
 * stride / gcd(stride, dilation). So the cells of one remainder are a dense convolution of g with a part of the kernel,
 * back to front, and no zeros are put in anywhere.
 */
function phases(size: number, kernel: number, stride: number, dilation: number, pad: number): Phase[] {
  const step = stride / gcd(stride, dilation)
  return Array.from({ length: Math.min(stride, size) }, (_, phase) => {
    let first = 0
    while (first < step && (phase + pad - first * dilation) % stride !== 0) first++
    const taps = first < step ? Math.max(0, Math.ceil((kernel - first) / step)) : 0
    const reach = (step * dilation) / stride
    return {
      phase,
      cells: Math.ceil((size - phase) / stride),
      taps,
      last: first + (taps - 1) * step,
      step,
      dilation: reach,
      pad: (taps - 1) * reach - (phase + pad - first * dilation) / stride,
    }
  })
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}

function inputGradient(engine: Engine, g: Buffer, weight: Buffer, out: Buffer, spec: ConvSpec): void {
  const { groups, kernelHeight, kernelWidth, inHeight, inWidth, inChannels, outChannels } = spec
  const groupIn = inChannels / groups
  const groupOut = outChannels / groups
  const weights = plainWeights(engine, weight)
  const side = winogradSide(engine, spec)
  if (side) {
    const transformed = transformWeights(engine, weights, spec, side, true)
    const transposed = {
      batch: spec.batch,
      inHeight: spec.outHeight,
      inWidth: spec.outWidth,
      inChannels: outChannels,
      outHeight: inHeight,
      outWidth: inWidth,
      outChannels: inChannels,
      kernelHeight,
      kernelWidth,
      strideHeight: 1,
      strideWidth: 1,
      padTop: 2 - spec.padTop,
      padLeft: 2 - spec.padLeft,
      dilationHeight: 1,
      dilationWidth: 1,
    }
    winograd(engine, engine.ptr(g), transformed, 0, engine.ptr(out), transposed, side)
    return
  }
  const channelwise = isDepthwise(spec)
  const sampling = isSampling(spec)
  const shape = tileFor(engine, groupIn)
  const sourceOf = (y: Phase, x: Phase): GroupSource => {
    const taps = kernelHeight * kernelWidth
    return {
      key: `phase ${groupIn} ${groupOut} ${kernelHeight} ${kernelWidth} ${y.taps} ${y.last} ${y.step} ${x.taps} ${x.last} ${x.step}`,
      start: (y.last * kernelWidth + x.last) * groupIn,
      groupStride: groupOut * taps * groupIn,
      n: groupIn,
      columnStride: 1,
      depths: [y.taps, x.taps, groupOut],
      strides: [-y.step * kernelWidth * groupIn, -x.step * groupIn, taps * groupIn],
    }
  }
  const packPhase = (y: Phase, x: Phase): number => {
    const source = sourceOf(y, x)
    return channelwise
      ? packGroups(engine, weights, 1, 4, { ...source, n: groups, columnStride: kernelHeight * kernelWidth })
      : packGroups(engine, weights, groups, shape.columns, source)
  }
  const vertical = phases(inHeight, kernelHeight, spec.strideHeight, spec.dilationHeight, spec.padTop)
  const horizontal = phases(inWidth, kernelWidth, spec.strideWidth, spec.dilationWidth, spec.padLeft)
  if (sampling) {
    const pixels = spec.batch * spec.outHeight * spec.outWidth
    const whole = isPointwise(spec)
    const to = whole ? engine.ptr(out) : engine.workspace(pixels * inChannels * 4)
    const source = sourceOf(vertical[0]!, horizontal[0]!)
    const [right, lying] = rightOf(engine, weights, pixels, shape, source, 'rows')
    gemm(engine, shape, engine.ptr(g), right, 0, to, pixels, inChannels, outChannels, { lying })
    if (whole) return
    engine.array(out).fill(0)
    movePixels(engine, to, engine.ptr(out), spec, false)
    return
  }
  if ([...vertical, ...horizontal].some(({ taps }) => taps === 0)) engine.array(out).fill(0)
  const column = inChannels * 4
  for (const y of vertical) {
    for (const x of horizontal) {
      if (y.taps === 0 || x.taps === 0) continue
      const phase: DirectSpec = {
        batch: spec.batch,
        inHeight: spec.outHeight,
        inWidth: spec.outWidth,
        inChannels: outChannels,
        outHeight: y.cells,
        outWidth: x.cells,
        kernelHeight: y.taps,
        kernelWidth: x.taps,
        strideHeight: 1,
        strideWidth: 1,
        padTop: y.pad,
        padLeft: x.pad,
        dilationHeight: y.dilation,
        dilationWidth: x.dilation,
        groups,
        groupOut: groupIn,
        outImage: inHeight * inWidth * column,
        outRow: spec.strideHeight * inWidth * column,
        outColumn: spec.strideWidth * column,
      }
      const at = engine.ptr(out, (y.phase * inWidth + x.phase) * inChannels)
      if (channelwise) depthwise(engine, engine.ptr(g), packPhase(y, x), 0, at, phase)
      else dense(engine, engine.ptr(g), packPhase(y, x), 0, at, phase, shape)
    }
  }
}

/** Fewer channels on either side do not earn back that the pixels are copied. */
const enoughChannels = 32

function pointwiseWeightGradient(engine: Engine, x: number, g: number, out: number, spec: ConvSpec): void {
  const { batch, outHeight, outWidth, inChannels, outChannels } = spec
  outerProducts(engine, g, sampled(engine, x, spec), out, outChannels, inChannels, batch * outHeight * outWidth)
}

function weightGradientFor(engine: Engine, spec: ConvSpec): typeof weightGradient {
  if (isSampling(spec) && Math.min(spec.inChannels, spec.outChannels) >= enoughChannels) return pointwiseWeightGradient
  if (winogradSide(engine, spec, 'weightGradient')) return winogradWeightGradient
  if (isDepthwise(spec)) return depthwiseWeightGradient
  return suitsPixelwiseWeightGradient(spec) ? pixelwiseWeightGradient : weightGradient
}

type Convolutions = Pick<Kernels, 'conv2d' | 'conv2dInputGrad' | 'conv2dWeightGrad'>

/** The convolutions of the wasm backend; `plain` serves dtypes other than float32. */
export function convKernels(engine: Engine, plain: Convolutions): Convolutions & Pick<Kernels, 'conv2dFused'> {
  return {
    conv2d(x, weight, bias, spec) {
      if (x.dtype !== 'float32') return plain.conv2d(x, weight, bias, spec)
      const out = engine.alloc('float32', spec.batch * spec.outHeight * spec.outWidth * spec.outChannels)
      if (out.length > 0) forward(engine, x, plainWeights(engine, weight), bias ? engine.ptr(bias) : 0, out, spec)
      return out
    },
    conv2dFused(x, weight, bias, norm, residual, act, spec) {
      // Strict precision rounds as the layers do, one after the other.
      if (x.dtype !== 'float32' || engine.precision !== 'fast') return undefined
      const out = engine.alloc('float32', spec.batch * spec.outHeight * spec.outWidth * spec.outChannels)
      if (out.length === 0) return out
      const own = bias ? engine.ptr(bias) : 0
      const weights = norm ? foldedWeights(engine, weight, bias, norm) : { ...plainWeights(engine, weight), bias: own }
      const ending = { residual: residual ? engine.ptr(residual) - out.ptr : 0, act: act ?? undefined }
      forward(engine, x, weights, weights.bias, out, spec, ending)
      return out
    },
    conv2dInputGrad(g, weight, spec) {
      if (g.dtype !== 'float32') return plain.conv2dInputGrad(g, weight, spec)
      const out = engine.alloc('float32', spec.batch * spec.inHeight * spec.inWidth * spec.inChannels)
      if (out.length > 0) inputGradient(engine, g, weight, out, spec)
      return out
    },
    conv2dWeightGrad(x, g, spec) {
      if (x.dtype !== 'float32') return plain.conv2dWeightGrad(x, g, spec)
      const length = spec.outChannels * spec.kernelHeight * spec.kernelWidth * (spec.inChannels / spec.groups)
      const out = engine.alloc('float32', length)
      if (spec.batch * spec.outHeight * spec.outWidth === 0) engine.array(out).fill(0)
      else if (length > 0) weightGradientFor(engine, spec)(engine, engine.ptr(x), engine.ptr(g), out.ptr, spec)
      return out
    },
  }
}
