/** Batch norm with its running statistics. */
import {
  type BatchNormStatistics,
  batchNormInference,
  batchNormTraining,
  checkInteger,
  checkNumber,
  isRecomputing,
  ones,
  type RunningStatistics,
  readOptions,
  type Tensor,
  zeros,
} from '@convnets/tensor'
import { Module } from '../module.ts'
import { buffer, parameter } from '../parameter.ts'
import { checkChannels, checkFlag } from './check.ts'

export interface BatchNormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly eps?: number
  /** Weight of the newest batch in the running statistics. Default 0.1; `null` averages over all batches alike. */
  readonly momentum?: number | null
  /** Learns a scale and a shift by channel. Default true. */
  readonly affine?: boolean
  /** Keeps running statistics for evaluation mode; without, batches are always normalised by their own. Default true. */
  readonly trackRunningStats?: boolean
}

/**
 * What batch norm of all ranks shares. In training mode the batch is normalised by its own mean and biased variance, and
 * the running statistics take in its mean and unbiased variance; in evaluation mode it is normalised by the latter.
 * Ioffe and Szegedy 2015. Statistics are updated once under `checkpoint`. Field names are checkpoint keys.
 */
abstract class BatchNorm extends Module {
  readonly numFeatures: number
  readonly eps: number
  readonly momentum: number | null
  /** Scale by channel (C). */
  weight: Tensor | undefined
  /** Shift by channel (C). */
  bias: Tensor | undefined
  /** Running mean by channel (C). */
  running_mean: Tensor | undefined
  /** Running variance by channel (C). */
  running_var: Tensor | undefined
  /** Batches that the running statistics have seen; an int32 scalar. */
  num_batches_tracked: Tensor | undefined

  constructor(layer: string, numFeatures: number, options: BatchNormOptions) {
    super()
    this.numFeatures = checkInteger(layer, 'numFeatures', numFeatures, 1)
    const defaults = { eps: 1e-5, momentum: 0.1, affine: true, trackRunningStats: true }
    const { eps, momentum, affine, trackRunningStats: tracks } = readOptions(layer, options, defaults)
    this.eps = checkNumber(layer, 'eps', eps, 0)
    this.momentum = momentum === null ? null : checkNumber(layer, 'momentum', momentum, 0, 1)
    checkFlag(layer, 'affine', affine)
    checkFlag(layer, 'trackRunningStats', tracks)
    this.weight = affine ? parameter(ones([numFeatures])) : undefined
    this.bias = affine ? parameter(zeros([numFeatures])) : undefined
    this.running_mean = tracks ? buffer(zeros([numFeatures])) : undefined
    this.running_var = tracks ? buffer(ones([numFeatures])) : undefined
    this.num_batches_tracked = tracks ? buffer(zeros([], { dtype: 'int32' })) : undefined
  }

  get inChannels(): number {
    return this.numFeatures
  }

  get outChannels(): number {
    return this.numFeatures
  }

  /** @throws ShapeError for another rank or number of channels, or one value per channel in training. */
  abstract override forward(x: Tensor): Tensor

  /** What the next batch is normalised by if not by its own statistics: in evaluation mode, if there are any. */
  get givenStatistics(): BatchNormStatistics | undefined {
    const { weight, bias, eps, running_mean, running_var } = this
    if (this.training || running_mean === undefined || running_var === undefined) return undefined
    return { mean: running_mean, variance: running_var, weight, bias, eps }
  }

  /** The running statistics, if a batch is to move them on: once under `checkpoint`. */
  get #running(): RunningStatistics | undefined {
    const { running_mean: mean, running_var: variance, num_batches_tracked: count, momentum } = this
    const tracks = this.training && !isRecomputing()
    return tracks && mean && variance && count ? { mean, variance, count, momentum } : undefined
  }

  /** The norm of x (N, C, ...), then `activation`, which runs in a pass with it where it is an op of one tensor (`relu`). */
  normalize(x: Tensor, activation?: (x: Tensor) => Tensor): Tensor {
    const { weight, bias, eps } = this
    const given = this.givenStatistics
    if (given !== undefined) return batchNormInference(x, given.mean, given.variance, weight, bias, { eps, activation })
    const { output, mean, variance } = batchNormTraining(x, weight, bias, { eps, activation, running: this.#running })
    mean.dispose()
    variance.dispose()
    return output
  }

  override describe(): string {
    const parts = [`${this.numFeatures}`]
    if (this.eps !== 1e-5) parts.push(`eps: ${this.eps}`)
    if (this.momentum !== 0.1) parts.push(`momentum: ${this.momentum}`)
    if (this.weight === undefined) parts.push('affine: false')
    if (this.running_mean === undefined) parts.push('trackRunningStats: false')
    return parts.join(', ')
  }
}

/** Batch norm of (N, C) or (N, C, L). See `BatchNormOptions`. */
export class BatchNorm1d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super('BatchNorm1d', numFeatures, options)
  }

  override forward(x: Tensor): Tensor {
    checkChannels('BatchNorm1d', x, [2, 3], this.numFeatures)
    return this.normalize(x)
  }
}

/** Batch norm of (N, C, H, W). See `BatchNormOptions`. */
export class BatchNorm2d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormOptions = {}) {
    super('BatchNorm2d', numFeatures, options)
  }

  override forward(x: Tensor): Tensor {
    checkChannels('BatchNorm2d', x, [4], this.numFeatures)
    return this.normalize(x)
  }
}
