/** Normalisations without running statistics. */
import {
  ArgumentError,
  checkInteger,
  checkNumber,
  groupNorm,
  instanceNorm,
  type LocalResponseNormOptions as LocalResponseNormArguments,
  layerNorm,
  localResponseNorm,
  ones,
  readOptions,
  type Shape,
  type Tensor,
  zeros,
} from '@convnets/tensor'
import { Module } from '../module.ts'
import { parameter } from '../parameter.ts'
import { checkChannels, checkFlag, checkGroups } from './check.ts'

export interface NormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly eps?: number
  /** Learns a scale and a shift. Default true; false for InstanceNorm2d, as in PyTorch. */
  readonly affine?: boolean
}

const affinePair = (affine: boolean, shape: Shape): [weight: Tensor | undefined, bias: Tensor | undefined] =>
  affine ? [parameter(ones(shape)), parameter(zeros(shape))] : [undefined, undefined]

/** Normalises over the trailing axes `normalizedShape` (a number for the last axis alone). Ba et al. 2016. */
export class LayerNorm extends Module {
  readonly normalizedShape: Shape
  readonly eps: number
  /** Of shape `normalizedShape`, as `bias`. */
  weight: Tensor | undefined
  bias: Tensor | undefined

  constructor(normalizedShape: number | Shape, options: NormOptions = {}) {
    super()
    this.normalizedShape = typeof normalizedShape === 'number' ? [normalizedShape] : [...normalizedShape]
    if (this.normalizedShape.length === 0) {
      throw new ArgumentError('LayerNorm: normalizedShape expects at least one axis, got none')
    }
    for (const extent of this.normalizedShape) checkInteger('LayerNorm', 'normalizedShape', extent, 1)
    const { eps, affine } = readOptions('LayerNorm', options, { eps: 1e-5, affine: true })
    this.eps = checkNumber('LayerNorm', 'eps', eps, 0)
    checkFlag('LayerNorm', 'affine', affine)
    ;[this.weight, this.bias] = affinePair(affine, this.normalizedShape)
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.normalizedShape, this.weight, this.bias, { eps: this.eps })
  }

  override describe(): string {
    return `(${this.normalizedShape.join(', ')}), eps: ${this.eps}${this.weight === undefined ? ', affine: false' : ''}`
  }
}

/** Normalises groups of channels of (N, C, ...) by sample. Wu and He 2018. */
export class GroupNorm extends Module {
  readonly groups: number
  readonly numChannels: number
  readonly eps: number
  /** Scale by channel (C). */
  weight: Tensor | undefined
  /** Shift by channel (C). */
  bias: Tensor | undefined

  constructor(groups: number, numChannels: number, options: NormOptions = {}) {
    super()
    this.numChannels = checkInteger('GroupNorm', 'numChannels', numChannels, 1)
    this.groups = checkGroups('GroupNorm', groups, numChannels)
    const { eps, affine } = readOptions('GroupNorm', options, { eps: 1e-5, affine: true })
    this.eps = checkNumber('GroupNorm', 'eps', eps, 0)
    checkFlag('GroupNorm', 'affine', affine)
    ;[this.weight, this.bias] = affinePair(affine, [numChannels])
  }

  get inChannels(): number {
    return this.numChannels
  }

  get outChannels(): number {
    return this.numChannels
  }

  forward(x: Tensor): Tensor {
    return groupNorm(x, this.groups, this.weight, this.bias, { eps: this.eps })
  }

  override describe(): string {
    return `${this.groups}, ${this.numChannels}, eps: ${this.eps}${this.weight === undefined ? ', affine: false' : ''}`
  }
}

/** Normalises each channel of each sample of (N, C, H, W) by itself, in training and evaluation alike. Ulyanov et al. 2016. */
export class InstanceNorm2d extends Module {
  readonly numFeatures: number
  readonly eps: number
  /** Scale by channel (C). */
  weight: Tensor | undefined
  /** Shift by channel (C). */
  bias: Tensor | undefined

  constructor(numFeatures: number, options: NormOptions = {}) {
    super()
    this.numFeatures = checkInteger('InstanceNorm2d', 'numFeatures', numFeatures, 1)
    const { eps, affine } = readOptions('InstanceNorm2d', options, { eps: 1e-5, affine: false })
    this.eps = checkNumber('InstanceNorm2d', 'eps', eps, 0)
    checkFlag('InstanceNorm2d', 'affine', affine)
    ;[this.weight, this.bias] = affinePair(affine, [numFeatures])
  }

  get inChannels(): number {
    return this.numFeatures
  }

  get outChannels(): number {
    return this.numFeatures
  }

  forward(x: Tensor): Tensor {
    checkChannels('InstanceNorm2d', x, [4], this.numFeatures)
    return instanceNorm(x, this.weight, this.bias, { eps: this.eps })
  }

  override describe(): string {
    return `${this.numFeatures}, eps: ${this.eps}, affine: ${this.weight !== undefined}`
  }
}

export type LocalResponseNormOptions = Omit<LocalResponseNormArguments, 'size'>

/**
 * Divides by the activity of `size` neighbouring channels: x / (k + alpha / size * sum of squares)^beta, for
 * (N, C, ...). Krizhevsky et al. 2012, section 3.3. Defaults are PyTorch's: alpha 1e-4, beta 0.75, k 1.
 */
export class LocalResponseNorm extends Module {
  readonly size: number
  readonly alpha: number
  readonly beta: number
  readonly k: number

  constructor(size: number, options: LocalResponseNormOptions = {}) {
    super()
    const layer = 'LocalResponseNorm'
    this.size = checkInteger(layer, 'size', size, 1)
    const { alpha, beta, k } = readOptions(layer, options, { alpha: 1e-4, beta: 0.75, k: 1 })
    this.alpha = checkNumber(layer, 'alpha', alpha, -Infinity)
    this.beta = checkNumber(layer, 'beta', beta, -Infinity)
    this.k = checkNumber(layer, 'k', k, -Infinity)
  }

  forward(x: Tensor): Tensor {
    const { size, alpha, beta, k } = this
    return localResponseNorm(x, { size, alpha, beta, k })
  }

  override describe(): string {
    return `${this.size}, alpha: ${this.alpha}, beta: ${this.beta}, k: ${this.k}`
  }
}
