/** Convolutions and norms with what follows them, in one pass where nobody can tell. */
import { add, addRelu, type BatchNormStatistics, conv2d, conv2dBatchNorm, relu, type Tensor } from '@convnets/tensor'
import type { Layer } from '../module.ts'
import { opOf } from './activation.ts'
import { BatchNorm2d } from './batch-norm.ts'
import { checkChannels } from './check.ts'
import { Conv2d } from './conv.ts'

/** What may stand for an activation. */
type Activation = Layer | ((x: Tensor) => Tensor) | undefined

/** Whether a layer is one of a class and computes as that does: no subclass with a `forward` of its own, no hook. */
function isPlain<L extends Layer>(layer: Layer | undefined, kind: abstract new (...args: never[]) => L): layer is L {
  return layer instanceof kind && layer.forward === (kind.prototype as Layer).forward
}

/** The statistics of a `BatchNorm2d` that computes by them and as its class does. */
function plainStatistics(norm: Layer | undefined): BatchNormStatistics | undefined {
  return isPlain(norm, BatchNorm2d) ? norm.givenStatistics : undefined
}

/** The op that an activation is. */
function opFor(act: Activation): ((x: Tensor) => Tensor) | undefined {
  return typeof act === 'function' ? act : opOf(act)
}

/** The end of a block: act(y + residual). */
function end(y: Tensor, act: Activation, residual: Tensor | undefined): Tensor {
  if (residual !== undefined && act === relu) return addRelu(y, residual)
  const sum = residual === undefined ? y : add(y, residual)
  return act === undefined ? sum : typeof act === 'function' ? act(sum) : act.forward(sum)
}

/**
 * act(norm(x)), where any layers may stand for the two, and `act` may be an op such as `relu`, or missing. A `BatchNorm2d` and an
 * activation without parameters (ReLU, SiLU, ...) run as one pass, in training with one gradient; hooks are called as ever, for
 * with one the layers run one after the other.
 */
export function normAct(x: Tensor, norm: Layer, act?: Layer | ((x: Tensor) => Tensor)): Tensor {
  const activation = opFor(act)
  if (activation === undefined || !isPlain(norm, BatchNorm2d)) return end(norm.forward(x), act, undefined)
  checkChannels('BatchNorm2d', x, [4], norm.numFeatures)
  return norm.normalize(x, activation)
}

/**
 * act(norm(conv(x)) + residual), where any layers may stand for the three, `act` may be an op such as `relu`, and act and
 * residual may be missing. A `Conv2d`, a `BatchNorm2d` in evaluation mode, the sum and an activation without parameters run as
 * one op, `conv2dBatchNorm` or, without norm and sum, `conv2d`; hooks are called as ever, for with one the layers run one after
 * the other.
 */
export function convNormAct(
  x: Tensor,
  conv: Layer,
  norm: Layer | undefined,
  act?: Layer | ((x: Tensor) => Tensor),
  residual?: Tensor,
): Tensor {
  const statistics = plainStatistics(norm)
  const isOneOp = (outChannels: number): boolean =>
    norm === undefined ? residual === undefined : statistics?.mean.size === outChannels
  if (!isPlain(conv, Conv2d) || !isOneOp(conv.outChannels)) {
    const y = conv.forward(x)
    if (norm === undefined) return end(y, act, residual)
    return residual === undefined ? normAct(y, norm, act) : end(norm.forward(y), act, residual)
  }
  const { weight, bias, stride, padding, dilation, groups, precision } = conv
  const activation = opFor(act)
  const options = { stride, padding, dilation, groups, precision, activation }
  const y =
    statistics === undefined
      ? conv2d(x, weight, bias, options)
      : conv2dBatchNorm(x, weight, bias, statistics, { ...options, residual })
  return activation === undefined ? end(y, act, undefined) : y
}
