/** Losses as modules. */
import {
  ArgumentError,
  type CrossEntropyOptions,
  checkNumber,
  crossEntropy,
  mseLoss,
  type Reduction,
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
    this.labelSmoothing = checkNumber('CrossEntropyLoss', 'labelSmoothing', options.labelSmoothing ?? 0, 0, 1)
    this.ignoreIndex = options.ignoreIndex ?? -100
    if (!Number.isInteger(this.ignoreIndex)) {
      throw new ArgumentError(`CrossEntropyLoss: ignoreIndex expects an integer, got ${this.ignoreIndex}`)
    }
    this.reduction = checkReduction('CrossEntropyLoss', options.reduction ?? 'mean')
    this.weight = options.weight === undefined ? undefined : buffer(options.weight)
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
    this.reduction = checkReduction('MSELoss', options.reduction ?? 'mean')
  }

  forward(x: Tensor, y: Tensor): Tensor {
    return mseLoss(x, y, this)
  }

  override describe(): string {
    return `reduction: '${this.reduction}'`
  }
}
