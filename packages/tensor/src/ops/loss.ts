/** Losses. Softmax and cross-entropy are one op: its gradient, softmax minus target, needs no saved probabilities. */

import { isFloat } from '../dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from '../errors.ts'
import { isGradEnabled } from '../grad-mode.ts'
import { apply, checkDType, checkFloat, checkTensors, type Op, run } from '../op.ts'
import { checkOptionNames, optionNames } from '../options.ts'
import { local } from '../scope.ts'
import { at, checkNumber, type Shape, sameShape, show } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { sumAxes } from './broadcast.ts'
import { add, cast, div, mul, ne, square, sub, where } from './elementwise.ts'
import { oneHot } from './gather.ts'
import { mean, sum } from './reduce.ts'
import { permute, pixelRows, reshape } from './reshape.ts'
import { softmax } from './softmax.ts'

/** How the losses of a batch become one number, or stay apart. */
export type Reduction = 'mean' | 'sum' | 'none'

function checkReduction(op: string, reduction: string): void {
  if (!['mean', 'sum', 'none'].includes(reduction)) {
    throw new ArgumentError(`${op}: reduction expects 'mean', 'sum' or 'none', got '${reduction}'`)
  }
}

interface CrossEntropyAttrs {
  readonly labelSmoothing: number
  readonly ignoreIndex: number
}

/** Inputs: logits (rows, classes), target (rows) or (rows, classes), class weights or nothing. Extra: weight by row. */
const crossEntropyOp: Op<CrossEntropyAttrs> = {
  name: 'crossEntropy',
  infer: ([logits]) => ({ shape: [at((logits as Tensor).shape, 0)], dtype: (logits as Tensor).dtype }),
  forward([logits, target, weight], attrs, meta, backend) {
    const x = logits as Tensor
    const { loss, rowWeight } = backend.crossEntropy(
      x.storage.buffer,
      (target as Tensor).storage.buffer,
      weight?.storage.buffer ?? null,
      { rows: at(x.shape, 0), classes: at(x.shape, 1), ...attrs },
    )
    return { output: loss, extra: [{ ...meta, buffer: rowWeight }] }
  },
  saves: () => ({ inputs: [0, 1, 2] }),
  backward(g, saved) {
    const inputs = [g, saved.input(0), saved.input(1), saved.optionalInput(2)] as const
    if (isGradEnabled()) return [composedGradient(...inputs, saved.attrs)]
    return [apply(crossEntropyGradOp, inputs, saved.attrs)]
  },
}

const crossEntropyGradOp: Op<CrossEntropyAttrs> = {
  name: 'crossEntropy gradient',
  infer: ([, logits]) => ({ shape: (logits as Tensor).shape, dtype: (logits as Tensor).dtype }),
  forward([g, logits, target, weight], attrs, _, backend) {
    const x = logits as Tensor
    return backend.crossEntropyGrad(
      (g as Tensor).storage.buffer,
      x.storage.buffer,
      (target as Tensor).storage.buffer,
      weight?.storage.buffer ?? null,
      { rows: at(x.shape, 0), classes: at(x.shape, 1), ...attrs },
    )
  },
}

/** g (softmax sum(q) - q) from simple ops, all recorded. */
function composedGradient(
  g: Tensor,
  logits: Tensor,
  target: Tensor,
  weight: Tensor | undefined,
  attrs: CrossEntropyAttrs,
): Tensor {
  const classes = at(logits.shape, 1)
  const e = attrs.labelSmoothing
  let q: Tensor
  if (target.dtype === 'int32') {
    const counts = ne(target, attrs.ignoreIndex)
    const dense = cast(oneHot(where(counts, target, 0), classes), logits.dtype)
    q = mul(add(mul(dense, 1 - e), e / classes), reshape(cast(counts, logits.dtype), [-1, 1]))
  } else q = add(mul(target, 1 - e), e / classes)
  if (weight !== undefined) q = mul(q, weight)
  return mul(reshape(g, [-1, 1]), sub(mul(softmax(logits, { dim: 1 }), sumAxes(q, [1])), q))
}

export interface CrossEntropyOptions {
  /** Weight by class (C). Default: all 1. */
  readonly weight?: Tensor
  /** Share e of the target spread evenly over all K classes: (1 - e) onehot + e / K. Default 0. Szegedy et al. 2016. */
  readonly labelSmoothing?: number
  /** Class index whose rows do not count. Default -100. */
  readonly ignoreIndex?: number
  /** 'mean' (default) divides by the summed weights of the counted targets, as PyTorch. */
  readonly reduction?: Reduction
}

const crossEntropyOptions = optionNames<CrossEntropyOptions>({
  weight: true,
  labelSmoothing: true,
  ignoreIndex: true,
  reduction: true,
})

/** (N, C, d1, ...) as rows of classes: free for rank 2 and 4, whose channels lie innermost. */
function classRows(x: Tensor): Tensor {
  if (x.rank === 2) return x
  if (x.rank === 4) return pixelRows(x)
  return reshape(permute(x, [0, ...x.shape.slice(2).map((_, i) => i + 2), 1]), [-1, at(x.shape, 1)])
}

/**
 * Cross-entropy of logits (N, C) or (N, C, d1, ...) with class indices (int32, N or (N, d1, ...)) or with
 * probabilities of the logits' shape.
 *
 * @throws ShapeError, DTypeError where target and logits do not fit; ArgumentError for a class index out of range.
 */
export function crossEntropy(logits: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  return local(() => {
    checkTensors('crossEntropy', { logits, target })
    const op = 'crossEntropy'
    checkOptionNames(op, options, crossEntropyOptions)
    const { weight, labelSmoothing = 0, ignoreIndex = -100, reduction = 'mean' } = options
    checkReduction(op, reduction)
    checkNumber(op, 'labelSmoothing', labelSmoothing, 0, 1)
    checkFloat(op, 'logits', logits)
    if (logits.rank < 2) throw new ShapeError(`${op}: logits expects at least rank 2 (N, C), got ${show(logits.shape)}`)
    const classes = at(logits.shape, 1)
    const rowShape: Shape = [at(logits.shape, 0), ...logits.shape.slice(2)]
    const soft = isFloat(target.dtype)
    if (soft) checkDType(op, 'target', target, logits.dtype)
    else if (target.dtype !== 'int32') {
      throw new DTypeError(
        `${op}: target expects int32 class indices or ${logits.dtype} probabilities, got ${target.dtype}`,
      )
    }
    const expected = soft ? logits.shape : rowShape
    if (!sameShape(target.shape, expected)) {
      throw new ShapeError(
        `${op}: target expects ${show(expected)} for logits ${show(logits.shape)}, got ${show(target.shape)}`,
      )
    }
    if (weight !== undefined) {
      checkDType(op, 'weight', weight, logits.dtype)
      if (!sameShape(weight.shape, [classes]))
        throw new ShapeError(`${op}: weight expects (${classes}), got ${show(weight.shape)}`)
    }
    const rows = classRows(logits)
    const { output, extra } = run(crossEntropyOp, [rows, soft ? classRows(target) : reshape(target, [-1]), weight], {
      labelSmoothing,
      ignoreIndex,
    })
    const [rowWeight] = extra as [Tensor]
    if (reduction === 'none') return reshape(output, rowShape)
    const total = sum(output)
    return reduction === 'sum' ? total : div(total, sum(rowWeight))
  })
}

function reduceLoss(losses: Tensor, reduction: Reduction): Tensor {
  return reduction === 'none' ? losses : reduction === 'sum' ? sum(losses) : mean(losses)
}

/** (x - y)^2, averaged over all elements by default. */
export function mseLoss(x: Tensor, y: Tensor, options: { readonly reduction?: Reduction } = {}): Tensor {
  return local(() => {
    checkTensors('mseLoss', { x, y })
    checkOptionNames('mseLoss', options, ['reduction'])
    const reduction = options.reduction ?? 'mean'
    checkReduction('mseLoss', reduction)
    if (!sameShape(x.shape, y.shape))
      throw new ShapeError(`mseLoss: y expects ${show(x.shape)} as x has, got ${show(y.shape)}`)
    checkFloat('mseLoss', 'x', x)
    return reduceLoss(square(sub(x, y)), reduction)
  })
}
