/**
 * SENet. Hu, Shen, Albanie, Sun and Wu, "Squeeze-and-excitation networks", 2018.
 *
 * Every residual branch ends with gates, one for each channel, computed from the means of all channels: for a hundredth
 * more arithmetic a ResNet-50 comes near a ResNet-101. The `legacy_` networks are the published ones (Caffe's: their
 * bottlenecks step in the first 1x1 convolution, max pooling rounds up) with the keys of pretrained-models.pytorch and
 * timm; SENet-154 is the winner of ILSVRC 2017. The others are timm's, on ResNets whose 3x3 convolutions step (v1.5).
 * Any other network gets gates by the option `attention`: `resnet50({ attention: (c) => new SqueezeExcitation(c) })`.
 *
 * (N, 3, H, W) to (N, 1000); 224 pixels in the paper, other sizes from 5.
 */
import {
  BasicBlock,
  Bottleneck,
  type BottleneckOptions,
  checkImages,
  defineModel,
  dropPathRates,
  type FeatureInfo,
  freshClassifier,
  ImageModel,
  type ModelEntry,
  type ModelOptions,
  type PublishedWeights,
  publishedWeights,
  readModelOptions,
  SqueezeExcitation,
  stage,
  wideProjectionShortcut,
} from '@convnets/blocks'
import {
  BatchNorm2d,
  Conv2d,
  Dropout,
  GlobalAvgPool2d,
  init,
  Linear,
  MaxPool2d,
  Module,
  ReLU,
  type Sequential,
} from '@convnets/nn'
import { relu, type Tensor } from '@convnets/tensor'
import { ResNet, type ResNetOptions } from './resnet.ts'

/** What tells one SENet from another. */
export interface SENetConfig {
  /** Name of the network, for messages. */
  readonly name: string
  /** Residual blocks: ResNet's two, ResNeXt's, or those of SENet-154 with twice the width and a 3x3 stem. */
  readonly block: 'basic' | 'bottleneck' | 'resnext' | 'senet'
  /** Blocks of the four stages. */
  readonly depths: readonly [number, number, number, number]
  /** Dropout in front of the classifier. Default 0. */
  readonly dropout?: number
}

export interface SENetOptions extends ModelOptions {}

/** The gates of timm's basic blocks, which weigh a branch that is rectified first. */
class RectifiedGates extends SqueezeExcitation {
  override forward(x: Tensor): Tensor {
    return super.forward(relu(x))
  }
}

/** The first convolutions, under keys of their own: `conv1`, `bn1`, and in SENet-154 two more. */
class SEStem extends Module {
  readonly inChannels: number
  readonly outChannels: number
  readonly #fields: readonly (readonly [string, Conv2d | BatchNorm2d | ReLU])[]

  constructor(inChannels: number, deep: boolean) {
    super()
    const steps = deep
      ? ([
          [64, 3, 2],
          [64, 3, 1],
          [128, 3, 1],
        ] as const)
      : ([[64, 7, 2]] as const)
    let channels = inChannels
    this.#fields = steps.flatMap(([width, kernel, stride], i) => {
      const conv = new Conv2d(channels, width, { kernel, stride, padding: (kernel - 1) / 2, bias: false })
      channels = width
      return [
        [`conv${i + 1}`, conv],
        [`bn${i + 1}`, new BatchNorm2d(width)],
        [`relu${i + 1}`, new ReLU()],
      ] as const
    })
    this.inChannels = inChannels
    this.outChannels = channels
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return this.#fields
  }

  forward(x: Tensor): Tensor {
    return this.#fields.reduce((y, [, layer]) => layer.forward(y), x)
  }
}

/**
 *     7x7 / 2, or three 3x3 (layer0) -- max pool 3x3 / 2 (pool0) -- 64 (layer1) -- 128 / 2 -- 256 / 2 -- 512 / 2 -- mean -- last_linear
 *
 * Widths are those of a ResNet's blocks.
 */
export class SENet extends ImageModel {
  readonly config: SENetConfig
  layer0: SEStem
  pool0: MaxPool2d
  layer1: Sequential
  layer2: Sequential
  layer3: Sequential
  layer4: Sequential
  global_pool: GlobalAvgPool2d
  dropout: Dropout
  last_linear: Linear

  constructor(config: SENetConfig, options: SENetOptions = {}) {
    super()
    const { name, block, depths } = config
    const { numClasses, inChannels, dropout, dropPath } = readModelOptions(name, options, {
      dropout: config.dropout ?? 0,
    })
    this.config = config
    this.layer0 = new SEStem(inChannels, block === 'senet')
    this.pool0 = new MaxPool2d(3, { stride: 2, ceilMode: true })
    const rates = dropPathRates(dropPath, depths)
    const layer = (i: 0 | 1 | 2 | 3, inChannels: number): Sequential => {
      const planes = 64 * 2 ** i
      const Gates = block === 'basic' ? RectifiedGates : SqueezeExcitation
      const attention = (channels: number): SqueezeExcitation => new Gates(channels)
      const stride = i === 0 ? 1 : 2
      const shape = { inChannels, depth: depths[i], stride, dropPath: rates[i] ?? 0 }
      const gated = { ...shape, attention, attentionKey: 'se_module' }
      if (block === 'basic') return stage(BasicBlock, { ...gated, width: planes })
      return stage<BottleneckOptions>(Bottleneck, {
        ...gated,
        outChannels: 4 * planes,
        ...bottleneck(block, planes, i),
      })
    }
    this.layer1 = layer(0, this.layer0.outChannels)
    this.layer2 = layer(1, this.layer1.outChannels)
    this.layer3 = layer(2, this.layer2.outChannels)
    this.layer4 = layer(3, this.layer3.outChannels)
    this.global_pool = new GlobalAvgPool2d()
    this.dropout = new Dropout(dropout)
    this.last_linear = new Linear(this.layer4.outChannels, numClasses)
    this.apply(initialize)
  }

  get featureInfo(): readonly FeatureInfo[] {
    const stages = { layer1: this.layer1, layer2: this.layer2, layer3: this.layer3, layer4: this.layer4 }
    return Object.entries(stages).map(([name, layer], i) => ({ name, channels: layer.outChannels, stride: 4 * 2 ** i }))
  }

  forwardFeatures(x: Tensor): Tensor {
    checkImages(x, { model: this.config.name, channels: this.layer0.inChannels, smallest: SMALLEST })
    const y = this.layer1.forward(this.pool0.forward(this.layer0.forward(x)))
    return this.layer4.forward(this.layer3.forward(this.layer2.forward(y)))
  }

  forward(x: Tensor): Tensor {
    const pooled = this.global_pool.forward(this.forwardFeatures(x))
    return this.last_linear.forward(this.dropout.forward(pooled))
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.last_linear = freshClassifier(this.last_linear, numClasses, options)
    return this
  }
}

/** The unpadded max pooling wants 3 cells. */
const SMALLEST = 5

/** Width, groups and step of the bottlenecks. */
function bottleneck(block: SENetConfig['block'], planes: number, layer: number): BottleneckOptions & { width: number } {
  if (block === 'bottleneck') return { width: planes, strideIn: 'conv1' }
  if (block === 'resnext') return { width: (planes * 4 * 32) / 64, groups: 32 }
  const shortcut = layer === 0 ? {} : { shortcut: wideProjectionShortcut }
  return { width: 4 * planes, reduced: 2 * planes, groups: 64, ...shortcut }
}

/** Convolutions as He et al. 2015b, by the outputs; the classifier keeps PyTorch's default. As timm. */
function initialize(module: Module): void {
  if (module instanceof Conv2d) init.kaimingNormal_(module.weight, { mode: 'fanOut', nonlinearity: 'relu' })
}

interface Variant extends Omit<SENetConfig, 'name'> {
  readonly params: number
  readonly macs: number
  readonly weights?: PublishedWeights
}

/** Tables 1 and 2 of the paper, and smaller ones of timm. */
const legacy = {
  legacy_senet154: {
    block: 'senet',
    depths: [3, 8, 36, 3],
    dropout: 0.2,
    params: 115_088_984,
    macs: 20_688_363_520,
    weights: {
      timm: { in1k: [224, 0.875, 81.32, 95.502, 'bilinear'] },
      cadene: { IMAGENET: ['senet154-c7b49a05.pth', 81.304, 95.498] },
    },
  },
  legacy_seresnet18: {
    block: 'basic',
    depths: [2, 2, 2, 2],
    params: 11_778_592,
    macs: 1_814_160_384,
    weights: { timm: { in1k: [224, 0.875, 71.742, 90.34] } },
  },
  legacy_seresnet34: {
    block: 'basic',
    depths: [3, 4, 6, 3],
    params: 21_958_868,
    macs: 3_663_918_592,
    weights: { timm: { in1k: [224, 0.875, 74.788, 92.134, 'bilinear'] } },
  },
  legacy_seresnet50: {
    block: 'bottleneck',
    depths: [3, 4, 6, 3],
    params: 28_088_024,
    macs: 3_860_488_192,
    weights: {
      timm: { in1k: [224, 0.875, 77.65, 93.732, 'bilinear'] },
      cadene: { IMAGENET: ['se_resnet50-ce0d4300.pth', 77.636, 93.752] },
    },
  },
  legacy_seresnet101: {
    block: 'bottleneck',
    depths: [3, 4, 23, 3],
    params: 49_326_872,
    macs: 7_574_937_600,
    weights: {
      timm: { in1k: [224, 0.875, 78.37, 94.264, 'bilinear'] },
      cadene: { IMAGENET: ['se_resnet101-7e38fcc6.pth', 78.396, 94.258] },
    },
  },
  legacy_seresnet152: {
    block: 'bottleneck',
    depths: [3, 8, 36, 3],
    params: 66_821_848,
    macs: 11_288_993_792,
    weights: {
      timm: { in1k: [224, 0.875, 78.662, 94.37, 'bilinear'] },
      cadene: { IMAGENET: ['se_resnet152-d17c99b7.pth', 78.658, 94.374] },
    },
  },
  legacy_seresnext50_32x4d: {
    block: 'resnext',
    depths: [3, 4, 6, 3],
    params: 27_559_896,
    macs: 4_232_994_816,
    weights: {
      timm: { in1k: [224, 0.875, 79.08, 94.428, 'bilinear'] },
      cadene: { IMAGENET: ['se_resnext50_32x4d-a260b3a4.pth', 79.076, 94.434] },
    },
  },
  legacy_seresnext101_32x4d: {
    block: 'resnext',
    depths: [3, 4, 23, 3],
    params: 48_955_416,
    macs: 7_974_739_968,
    weights: {
      timm: { in1k: [224, 0.875, 80.274, 95.032, 'bilinear'] },
      cadene: { IMAGENET: ['se_resnext101_32x4d-3b2fe3d8.pth', 80.236, 95.028] },
    },
  },
} as const satisfies Readonly<Record<string, Variant>>

const paper = 'Hu et al., "Squeeze-and-excitation networks", 2018, table 1 (arXiv:1709.01507)'

function senet(name: keyof typeof legacy): ModelEntry<SENetOptions, SENet> {
  const { params, macs, weights = {}, ...config }: Variant = legacy[name]
  const inputSize = [224, 224] as const
  const facts = { name, paper, params, macs, inputSize, numClasses: 1000, weights: publishedWeights(name, weights) }
  return defineModel(facts, (options) => new SENet({ name, ...config }, options))
}

/** timm's SE-ResNet-50 (v1.5), with the keys of a ResNet. Starts every residual branch at zero, as timm. */
function seResNet50(): ModelEntry<ResNetOptions, ResNet> {
  const name = 'seresnet50'
  const facts = {
    name,
    paper,
    params: 28_088_024,
    macs: 4_091_699_200,
    inputSize: [224, 224] as const,
    numClasses: 1000,
    weights: publishedWeights(name, {
      timm: {
        ra2_in1k: [224, 0.875, 80.26, 95.068],
        a2_in1k: [224, 0.95, 80.102, 94.72],
        a1_in1k: [224, 0.95, 80.012, 94.704],
        a3_in1k: [160, 0.95, 75.104, 92.096],
      },
    }),
  }
  const config = { name, block: 'bottleneck', depths: [3, 4, 6, 3], attentionKey: 'se' } as const
  const attention = (channels: number): SqueezeExcitation => new SqueezeExcitation(channels)
  return defineModel(facts, (options) => new ResNet(config, { attention, zeroInitResidual: true, ...options }))
}

type Entry = ModelEntry<SENetOptions, SENet>

/** SENet-154: 115.1 million parameters, 20.7 GMACs, ImageNet top-1 81.3 %. */
export const legacy_senet154: Entry = /* @__PURE__ */ senet('legacy_senet154')
/** SE-ResNet-18: 11.8 million parameters, 1.8 GMACs. */
export const legacy_seresnet18: Entry = /* @__PURE__ */ senet('legacy_seresnet18')
/** SE-ResNet-34: 22.0 million parameters, 3.7 GMACs. */
export const legacy_seresnet34: Entry = /* @__PURE__ */ senet('legacy_seresnet34')
/** SE-ResNet-50 (v1): 28.1 million parameters, 3.9 GMACs, ImageNet top-1 77.7 %. */
export const legacy_seresnet50: Entry = /* @__PURE__ */ senet('legacy_seresnet50')
/** SE-ResNet-101 (v1): 49.3 million parameters, 7.6 GMACs, ImageNet top-1 78.4 %. */
export const legacy_seresnet101: Entry = /* @__PURE__ */ senet('legacy_seresnet101')
/** SE-ResNet-152 (v1): 66.8 million parameters, 11.3 GMACs, ImageNet top-1 78.7 %. */
export const legacy_seresnet152: Entry = /* @__PURE__ */ senet('legacy_seresnet152')
/** SE-ResNeXt-50 32x4d: 27.6 million parameters, 4.2 GMACs, ImageNet top-1 79.1 %. */
export const legacy_seresnext50_32x4d: Entry = /* @__PURE__ */ senet('legacy_seresnext50_32x4d')
/** SE-ResNeXt-101 32x4d: 49.0 million parameters, 8.0 GMACs, ImageNet top-1 80.3 %. */
export const legacy_seresnext101_32x4d: Entry = /* @__PURE__ */ senet('legacy_seresnext101_32x4d')
/** SE-ResNet-50 (v1.5): 28.1 million parameters, 4.1 GMACs, ImageNet top-1 80.3 %. */
export const seresnet50: ModelEntry<ResNetOptions, ResNet> = /* @__PURE__ */ seResNet50()
