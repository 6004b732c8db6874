/**
 * DenseNet. Huang, Liu, van der Maaten and Weinberger, "Densely connected convolutional networks", 2017.
 *
 * Every layer sees the maps of all layers before it and adds k of its own (the growth rate), so that layers can be very
 * narrow and nothing is learnt twice. Table 1 gives the networks for ImageNet, whose keys are torchvision's, and section 3
 * those for small images: DenseNet-BC of L layers, with bottlenecks and transitions that halve the channels.
 *
 * (N, 3, H, W) to (N, numClasses): 1000 classes and 224 pixels (from 29), or 10 classes and 32 pixels (from 4).
 */
import {
  checkImages,
  DenseBlock,
  defineModel,
  type FeatureInfo,
  freshClassifier,
  frugal,
  ImageModel,
  type ModelEntry,
  type ModelOptions,
  type PublishedWeights,
  publishedWeights,
  readModelOptions,
  Transition,
} from '@convnets/blocks'
import {
  BatchNorm2d,
  Conv2d,
  Dropout,
  init,
  type Layer,
  Linear,
  MaxPool2d,
  Module,
  ReLU,
  Sequential,
} from '@convnets/nn'
import { globalAvgPool2d, relu, type Tensor } from '@convnets/tensor'
import { withFeatures } from './fields.ts'

/** What tells one DenseNet from another. */
export interface DenseNetConfig {
  /** Name of the network, for messages. */
  readonly name: string
  /** Growth rate: channels that each layer adds. */
  readonly growth: number
  /** Layers of each dense block. */
  readonly depths: readonly [number, ...number[]]
  /** Channels of the first convolution. Default twice the growth rate. */
  readonly stem?: number
  /** 7x7 / 2 and max pooling ('imagenet', default), or 3x3 ('cifar'). */
  readonly input?: 'imagenet' | 'cifar'
  /** Channels of the bottleneck as a multiple of the growth rate. Default 4. */
  readonly bottleneck?: number
  /** Part of the channels that transitions leave. Default 0.5. */
  readonly compression?: number
}

export interface DenseNetOptions extends ModelOptions {
  /** Probability of dropout inside of the dense layers (the paper: 0.2 on small data without augmentation). Default 0. */
  readonly layerDropout?: number
  /** Computes joined maps again for the gradient instead of keeping them: same gradients, less memory. Default false. */
  readonly memoryEfficient?: boolean
}

type LayerOptions = Required<Pick<DenseNetOptions, 'layerDropout' | 'memoryEfficient'>>

/** The convolutions, as a module of their own in checkpoints. */
class DenseFeatures extends Module {
  readonly inChannels: number
  readonly outChannels: number
  /** Last module of each size, with its channels. */
  readonly levels: readonly (readonly [name: string, channels: number])[]
  readonly #layers: ReadonlyMap<string, Layer>
  /** The same, run. */
  readonly #chain: Sequential

  constructor(config: DenseNetConfig, inChannels: number, { layerDropout, memoryEfficient }: LayerOptions) {
    super()
    const { growth, depths, stem = 2 * growth, input = 'imagenet', bottleneck = 4, compression = 0.5 } = config
    const layers: Map<string, Layer> = new Map()
    const levels: (readonly [string, number])[] = []
    if (input === 'imagenet') {
      layers.set('conv0', new Conv2d(inChannels, stem, { kernel: 7, stride: 2, padding: 3, bias: false }))
      layers.set('norm0', new BatchNorm2d(stem))
      layers.set('relu0', new ReLU())
      layers.set('pool0', new MaxPool2d(3, { stride: 2, padding: 1 }))
    } else {
      layers.set('conv0', new Conv2d(inChannels, stem, { kernel: 3, padding: 1, bias: false }))
    }
    let channels = stem
    for (const [i, depth] of depths.entries()) {
      const block = new DenseBlock(channels, growth, depth, { bottleneck, dropout: layerDropout, memoryEfficient })
      layers.set(`denseblock${i + 1}`, block)
      channels = block.outChannels
      if (i === depths.length - 1) continue
      levels.push([`denseblock${i + 1}`, channels])
      const transition = new Transition(channels, { compression })
      layers.set(`transition${i + 1}`, transition)
      channels = transition.outChannels
    }
    const last = input === 'imagenet' ? 'norm5' : 'norm_final'
    layers.set(last, new BatchNorm2d(channels))
    levels.push([last, channels])
    this.inChannels = inChannels
    this.outChannels = channels
    this.levels = levels
    this.#layers = layers
    this.#chain = new Sequential(...layers.values())
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return this.#layers
  }

  forward(x: Tensor): Tensor {
    return this.#chain.forward(x)
  }
}

/**
 *     stem -- dense block -- transition / 2 -- dense block -- ... -- norm (features) -- relu -- mean -- classifier
 */
export class DenseNet extends ImageModel {
  readonly config: DenseNetConfig
  /** `features` in checkpoints. */
  body: DenseFeatures
  dropout: Dropout
  classifier: Linear

  constructor(config: DenseNetConfig, options: DenseNetOptions = {}) {
    super()
    const small = config.input === 'cifar'
    const defaults = { numClasses: small ? 10 : 1000, layerDropout: 0, memoryEfficient: false }
    const read = readModelOptions(config.name, options, defaults, { shortcuts: false })
    const { numClasses, inChannels, dropout } = read
    this.config = config
    this.body = new DenseFeatures(config, inChannels, read)
    this.dropout = new Dropout(dropout)
    this.classifier = new Linear(this.body.outChannels, numClasses)
    this.apply(initialize)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return withFeatures(this)
  }

  get featureInfo(): readonly FeatureInfo[] {
    const first = this.config.input === 'cifar' ? 1 : 4
    return this.body.levels.map(([name, channels], i) => ({
      name: `features.${name}`,
      channels,
      stride: first * 2 ** i,
    }))
  }

  /** The last maps, normalised and positive. */
  forwardFeatures(x: Tensor): Tensor {
    const smallest = this.config.input === 'cifar' ? 2 ** (this.config.depths.length - 1) : 29
    checkImages(x, { model: this.config.name, channels: this.body.inChannels, smallest })
    return frugal(() => relu(this.body.forward(x)))
  }

  forward(x: Tensor): Tensor {
    return this.classifier.forward(this.dropout.forward(globalAvgPool2d(this.forwardFeatures(x))))
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.classifier = freshClassifier(this.classifier, numClasses, options)
    return this
  }
}

/** Convolutions as He et al. 2015b, by the inputs; the classifier's bias 0. As torchvision. */
function initialize(module: Module): void {
  if (module instanceof Conv2d) init.kaimingNormal_(module.weight)
  else if (module instanceof Linear && module.bias !== undefined) init.constant_(module.bias, 0)
}

interface Variant extends Omit<DenseNetConfig, 'name'> {
  readonly params: number
  readonly macs: number
  readonly weights?: PublishedWeights
}

/** Table 1 of the paper; DenseNet-161 is the authors' k = 48 network, in torchvision too. Then section 3, "BC". */
const variants = {
  densenet121: {
    growth: 32,
    depths: [6, 12, 24, 16],
    params: 7_978_856,
    macs: 2_834_161_664,
    weights: {
      torchvision: { IMAGENET1K_V1: ['densenet121-a639ec97.pth', 256, 74.434, 91.972] },
      timm: { ra_in1k: [224, 0.875, 75.574, 92.648], tv_in1k: [224, 0.875, 74.75, 92.158] },
    },
  },
  densenet161: {
    growth: 48,
    depths: [6, 12, 36, 24],
    params: 28_681_000,
    macs: 7_727_907_072,
    weights: {
      torchvision: { IMAGENET1K_V1: ['densenet161-8d451a50.pth', 256, 77.138, 93.56] },
      timm: { tv_in1k: [224, 0.875, 77.384, 93.656] },
    },
  },
  densenet169: {
    growth: 32,
    depths: [6, 12, 32, 32],
    params: 14_149_480,
    macs: 3_359_843_328,
    weights: {
      torchvision: { IMAGENET1K_V1: ['densenet169-b2777c0a.pth', 256, 75.6, 92.806] },
      timm: { tv_in1k: [224, 0.875, 75.922, 92.976] },
    },
  },
  densenet201: {
    growth: 32,
    depths: [6, 12, 48, 32],
    params: 20_013_928,
    macs: 4_291_365_888,
    weights: {
      torchvision: { IMAGENET1K_V1: ['densenet201-c1103571.pth', 256, 76.896, 93.37] },
      timm: { tv_in1k: [224, 0.875, 77.284, 93.48] },
    },
  },
  densenet264: { growth: 32, depths: [6, 12, 64, 48], params: 33_337_704, macs: 5_751_653_376 },
  densenet_bc_40_12: { growth: 12, depths: [6, 6, 6], input: 'cifar', params: 176_122, macs: 72_365_352 },
  densenet_bc_100_12: { growth: 12, depths: [16, 16, 16], input: 'cifar', params: 769_162, macs: 287_929_692 },
  densenet_bc_250_24: { growth: 24, depths: [41, 41, 41], input: 'cifar', params: 15_324_406, macs: 5_418_785_724 },
  densenet_bc_190_40: { growth: 40, depths: [31, 31, 31], input: 'cifar', params: 25_624_430, macs: 9_301_945_740 },
} as const satisfies Readonly<Record<string, Variant>>

function densenet(name: keyof typeof variants): ModelEntry<DenseNetOptions, DenseNet> {
  const { params, macs, weights = {}, ...config }: Variant = variants[name]
  const small = config.input === 'cifar'
  const facts = {
    name,
    paper: `Huang et al., "Densely connected convolutional networks", 2017, ${small ? 'section 3' : 'table 1'} (arXiv:1608.06993)`,
    params,
    macs,
    inputSize: small ? ([32, 32] as const) : ([224, 224] as const),
    numClasses: small ? 10 : 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(facts, (options) => new DenseNet({ name, ...config }, options))
}

type Entry = ModelEntry<DenseNetOptions, DenseNet>

/** DenseNet-121: 8.0 million parameters, 2.8 GMACs, ImageNet top-1 74.4 % (75.6 % by timm's recipe). */
export const densenet121: Entry = /* @__PURE__ */ densenet('densenet121')
/** DenseNet-161, k = 48: 28.7 million parameters, 7.7 GMACs, ImageNet top-1 77.1 %. */
export const densenet161: Entry = /* @__PURE__ */ densenet('densenet161')
/** DenseNet-169: 14.1 million parameters, 3.4 GMACs, ImageNet top-1 75.6 %. */
export const densenet169: Entry = /* @__PURE__ */ densenet('densenet169')
/** DenseNet-201: 20.0 million parameters, 4.3 GMACs, ImageNet top-1 76.9 %. */
export const densenet201: Entry = /* @__PURE__ */ densenet('densenet201')
/** DenseNet-264: 33.3 million parameters, 5.8 GMACs, ImageNet top-1 77.9 % in the paper; no weights are published. */
export const densenet264: Entry = /* @__PURE__ */ densenet('densenet264')
/** DenseNet-BC for small images, L = 40, k = 12: 0.18 million parameters. */
export const densenet_bc_40_12: Entry = /* @__PURE__ */ densenet('densenet_bc_40_12')
/** DenseNet-BC for small images, L = 100, k = 12: 0.77 million parameters, CIFAR-10 error 4.51 % in the paper. */
export const densenet_bc_100_12: Entry = /* @__PURE__ */ densenet('densenet_bc_100_12')
/** DenseNet-BC for small images, L = 250, k = 24: 15.3 million parameters, CIFAR-10 error 3.62 % in the paper. */
export const densenet_bc_250_24: Entry = /* @__PURE__ */ densenet('densenet_bc_250_24')
/** DenseNet-BC for small images, L = 190, k = 40: 25.6 million parameters, CIFAR-10 error 3.46 % in the paper. */
export const densenet_bc_190_40: Entry = /* @__PURE__ */ densenet('densenet_bc_190_40')
