/**
 * Inception-ResNet v1. Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on
 * learning", 2017.
 *
 * Inception modules inside of residual blocks, at the cost of Inception v3. Residual branches are scaled down before they
 * are added, without which training became unstable, and the last block ends without ReLU. Figures 10 to 15 give the
 * network. `inception_resnet_v1` is the network of FaceNet, with an embedding in front of its classes, for which alone
 * weights were published; `inception_resnet_v1_2016` has the paper's classifier. Keys are facenet-pytorch's.
 *
 * (N, 3, H, W) to (N, 1000); 160 or 299 pixels, other sizes from 75 too.
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
  InceptionResNetReductionB,
  inceptionUnit,
  type ModelEntry,
  type PublishedWeights,
  publishedWeights,
  ReductionA,
  readModelOptions,
} from '@convnets/blocks'
import { AdaptiveAvgPool2d, BatchNorm1d, Dropout, Linear, MaxPool2d, Sequential } from '@convnets/nn'
import { ArgumentError, flatten, l2Normalize, type Tensor } from '@convnets/tensor'
import type { InceptionModelOptions } from './options.ts'
import { facenet } from './weights.ts'

/** What tells one Inception-ResNet v1 from another. */
export interface InceptionResNetV1Config {
  /** Name of the network, for messages. */
  readonly name: string
  /** Blocks A, B and C, the last one without ReLU not counted. */
  readonly depths: readonly [number, number, number]
  /** Numbers of the embedding between features and classes; 0 for none. */
  readonly embedding: number
  /** Dropout behind the last average. */
  readonly dropout: number
}

export interface InceptionResNetV1Options extends InceptionModelOptions {}

interface Variant extends Omit<InceptionResNetV1Config, 'name'> {
  readonly params: number
  readonly macs: number
  readonly size: number
  readonly weights: PublishedWeights
}

const variants: Readonly<Record<'inception_resnet_v1' | 'inception_resnet_v1_2016', Variant>> = {
  inception_resnet_v1: {
    depths: [5, 10, 5],
    embedding: 512,
    dropout: 0.6,
    params: 23_995_624,
    macs: 1_418_174_304,
    size: 160,
    weights: {
      others: [
        facenet({
          name: 'VGGFACE2',
          file: '20180402-114759-vggface2.pt',
          labels: 'vggface2',
          numClasses: 8631,
          lfw: 99.65,
        }),
        facenet({
          name: 'CASIA_WEBFACE',
          file: '20180408-102900-casia-webface.pt',
          labels: 'casia-webface',
          numClasses: 10575,
          lfw: 99.05,
        }),
      ],
    },
  },
  inception_resnet_v1_2016: {
    depths: [5, 10, 5],
    embedding: 0,
    dropout: 0.2,
    params: 24_357_096,
    macs: 6_308_597_856,
    size: 299,
    weights: {},
  },
}

/**
 *     3x3 / 2, 32 -- 3x3, 32 -- 3x3, 64 -- pool -- 1x1, 80 -- 3x3, 192 -- 3x3 / 2, 256
 *       -- A * 5 -- reduction A -- B * 10 -- reduction B -- C * 5 -- C without ReLU -- mean -- dropout [-- embedding] -- logits
 */
export class InceptionResNetV1 extends ImageModel {
  readonly config: InceptionResNetV1Config
  conv2d_1a: ConvNormAct
  conv2d_2a: ConvNormAct
  conv2d_2b: ConvNormAct
  maxpool_3a: MaxPool2d
  conv2d_3b: ConvNormAct
  conv2d_4a: ConvNormAct
  conv2d_4b: ConvNormAct
  repeat_1: Sequential
  mixed_6a: ReductionA
  repeat_2: Sequential
  mixed_7a: InceptionResNetReductionB
  repeat_3: Sequential
  block8: InceptionResNetC
  avgpool_1a: AdaptiveAvgPool2d
  dropout: Dropout
  last_linear: Linear | undefined
  last_bn: BatchNorm1d | undefined
  logits: Linear

  constructor(config: InceptionResNetV1Config, options: InceptionResNetV1Options = {}) {
    super()
    const { name, depths, embedding } = config
    const defaults = { dropout: config.dropout, attention: undefined }
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
    this.conv2d_4b = inceptionUnit(192, [256, 3, { stride: 2, padding: 0 }])
    this.repeat_1 = repeat(0, 0.17, (more) => new InceptionResNetA(256, [32, 32, 32], more))
    this.mixed_6a = new ReductionA(256, { k: 192, l: 192, m: 256, n: 384 }, inside)
    this.repeat_2 = repeat(1, 0.1, (more) => new InceptionResNetB(896, [128, 128, 128, 128], more))
    this.mixed_7a = new InceptionResNetReductionB(896, [256, 256, 256], inside)
    this.repeat_3 = repeat(2, 0.2, (more) => new InceptionResNetC(1792, [192, 192, 192, 192], more))
    this.block8 = new InceptionResNetC(1792, [192, 192, 192, 192], { ...inside, relu: false, dropPath })
    this.avgpool_1a = new AdaptiveAvgPool2d(1)
    this.dropout = new Dropout(dropout)
    this.last_linear = embedding === 0 ? undefined : new Linear(1792, embedding, { bias: false })
    this.last_bn = embedding === 0 ? undefined : new BatchNorm1d(embedding, { eps: 1e-3 })
    this.logits = new Linear(embedding === 0 ? 1792 : embedding, numClasses)
  }

  get featureInfo(): readonly FeatureInfo[] {
    const { conv2d_2b, conv2d_4a, repeat_1, repeat_2, block8 } = this
    return Object.entries({ conv2d_2b, conv2d_4a, repeat_1, repeat_2, block8 }).map(([name, { outChannels }], i) => ({
      name,
      channels: outChannels,
      stride: 2 ** (i + 1),
    }))
  }

  forwardFeatures(x: Tensor): Tensor {
    checkImages(x, { model: this.config.name, channels: this.conv2d_1a.inChannels, smallest: 75 })
    let y = this.conv2d_2b.forward(this.conv2d_2a.forward(this.conv2d_1a.forward(x)))
    y = this.conv2d_4a.forward(this.conv2d_3b.forward(this.maxpool_3a.forward(y)))
    y = this.mixed_6a.forward(this.repeat_1.forward(this.conv2d_4b.forward(y)))
    y = this.mixed_7a.forward(this.repeat_2.forward(y))
    return this.block8.forward(this.repeat_3.forward(y))
  }

  /** What the classifier sees: (N, embedding), or (N, 1792) in a network without embedding. */
  #head(x: Tensor): Tensor {
    const y = flatten(this.dropout.forward(this.avgpool_1a.forward(this.forwardFeatures(x))), 1)
    return this.last_linear === undefined || this.last_bn === undefined
      ? y
      : this.last_bn.forward(this.last_linear.forward(y))
  }

  forward(x: Tensor): Tensor {
    return this.logits.forward(this.#head(x))
  }

  /**
   * Embeddings (N, 512) of length 1, whose distance says how alike two faces are. Schroff et al., "FaceNet", 2015.
   *
   * @throws ArgumentError for a network without embedding.
   */
  embed(x: Tensor): Tensor {
    if (this.last_linear === undefined) {
      throw new ArgumentError(`${this.config.name}: embed expects a network with an embedding, got one without`)
    }
    return l2Normalize(this.#head(x), { dim: 1 })
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.logits = freshClassifier(this.logits, numClasses, options)
    return this
  }
}

function inceptionResNetV1(name: keyof typeof variants): ModelEntry<InceptionResNetV1Options, InceptionResNetV1> {
  const { params, macs, size, weights, ...config } = variants[name]
  const facts = {
    name,
    paper:
      'Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on learning", 2017, figures 10 to 15 (arXiv:1602.07261)',
    params,
    macs,
    inputSize: [size, size] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(facts, (options) => new InceptionResNetV1({ name, ...config }, options))
}

/** Inception-ResNet v1 of FaceNet, 160 pixels: 24.0 million parameters, 1.4 GMACs, LFW verification 99.65 %. */
export const inception_resnet_v1: ModelEntry<InceptionResNetV1Options, InceptionResNetV1> =
  /* @__PURE__ */ inceptionResNetV1('inception_resnet_v1')
/** Inception-ResNet v1 with the paper's classifier, 299 pixels: 24.4 million parameters, 6.3 GMACs. */
export const inception_resnet_v1_2016: ModelEntry<InceptionResNetV1Options, InceptionResNetV1> =
  /* @__PURE__ */ inceptionResNetV1('inception_resnet_v1_2016')
