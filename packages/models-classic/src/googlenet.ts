/**
 * GoogLeNet (Inception v1). Szegedy et al., "Going deeper with convolutions", 2015.
 *
 * Twenty-two layers, most of them in modules that look at a map through windows of several sizes at once, with 1x1
 * convolutions in front to keep them cheap, and two auxiliary classifiers that feed gradients into the middle. Table 1
 * gives the network. `googlenet` is torchvision's, whose weights come from TensorFlow: batch norm everywhere, 3x3
 * convolutions where the paper has 5x5, 2x2 windows in the last pooling. `googlenet_2014` is the paper's, as in Caffe:
 * true 5x5, local response normalisation, no batch norm. Keys of both are torchvision's.
 *
 * (N, 3, H, W) to (N, 1000); 224 pixels, other sizes from 15 too (`googlenet_2014`: 31). In training mode with auxiliary classifiers it gives
 * `{ logits, aux, auxWeight }`.
 */
import {
  AuxImageModel,
  type ConvNormAct,
  checkImages,
  defineModel,
  type FeatureInfo,
  freshClassifier,
  type ImageOutput,
  InceptionV1,
  InceptionV1Aux,
  type InceptionV1Options,
  type InceptionV1Widths,
  inceptionUnit,
  type ModelEntry,
  type PublishedWeights,
  publishedWeights,
  readModelOptions,
} from '@convnets/blocks'
import {
  AdaptiveAvgPool2d,
  Conv2d,
  Dropout,
  init,
  Linear,
  LocalResponseNorm,
  MaxPool2d,
  type Module,
} from '@convnets/nn'
import { flatten, type Tensor } from '@convnets/tensor'
import { type AuxModelOptions, auxDefaults, checkAuxOptions } from './options.ts'
import { fromImagenetStatistics } from './transform-input.ts'
import { caffe } from './weights.ts'

/** What tells one GoogLeNet from another. */
export interface GoogLeNetConfig {
  /** Name of the network, for messages. */
  readonly name: string
  /** Batch norm behind every convolution; without it, local response normalisation in the stem. */
  readonly batchNorm: boolean
  /** Kernel of the modules' third branch. */
  readonly wide: 3 | 5
  /** Window of the pooling in front of the last two modules. */
  readonly lastPool: 2 | 3
  /** Smallest height and width of images. */
  readonly smallest: number
  /** How auxiliary classifiers pool; see `InceptionV1Aux`. */
  readonly auxPool: 'adaptive' | 'sliding'
  /** Dropout in front of the classifier. */
  readonly dropout: number
  /** Initial weights: torchvision's, or Caffe's. */
  readonly init: 'torchvision' | 'caffe'
}

export interface GoogLeNetOptions extends AuxModelOptions {}

interface Variant extends Omit<GoogLeNetConfig, 'name'> {
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

/** Parameters are with both auxiliary classifiers: 6,379,984 of `googlenet`, 6,379,728 of `googlenet_2014`. */
const variants: Readonly<Record<'googlenet' | 'googlenet_2014', Variant>> = {
  googlenet: {
    batchNorm: true,
    wide: 3,
    lastPool: 2,
    smallest: 15,
    auxPool: 'adaptive',
    dropout: 0.2,
    init: 'torchvision',
    params: 13_004_888,
    macs: 1_498_376_192,
    // Published with ImageNet's statistics and transform_input, which together are this. Its auxiliary heads are untrained.
    weights: { torchvision: { IMAGENET1K_V1: ['googlenet-1378be20.pth', 256, 69.778, 89.53, { centred: true }] } },
  },
  googlenet_2014: {
    batchNorm: false,
    wide: 5,
    lastPool: 3,
    smallest: 31,
    auxPool: 'sliding',
    dropout: 0.4,
    init: 'caffe',
    params: 13_378_280,
    macs: 1_582_671_872,
    weights: {
      others: [
        caffe({
          name: 'BVLC',
          url: 'http://dl.caffe.berkeleyvision.org/bvlc_googlenet.caffemodel',
          crop: 224,
          top1: 68.7,
          top5: 88.9,
        }),
      ],
    },
  },
}

/** Rows of table 1. */
const widths = {
  '3a': [64, 96, 128, 16, 32, 32],
  '3b': [128, 128, 192, 32, 96, 64],
  '4a': [192, 96, 208, 16, 48, 64],
  '4b': [160, 112, 224, 24, 64, 64],
  '4c': [128, 128, 256, 24, 64, 64],
  '4d': [112, 144, 288, 32, 64, 64],
  '4e': [256, 160, 320, 32, 128, 128],
  '5a': [256, 160, 320, 32, 128, 128],
  '5b': [384, 192, 384, 48, 128, 128],
} as const satisfies Readonly<Record<string, InceptionV1Widths>>

/**
 *     7x7 / 2, 64 -- pool -- 1x1, 64 -- 3x3, 192 -- pool -- 3a 3b -- pool -- 4a 4b 4c 4d 4e -- pool -- 5a 5b -- mean -- fc
 *                                                                    |        |
 *                                                                  aux1     aux2   (in training)
 */
export class GoogLeNet extends AuxImageModel {
  readonly config: GoogLeNetConfig
  readonly auxHeads: readonly string[] = ['aux1', 'aux2']
  readonly auxWeight: number = 0.3
  readonly transformInput: boolean
  conv1: ConvNormAct
  maxpool1: MaxPool2d
  norm1: LocalResponseNorm | undefined
  conv2: ConvNormAct
  conv3: ConvNormAct
  norm2: LocalResponseNorm | undefined
  maxpool2: MaxPool2d
  inception3a: InceptionV1
  inception3b: InceptionV1
  maxpool3: MaxPool2d
  inception4a: InceptionV1
  inception4b: InceptionV1
  inception4c: InceptionV1
  inception4d: InceptionV1
  inception4e: InceptionV1
  maxpool4: MaxPool2d
  inception5a: InceptionV1
  inception5b: InceptionV1
  aux1: InceptionV1Aux | undefined
  aux2: InceptionV1Aux | undefined
  avgpool: AdaptiveAvgPool2d
  dropout: Dropout
  fc: Linear

  constructor(config: GoogLeNetConfig, options: GoogLeNetOptions = {}) {
    super()
    const { name, batchNorm, wide, lastPool, auxPool } = config
    const read = readModelOptions(name, options, { ...auxDefaults, dropout: config.dropout }, { shortcuts: false })
    const { numClasses, inChannels, dropout, attention, auxLogits, transformInput } = read
    checkAuxOptions(name, read)
    this.config = config
    this.transformInput = transformInput
    const unit = batchNorm ? {} : { norm: null }
    const inside: InceptionV1Options = { ...unit, wide, ...(attention && { attention }) }
    const pool = (window: 2 | 3): MaxPool2d => new MaxPool2d(window, { stride: 2, ceilMode: true })
    const lrn = (): LocalResponseNorm | undefined => (batchNorm ? undefined : new LocalResponseNorm(5))
    const module = (inChannels: number, row: keyof typeof widths): InceptionV1 =>
      new InceptionV1(inChannels, widths[row], inside)
    const head = (inChannels: number): InceptionV1Aux | undefined =>
      auxLogits ? new InceptionV1Aux(inChannels, numClasses, { ...unit, pool: auxPool }) : undefined
    this.conv1 = inceptionUnit(inChannels, [64, 7, { stride: 2 }], unit)
    this.maxpool1 = pool(3)
    this.norm1 = lrn()
    this.conv2 = inceptionUnit(64, [64, 1], unit)
    this.conv3 = inceptionUnit(64, [192, 3], unit)
    this.norm2 = lrn()
    this.maxpool2 = pool(3)
    this.inception3a = module(192, '3a')
    this.inception3b = module(this.inception3a.outChannels, '3b')
    this.maxpool3 = pool(3)
    this.inception4a = module(this.inception3b.outChannels, '4a')
    this.inception4b = module(this.inception4a.outChannels, '4b')
    this.inception4c = module(this.inception4b.outChannels, '4c')
    this.inception4d = module(this.inception4c.outChannels, '4d')
    this.inception4e = module(this.inception4d.outChannels, '4e')
    this.maxpool4 = pool(lastPool)
    this.inception5a = module(this.inception4e.outChannels, '5a')
    this.inception5b = module(this.inception5a.outChannels, '5b')
    this.aux1 = head(this.inception4a.outChannels)
    this.aux2 = head(this.inception4d.outChannels)
    this.avgpool = new AdaptiveAvgPool2d(1)
    this.dropout = new Dropout(dropout)
    this.fc = new Linear(this.inception5b.outChannels, numClasses)
    this.apply(config.init === 'caffe' ? initializeCaffe : initialize)
  }

  get featureInfo(): readonly FeatureInfo[] {
    const { conv1, conv3, inception3b, inception4e, inception5b } = this
    return Object.entries({ conv1, conv3, inception3b, inception4e, inception5b }).map(
      ([name, { outChannels }], i) => ({
        name,
        channels: outChannels,
        stride: 2 ** (i + 1),
      }),
    )
  }

  /** Feature maps, and logits of the auxiliary heads where `heads` asks for them. */
  #run(x: Tensor, heads: boolean): { readonly maps: Tensor; readonly aux: readonly Tensor[] } {
    checkImages(x, { model: this.config.name, channels: this.conv1.inChannels, smallest: this.config.smallest })
    const images = this.transformInput ? fromImagenetStatistics(x) : x
    let y = this.maxpool1.forward(this.conv1.forward(images))
    y = this.conv3.forward(this.conv2.forward(this.norm1 === undefined ? y : this.norm1.forward(y)))
    y = this.maxpool2.forward(this.norm2 === undefined ? y : this.norm2.forward(y))
    y = this.maxpool3.forward(this.inception3b.forward(this.inception3a.forward(y)))
    const after4a = this.inception4a.forward(y)
    const after4d = this.inception4d.forward(this.inception4c.forward(this.inception4b.forward(after4a)))
    y = this.maxpool4.forward(this.inception4e.forward(after4d))
    const maps = this.inception5b.forward(this.inception5a.forward(y))
    const { aux1, aux2 } = this
    const aux = heads && aux1 && aux2 ? [aux1.forward(after4a), aux2.forward(after4d)] : []
    return { maps, aux }
  }

  forwardFeatures(x: Tensor): Tensor {
    return this.#run(x, false).maps
  }

  forward(x: Tensor): ImageOutput {
    const { maps, aux } = this.#run(x, this.training)
    const pooled = flatten(this.avgpool.forward(maps), 1)
    return this.output(this.fc.forward(this.dropout.forward(pooled)), aux)
  }

  /** Replaces the last layer of the auxiliary heads too. */
  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.fc = freshClassifier(this.fc, numClasses, options)
    for (const head of [this.aux1, this.aux2]) {
      if (head !== undefined) head.fc2 = freshClassifier(head.fc2, numClasses, options)
    }
    return this
  }
}

/** Weights normal with deviation 0.01, cut off at 2 (a value, not deviations); biases keep PyTorch's default. */
function initialize(module: Module): void {
  if (module instanceof Conv2d || module instanceof Linear) init.truncatedNormal_(module.weight, { std: 0.01 })
}

/** Caffe's "xavier" filler, uniform with variance 1 / fan in, and biases of 0.2, in the classifiers 0. */
function initializeCaffe(module: Module): void {
  if (!(module instanceof Conv2d || module instanceof Linear)) return
  const bound = Math.sqrt(3 / init.fans(module.weight).fanIn)
  init.uniform_(module.weight, -bound, bound)
  const classifier = module instanceof Linear && module.outFeatures !== 1024
  if (module.bias !== undefined) init.constant_(module.bias, classifier ? 0 : 0.2)
}

function googleNet(name: keyof typeof variants): ModelEntry<GoogLeNetOptions, GoogLeNet> {
  const { params, macs, weights, ...config } = variants[name]
  const facts = {
    name,
    paper: 'Szegedy et al., "Going deeper with convolutions", 2015, table 1 (arXiv:1409.4842)',
    params,
    macs,
    inputSize: [224, 224] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(facts, (options) => new GoogLeNet({ name, ...config }, options))
}

/** GoogLeNet with batch norm: 6.6 million parameters and 6.4 in auxiliary heads, 1.5 GMACs, ImageNet top-1 69.8 %. */
export const googlenet: ModelEntry<GoogLeNetOptions, GoogLeNet> = /* @__PURE__ */ googleNet('googlenet')
/** The paper's GoogLeNet: 7.0 million parameters and 6.4 in auxiliary heads, 1.6 GMACs, ImageNet top-1 68.7 %. */
export const googlenet_2014: ModelEntry<GoogLeNetOptions, GoogLeNet> = /* @__PURE__ */ googleNet('googlenet_2014')
