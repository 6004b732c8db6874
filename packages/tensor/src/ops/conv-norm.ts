/** Convolution, batch norm by given statistics and ReLU in one pass, as networks run when they do not train. */
import type { ConvSpec, GivenNorm } from '../backends/backend.ts'
import { apply, checkTensors, type Op, records } from '../op.ts'
import { checkPrecision, inPrecision } from '../precision.ts'
import { local } from '../scope.ts'
import { convSpec } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { watcher } from '../watch.ts'
import { type Conv2dOptions, conv2d, convOp } from './conv.ts'
import { relu } from './elementwise.ts'
import { type BatchNormStatistics, batchNormInference, givenNorm, normalizeGiven } from './norm.ts'

interface Attrs {
  readonly spec: ConvSpec
  readonly norm: GivenNorm
  readonly relu: boolean
}

/** Inputs: x, weight, bias or nothing; those of the norm. */
const convNormOp: Op<Attrs> = {
  name: 'conv2dBatchNorm',
  infer: ([x, weight, bias], { spec }) => convOp.infer([x, weight, bias], spec),
  forward([x, weight, bias], { spec, norm, relu }, { shape }, backend) {
    const [from, weights] = [(x as Tensor).storage.buffer, (weight as Tensor).storage.buffer]
    const biases = bias?.storage.buffer ?? null
    const folded = backend.conv2dNormalized?.(from, weights, biases, norm, relu, spec)
    if (folded !== undefined) return folded
    const y = backend.conv2d(from, weights, biases, spec)
    try {
      return normalizeGiven(backend, y, shape, norm, relu)
    } finally {
      backend.free(y)
    }
  },
}

export interface Conv2dBatchNormOptions extends Conv2dOptions {
  /** Ends with max(., 0). Default false. */
  readonly relu?: boolean
}

/**
 * `conv2d`, then `batchNormInference`, then `relu` if asked; shapes and errors are theirs. Where no gradient is recorded and
 * nothing watches the ops, the norm is folded into the weights, which are kept as long as nothing changes them, and nothing
 * is read and written twice. Under strict precision the results are those of the three ops to the bit.
 */
export function conv2dBatchNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  norm: BatchNormStatistics,
  options: Conv2dBatchNormOptions = {},
): Tensor {
  const inputs = [x, weight, bias, norm.mean, norm.variance, norm.weight, norm.bias]
  if (watcher() !== undefined || records(inputs)) {
    return local(() => {
      const y = conv2d(x, weight, bias, options)
      const normal = batchNormInference(y, norm.mean, norm.variance, norm.weight, norm.bias, norm)
      return options.relu === true ? relu(normal) : normal
    })
  }
  checkTensors('conv2d', { x, weight })
  const { stride = 1, padding = 0, dilation = 1, groups = 1, precision } = options
  const spec = convSpec('conv2d', x.shape, weight.shape, { stride, padding, dilation, groups })
  const given = givenNorm('batchNorm', norm, spec.outChannels, x.dtype)
  const attrs = { spec, norm: given, relu: options.relu === true }
  if (precision === undefined) return apply(convNormOp, inputs, attrs)
  return inPrecision(checkPrecision('conv2d', precision), () => apply(convNormOp, inputs, attrs))
}
