/** Fully connected layer. */
import { checkInteger, linear, type Tensor, zeros } from '@convnets/tensor'
import { fans, kaimingUniform_, uniform_ } from '../init.ts'
import { Module } from '../module.ts'
import { parameter } from '../parameter.ts'
import { checkFlag } from './check.ts'

/**
 * PyTorch's default for linear layers and convolutions: weight and bias uniform in +- 1 / sqrt(fanIn). (Its source says
 * kaiming_uniform with slope sqrt(5), which is the same.)
 */
export function defaultInit(weight: Tensor, bias: Tensor | undefined): void {
  kaimingUniform_(weight, { slope: Math.sqrt(5) })
  const { fanIn } = fans(weight)
  const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0
  if (bias !== undefined) uniform_(bias, -bound, bound)
}

export interface LinearOptions {
  /** Adds a learned bias. Default true. */
  readonly bias?: boolean
}

/** y = x weight^T + bias: (..., inFeatures) to (..., outFeatures). */
export class Linear extends Module {
  readonly inFeatures: number
  readonly outFeatures: number
  /** (outFeatures, inFeatures) */
  weight: Tensor
  /** (outFeatures) */
  bias: Tensor | undefined

  constructor(inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super()
    this.inFeatures = checkInteger('Linear', 'inFeatures', inFeatures, 1)
    this.outFeatures = checkInteger('Linear', 'outFeatures', outFeatures, 1)
    const bias = checkFlag('Linear', 'bias', options.bias ?? true)
    this.weight = parameter(zeros([outFeatures, inFeatures]))
    this.bias = bias ? parameter(zeros([outFeatures])) : undefined
    defaultInit(this.weight, this.bias)
  }

  get inChannels(): number {
    return this.inFeatures
  }

  get outChannels(): number {
    return this.outFeatures
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias)
  }

  override describe(): string {
    return `${this.inFeatures}, ${this.outFeatures}${this.bias === undefined ? ', bias: false' : ''}`
  }
}
