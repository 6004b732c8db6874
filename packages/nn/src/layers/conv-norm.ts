/** A convolution with what follows it, in one pass where nobody can tell. */
import { add, addRelu, conv2dBatchNorm, relu, type Tensor } from '@convnets/tensor'
import type { Layer } from '../module.ts'
import { ReLU } from './activation.ts'
import { BatchNorm2d } from './batch-norm.ts'
import { Conv2d } from './conv.ts'

/** Whether a layer is one of a class and computes as that does: no subclass with a `forward` of its own, no hook. */
function isPlain<L extends Layer>(layer: Layer | undefined, kind: abstract new (...args: never[]) => L): layer is L {
  return layer instanceof kind && layer.forward === (kind.prototype as Layer).forward
}

/** The end of a block: act(y + residual). */
function end(y: Tensor, act: Layer | typeof relu | undefined, residual: Tensor | undefined): Tensor {
  if (residual !== undefined && act === relu) return addRelu(y, residual)
  const sum = residual === undefined ? y : add(y, residual)
  return act === undefined ? sum : typeof act === 'function' ? act(sum) : act.forward(sum)
}

/**
 * act(norm(conv(x)) + residual), where any layers may stand for the three, `act` may be `relu`, and act and residual may be
 * missing. A `Conv2d`, a `BatchNorm2d` in evaluation mode, the sum and ReLU run as one op, `conv2dBatchNorm`; hooks are
 * called as ever, for with one the layers run one after the other.
 */
export function convNormAct(
  x: Tensor,
  conv: Layer,
  norm: Layer | undefined,
  act?: Layer | typeof relu,
  residual?: Tensor,
): Tensor {
  if (!isPlain(conv, Conv2d) || !isPlain(norm, BatchNorm2d)) {
    const y = conv.forward(x)
    return end(norm === undefined ? y : norm.forward(y), act, residual)
  }
  const statistics = norm.givenStatistics
  if (statistics === undefined || norm.numFeatures !== conv.outChannels) {
    return end(norm.forward(conv.forward(x)), act, residual)
  }
  const { stride, padding, dilation, groups, precision } = conv
  const rectified = act === relu || (typeof act === 'object' && isPlain(act, ReLU))
  const options = { stride, padding, dilation, groups, precision, residual, relu: rectified }
  const y = conv2dBatchNorm(x, conv.weight, conv.bias, statistics, options)
  return rectified ? y : end(y, act, undefined)
}
