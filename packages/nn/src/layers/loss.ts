/** Losses as modules. */
import {
  ArgumentError,
  type CrossEntropyOptions,
  checkNumber,
  crossEntropy,
  mseLoss,
  type Reduction,
  readOptions,
  type Tensor,
} from '@convnets/tensor'
import { Module } from '../module.ts'
import { buffer } from '../parameter.ts'

function checkReduction(layer: string, reduction: Reduction): Reduction {
  if (!['mean', 'sum', 'none'].includes(reduction)) {
    throw new ArgumentError(`${layer}: reduction expects 'mean', 'sum' or 'none', got ${String(reduction)}`)
  }
  return reduction
}

/**
 * Cross-entropy of logits (N, C, ...) with class indices (int32) or probabilities; see `crossEntropy`. A `weight` by
 * class becomes a buffer, as in PyTorch.
 */
export class CrossEntropyLoss extends Module {
  readonly labelSmoothing: number
  readonly ignoreIndex: number
  readonly reduction: Reduction
  weight: Tensor | undefined

  constructor(options: CrossEntropyOptions = {}) {
    super()
    const layer = 'CrossEntropyLoss'
    const { labelSmoothing, ignoreIndex, reduction, weight } = readOptions(layer, options, {
      weight: undefined,
      labelSmoothing: 0,
      ignoreIndex: -100,
      reduction: 'mean',
    })
    this.labelSmoothing = checkNumber(layer, 'labelSmoothing', labelSmoothing, 0, 1)
    if (!Number.isInteger(ignoreIndex)) {
      throw new ArgumentError(`${layer}: ignoreIndex expects an integer, got ${ignoreIndex}`)
    }
    this.ignoreIndex = ignoreIndex
    this.reduction = checkReduction(layer, reduction)
    this.weight = weight && buffer(weight)
  }

  forward(logits: Tensor, target: Tensor): Tensor {
    const { labelSmoothing, ignoreIndex, reduction, weight } = this
    return crossEntropy(logits, target, { labelSmoothing, ignoreIndex, reduction, ...(weight && { weight }) })
  }

  override describe(): string {
    const { labelSmoothing, reduction } = this
    return `${labelSmoothing > 0 ? `labelSmoothing: ${labelSmoothing}, ` : ''}reduction: '${reduction}'`
  }
}

/** Squared difference of two tensors of one shape, averaged over all elements by default. */
export class MSELoss extends Module {
  readonly reduction: Reduction

  constructor(options: { readonly reduction?: Reduction } = {}) {
    super()
    this.reduction = checkReduction('MSELoss', readOptions('MSELoss', options, { reduction: 'mean' }).reduction)
  }

  forward(x: Tensor, y: Tensor): Tensor {
    return mseLoss(x, y, { reduction: this.reduction })
  }

  override describe(): string {
    return `reduction: '${this.reduction}'`
  }
}
