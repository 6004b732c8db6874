/**
 * What an op costs, from its shapes alone.
 *
 * Multiply-accumulates (MACs) are those of convolutions, linear layers and matrix products, without biases: what torchvision
 * publishes, what fvcore counts for these ops, and what the papers of ResNet (He et al. 2015, table 1) and EfficientNet (Tan and
 * Le 2019, table 2) call FLOPs. Floating-point operations (FLOPs) are everything: every product, sum, comparison, division, root
 * and exponential counts one. One MAC is two FLOPs, except that a dot product of n numbers has only n - 1 sums: 2 n - 1, as
 * Molchanov et al. 2017, "Pruning convolutional neural networks for resource efficient inference", appendix A.1, count linear
 * layers. A bias adds the missing one, as there for convolutions: 2 h w (n_in k^2 + 1) n_out, less the sum that a dot product
 * saves.
 */
import { type ConvSpec, dtypes, type InterpolateSpec, type OpCall, type PoolSpec, type Tensor } from '@convnets/tensor'

/** Arithmetic and memory traffic. */
export interface Cost {
  readonly macs: number
  readonly flops: number
  /** Elements that convolutions and matrix products give: "activations" as fvcore and timm count them. */
  readonly activations: number
  /** Elements that all ops give, where they take memory of their own. */
  readonly elements: number
  /** The same in bytes. */
  readonly bytes: number
}

type Work = Pick<Cost, 'macs' | 'flops'>

/** What stands for the arithmetic of a module where one number must: `macs` of convolutions and linear layers, or all `flops`. */
export type Convention = keyof Work
type Count = (call: OpCall) => Work

const sizeOf = (x: Tensor | undefined): number => x?.size ?? 0
const flops = (count: number): Work => ({ macs: 0, flops: count })

/**
 * `outputs` dot products of `length` numbers, each with a bias or not. Fully connected layers have n_in n_out + n_out parameters
 * and n_in n_out MACs.
 */
function dots(outputs: number, length: number, bias: boolean): Work {
  return { macs: outputs * length, flops: outputs * Math.max(0, 2 * length - (bias ? 0 : 1)) }
}

/**
 * MACs of a convolution: k_h k_w (n_in / groups) n_out, which is the number of its weights, for each of h w outputs. Its
 * gradients by the input and by the weights have as many.
 */
function convolution(attrs: unknown): number {
  const s = attrs as ConvSpec
  const outputs = s.batch * s.outHeight * s.outWidth * s.outChannels
  return (outputs * s.kernelHeight * s.kernelWidth * s.inChannels) / s.groups
}

/** Cells that all windows of a pooling cover together. */
function covered(attrs: unknown): number {
  const { batch, channels, rows, columns } = attrs as PoolSpec
  const along = ({ starts, ends }: PoolSpec['rows']): number =>
    starts.reduce((sum, start, i) => sum + Math.max(0, (ends[i] as number) - start), 0)
  return batch * channels * along(rows) * along(columns)
}

/** Length of the dot products of a matrix product. */
function depth({ inputs: [a], attrs }: OpCall): number {
  const shape = (a as Tensor).shape
  return shape[shape.length - ((attrs as { transA: boolean } | null)?.transA === true ? 2 : 1)] as number
}

/** So many FLOPs for each element of the result. */
const each =
  (count: number): Count =>
  ({ output }) =>
    flops(count * output.size)

/** n - 1 sums or comparisons for n elements that become one. */
const fold: Count = ({ inputs: [x], output }) => flops(Math.max(0, sizeOf(x) - output.size))

const free: Count = () => flops(0)

/**
 * Normalisation by the batch's own statistics, per element: 1 for the mean, 3 for the variance, 2 to normalise, 1 to scale and
 * 1 to shift (Ioffe and Szegedy 2015, algorithm 1). By given statistics it is (x - mean) * scale + shift: 3, or 2 without a
 * shift.
 */
const norm: Count = ({ inputs, attrs, output }) => {
  const given = typeof attrs === 'object' && attrs !== null && !('extents' in attrs)
  if (given) return flops(output.size * (inputs.at(-1) === undefined || inputs.length === 3 ? 2 : 3))
  const affine = inputs.filter((x, i) => i > 0 && x !== undefined).length
  return flops(output.size * (6 + affine))
}

/** Bilinear sampling weighs four cells: 4 products, 3 sums. Taking the nearest cell costs nothing. */
const sampling: Count = ({ attrs, output }) => {
  const { rows, columns } = attrs as InterpolateSpec
  const between = [...rows.fraction, ...columns.fraction].some((fraction) => fraction !== 0)
  return flops(between ? 7 * output.size : 0)
}

/** Rules by op. An op that is not listed is elementwise and simple: one FLOP for each element it gives. */
const rules: Readonly<Record<string, Count>> = {
  conv2d({ inputs, attrs, output }) {
    return dots(output.size, convolution(attrs) / Math.max(1, output.size), inputs[2] !== undefined)
  },
  'conv2d input gradient': ({ attrs }) => ({ macs: convolution(attrs), flops: 2 * convolution(attrs) }),
  'conv2d weight gradient': ({ attrs }) => ({ macs: convolution(attrs), flops: 2 * convolution(attrs) }),
  linear: (call) => dots(call.output.size, depth(call), call.inputs[2] !== undefined),
  matmul: (call) => dots(call.output.size, depth(call), false),

  // Windows of k cells: an average has k - 1 sums and a division, a maximum k - 1 comparisons.
  avgPool2d: ({ attrs }) => flops(covered(attrs)),
  'avgPool2d gradient': ({ attrs }) => flops(covered(attrs)),
  maxPool2d: ({ attrs, output }) => flops(Math.max(0, covered(attrs) - output.size)),
  'maxPool2d gradient': ({ output }) => flops(output.size),
  interpolate: sampling,
  'interpolate gradient': sampling,

  batchNorm: norm,
  layerNorm: norm,
  groupNorm: norm,
  instanceNorm: norm,
  // Two sums (3), and dx with four products and three sums.
  'normalisation gradient': each(10),

  // exp, and what it takes from there: 1 / (1 + e^-x) is a negation, an exponential, a sum and a division.
  sigmoid: each(4),
  silu: each(5),
  tanh: each(5),
  softplus: each(3),
  mish: each(9),
  // x / 2 (1 + erf(x / sqrt 2)).
  gelu: each(5),
  // min(max(x + 3, 0), 6) / 6, and x times that.
  hardsigmoid: each(4),
  hardswish: each(5),
  relu6: each(2),
  clamp: each(2),
  leakyRelu: each(2),
  elu: each(4),
  // max, difference, exp, sum, division.
  softmax: each(5),
  logSoftmax: each(5),
  'softmax gradient': each(4),
  'logSoftmax gradient': each(4),
  crossEntropy: ({ inputs: [x] }) => flops(5 * sizeOf(x)),
  'crossEntropy gradient': each(6),
  'sigmoid gradient': each(3),
  'silu gradient': each(8),
  'tanh gradient': each(3),
  'hardsigmoid gradient': each(3),
  'hardswish gradient': each(4),

  // n - 1 sums. An L2 norm of n numbers is n squares, n - 1 sums and a root: n MACs' worth, 2 n FLOPs.
  sum: fold,
  amax: fold,
  amin: fold,
  argmax: fold,
  argmin: fold,
  max: fold,
  min: fold,
  topk: fold,

  reshape: free,
  permute: free,
  pixelRows: free,
  fromPixelRows: free,
  expand: free,
  slice: free,
  pad: free,
  cat: free,
  flip: free,
  to: free,
  random: free,
  gather: free,
  indexSelect: free,
  embedding: free,
  scatterAdd: ({ inputs: [x] }) => flops(sizeOf(x)),
}

/** Ops whose results fvcore and timm call activations. */
const products: ReadonlySet<string> = new Set(['conv2d', 'linear', 'matmul', 'conv2d input gradient'])

/** Bytes of a tensor's elements. */
export function tensorBytes(x: Pick<Tensor, 'dtype' | 'size'>): number {
  return x.size * dtypes[x.dtype].bytes
}

/** What a call of an op costs. */
export function costOf(call: OpCall): Cost {
  const { name, output, view } = call
  const rule = Object.hasOwn(rules, name) ? (rules[name] as Count) : each(1)
  const work = view ? flops(0) : rule(call)
  // A transposed convolution is the gradient of one; as part of a backward pass nobody asks for its activations.
  const activations = products.has(name) ? output.size : 0
  const results = view ? [] : [output, ...call.extra]
  return {
    ...work,
    activations,
    elements: results.reduce((sum, { size }) => sum + size, 0),
    bytes: results.reduce((sum, x) => sum + tensorBytes(x), 0),
  }
}

/** Nothing. */
export const noCost: Cost = { macs: 0, flops: 0, activations: 0, elements: 0, bytes: 0 }

/** The sum of two costs. */
export function plus(a: Cost, b: Cost): Cost {
  return {
    macs: a.macs + b.macs,
    flops: a.flops + b.flops,
    activations: a.activations + b.activations,
    elements: a.elements + b.elements,
    bytes: a.bytes + b.bytes,
  }
}
