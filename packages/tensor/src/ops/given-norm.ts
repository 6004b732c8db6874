/** Batch norm by given statistics, as networks run when they do not train: one pass over x. */

import type { Backend, Buffer, GivenNorm } from '../backends/backend.ts'
import type { DType } from '../dtype.ts'
import { type Expr, f, substitute } from '../formula.ts'
import { broadcastWalk, rowsAround } from '../layout.ts'
import { apply, checkDType, checkFloat, checkTensors, type Op, records } from '../op.ts'
import { checkOptionNames, optionNames } from '../options.ts'
import { local } from '../scope.ts'
import { checkNumber, type Shape } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { watcher } from '../watch.ts'
import { add, mul, rsqrt } from './elementwise.ts'
import { activationOf, elementwise } from './formula-op.ts'
import { type BatchNormOptions, channelsOf, checkAffine } from './norm.ts'
import { reshape } from './reshape.ts'

/** (x - mean) scale and (x - mean) scale + bias, in one pass. */
const scaleBy = (x: Expr, mean: Expr, scale: Expr): Expr => f.mul(f.sub(x, mean), scale)
const shiftBy = (x: Expr, mean: Expr, scale: Expr, bias: Expr): Expr => f.add(scaleBy(x, mean, scale), bias)
const scaled = elementwise('batchNorm', scaleBy)
const shifted = elementwise('batchNorm', shiftBy)

const inverseOf = f.div(1, f.sqrt(f.add(f.input(0), f.param(0))))
const scaleOf = f.mul(f.input(1), inverseOf)
const [input, average, factor, shift] = [f.input(0), f.input(1), f.input(2), f.input(3)]
/** By whether there is a bias and a residual. */
const sums = [scaleBy(input, average, factor), shiftBy(input, average, factor, shift)].map((norm, i) => [
  norm,
  f.add(norm, f.input(3 + i)),
])
/** The same with an activation at the end. */
const passes = new WeakMap<Expr, Expr[][]>()
const nothing = f.input(0)

function passOf(bias: boolean, residual: boolean, act: Expr | null): Expr {
  const end = act ?? nothing
  const known = passes.get(end) ?? sums.map((list) => list.map((e) => substitute(end, () => e)))
  passes.set(end, known)
  return known[bias ? 1 : 0]?.[residual ? 1 : 0] as Expr
}

/**
 * The norm of x of a shape (N, C, ...), then the sum with another tensor if there is one, then the activation if there is one,
 * a formula of one operand: one pass.
 */
export function normalizeGiven(
  backend: Backend,
  x: Buffer,
  shape: Shape,
  norm: GivenNorm,
  residual: Buffer | null,
  act: Expr | null,
): Buffer {
  const [, , inner] = rowsAround(shape, 1)
  return (
    (inner === 1 ? backend.normalizeGiven?.(x, norm, residual, act) : undefined) ??
    mapGiven(backend, x, shape, norm, residual, act)
  )
}

/** The same as formulas. */
function mapGiven(
  backend: Backend,
  x: Buffer,
  shape: Shape,
  { mean, variance, weight, bias, eps }: GivenNorm,
  residual: Buffer | null,
  act: Expr | null,
): Buffer {
  const dense = (buffer: Buffer) => ({ buffer, offset: 0, strides: [1] })
  const [factors, statistics] = weight ? [scaleOf, [variance, weight]] : [inverseOf, [variance]]
  const scale = backend.map(factors, statistics.map(dense), [eps], [mean.length], x.dtype)
  try {
    const buffers = [x, mean, scale, bias, residual].filter((buffer) => buffer !== null)
    const perChannel = [mean.length, ...shape.slice(2).map(() => 1)]
    const { extents, strides } = broadcastWalk(
      buffers.map((buffer) => (buffer === x || buffer === residual ? shape : perChannel)),
      shape,
    )
    const views = buffers.map((buffer, i) => ({ buffer, offset: 0, strides: strides[i] ?? [] }))
    return backend.map(passOf(bias !== null, residual !== null, act), views, [], extents, x.dtype)
  } finally {
    backend.free(scale)
  }
}

/** Statistics and parameters of a norm, by channel. */
export interface BatchNormStatistics extends BatchNormOptions {
  readonly mean: Tensor
  readonly variance: Tensor
  readonly weight?: Tensor | undefined
  readonly bias?: Tensor | undefined
}

/** The buffers of a norm of `channels` channels, checked. */
export function givenNorm(op: string, norm: BatchNormStatistics, channels: number, dtype: DType): GivenNorm {
  const { mean, variance, weight, bias } = norm
  checkTensors(op, { mean, variance })
  const eps = checkNumber(op, 'eps', norm.eps ?? 1e-5, 0)
  const parts = { mean, variance, weight, bias }
  checkAffine(op, parts, [channels])
  checkDType(op, 'mean', mean, dtype)
  checkDType(op, 'variance', variance, dtype)
  if (weight !== undefined) checkDType(op, 'weight', weight, dtype)
  if (bias !== undefined) checkDType(op, 'bias', bias, dtype)
  const buffer = (t: Tensor | undefined): Buffer | null => t?.storage.buffer ?? null
  return {
    mean: mean.storage.buffer,
    variance: variance.storage.buffer,
    weight: buffer(weight),
    bias: buffer(bias),
    eps,
  }
}

/** Inputs: x, mean, variance, weight, bias. Where no gradient is recorded: one call instead of seven. */
const inferenceOp: Op<{ readonly norm: GivenNorm; readonly act: Expr | null }> = {
  name: 'batchNorm',
  infer: ([x]) => x as Tensor,
  forward: ([x], { norm, act }, { shape }, backend) =>
    normalizeGiven(backend, (x as Tensor).storage.buffer, shape, norm, null, act),
}

export interface BatchNormInferenceOptions extends BatchNormOptions {
  /**
   * What the result ends with. An elementwise op of one tensor, such as `relu` or `silu`, runs in the same pass where no gradient
   * is recorded and nothing watches the ops.
   */
  readonly activation?: ((x: Tensor) => Tensor) | undefined
}

const inferenceOptions = optionNames<BatchNormInferenceOptions>({ eps: true, activation: true })

/**
 * Batch norm of x (N, C, ...) by given statistics (C), as in inference: (x - mean) / sqrt(variance + eps) weight + bias.
 * Gradients flow to x, weight and bias, and to the statistics where they require one.
 */
export function batchNormInference(
  x: Tensor,
  mean: Tensor,
  variance: Tensor,
  weight?: Tensor,
  bias?: Tensor,
  options: BatchNormInferenceOptions = {},
): Tensor {
  checkOptionNames('batchNorm', options, inferenceOptions)
  const { activation, ...rest } = options
  const act = activation === undefined ? null : activationOf('batchNorm', activation)?.formula
  const watched = watcher() !== undefined || records([x, mean, variance, weight, bias])
  if (activation !== undefined && (act === undefined || watched)) {
    return local(() => activation(batchNormInference(x, mean, variance, weight, bias, rest)))
  }
  return local(() => {
    const { channels } = channelsOf('batchNorm', x, 2)
    checkFloat('batchNorm', 'x', x)
    const norm = givenNorm('batchNorm', { mean, variance, weight, bias, ...rest }, channels, x.dtype)
    const inputs = [x, mean, variance, weight, bias]
    if (!records(inputs)) return apply(inferenceOp, inputs, { norm, act: act ?? null })
    const inverse = rsqrt(add(variance, norm.eps))
    const scale = weight === undefined ? inverse : mul(weight, inverse)
    const perChannel = (t: Tensor): Tensor => reshape(t, [channels, ...x.shape.slice(2).map(() => 1)])
    const statistics = [perChannel(mean), perChannel(scale)] as const
    return bias === undefined ? scaled(x, ...statistics) : shifted(x, ...statistics, perChannel(bias))
  })
}
