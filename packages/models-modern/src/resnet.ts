/**
 * ResNet for ImageNet. He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015.
 *
 * Blocks learn the difference to their input instead of the output itself, so that more of them never do worse than
 * fewer: 152 layers train where 34 plain ones already degrade. Table 1 gives the networks; as in torchvision, whose keys
 * these are, bottlenecks make their step in the 3x3 convolution (v1.5).
 *
 * (N, 3, H, W) to (N, 1000); H and W are 224 in the paper and may be anything from 1.
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
  frugal,
  ImageModel,
  type ModelEntry,
  type ModelOptions,
  type PublishedWeights,
  publishedWeights,
  readModelOptions,
  stage,
} from '@convnets/blocks'
import {
  AdaptiveAvgPool2d,
  BatchNorm2d,
  Conv2d,
  convNormAct,
  Dropout,
  init,
  type Layer,
  Linear,
  MaxPool2d,
  type Module,
  ReLU,
  type Sequential,
} from '@convnets/nn'
import { ArgumentError, flatten, type Tensor } from '@convnets/tensor'

/** What tells one ResNet from another. */
export interface ResNetConfig {
  /** Name of the network, for messages. */
  readonly name: string
  readonly block: 'basic' | 'bottleneck'
  /** Blocks of the four stages. */
  readonly depths: readonly [number, number, number, number]
  /** Groups of the bottlenecks' 3x3 convolutions. Default 1. ResNeXt: 32. */
  readonly groups?: number
  /** Channels of each group in the first stage; doubles with every stage. Default 64. */
  readonly widthPerGroup?: number
  /** Key of the attention in checkpoints. Default `attention`. */
  readonly attentionKey?: string
}

export interface ResNetOptions extends ModelOptions {
  /** Starts every residual branch at zero. Default false, as in torchvision (timm: true). Goyal et al. 2017. */
  readonly zeroInitResidual?: boolean
  /** Makes a layer at the end of every residual branch, given its channels: `(c) => new SqueezeExcitation(c)`. */
  readonly attention?: (channels: number) => Layer
  /**
   * Which convolution of a bottleneck makes the step: the 3x3 one ('conv2', default: v1.5, as torchvision and timm), or the
   * first 1x1 one ('conv1': v1, as the paper and Caffe), for less work and about half a percent less accuracy.
   */
  readonly strideIn?: 'conv1' | 'conv2'
}

interface Variant {
  readonly block: ResNetConfig['block']
  readonly depths: ResNetConfig['depths']
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

/** Table 1 of the paper; weights of torchvision 0.14. */
const variants = {
  resnet18: {
    block: 'basic',
    depths: [2, 2, 2, 2],
    params: 11_689_512,
    macs: 1_814_073_344,
    weights: {
      torchvision: { IMAGENET1K_V1: ['resnet18-f37072fd.pth', 256, 69.758, 89.078] },
      timm: {
        fb_swsl_ig1b_ft_in1k: [224, 0.875, 73.286, 91.754, 'bilinear'],
        fb_ssl_yfcc100m_ft_in1k: [224, 0.875, 72.636, 91.416, 'bilinear'],
        a1_in1k: [224, 0.95, 71.504, 90.086],
        gluon_in1k: [224, 0.875, 70.844, 89.75],
        a2_in1k: [224, 0.95, 70.634, 89.486],
        tv_in1k: [224, 0.875, 69.752, 89.082, 'bilinear'],
        a3_in1k: [160, 0.95, 65.67, 86.268],
      },
    },
  },
  resnet34: {
    block: 'basic',
    depths: [3, 4, 6, 3],
    params: 21_797_672,
    macs: 3_663_761_408,
    weights: {
      torchvision: { IMAGENET1K_V1: ['resnet34-b627a593.pth', 256, 73.314, 91.42] },
      timm: {
        ra4_e3600_r224_in1k: [224, 0.9, 77.492, 93.498, 'centred'],
        a1_in1k: [224, 0.95, 76.42, 92.896],
        a2_in1k: [224, 0.95, 75.52, 92.454],
        bt_in1k: [224, 0.875, 75.176, 92.166],
        gluon_in1k: [224, 0.875, 74.574, 91.988],
        tv_in1k: [224, 0.875, 73.298, 91.422, 'bilinear'],
        a3_in1k: [160, 0.95, 70.58, 89.54],
      },
    },
  },
  resnet50: {
    block: 'bottleneck',
    depths: [3, 4, 6, 3],
    params: 25_557_032,
    macs: 4_089_184_256,
    weights: {
      torchvision: {
        IMAGENET1K_V2: ['resnet50-11ad3fa6.pth', 232, 80.858, 95.434],
        IMAGENET1K_V1: ['resnet50-0676ba61.pth', 256, 76.13, 92.862],
      },
      timm: {
        fb_swsl_ig1b_ft_in1k: [224, 0.875, 81.146, 95.98, 'bilinear'],
        a1_in1k: [224, 0.95, 80.382, 94.598],
        d_in1k: [224, 0.95, 79.904, 94.666],
        c2_in1k: [224, 0.95, 79.868, 94.862],
        a2_in1k: [224, 0.95, 79.828, 94.56],
        c1_in1k: [224, 0.95, 79.766, 94.954],
        b1k_in1k: [224, 0.95, 79.564, 94.622],
        tv2_in1k: [176, 0.875, 79.434, 94.64, 'bilinear'],
        b2k_in1k: [224, 0.95, 79.388, 94.58],
        a1h_in1k: [176, 0.9, 79.264, 94.498],
        fb_ssl_yfcc100m_ft_in1k: [224, 0.875, 79.252, 94.826, 'bilinear'],
        ram_in1k: [224, 0.875, 79.034, 94.386],
        am_in1k: [224, 0.875, 79.004, 94.392],
        ra_in1k: [224, 0.875, 78.82, 94.314],
        bt_in1k: [224, 0.875, 78.444, 94.274],
        gluon_in1k: [224, 0.875, 77.58, 93.704],
        tv_in1k: [224, 0.875, 76.156, 92.866, 'bilinear'],
        a3_in1k: [160, 0.95, 75.994, 92.494],
      },
    },
  },
  resnet101: {
    block: 'bottleneck',
    depths: [3, 4, 23, 3],
    params: 44_549_160,
    macs: 7_801_405_440,
    weights: {
      torchvision: {
        IMAGENET1K_V2: ['resnet101-cd907fc2.pth', 232, 81.886, 95.78],
        IMAGENET1K_V1: ['resnet101-63fe2227.pth', 256, 77.374, 93.546],
      },
      timm: {
        a1h_in1k: [224, 0.95, 81.95, 95.76],
        a1_in1k: [224, 0.95, 81.494, 95.164],
        a2_in1k: [224, 0.95, 81.344, 95.198],
        tv2_in1k: [176, 0.875, 79.908, 94.606, 'bilinear'],
        gluon_in1k: [224, 0.875, 79.306, 94.538],
        a3_in1k: [160, 0.95, 77.928, 93.686],
        tv_in1k: [224, 0.875, 77.404, 93.552, 'bilinear'],
      },
    },
  },
  resnet152: {
    block: 'bottleneck',
    depths: [3, 8, 36, 3],
    params: 60_192_808,
    macs: 11_513_626_624,
    weights: {
      torchvision: {
        IMAGENET1K_V2: ['resnet152-f82ba261.pth', 232, 82.284, 96.002],
        IMAGENET1K_V1: ['resnet152-394f9c45.pth', 256, 78.312, 94.046],
      },
      timm: {
        a1h_in1k: [224, 0.95, 82.818, 96.124],
        a1_in1k: [224, 0.95, 81.998, 95.294],
        a2_in1k: [224, 0.95, 81.764, 95.27],
        tv2_in1k: [176, 0.875, 80.222, 94.65, 'bilinear'],
        gluon_in1k: [224, 0.875, 79.712, 94.72],
        a3_in1k: [160, 0.95, 78.896, 94.14],
        tv_in1k: [224, 0.875, 78.33, 94.046, 'bilinear'],
      },
    },
  },
} as const satisfies Readonly<Record<string, Variant>>

/**
 *     7x7 / 2 -- max pool 3x3 / 2 -- 64 (layer1) -- 128 / 2 (layer2) -- 256 / 2 (layer3) -- 512 / 2 (layer4) -- mean -- fc
 *
 * Widths are those of the blocks; bottlenecks give 4 times as many channels.
 */
export class ResNet extends ImageModel {
  readonly config: ResNetConfig
  conv1: Conv2d
  bn1: BatchNorm2d
  relu: ReLU
  maxpool: MaxPool2d
  layer1: Sequential
  layer2: Sequential
  layer3: Sequential
  layer4: Sequential
  avgpool: AdaptiveAvgPool2d
  dropout: Dropout
  fc: Linear

  constructor(config: ResNetConfig, options: ResNetOptions = {}) {
    super()
    const { name, block, depths, groups = 1, widthPerGroup = 64, attentionKey } = config
    const defaults = { zeroInitResidual: false, attention: undefined, strideIn: 'conv2' } as const
    const read = readModelOptions(name, options, defaults)
    const { numClasses, inChannels, dropout, dropPath, zeroInitResidual, attention, strideIn } = read
    if (block === 'basic' && strideIn !== 'conv2') {
      throw new ArgumentError(`${name}: strideIn expects a network of bottlenecks, which this one is not`)
    }
    this.config = config
    this.conv1 = new Conv2d(inChannels, 64, { kernel: 7, stride: 2, padding: 3, bias: false })
    this.bn1 = new BatchNorm2d(64)
    this.relu = new ReLU()
    this.maxpool = new MaxPool2d(3, { stride: 2, padding: 1 })
    const rates = dropPathRates(dropPath, depths)
    const layer = (i: 0 | 1 | 2 | 3, inChannels: number): Sequential => {
      const planes = 64 * 2 ** i
      const shape = {
        inChannels,
        depth: depths[i],
        stride: i === 0 ? 1 : 2,
        dropPath: rates[i] ?? 0,
        zeroInit: zeroInitResidual,
        ...(attention && { attention }),
        ...(attentionKey && { attentionKey }),
      }
      if (block === 'basic') return stage(BasicBlock, { ...shape, width: planes })
      const width = Math.floor((planes * widthPerGroup) / 64) * groups
      return stage<BottleneckOptions>(Bottleneck, {
        ...shape,
        width,
        groups,
        strideIn,
        outChannels: planes * Bottleneck.expansion,
      })
    }
    this.layer1 = layer(0, 64)
    this.layer2 = layer(1, this.layer1.outChannels)
    this.layer3 = layer(2, this.layer2.outChannels)
    this.layer4 = layer(3, this.layer3.outChannels)
    this.avgpool = new AdaptiveAvgPool2d(1)
    this.dropout = new Dropout(dropout)
    this.fc = new Linear(this.layer4.outChannels, numClasses)
    this.apply(initialize)
  }

  get featureInfo(): readonly FeatureInfo[] {
    const stages = { layer1: this.layer1, layer2: this.layer2, layer3: this.layer3, layer4: this.layer4 }
    return Object.entries(stages).map(([name, layer], i) => ({ name, channels: layer.outChannels, stride: 4 * 2 ** i }))
  }

  forwardFeatures(x: Tensor): Tensor {
    checkImages(x, { model: this.config.name, channels: this.conv1.inChannels, smallest: 1 })
    let y = frugal(() => this.maxpool.forward(convNormAct(x, this.conv1, this.bn1, this.relu)))
    y = this.layer2.forward(this.layer1.forward(y))
    return this.layer4.forward(this.layer3.forward(y))
  }

  forward(x: Tensor): Tensor {
    const pooled = flatten(this.avgpool.forward(this.forwardFeatures(x)), 1)
    return this.fc.forward(this.dropout.forward(pooled))
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.fc = freshClassifier(this.fc, numClasses, options)
    return this
  }
}

/** Convolutions as He et al. 2015b, by the outputs; the classifier keeps PyTorch's default. As torchvision. */
function initialize(module: Module): void {
  if (module instanceof Conv2d) init.kaimingNormal_(module.weight, { mode: 'fanOut', nonlinearity: 'relu' })
}

function resnet(name: keyof typeof variants): ModelEntry<ResNetOptions, ResNet> {
  const { block, depths, params, macs, weights }: Variant = variants[name]
  const facts = {
    name,
    paper: 'He et al., "Deep residual learning for image recognition", 2015, table 1 (arXiv:1512.03385)',
    params,
    macs,
    inputSize: [224, 224] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(facts, (options) => new ResNet({ name, block, depths }, options))
}

/** ResNet-18: 11.7 million parameters, 1.8 GMACs, ImageNet top-1 69.8 %. */
export const resnet18: ModelEntry<ResNetOptions, ResNet> = /* @__PURE__ */ resnet('resnet18')
/** ResNet-34: 21.8 million parameters, 3.7 GMACs, ImageNet top-1 73.3 %. */
export const resnet34: ModelEntry<ResNetOptions, ResNet> = /* @__PURE__ */ resnet('resnet34')
/** ResNet-50 v1.5: 25.6 million parameters, 4.1 GMACs, ImageNet top-1 76.1 % (80.9 % by the newer recipe). */
export const resnet50: ModelEntry<ResNetOptions, ResNet> = /* @__PURE__ */ resnet('resnet50')
/** ResNet-101 v1.5: 44.5 million parameters, 7.8 GMACs, ImageNet top-1 77.4 % (81.9 % by the newer recipe). */
export const resnet101: ModelEntry<ResNetOptions, ResNet> = /* @__PURE__ */ resnet('resnet101')
/** ResNet-152 v1.5: 60.2 million parameters, 11.5 GMACs, ImageNet top-1 78.3 % (82.3 % by the newer recipe). */
export const resnet152: ModelEntry<ResNetOptions, ResNet> = /* @__PURE__ */ resnet('resnet152')
