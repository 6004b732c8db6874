/** Softmax and its logarithm along an axis. With y = softmax(x): dx = y (g - sum(g y)); with y = log softmax(x): dx = g - e^y sum(g). */

import { isGradEnabled } from '../grad-mode.ts'
import { rowsAround } from '../layout.ts'
import { apply, checkFloat, checkTensors, type Op } from '../op.ts'
import { checkOptionNames, optionNames } from '../options.ts'
import { checkAxis } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { sumAxes } from './broadcast.ts'
import { exp, mul, sub } from './elementwise.ts'

interface SoftmaxAttrs {
  readonly axis: number
  readonly log: boolean
}

const softmaxOp = (name: string): Op<SoftmaxAttrs> => ({
  name,
  infer: ([x]) => ({ shape: (x as Tensor).shape, dtype: checkFloat(name, 'x', x as Tensor) }),
  forward: ([x], { axis, log }, meta, backend) =>
    backend.softmax((x as Tensor).storage.buffer, rowsAround(meta.shape, axis), log),
  saves: () => ({ output: true }),
  backward(g, { attrs, output: y }) {
    if (!isGradEnabled()) return [apply(softmaxGradOp, [g, y], attrs)]
    const sum = (t: Tensor): Tensor => sumAxes(t, [attrs.axis])
    return [attrs.log ? sub(g, mul(exp(y), sum(g))) : mul(y, sub(g, sum(mul(g, y))))]
  },
})

const softmaxGradOp: Op<SoftmaxAttrs> = {
  name: 'softmax gradient',
  infer: ([g]) => ({ shape: (g as Tensor).shape, dtype: (g as Tensor).dtype }),
  forward: ([g, y], { axis, log }, meta, backend) =>
    backend.softmaxGrad((g as Tensor).storage.buffer, (y as Tensor).storage.buffer, rowsAround(meta.shape, axis), log),
}

const plainSoftmax = softmaxOp('softmax')
const logSoftmaxOp = softmaxOp('logSoftmax')

export interface SoftmaxOptions {
  /** Axis along which the result sums to 1. Default -1. */
  readonly dim?: number
}

const softmaxOptions = optionNames<SoftmaxOptions>({ dim: true })

/** e^x / sum(e^x) along an axis. */
export function softmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  checkTensors('softmax', { x })
  checkOptionNames('softmax', options, softmaxOptions)
  return apply(plainSoftmax, [x], { axis: checkAxis('softmax', options.dim ?? -1, x.rank), log: false })
}

/** Logarithm of the softmax along an axis, without overflow. */
export function logSoftmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  checkTensors('logSoftmax', { x })
  checkOptionNames('logSoftmax', options, softmaxOptions)
  return apply(logSoftmaxOp, [x], { axis: checkAxis('logSoftmax', options.dim ?? -1, x.rank), log: true })
}
