/** A convolution with what follows it, in one pass where nobody can tell. */
import { conv2dBatchNorm, relu, type Tensor } from '@convnets/tensor'
import type { Layer } from '../module.ts'
import { ReLU } from './activation.ts'
import { BatchNorm2d } from './batch-norm.ts'
import { Conv2d } from './conv.ts'

/** Whether a layer is one of a class and computes as that does: no subclass with a `forward` of its own, no hook. */
function isPlain<L extends Layer>(layer: Layer | undefined, kind: abstract new (...args: never[]) => L): layer is L {
  return layer instanceof kind && layer.forward === (kind.prototype as Layer).forward
}

/**
 * act(norm(conv(x))), where any layers may stand for the three and `act` may be `relu` or missing. A `Conv2d`, a `BatchNorm2d`
 * in evaluation mode and ReLU run as one op, `conv2dBatchNorm`; hooks are called as ever, for with one the layers run one
 * after the other.
 */
export function convNormAct(x: Tensor, conv: Layer, norm: Layer | undefined, act?: Layer | typeof relu): Tensor {
  const after = (y: Tensor): Tensor => (act === undefined ? y : typeof act === 'function' ? act(y) : act.forward(y))
  if (!isPlain(conv, Conv2d) || !isPlain(norm, BatchNorm2d)) {
    const y = conv.forward(x)
    return after(norm === undefined ? y : norm.forward(y))
  }
  const statistics = norm.givenStatistics
  if (statistics === undefined || norm.numFeatures !== conv.outChannels) return after(norm.forward(conv.forward(x)))
  const { stride, padding, dilation, groups, precision } = conv
  const rectified = act === relu || (typeof act === 'object' && isPlain(act, ReLU))
  const options = { stride, padding, dilation, groups, precision, relu: rectified }
  const y = conv2dBatchNorm(x, conv.weight, conv.bias, statistics, options)
  return rectified ? y : after(y)
}
