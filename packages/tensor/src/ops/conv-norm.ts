/** Convolution, batch norm by given statistics, residual and activation in one pass, as networks run when they do not train. */
import type { ConvSpec, GivenNorm } from '../backends/backend.ts'
import { ShapeError } from '../errors.ts'
import type { Expr } from '../formula.ts'
import { apply, checkDType, checkOptionalTensor, checkTensors, type Op, records } from '../op.ts'
import { checkOptionNames, optionNames } from '../options.ts'
import { checkPrecision, inPrecision } from '../precision.ts'
import { local } from '../scope.ts'
import { convSpec, sameShape, show } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { watcher } from '../watch.ts'
import { type Conv2dOptions, conv2d, convOp, ofConvolutions } from './conv.ts'
import { add, addRelu, relu } from './elementwise.ts'
import { activationOf } from './formula-op.ts'
import { type BatchNormStatistics, batchNormInference, givenNorm, normalizeGiven } from './given-norm.ts'

interface Attrs {
  readonly spec: ConvSpec
  readonly norm: GivenNorm
  readonly act: Expr | null
}

/** Inputs: x, weight, bias or nothing, residual or nothing; those of the norm. */
const convNormOp: Op<Attrs> = {
  name: 'conv2dBatchNorm',
  infer([x, weight, bias, residual], { spec }) {
    const meta = convOp.infer([x, weight, bias], spec)
    if (residual === undefined) return meta
    checkDType('conv2dBatchNorm', 'residual', residual, meta.dtype)
    if (!sameShape(residual.shape, meta.shape)) {
      throw new ShapeError(
        `conv2dBatchNorm: residual expects ${show(meta.shape)} as the output, got ${show(residual.shape)}`,
      )
    }
    return meta
  },
  forward([x, weight, bias, added], { spec, norm, act }, { shape }, backend) {
    const [from, weights] = [(x as Tensor).storage.buffer, (weight as Tensor).storage.buffer]
    const biases = bias?.storage.buffer ?? null
    const residual = added?.storage.buffer ?? null
    const folded = backend.conv2dFused?.(from, weights, biases, norm, residual, act, spec)
    if (folded !== undefined) return folded
    const y = backend.conv2d(from, weights, biases, spec)
    try {
      return normalizeGiven(backend, y, shape, norm, residual, act)
    } finally {
      backend.free(y)
    }
  },
}

export interface Conv2dBatchNormOptions extends Conv2dOptions {
  /** Added to the normalised result, of its shape, before the activation. */
  readonly residual?: Tensor | undefined
}

const convNormOptions = optionNames<Conv2dBatchNormOptions>({ ...ofConvolutions, residual: true })

/**
 * `conv2d` of x (N, C, H, W) to (N, O, H', W'), then `batchNormInference` by statistics (O), then `add` and the activation if asked;
 * shapes and errors are theirs. Where no gradient is recorded and nothing watches the ops, the norm is folded into the weights,
 * which are kept as long as nothing changes them, and nothing is read and written twice. Under strict precision the results are
 * those of the ops to the bit.
 */
export function conv2dBatchNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  norm: BatchNormStatistics,
  options: Conv2dBatchNormOptions = {},
): Tensor {
  checkTensors('conv2dBatchNorm', { x, weight, mean: norm?.mean, variance: norm?.variance })
  checkOptionalTensor('conv2dBatchNorm', 'bias', bias)
  checkOptionNames('conv2dBatchNorm', options, convNormOptions)
  const { residual, activation, ...convolution } = options
  const act = activation === undefined ? null : activationOf('conv2dBatchNorm', activation)?.formula
  const inputs = [x, weight, bias, residual, norm.mean, norm.variance, norm.weight, norm.bias]
  if (watcher() !== undefined || records(inputs)) {
    return local(() => {
      const y = conv2d(x, weight, bias, convolution)
      const eps = norm.eps === undefined ? undefined : { eps: norm.eps }
      const ending = { ...eps, activation: residual === undefined ? activation : undefined }
      const normal = batchNormInference(y, norm.mean, norm.variance, norm.weight, norm.bias, ending)
      if (residual === undefined) return normal
      if (activation === relu) return addRelu(normal, residual)
      const sum = add(normal, residual)
      return activation === undefined ? sum : activation(sum)
    })
  }
  if (act === undefined) {
    return local(
      () => activation?.(conv2dBatchNorm(x, weight, bias, norm, { ...options, activation: undefined })) as Tensor,
    )
  }
  const { stride = 1, padding = 0, dilation = 1, groups = 1, precision } = convolution
  const spec = convSpec('conv2d', x.shape, weight.shape, { stride, padding, dilation, groups })
  const given = givenNorm('batchNorm', norm, spec.outChannels, x.dtype)
  const attrs = { spec, norm: given, act }
  if (precision === undefined) return apply(convNormOp, inputs, attrs)
  return inPrecision(checkPrecision('conv2d', precision), () => apply(convNormOp, inputs, attrs))
}
