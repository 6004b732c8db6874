/**
 * Inception v4. Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on learning", 2017.
 *
 * A uniform and deeper Inception network, freed of what v3 had inherited, to show what residual connections add to it
 * (little to accuracy, much to the speed of training). Figures 3 to 9 give the network. Keys are those of timm and
 * pretrained-models.pytorch; padding does not count in averages.
 *
 * (N, 3, H, W) to (N, 1000); 299 pixels, other sizes from 75 too.
 */
import {
  checkImages,
  defineModel,
  type FeatureInfo,
  freshClassifier,
  ImageModel,
  InceptionStem,
  InceptionV4A,
  InceptionV4B,
  InceptionV4C,
  InceptionV4ReductionB,
  type ModelEntry,
  type PublishedWeights,
  publishedWeights,
  ReductionA,
  type ReductionAWidths,
  readModelOptions,
} from '@convnets/blocks'
import { Dropout, GlobalAvgPool2d, type Layer, Linear, Sequential } from '@convnets/nn'
import type { Tensor } from '@convnets/tensor'
import { withFeatures } from './fields.ts'
import type { InceptionModelOptions } from './options.ts'

/** What tells one Inception v4 from another. */
export interface InceptionV4Config {
  /** Name of the network, for messages. */
  readonly name: string
  /** Modules A, B and C. */
  readonly depths: readonly [number, number, number]
  /** Channels of reduction A, table 1. */
  readonly reduction: ReductionAWidths
}

export interface InceptionV4Options extends InceptionModelOptions {}

interface Variant extends Omit<InceptionV4Config, 'name'> {
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

const variants: Readonly<Record<'inception_v4', Variant>> = {
  inception_v4: {
    depths: [4, 7, 3],
    reduction: { k: 192, l: 224, m: 256, n: 384 },
    params: 42_679_816,
    macs: 12_253_974_624,
    weights: {
      timm: { tf_in1k: [299, 0.875, 80.144, 94.982, 'centred'] },
      cadene: {
        IMAGENET_BACKGROUND: [
          'inceptionv4-8e4777a0.pth',
          80.062,
          94.926,
          { crop: 299, centred: true, background: true },
        ],
      },
    },
  },
}

/**
 *     stem -- A A A A -- reduction A -- B B B B B B B -- reduction B -- C C C (features) -- mean -- dropout -- last_linear
 */
export class InceptionV4 extends ImageModel {
  readonly config: InceptionV4Config
  readonly featureInfo: readonly FeatureInfo[]
  /** `features` in checkpoints. */
  body: Sequential
  global_pool: GlobalAvgPool2d
  head_drop: Dropout
  last_linear: Linear

  constructor(config: InceptionV4Config, options: InceptionV4Options = {}) {
    super()
    const { name, depths, reduction } = config
    const read = readModelOptions(name, options, { dropout: 0.2, attention: undefined }, { shortcuts: false })
    const { numClasses, inChannels, dropout, attention } = read
    const inside = attention === undefined ? {} : { attention }
    const times = <L>(depth: number, make: () => L): L[] => Array.from({ length: depth }, make)
    const [a, b, c] = depths
    const stem: readonly Layer[] = [...new InceptionStem(inChannels)]
    this.config = config
    this.body = new Sequential(
      ...stem,
      ...times(a, () => new InceptionV4A(384, inside)),
      new ReductionA(384, reduction, inside),
      ...times(b, () => new InceptionV4B(1024, inside)),
      new InceptionV4ReductionB(1024, inside),
      ...times(c, () => new InceptionV4C(1536, inside)),
    )
    const level = (index: number, channels: number, stride: number): FeatureInfo => ({
      name: `features.${index}`,
      channels,
      stride,
    })
    this.featureInfo = [
      level(2, 64, 2),
      level(4, 192, 4),
      level(5 + a, 384, 8),
      level(6 + a + b, 1024, 16),
      level(7 + a + b + c, 1536, 32),
    ]
    this.global_pool = new GlobalAvgPool2d()
    this.head_drop = new Dropout(dropout)
    this.last_linear = new Linear(this.body.outChannels, numClasses)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return withFeatures(this)
  }

  forwardFeatures(x: Tensor): Tensor {
    checkImages(x, { model: this.config.name, channels: this.body.inChannels, smallest: 75 })
    return this.body.forward(x)
  }

  forward(x: Tensor): Tensor {
    return this.last_linear.forward(this.head_drop.forward(this.global_pool.forward(this.forwardFeatures(x))))
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.last_linear = freshClassifier(this.last_linear, numClasses, options)
    return this
  }
}

function inceptionV4(name: keyof typeof variants): ModelEntry<InceptionV4Options, InceptionV4> {
  const { params, macs, weights, ...config } = variants[name]
  const facts = {
    name,
    paper:
      'Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on learning", 2017, figure 9 (arXiv:1602.07261)',
    params,
    macs,
    inputSize: [299, 299] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(facts, (options) => new InceptionV4({ name, ...config }, options))
}

/** Inception v4: 42.7 million parameters, 12.3 GMACs, ImageNet top-1 80.1 %. */
export const inception_v4: ModelEntry<InceptionV4Options, InceptionV4> = /* @__PURE__ */ inceptionV4('inception_v4')
