/**
 * VGG. Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015.
 *
 * Nothing but 3x3 convolutions, ever more channels and max pooling: two of them see as much as a 5x5 one, with fewer
 * weights and one ReLU more. Table 1 gives the networks. The `_bn` ones came later: batch norm behind every convolution,
 * which keeps its bias. Keys are torchvision's.
 *
 * (N, 3, H, W) to (N, 1000); 224 pixels. Other sizes from 32 are averaged to the 7x7 cells of the classifier.
 */
import {
  checkImages,
  defineModel,
  type FeatureInfo,
  ImageModel,
  type ModelEntry,
  type ModelOptions,
  type PublishedWeights,
  publishedWeights,
  readModelOptions,
} from '@convnets/blocks'
import {
  AdaptiveAvgPool2d,
  BatchNorm2d,
  Conv2d,
  Dropout,
  init,
  type Layer,
  Linear,
  MaxPool2d,
  type Module,
  ReLU,
  Sequential,
} from '@convnets/nn'
import { flatten, type Tensor } from '@convnets/tensor'
import { withFreshLast } from './classifier.ts'
import { withFeatures } from './fields.ts'

/** What tells one VGG from another. */
export interface VGGConfig {
  /** Name of the network, for messages. */
  readonly name: string
  /** Convolutions of the five stages, which have 64, 128, 256, 512 and 512 channels. */
  readonly depths: readonly [number, number, number, number, number]
  /** Batch norm behind every convolution. */
  readonly batchNorm: boolean
}

export interface VGGOptions extends ModelOptions {}

interface Variant {
  readonly depths: VGGConfig['depths']
  readonly batchNorm?: boolean
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

/** The convolutions of SSD's authors, trained with the mean of each colour taken off bytes; their classifier holds NaN. */
const asInSsd = { mean: [0.48235, 0.45882, 0.40784], std: [1 / 255, 1 / 255, 1 / 255] } as const

/** Columns A, B, D and E of table 1. */
const variants = {
  vgg11: {
    depths: [1, 1, 2, 2, 2],
    params: 132_863_336,
    macs: 7_609_090_048,
    weights: {
      torchvision: { IMAGENET1K_V1: ['vgg11-8a719046.pth', 256, 69.02, 88.628] },
      timm: { tv_in1k: [224, 0.875, 69.05, 88.63, 'bilinear'] },
    },
  },
  vgg11_bn: {
    depths: [1, 1, 2, 2, 2],
    batchNorm: true,
    params: 132_868_840,
    macs: 7_609_090_048,
    weights: {
      torchvision: { IMAGENET1K_V1: ['vgg11_bn-6002323d.pth', 256, 70.37, 89.81] },
      timm: { tv_in1k: [224, 0.875, 70.374, 89.802, 'bilinear'] },
    },
  },
  vgg13: {
    depths: [2, 2, 2, 2, 2],
    params: 133_047_848,
    macs: 11_308_466_176,
    weights: {
      torchvision: { IMAGENET1K_V1: ['vgg13-19584684.pth', 256, 69.928, 89.246] },
      timm: { tv_in1k: [224, 0.875, 69.95, 89.262, 'bilinear'] },
    },
  },
  vgg13_bn: {
    depths: [2, 2, 2, 2, 2],
    batchNorm: true,
    params: 133_053_736,
    macs: 11_308_466_176,
    weights: {
      torchvision: { IMAGENET1K_V1: ['vgg13_bn-abd245e5.pth', 256, 71.586, 90.374] },
      timm: { tv_in1k: [224, 0.875, 71.56, 90.372, 'bilinear'] },
    },
  },
  vgg16: {
    depths: [2, 2, 3, 3, 3],
    params: 138_357_544,
    macs: 15_470_264_320,
    weights: {
      torchvision: {
        IMAGENET1K_V1: ['vgg16-397923af.pth', 256, 71.592, 90.382],
        IMAGENET1K_FEATURES: ['vgg16_features-amdegroot-88682ab5.pth', 256, Number.NaN, Number.NaN, asInSsd],
      },
      timm: { tv_in1k: [224, 0.875, 71.594, 90.398, 'bilinear'] },
    },
  },
  vgg16_bn: {
    depths: [2, 2, 3, 3, 3],
    batchNorm: true,
    params: 138_365_992,
    macs: 15_470_264_320,
    weights: {
      torchvision: { IMAGENET1K_V1: ['vgg16_bn-6c64b313.pth', 256, 73.36, 91.516] },
      timm: { tv_in1k: [224, 0.875, 73.354, 91.49, 'bilinear'] },
    },
  },
  vgg19: {
    depths: [2, 2, 4, 4, 4],
    params: 143_667_240,
    macs: 19_632_062_464,
    weights: {
      torchvision: { IMAGENET1K_V1: ['vgg19-dcbb9e9d.pth', 256, 72.376, 90.876] },
      timm: { tv_in1k: [224, 0.875, 72.4, 90.878, 'bilinear'] },
    },
  },
  vgg19_bn: {
    depths: [2, 2, 4, 4, 4],
    batchNorm: true,
    params: 143_678_248,
    macs: 19_632_062_464,
    weights: {
      torchvision: { IMAGENET1K_V1: ['vgg19_bn-c79401a0.pth', 256, 74.218, 91.842] },
      timm: { tv_in1k: [224, 0.875, 74.23, 91.848, 'bilinear'] },
    },
  },
} as const satisfies Readonly<Record<string, Variant>>

const widths = [64, 128, 256, 512, 512] as const

/**
 *     [3x3, w]*m -- max pool / 2, for w of 64, 128, 256, 512, 512 (features) -- 4096 -- 4096 -- classes (classifier)
 */
export class VGG extends ImageModel {
  readonly config: VGGConfig
  readonly featureInfo: readonly FeatureInfo[]
  /** `features` in checkpoints. */
  body: Sequential
  avgpool: AdaptiveAvgPool2d
  classifier: Sequential

  constructor(config: VGGConfig, options: VGGOptions = {}) {
    super()
    const read = readModelOptions(config.name, options, { dropout: 0.5 }, { shortcuts: false })
    const { numClasses, inChannels, dropout } = read
    this.config = config
    const { body, info } = convolutions(config, inChannels)
    this.body = body
    this.featureInfo = info
    this.avgpool = new AdaptiveAvgPool2d(7)
    this.classifier = new Sequential(
      new Linear(512 * 7 * 7, 4096),
      new ReLU(),
      new Dropout(dropout),
      new Linear(4096, 4096),
      new ReLU(),
      new Dropout(dropout),
      new Linear(4096, numClasses),
    )
    this.apply(initialize)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return withFeatures(this)
  }

  forwardFeatures(x: Tensor): Tensor {
    checkImages(x, { model: this.config.name, channels: this.body.inChannels, smallest: 32 })
    return this.body.forward(x)
  }

  forward(x: Tensor): Tensor {
    return this.classifier.forward(flatten(this.avgpool.forward(this.forwardFeatures(x)), 1))
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.classifier = withFreshLast(this.classifier, numClasses, options)
    return this
  }
}

/** The convolutions, and as levels of the pyramid the last ReLU of each size and the last pooling. */
function convolutions(
  { depths, batchNorm }: VGGConfig,
  inChannels: number,
): { readonly body: Sequential; readonly info: readonly FeatureInfo[] } {
  const layers: Layer[] = []
  const info: FeatureInfo[] = []
  let channels = inChannels
  const level = (stride: number): void => void info.push({ name: `features.${layers.length - 1}`, channels, stride })
  for (const [stage, width] of widths.entries()) {
    for (let i = 0; i < (depths[stage] ?? 0); i++) {
      layers.push(new Conv2d(channels, width, { kernel: 3, padding: 1 }))
      if (batchNorm) layers.push(new BatchNorm2d(width))
      layers.push(new ReLU())
      channels = width
    }
    level(2 ** stage)
    layers.push(new MaxPool2d(2))
  }
  level(32)
  return { body: new Sequential(...layers), info }
}

/** Convolutions as He et al. 2015b, by the outputs; linear layers normal with deviation 0.01; no biases. As torchvision. */
function initialize(module: Module): void {
  if (module instanceof Conv2d) init.kaimingNormal_(module.weight, { mode: 'fanOut', nonlinearity: 'relu' })
  else if (module instanceof Linear) init.normal_(module.weight, 0, 0.01)
  else return
  if (module.bias !== undefined) init.constant_(module.bias, 0)
}

function vgg(name: keyof typeof variants): ModelEntry<VGGOptions, VGG> {
  const { depths, batchNorm = false, params, macs, weights }: Variant = variants[name]
  const facts = {
    name,
    paper:
      'Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015, table 1 (arXiv:1409.1556)',
    params,
    macs,
    inputSize: [224, 224] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(facts, (options) => new VGG({ name, depths, batchNorm }, options))
}

/** VGG-11 (A): 132.9 million parameters, 7.6 GMACs, ImageNet top-1 69.0 %. */
export const vgg11: ModelEntry<VGGOptions, VGG> = /* @__PURE__ */ vgg('vgg11')
/** VGG-11 with batch norm: 132.9 million parameters, 7.6 GMACs, ImageNet top-1 70.4 %. */
export const vgg11_bn: ModelEntry<VGGOptions, VGG> = /* @__PURE__ */ vgg('vgg11_bn')
/** VGG-13 (B): 133.0 million parameters, 11.3 GMACs, ImageNet top-1 69.9 %. */
export const vgg13: ModelEntry<VGGOptions, VGG> = /* @__PURE__ */ vgg('vgg13')
/** VGG-13 with batch norm: 133.1 million parameters, 11.3 GMACs, ImageNet top-1 71.6 %. */
export const vgg13_bn: ModelEntry<VGGOptions, VGG> = /* @__PURE__ */ vgg('vgg13_bn')
/** VGG-16 (D): 138.4 million parameters, 15.5 GMACs, ImageNet top-1 71.6 %. */
export const vgg16: ModelEntry<VGGOptions, VGG> = /* @__PURE__ */ vgg('vgg16')
/** VGG-16 with batch norm: 138.4 million parameters, 15.5 GMACs, ImageNet top-1 73.4 %. */
export const vgg16_bn: ModelEntry<VGGOptions, VGG> = /* @__PURE__ */ vgg('vgg16_bn')
/** VGG-19 (E): 143.7 million parameters, 19.6 GMACs, ImageNet top-1 72.4 %. */
export const vgg19: ModelEntry<VGGOptions, VGG> = /* @__PURE__ */ vgg('vgg19')
/** VGG-19 with batch norm: 143.7 million parameters, 19.6 GMACs, ImageNet top-1 74.2 %. */
export const vgg19_bn: ModelEntry<VGGOptions, VGG> = /* @__PURE__ */ vgg('vgg19_bn')
