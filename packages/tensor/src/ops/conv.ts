/**
 * Convolution and its two gradients, each an op of its own. The three are the partial derivatives of one trilinear form
 *
 *     T(x, w, g) = sum over n, o, i, j, c, p, q of  g[n,o,i,j] w[o,c,p,q] x[n, c, i*stride + p*dilation - pad, ...]
 *
 * conv2d = dT/dg, inputGrad = dT/dx, weightGrad = dT/dw, so the derivative of any of them by one of its operands is
 * another of the three with the incoming gradient put in the place that is now free. Gradients of every order follow.
 */
import type { ConvSpec } from '../backends/backend.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import type { Expr } from '../formula.ts'
import { apply, checkDType, checkFloat, checkOptionalTensor, checkTensors, type Op, records } from '../op.ts'
import { checkOptionNames, optionNames } from '../options.ts'
import { checkPrecision, inPrecision, type Precision } from '../precision.ts'
import { local } from '../scope.ts'
import { at, checkInteger, convSpec, type Padding, type Pair, pair, show, sizeOf } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { watcher } from '../watch.ts'
import { sumAxes } from './broadcast.ts'
import { activationOf } from './formula-op.ts'
import { reshape } from './reshape.ts'

export interface Conv2dOptions {
  /** Step of the window. Default 1. */
  readonly stride?: Pair
  /** Zeros around the input: a number, [height, width], [top, right, bottom, left] or 'same' (TensorFlow's). Default 0. */
  readonly padding?: Padding
  /** Distance between kernel cells. Default 1. */
  readonly dilation?: Pair
  /** Groups of channels that are convolved apart; the number of input channels for depthwise. Default 1. */
  readonly groups?: number
  /** Of this call and its gradients. Default: that of `withPrecision` or `setPrecision`. */
  readonly precision?: Precision | undefined
  /**
   * What the result ends with. An elementwise op of one tensor, such as `relu` or `silu`, runs in the same pass where no gradient
   * is recorded and nothing watches the ops.
   */
  readonly activation?: ((x: Tensor) => Tensor) | undefined
}

/** For `optionNames` of what takes these options and others. */
export const ofConvolutions: { readonly [K in keyof Conv2dOptions]-?: true } = {
  stride: true,
  padding: true,
  dilation: true,
  groups: true,
  precision: true,
  activation: true,
}

const convOptions = optionNames<Conv2dOptions>(ofConvolutions)

const xShape = (s: ConvSpec): number[] => [s.batch, s.inChannels, s.inHeight, s.inWidth]
const wShape = (s: ConvSpec): number[] => [s.outChannels, s.inChannels / s.groups, s.kernelHeight, s.kernelWidth]
const yShape = (s: ConvSpec): number[] => [s.batch, s.outChannels, s.outHeight, s.outWidth]

const biasGrad = (g: Tensor): Tensor => reshape(sumAxes(g, [0, 2, 3]), [-1])

/** The operands that the gradients of a bilinear op read. */
const others = (_: ConvSpec, [first, second]: readonly boolean[]): { inputs: number[] } => ({
  inputs: [...(first === true ? [1] : []), ...(second === true ? [0] : [])],
})

/** Inputs: x, weight, bias or nothing. */
export const convOp: Op<ConvSpec> = {
  name: 'conv2d',
  infer([x, weight, bias], spec) {
    const { dtype } = x as Tensor
    checkFloat('conv2d', 'x', x as Tensor)
    checkDType('conv2d', 'weight', weight as Tensor, dtype)
    if (bias !== undefined) {
      checkDType('conv2d', 'bias', bias, dtype)
      if (bias.rank !== 1 || bias.size !== spec.outChannels) {
        throw new ShapeError(`conv2d: bias expects (${spec.outChannels}), got ${show(bias.shape)}`)
      }
    }
    return { shape: yShape(spec), dtype }
  },
  forward: ([x, weight, bias], spec, _, backend) =>
    backend.conv2d((x as Tensor).storage.buffer, (weight as Tensor).storage.buffer, bias?.storage.buffer ?? null, spec),
  saves: others,
  backward: (g, { attrs, needs, input }) => [
    needs[0] === true ? apply(inputGradOp, [g, input(1)], attrs) : undefined,
    needs[1] === true ? apply(weightGradOp, [input(0), g], attrs) : undefined,
    needs[2] === true ? biasGrad(g) : undefined,
  ],
}

/** The same and then `act`, a formula of one operand, where no gradient is recorded. */
const convActOp: Op<{ readonly spec: ConvSpec; readonly act: Expr }> = {
  name: 'conv2d',
  infer: (inputs, { spec }) => convOp.infer(inputs, spec),
  forward([x, weight, bias], { spec, act }, { shape, dtype }, backend) {
    const [from, weights] = [(x as Tensor).storage.buffer, (weight as Tensor).storage.buffer]
    const biases = bias?.storage.buffer ?? null
    const whole = backend.conv2dFused?.(from, weights, biases, null, null, act, spec)
    if (whole !== undefined) return whole
    const y = backend.conv2d(from, weights, biases, spec)
    try {
      return backend.map(act, [{ buffer: y, offset: 0, strides: [1] }], [], [sizeOf(shape)], dtype)
    } finally {
      backend.free(y)
    }
  },
}

/** Inputs: g, weight. Also the forward pass of a transposed convolution. */
const inputGradOp: Op<ConvSpec> = {
  name: 'conv2d input gradient',
  infer: ([g], spec) => ({ shape: xShape(spec), dtype: (g as Tensor).dtype }),
  forward: ([g, weight], spec, _, backend) =>
    backend.conv2dInputGrad((g as Tensor).storage.buffer, (weight as Tensor).storage.buffer, spec),
  saves: others,
  backward: (h, { attrs, needs, input }) => [
    needs[0] === true ? apply(convOp, [h, input(1), undefined], attrs) : undefined,
    needs[1] === true ? apply(weightGradOp, [h, input(0)], attrs) : undefined,
  ],
}

/** Inputs: x, g. */
const weightGradOp: Op<ConvSpec> = {
  name: 'conv2d weight gradient',
  infer: ([x], spec) => ({ shape: wShape(spec), dtype: (x as Tensor).dtype }),
  forward: ([x, g], spec, _, backend) =>
    backend.conv2dWeightGrad((x as Tensor).storage.buffer, (g as Tensor).storage.buffer, spec),
  saves: others,
  backward: (h, { attrs, needs, input }) => [
    needs[0] === true ? apply(inputGradOp, [input(1), h], attrs) : undefined,
    needs[1] === true ? apply(convOp, [input(0), h, undefined], attrs) : undefined,
  ],
}

/**
 * 2-D convolution (cross-correlation, as everywhere in deep learning): x (N, C, H, W), weight (O, C / groups, kh, kw),
 * bias (O) to (N, O, H', W') with H' = floor((H + padding - dilation (kh - 1) - 1) / stride) + 1.
 *
 * @throws ShapeError where channels, groups or sizes do not fit, ArgumentError for an unknown precision.
 */
export function conv2d(x: Tensor, weight: Tensor, bias?: Tensor, options: Conv2dOptions = {}): Tensor {
  checkTensors('conv2d', { x, weight })
  checkOptionalTensor('conv2d', 'bias', bias)
  checkOptionNames('conv2d', options, convOptions)
  const { stride = 1, padding = 0, dilation = 1, groups = 1, precision, activation } = options
  const inputs = [x, weight, bias]
  const act = activation && activationOf('conv2d', activation)?.formula
  if (activation !== undefined && (act === undefined || watcher() !== undefined || records(inputs))) {
    return local(() => activation(conv2d(x, weight, bias, { stride, padding, dilation, groups, precision })))
  }
  const spec = convSpec('conv2d', x.shape, weight.shape, { stride, padding, dilation, groups })
  const run = () => (act === undefined ? apply(convOp, inputs, spec) : apply(convActOp, inputs, { spec, act }))
  return precision === undefined ? run() : inPrecision(checkPrecision('conv2d', precision), run)
}

export interface ConvTranspose2dOptions {
  /** Step of the convolution that this is the transpose of. Default 1. */
  readonly stride?: Pair
  /** Cells cut from every side of the full result. Default 0. */
  readonly padding?: Pair
  /** Cells added at the bottom and right, to choose among the sizes that a stride allows. Default 0. */
  readonly outputPadding?: Pair
  readonly dilation?: Pair
  readonly groups?: number
}

const transposeOptions = optionNames<ConvTranspose2dOptions>({
  stride: true,
  padding: true,
  outputPadding: true,
  dilation: true,
  groups: true,
})

/**
 * Transposed convolution: x (N, C, H, W), weight (C, O / groups, kh, kw), bias (O) to (N, O, H', W') with
 * H' = (H - 1) stride - 2 padding + dilation (kh - 1) + outputPadding + 1.
 */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  options: ConvTranspose2dOptions = {},
): Tensor {
  return local(() => {
    const op = 'convTranspose2d'
    checkTensors(op, { x, weight })
    checkOptionalTensor(op, 'bias', bias)
    checkOptionNames(op, options, transposeOptions)
    if (x.rank !== 4) throw new ShapeError(`${op}: x expects rank 4 (N, C, H, W), got ${show(x.shape)}`)
    if (weight.rank !== 4)
      throw new ShapeError(`${op}: weight expects rank 4 (C, O/groups, kh, kw), got ${show(weight.shape)}`)
    checkFloat(op, 'x', x)
    checkDType(op, 'weight', weight, x.dtype)
    const stride = pair(op, 'stride', options.stride ?? 1, 1)
    const padding = pair(op, 'padding', options.padding ?? 0, 0)
    const extra = pair(op, 'outputPadding', options.outputPadding ?? 0, 0)
    const dilation = pair(op, 'dilation', options.dilation ?? 1, 1)
    const groups = checkInteger(op, 'groups', options.groups ?? 1, 1)
    const channels = at(x.shape, 1)
    if (at(weight.shape, 0) !== channels || channels % groups !== 0) {
      throw new ShapeError(
        `${op}: weight expects ${channels} input channels in ${groups} equal groups, as x has, got ${show(weight.shape)}`,
      )
    }
    const out = at(weight.shape, 1) * groups
    if (bias !== undefined) {
      checkDType(op, 'bias', bias, x.dtype)
      if (bias.rank !== 1 || bias.size !== out)
        throw new ShapeError(`${op}: bias expects (${out}), got ${show(bias.shape)}`)
    }
    const size = [0, 1].map((i) => {
      if (at(extra, i) >= Math.max(at(stride, i), at(dilation, i))) {
        throw new ArgumentError(`${op}: outputPadding expects less than stride or dilation, got ${at(extra, i)}`)
      }
      const full = (at(x.shape, 2 + i) - 1) * at(stride, i) + at(dilation, i) * (at(weight.shape, 2 + i) - 1) + 1
      const extent = full - 2 * at(padding, i) + at(extra, i)
      if (extent < 1) throw new ShapeError(`${op}: padding ${at(padding, i)} leaves nothing of the ${full} cells`)
      return extent
    })
    const image = [at(x.shape, 0), out, at(size, 0), at(size, 1)]
    const spec = convSpec(op, image, weight.shape, { stride, padding, dilation, groups })
    const y = apply(inputGradOp, [x, weight], { ...spec, outHeight: at(x.shape, 2), outWidth: at(x.shape, 3) })
    return bias === undefined ? y : y.add(reshape(bias, [-1, 1, 1]))
  })
}
