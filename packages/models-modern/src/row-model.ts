/** What the networks of inverted bottlenecks have in common. */
import { checkImages, type FeatureInfo, freshClassifier, frugal, ImageModel } from '@convnets/blocks'
import { AdaptiveAvgPool2d, BatchNorm2d, Conv2d, type Layer, type Linear, Module, Sequential } from '@convnets/nn'
import { flatten, type Tensor } from '@convnets/tensor'

/** Makes the normalisations of a network. */
export type Norm = (channels: number) => BatchNorm2d

/** Batch norm with other numbers than PyTorch's. */
export function batchNormOf(options: { readonly eps?: number; readonly momentum?: number }): Norm {
  return (channels) => new BatchNorm2d(channels, options)
}

export interface ConvUnitOptions {
  readonly kernel: 1 | 3
  readonly stride?: number
  readonly norm: Norm
  readonly act: () => Layer
}

/** Convolution, batch norm and activation under the keys 0 and 1. */
export class ConvUnit extends Module {
  readonly inChannels: number
  readonly outChannels: number
  readonly #layers: Sequential

  constructor(inChannels: number, outChannels: number, { kernel, stride = 1, norm, act }: ConvUnitOptions) {
    super()
    const padding = (kernel - 1) / 2
    this.inChannels = inChannels
    this.outChannels = outChannels
    this.#layers = new Sequential(
      new Conv2d(inChannels, outChannels, { kernel, stride, padding, bias: false }),
      norm(outChannels),
      act(),
    )
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return this.#layers.fields()
  }

  forward(x: Tensor): Tensor {
    return frugal(() => this.#layers.forward(x))
  }
}

/**
 * Probabilities of drop-connect, by stage: they rise from 0 at the first block by `rate` over the number of blocks, so
 * that the last block stays a step below `rate`. As in TensorFlow's EfficientNet, torchvision and timm.
 */
export function dropConnectRates(rate: number, depths: readonly number[]): number[][] {
  const blocks = depths.reduce((sum, depth) => sum + depth, 0)
  let i = 0
  return depths.map((depth) => Array.from({ length: depth }, () => (rate * i++) / blocks))
}

/** Of levels in their order the last of every stride. */
export function lastOfStrides(levels: readonly FeatureInfo[]): FeatureInfo[] {
  return levels.filter(({ stride }, i) => stride !== levels[i + 1]?.stride)
}

export interface RowModelParts {
  /** Name of the network, for messages. */
  readonly name: string
  /** Key of the row in checkpoints: `features`, `layers`. */
  readonly key: string
  /** Layers, under the keys 0, 1, ... */
  readonly body: Sequential
  readonly featureInfo: readonly FeatureInfo[]
  /** Ends with a linear layer. */
  readonly classifier: Sequential
}

/**
 *     layers in a row -- mean -- classifier
 */
export abstract class RowModel extends ImageModel {
  readonly featureInfo: readonly FeatureInfo[]
  body: Sequential
  avgpool: AdaptiveAvgPool2d
  classifier: Sequential
  readonly #name: string
  readonly #key: string

  constructor({ name, key, body, featureInfo, classifier }: RowModelParts) {
    super()
    this.#name = name
    this.#key = key
    this.featureInfo = featureInfo
    this.body = body
    this.avgpool = new AdaptiveAvgPool2d(1)
    this.classifier = classifier
  }

  override fields(): Iterable<readonly [string, unknown]> {
    const { body, avgpool, classifier } = this
    return Object.entries({ [this.#key]: body, avgpool, classifier })
  }

  forwardFeatures(x: Tensor): Tensor {
    checkImages(x, { model: this.#name, channels: this.body.inChannels, smallest: 1 })
    return this.body.forward(x)
  }

  forward(x: Tensor): Tensor {
    return this.classifier.forward(flatten(this.avgpool.forward(this.forwardFeatures(x)), 1))
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    const layers = [...this.classifier]
    const last = freshClassifier(layers.pop() as Linear, numClasses, options)
    this.classifier = new Sequential(...layers, last)
    return this
  }
}
