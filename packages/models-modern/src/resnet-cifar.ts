/**
 * ResNets for small images, and the same networks without shortcuts.
 *
 * He et al., "Deep residual learning for image recognition", 2015, section 4.2: 3 stages of n blocks with 16, 32 and 64
 * channels, 6 n + 2 layers in all. Shortcuts have no parameters (option A), so a plain network has exactly as many, and
 * what differs is the shortcut alone: plain networks get worse from 20 to 56 layers, residual ones better (figure 6).
 *
 * (N, 3, H, W) to (N, 10); 32 x 32 pixels in the paper. Keys are those of akamaster/pytorch_resnet_cifar10.
 */
import {
  BasicBlock,
  checkImages,
  defineModel,
  dropPathRates,
  type FeatureInfo,
  freshClassifier,
  ImageModel,
  type ModelEntry,
  type ModelOptions,
  PlainBlock,
  type PretrainedWeights,
  padShortcut,
  readModelOptions,
  stage,
} from '@convnets/blocks'
import {
  BatchNorm2d,
  Conv2d,
  convNormAct,
  Dropout,
  init,
  type Layer,
  Linear,
  type Module,
  type Sequential,
} from '@convnets/nn'
import { ArgumentError, globalAvgPool2d, relu, type Tensor } from '@convnets/tensor'

/** What tells one of these networks from another. */
export interface CifarResNetConfig {
  /** Name of the network, for messages. */
  readonly name: string
  /** Blocks of each of the three stages. */
  readonly depth: number
  /** `BasicBlock` with option A shortcuts, or `PlainBlock`. */
  readonly block: 'residual' | 'plain'
}

/** Options of all models; `dropPath` and `zeroInitResidual` ask for shortcuts. */
export interface CifarResNetOptions extends ModelOptions {
  /** Starts every residual branch at zero. Default false. Goyal et al. 2017. */
  readonly zeroInitResidual?: boolean
  /** Makes a layer at the end of every block's convolutions, given its channels: `(c) => new SqueezeExcitation(c)`. */
  readonly attention?: (channels: number) => Layer
}

interface Variant {
  readonly depth: number
  readonly params: number
  readonly macs: number
  /** File of akamaster's weights, whose name ends in the beginning of its sha256; all of that; accuracy by the README. */
  readonly weights: readonly [file: string, sha256: string | undefined, top1: number]
}

/** Table 6 of the paper; a plain network has the same numbers. */
const variants = {
  20: {
    depth: 3,
    params: 269_722,
    macs: 40_551_040,
    weights: ['resnet20-12fca82f.th', '12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8', 91.73],
  },
  32: {
    depth: 5,
    params: 464_154,
    macs: 68_862_592,
    weights: ['resnet32-d509ac18.th', 'd509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850', 92.63],
  },
  44: {
    depth: 7,
    params: 658_586,
    macs: 97_174_144,
    weights: ['resnet44-014dd654.th', '014dd6541728a1c700b1642ab640e211dc6eb8ed507d70697458dc8f8a0ae2e4', 93.1],
  },
  56: {
    depth: 9,
    params: 853_018,
    macs: 125_485_696,
    weights: ['resnet56-4bfd9763.th', '4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367', 93.39],
  },
  110: {
    depth: 18,
    params: 1_727_962,
    macs: 252_887_680,
    weights: ['resnet110-1d1ed7c2.th', undefined, 93.68],
  },
} as const satisfies Readonly<Record<number, Variant>>

/**
 *     3x3, 16 -- 16 (layer1) -- 32 / 2 (layer2) -- 64 / 2 (layer3) -- mean -- linear
 */
export class CifarResNet extends ImageModel {
  readonly config: CifarResNetConfig
  conv1: Conv2d
  bn1: BatchNorm2d
  layer1: Sequential
  layer2: Sequential
  layer3: Sequential
  dropout: Dropout
  linear: Linear

  constructor(config: CifarResNetConfig, options: CifarResNetOptions = {}) {
    super()
    const { name, depth, block } = config
    const defaults = { numClasses: 10, zeroInitResidual: false, attention: undefined }
    const read = readModelOptions(name, options, defaults, { shortcuts: block !== 'plain' })
    const { numClasses, inChannels, dropout, dropPath, zeroInitResidual, attention } = read
    if (zeroInitResidual && block === 'plain') {
      throw new ArgumentError(`${name}: zeroInitResidual expects shortcuts, without which nothing would be left`)
    }
    this.config = config
    this.conv1 = new Conv2d(inChannels, 16, { kernel: 3, padding: 1, bias: false })
    this.bn1 = new BatchNorm2d(16)
    const rates = dropPathRates(dropPath, [depth, depth, depth])
    const layer = (i: 0 | 1 | 2, inChannels: number): Sequential => {
      const gated = attention === undefined ? {} : { attention }
      const shape = { inChannels, width: 16 * 2 ** i, depth, stride: i === 0 ? 1 : 2, ...gated }
      if (block === 'plain') return stage(PlainBlock, shape)
      const more = { dropPath: rates[i] ?? 0, shortcut: padShortcut, zeroInit: zeroInitResidual }
      return stage(BasicBlock, { ...shape, ...more })
    }
    this.layer1 = layer(0, 16)
    this.layer2 = layer(1, this.layer1.outChannels)
    this.layer3 = layer(2, this.layer2.outChannels)
    this.dropout = new Dropout(dropout)
    this.linear = new Linear(this.layer3.outChannels, numClasses)
    this.apply(initialize)
  }

  get featureInfo(): readonly FeatureInfo[] {
    const stages = { layer1: this.layer1, layer2: this.layer2, layer3: this.layer3 }
    return Object.entries(stages).map(([name, layer], i) => ({ name, channels: layer.outChannels, stride: 2 ** i }))
  }

  forwardFeatures(x: Tensor): Tensor {
    checkImages(x, { model: this.config.name, channels: this.conv1.inChannels, smallest: 1 })
    const y = this.layer1.forward(convNormAct(x, this.conv1, this.bn1, relu))
    return this.layer3.forward(this.layer2.forward(y))
  }

  forward(x: Tensor): Tensor {
    return this.linear.forward(this.dropout.forward(globalAvgPool2d(this.forwardFeatures(x))))
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.linear = freshClassifier(this.linear, numClasses, options)
    return this
  }
}

/** Weights of convolutions and of the classifier as He et al. 2015b, by the inputs. As akamaster. */
function initialize(module: Module): void {
  if (module instanceof Conv2d || module instanceof Linear) init.kaimingNormal_(module.weight)
}

/** Akamaster's weights saw images normalised by ImageNet's statistics. */
function cifar([file, sha256, top1]: Variant['weights']): PretrainedWeights {
  return {
    name: 'CIFAR10',
    url: `https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/${file}`,
    ...(sha256 === undefined ? { sha256Prefix: file.slice(-11, -3) } : { sha256 }),
    license: 'BSD-2-Clause (akamaster/pytorch_resnet_cifar10)',
    labels: 'cifar-10',
    numClasses: 10,
    inputSize: [32, 32],
    resize: 32,
    crop: 32,
    interpolation: 'bilinear',
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
    top1,
    keyPrefix: 'module.',
  }
}

function entry(
  layers: keyof typeof variants,
  block: CifarResNetConfig['block'],
): ModelEntry<CifarResNetOptions, CifarResNet> {
  const { depth, params, macs, weights }: Variant = variants[layers]
  const name = `${block === 'plain' ? 'plain' : 'resnet'}${layers}`
  const facts = {
    name,
    paper: 'He et al., "Deep residual learning for image recognition", 2015, section 4.2 (arXiv:1512.03385)',
    params,
    macs,
    inputSize: [32, 32] as const,
    numClasses: 10,
    weights: block === 'plain' ? {} : { CIFAR10: cifar(weights) },
  }
  return defineModel(facts, (options) => new CifarResNet({ name, depth, block }, options))
}

type Entry = ModelEntry<CifarResNetOptions, CifarResNet>

/** ResNet-20 for small images: 0.27 million parameters, CIFAR-10 error 8.75 % in the paper. */
export const resnet20: Entry = /* @__PURE__ */ entry(20, 'residual')
/** ResNet-32 for small images: 0.46 million parameters, CIFAR-10 error 7.51 % in the paper. */
export const resnet32: Entry = /* @__PURE__ */ entry(32, 'residual')
/** ResNet-44 for small images: 0.66 million parameters, CIFAR-10 error 7.17 % in the paper. */
export const resnet44: Entry = /* @__PURE__ */ entry(44, 'residual')
/** ResNet-56 for small images: 0.85 million parameters, CIFAR-10 error 6.97 % in the paper. */
export const resnet56: Entry = /* @__PURE__ */ entry(56, 'residual')
/** ResNet-110 for small images: 1.7 million parameters, CIFAR-10 error 6.43 % in the paper. */
export const resnet110: Entry = /* @__PURE__ */ entry(110, 'residual')
/** ResNet-20 without shortcuts. */
export const plain20: Entry = /* @__PURE__ */ entry(20, 'plain')
/** ResNet-32 without shortcuts. */
export const plain32: Entry = /* @__PURE__ */ entry(32, 'plain')
/** ResNet-44 without shortcuts. */
export const plain44: Entry = /* @__PURE__ */ entry(44, 'plain')
/** ResNet-56 without shortcuts. */
export const plain56: Entry = /* @__PURE__ */ entry(56, 'plain')
/** ResNet-110 without shortcuts. */
export const plain110: Entry = /* @__PURE__ */ entry(110, 'plain')
