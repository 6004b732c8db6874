/**
 * ConvNeXt. Liu et al., "A ConvNet for the 2020s", 2022.
 *
 * A ResNet brought up to date one habit of vision transformers at a time: patches as stem, large depthwise convolutions,
 * few activations and normalisations, layer norm, separate layers between stages. Keys are torchvision's.
 *
 * (N, 3, H, W) to (N, 1000); 224 pixels, other sizes from 32 too.
 */
import {
  ConvNeXtBlock,
  checkImages,
  defineModel,
  dropPathRates,
  type FeatureInfo,
  freshClassifier,
  ImageModel,
  LayerNorm2d,
  type ModelEntry,
  type ModelOptions,
  type PublishedWeights,
  publishedWeights,
  readModelOptions,
} from '@convnets/blocks'
import { AdaptiveAvgPool2d, Conv2d, Dropout, init, type Layer, Linear, Module, Sequential } from '@convnets/nn'
import { flatten, type Tensor } from '@convnets/tensor'
import { withFeatures } from './fields.ts'

/** What tells one ConvNeXt from another. */
export interface ConvNeXtConfig {
  /** Name of the network, for messages. */
  readonly name: string
  /** Blocks of the four stages. */
  readonly depths: readonly [number, number, number, number]
  /** Channels of the four stages. */
  readonly widths: readonly [number, number, number, number]
  /** Stochastic depth of the last block unless said otherwise. */
  readonly dropPath: number
}

export interface ConvNeXtOptions extends ModelOptions {
  /** First value of the factors of the residual branches (LayerScale). Default 1e-6. */
  readonly layerScale?: number
  /** Makes a layer at the end of every residual branch, given its channels: `(c) => new SqueezeExcitation(c)`. */
  readonly attention?: (channels: number) => Layer
}

/** Layer norm and linear layer under the keys 0 and 2, with dropout between them. */
class ConvNeXtHead extends Module {
  norm: LayerNorm2d
  dropout: Dropout
  linear: Linear

  constructor(channels: number, numClasses: number, dropout: number) {
    super()
    this.norm = new LayerNorm2d(channels)
    this.dropout = new Dropout(dropout)
    this.linear = new Linear(channels, numClasses)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return Object.entries({ 0: this.norm, 1: this.dropout, 2: this.linear })
  }

  /** Means of maps (N, channels, 1, 1) to logits. */
  forward(x: Tensor): Tensor {
    return this.linear.forward(this.dropout.forward(flatten(this.norm.forward(x), 1)))
  }
}

/**
 *     4x4 / 4 -- norm -- stage -- norm -- 2x2 / 2 -- stage -- norm -- 2x2 / 2 -- stage -- norm -- 2x2 / 2 -- stage -- mean -- head
 */
export class ConvNeXt extends ImageModel {
  readonly config: ConvNeXtConfig
  /** `features` in checkpoints: stages are its odd layers. */
  body: Sequential
  avgpool: AdaptiveAvgPool2d
  classifier: ConvNeXtHead

  constructor(config: ConvNeXtConfig, options: ConvNeXtOptions = {}) {
    super()
    const { name, depths, widths } = config
    const defaults = { dropPath: config.dropPath, attention: undefined, layerScale: undefined }
    const read = readModelOptions(name, options, defaults)
    const { numClasses, inChannels, dropout, dropPath, attention, layerScale } = read
    const inside = { ...(attention && { attention }), ...(layerScale !== undefined && { layerScale }) }
    const rates = dropPathRates(dropPath, depths)
    const layers = widths.flatMap((width, i) => {
      const former = widths[i - 1]
      const down =
        former === undefined
          ? [new Conv2d(inChannels, width, { kernel: 4, stride: 4 }), new LayerNorm2d(width)]
          : [new LayerNorm2d(former), new Conv2d(former, width, { kernel: 2, stride: 2 })]
      const blocks = (rates[i] ?? []).map((rate) => new ConvNeXtBlock(width, { ...inside, dropPath: rate }))
      return [new Sequential(...down), new Sequential(...blocks)]
    })
    this.config = config
    this.body = new Sequential(...layers)
    this.avgpool = new AdaptiveAvgPool2d(1)
    this.classifier = new ConvNeXtHead(this.body.outChannels, numClasses, dropout)
    this.apply(initialize)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return withFeatures(this)
  }

  get featureInfo(): readonly FeatureInfo[] {
    return this.config.widths.map((channels, i) => ({ name: `features.${2 * i + 1}`, channels, stride: 4 * 2 ** i }))
  }

  forwardFeatures(x: Tensor): Tensor {
    checkImages(x, { model: this.config.name, channels: this.body.inChannels, smallest: 32 })
    return this.body.forward(x)
  }

  forward(x: Tensor): Tensor {
    return this.classifier.forward(this.avgpool.forward(this.forwardFeatures(x)))
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.classifier.linear = freshClassifier(this.classifier.linear, numClasses, options)
    return this
  }
}

/** Weights normal with deviation 0.02 (cut off at 2, a value), biases 0. As torchvision. */
function initialize(module: Module): void {
  if (!(module instanceof Conv2d || module instanceof Linear)) return
  init.truncatedNormal_(module.weight, { std: 0.02 })
  if (module.bias !== undefined) init.constant_(module.bias, 0)
}

interface Variant extends Omit<ConvNeXtConfig, 'name'> {
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

/** Section 3 of the paper; stochastic depth as in its table 5. */
const variants = {
  convnext_tiny: {
    depths: [3, 3, 9, 3],
    widths: [96, 192, 384, 768],
    dropPath: 0.1,
    params: 28_589_128,
    macs: 4_455_531_264,
    weights: { torchvision: { IMAGENET1K_V1: ['convnext_tiny-983f1562.pth', 236, 82.52, 96.146] } },
  },
} as const satisfies Readonly<Record<string, Variant>>

function convnext(name: keyof typeof variants): ModelEntry<ConvNeXtOptions, ConvNeXt> {
  const { params, macs, weights, ...config }: Variant = variants[name]
  const facts = {
    name,
    paper: 'Liu et al., "A ConvNet for the 2020s", 2022, section 3 (arXiv:2201.03545)',
    params,
    macs,
    inputSize: [224, 224] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(facts, (options) => new ConvNeXt({ name, ...config }, options))
}

/** ConvNeXt-T: 28.6 million parameters, 4.5 GMACs, ImageNet top-1 82.5 %. */
export const convnext_tiny: ModelEntry<ConvNeXtOptions, ConvNeXt> = /* @__PURE__ */ convnext('convnext_tiny')
