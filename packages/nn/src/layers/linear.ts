/** Fully connected layer. */
import { checkInteger, linear, readOptions, type Tensor, zeros } from '@convnets/tensor'
import { defaultInit } from '../default-init.ts'
import { Module } from '../module.ts'
import { parameter } from '../parameter.ts'
import { checkFlag } from './check.ts'

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
    const { bias } = readOptions('Linear', options, { bias: true })
    checkFlag('Linear', 'bias', bias)
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
