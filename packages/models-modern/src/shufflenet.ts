/**
 * ShuffleNet v2. Ma et al., "ShuffleNet V2: practical guidelines for efficient CNN architecture design", 2018.
 *
 * Networks measured by time instead of by multiply-accumulates: layers of equal width, no groups in 1x1 convolutions, few
 * branches and few elementwise operations. Half of the channels pass a unit untouched, and shuffling sees to it that every
 * channel has its turn. Table 5 gives the networks. Keys are torchvision's.
 *
 * (N, 3, H, W) to (N, 1000); 224 pixels, any size from 1 too.
 */
import {
  checkImages,
  defineModel,
  type FeatureInfo,
  freshClassifier,
  ImageModel,
  type ModelEntry,
  type ModelOptions,
  type PublishedWeights,
  publishedWeights,
  readModelOptions,
  ShuffleUnit,
  type ShuffleUnitOptions,
  stage,
} from '@convnets/blocks'
import { BatchNorm2d, Conv2d, Dropout, type Layer, Linear, MaxPool2d, ReLU, Sequential } from '@convnets/nn'
import { globalAvgPool2d, type Tensor } from '@convnets/tensor'

/** What tells one ShuffleNet v2 from another. */
export interface ShuffleNetV2Config {
  /** Name of the network, for messages. */
  readonly name: string
  /** Units of the three stages. */
  readonly depths: readonly [number, number, number]
  /** Channels of the stages. */
  readonly widths: readonly [number, number, number]
  /** Channels of the last convolution. */
  readonly lastWidth: number
}

export interface ShuffleNetV2Options extends ModelOptions {
  /** Makes a layer at the end of every branch of convolutions, given its channels: `(c) => new SqueezeExcitation(c)`. */
  readonly attention?: (channels: number) => Layer
}

/** Convolution, batch norm and ReLU under the keys 0 and 1. */
function unit(inChannels: number, outChannels: number, kernel: 1 | 3, stride: number): Sequential {
  return new Sequential(
    new Conv2d(inChannels, outChannels, { kernel, stride, padding: kernel === 3 ? 1 : 0, bias: false }),
    new BatchNorm2d(outChannels),
    new ReLU(),
  )
}

/** Channels of the first convolution, in all networks. */
const STEM = 24

/**
 *     3x3 / 2, 24 -- max pool 3x3 / 2 -- stage2 / 2 -- stage3 / 2 -- stage4 / 2 -- 1x1 (conv5) -- mean -- fc
 */
export class ShuffleNetV2 extends ImageModel {
  readonly config: ShuffleNetV2Config
  conv1: Sequential
  maxpool: MaxPool2d
  stage2: Sequential
  stage3: Sequential
  stage4: Sequential
  conv5: Sequential
  dropout: Dropout
  fc: Linear

  constructor(config: ShuffleNetV2Config, options: ShuffleNetV2Options = {}) {
    super()
    const { name, depths, widths, lastWidth } = config
    const read = readModelOptions(name, options, { attention: undefined }, { shortcuts: false })
    const { numClasses, inChannels, dropout, attention } = read
    const units = (i: 0 | 1 | 2, inChannels: number): Sequential =>
      stage<ShuffleUnitOptions>(ShuffleUnit, {
        inChannels,
        width: widths[i],
        depth: depths[i],
        stride: 2,
        ...(attention && { attention }),
      })
    this.config = config
    this.conv1 = unit(inChannels, STEM, 3, 2)
    this.maxpool = new MaxPool2d(3, { stride: 2, padding: 1 })
    this.stage2 = units(0, STEM)
    this.stage3 = units(1, this.stage2.outChannels)
    this.stage4 = units(2, this.stage3.outChannels)
    this.conv5 = unit(this.stage4.outChannels, lastWidth, 1, 1)
    this.dropout = new Dropout(dropout)
    this.fc = new Linear(lastWidth, numClasses)
  }

  get featureInfo(): readonly FeatureInfo[] {
    const { stage2, stage3, conv5 } = this
    return [
      { name: 'conv1', channels: STEM, stride: 2 },
      ...Object.entries({ stage2, stage3, conv5 }).map(([name, { outChannels }], i) => ({
        name,
        channels: outChannels,
        stride: 8 * 2 ** i,
      })),
    ]
  }

  forwardFeatures(x: Tensor): Tensor {
    checkImages(x, { model: this.config.name, channels: this.conv1.inChannels, smallest: 1 })
    const y = this.stage2.forward(this.maxpool.forward(this.conv1.forward(x)))
    return this.conv5.forward(this.stage4.forward(this.stage3.forward(y)))
  }

  forward(x: Tensor): Tensor {
    return this.fc.forward(this.dropout.forward(globalAvgPool2d(this.forwardFeatures(x))))
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.fc = freshClassifier(this.fc, numClasses, options)
    return this
  }
}

interface Variant extends Omit<ShuffleNetV2Config, 'name'> {
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

/** Table 5 of the paper. */
const variants = {
  shufflenet_v2_x1_0: {
    depths: [4, 8, 4],
    widths: [116, 232, 464],
    lastWidth: 1024,
    params: 2_278_604,
    macs: 144_907_992,
    weights: { torchvision: { IMAGENET1K_V1: ['shufflenetv2_x1-5666bf0f80.pth', 256, 69.362, 88.316] } },
  },
} as const satisfies Readonly<Record<string, Variant>>

function shufflenetV2(name: keyof typeof variants): ModelEntry<ShuffleNetV2Options, ShuffleNetV2> {
  const { params, macs, weights, ...config }: Variant = variants[name]
  const facts = {
    name,
    paper: 'Ma et al., "ShuffleNet V2", 2018, table 5 (arXiv:1807.11164)',
    params,
    macs,
    inputSize: [224, 224] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(facts, (options) => new ShuffleNetV2({ name, ...config }, options))
}

/** ShuffleNet v2 1.0x: 2.3 million parameters, 0.14 GMACs, ImageNet top-1 69.4 %. */
export const shufflenet_v2_x1_0: ModelEntry<ShuffleNetV2Options, ShuffleNetV2> =
  /* @__PURE__ */ shufflenetV2('shufflenet_v2_x1_0')
