/**
 * Inception-ResNet v2. Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on
 * learning", 2017.
 *
 * Inception modules inside of residual blocks, at the cost of Inception v4. Residual branches are scaled down before they
 * are added, without which training became unstable, and the last block ends without ReLU. This is the network that was
 * released, which differs from the drawings: the stem of Inception v3, 320, 1088 and 2080 channels. Keys are timm's.
 *
 * (N, 3, H, W) to (N, 1000); 299 pixels, other sizes from 75 too.
 */
import {
  type ConvNormAct,
  checkImages,
  defineModel,
  dropPathRates,
  type FeatureInfo,
  freshClassifier,
  ImageModel,
  type InceptionResidualOptions,
  InceptionResNetA,
  InceptionResNetB,
  InceptionResNetC,
  InceptionResNetMixed,
  InceptionResNetReductionB,
  inceptionUnit,
  type ModelEntry,
  type PublishedWeights,
  publishedWeights,
  ReductionA,
  readModelOptions,
} from '@convnets/blocks'
import { Dropout, GlobalAvgPool2d, Linear, MaxPool2d, Sequential } from '@convnets/nn'
import type { Tensor } from '@convnets/tensor'
import { type InceptionModelOptions, squeezeExcitation } from './options.ts'

/** What tells one Inception-ResNet v2 from another. */
export interface InceptionResNetV2Config {
  /** Name of the network, for messages. */
  readonly name: string
  /** Blocks A, B and C, the last one without ReLU not counted. */
  readonly depths: readonly [number, number, number]
}

export interface InceptionResNetV2Options extends InceptionModelOptions {}

interface Variant {
  readonly depths: InceptionResNetV2Config['depths']
  readonly paper: string
  /** Squeeze-and-excitation in every Inception module unless said otherwise. */
  readonly gated?: boolean
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

const depths = [10, 20, 9] as const

const variants: Readonly<Record<'inception_resnet_v2' | 'se_inception_resnet_v2', Variant>> = {
  inception_resnet_v2: {
    depths,
    paper:
      'Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on learning", 2017, figures 15 to 19 (arXiv:1602.07261)',
    params: 55_843_464,
    macs: 13_155_794_016,
    weights: {
      timm: {
        tf_in1k: [299, 0.8975, 80.434, 95.312, 'centred'],
        tf_ens_adv_in1k: [299, 0.8975, 79.998, 94.94, 'centred'],
      },
      cadene: {
        IMAGENET_BACKGROUND: [
          'inceptionresnetv2-520b38e4.pth',
          80.17,
          95.234,
          { crop: 299, centred: true, background: true },
        ],
      },
    },
  },
  se_inception_resnet_v2: {
    depths,
    paper: 'Hu et al., "Squeeze-and-excitation networks", 2018, table 2 (arXiv:1709.01507)',
    gated: true,
    params: 65_092_718,
    macs: 13_164_990_944,
    weights: {},
  },
}

/**
 *     3x3 / 2, 32 -- 3x3, 32 -- 3x3, 64 -- pool -- 1x1, 80 -- 3x3, 192 -- pool -- mixed 5b
 *       -- A * 10 -- reduction A -- B * 20 -- reduction B -- C * 9 -- C without ReLU -- 1x1, 1536 -- mean -- dropout -- classif
 */
export class InceptionResNetV2 extends ImageModel {
  readonly config: InceptionResNetV2Config
  conv2d_1a: ConvNormAct
  conv2d_2a: ConvNormAct
  conv2d_2b: ConvNormAct
  maxpool_3a: MaxPool2d
  conv2d_3b: ConvNormAct
  conv2d_4a: ConvNormAct
  maxpool_5a: MaxPool2d
  mixed_5b: InceptionResNetMixed
  repeat: Sequential
  mixed_6a: ReductionA
  repeat_1: Sequential
  mixed_7a: InceptionResNetReductionB
  repeat_2: Sequential
  block8: InceptionResNetC
  conv2d_7b: ConvNormAct
  global_pool: GlobalAvgPool2d
  head_drop: Dropout
  classif: Linear

  constructor(config: InceptionResNetV2Config, options: InceptionResNetV2Options = {}) {
    super()
    const { name, depths } = config
    const defaults = { dropout: 0.2, attention: undefined }
    const { numClasses, inChannels, dropout, dropPath, attention } = readModelOptions(name, options, defaults)
    const inside = attention === undefined ? {} : { attention }
    const rates = dropPathRates(dropPath, [...depths, 1])
    const repeat = <B extends InceptionResNetA | InceptionResNetB | InceptionResNetC>(
      stage: 0 | 1 | 2,
      scale: number,
      make: (options: InceptionResidualOptions) => B,
    ): Sequential => new Sequential(...(rates[stage] ?? []).map((rate) => make({ ...inside, scale, dropPath: rate })))
    this.config = config
    this.conv2d_1a = inceptionUnit(inChannels, [32, 3, { stride: 2, padding: 0 }])
    this.conv2d_2a = inceptionUnit(32, [32, 3, { padding: 0 }])
    this.conv2d_2b = inceptionUnit(32, [64, 3])
    this.maxpool_3a = new MaxPool2d(3, { stride: 2 })
    this.conv2d_3b = inceptionUnit(64, [80, 1])
    this.conv2d_4a = inceptionUnit(80, [192, 3, { padding: 0 }])
    this.maxpool_5a = new MaxPool2d(3, { stride: 2 })
    this.mixed_5b = new InceptionResNetMixed(192, inside)
    this.repeat = repeat(0, 0.17, (more) => new InceptionResNetA(320, [32, 48, 64], more))
    this.mixed_6a = new ReductionA(320, { k: 256, l: 256, m: 384, n: 384 }, inside)
    this.repeat_1 = repeat(1, 0.1, (more) => new InceptionResNetB(1088, [192, 128, 160, 192], more))
    this.mixed_7a = new InceptionResNetReductionB(1088, [288, 288, 320], inside)
    this.repeat_2 = repeat(2, 0.2, (more) => new InceptionResNetC(2080, [192, 192, 224, 256], more))
    this.block8 = new InceptionResNetC(2080, [192, 192, 224, 256], { ...inside, relu: false, dropPath })
    this.conv2d_7b = inceptionUnit(2080, [1536, 1])
    this.global_pool = new GlobalAvgPool2d()
    this.head_drop = new Dropout(dropout)
    this.classif = new Linear(1536, numClasses)
  }

  get featureInfo(): readonly FeatureInfo[] {
    const { conv2d_2b, conv2d_4a, repeat, repeat_1, conv2d_7b } = this
    return Object.entries({ conv2d_2b, conv2d_4a, repeat, repeat_1, conv2d_7b }).map(([name, { outChannels }], i) => ({
      name,
      channels: outChannels,
      stride: 2 ** (i + 1),
    }))
  }

  forwardFeatures(x: Tensor): Tensor {
    checkImages(x, { model: this.config.name, channels: this.conv2d_1a.inChannels, smallest: 75 })
    let y = this.conv2d_2b.forward(this.conv2d_2a.forward(this.conv2d_1a.forward(x)))
    y = this.conv2d_4a.forward(this.conv2d_3b.forward(this.maxpool_3a.forward(y)))
    y = this.repeat.forward(this.mixed_5b.forward(this.maxpool_5a.forward(y)))
    y = this.repeat_1.forward(this.mixed_6a.forward(y))
    y = this.repeat_2.forward(this.mixed_7a.forward(y))
    return this.conv2d_7b.forward(this.block8.forward(y))
  }

  forward(x: Tensor): Tensor {
    return this.classif.forward(this.head_drop.forward(this.global_pool.forward(this.forwardFeatures(x))))
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.classif = freshClassifier(this.classif, numClasses, options)
    return this
  }
}

function inceptionResNetV2(name: keyof typeof variants): ModelEntry<InceptionResNetV2Options, InceptionResNetV2> {
  const { depths, paper, gated = false, params, macs, weights } = variants[name]
  const facts = {
    name,
    paper,
    params,
    macs,
    inputSize: [299, 299] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  const more = gated ? { attention: squeezeExcitation } : {}
  return defineModel(facts, (options) => new InceptionResNetV2({ name, depths }, { ...more, ...options }))
}

type Entry = ModelEntry<InceptionResNetV2Options, InceptionResNetV2>

/** Inception-ResNet v2: 55.8 million parameters, 13.2 GMACs, ImageNet top-1 80.4 %. */
export const inception_resnet_v2: Entry = /* @__PURE__ */ inceptionResNetV2('inception_resnet_v2')
/**
 * Inception-ResNet v2 with squeeze-and-excitation: on the residual branches before they are scaled and added, and behind
 * the concatenation of the three modules without shortcut. ImageNet top-1 80.2 % in the paper; no weights are published.
 */
export const se_inception_resnet_v2: Entry = /* @__PURE__ */ inceptionResNetV2('se_inception_resnet_v2')
