/**
 * AlexNet. Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012; and
 * Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
 *
 * The network that won ILSVRC 2012: ReLU instead of saturating units, dropout, and two GPUs, each with half of the
 * channels (two groups in the second, fourth and fifth convolution) and local response normalisation. `alexnet` is the
 * later network with one tower and neither groups nor normalisation, as in torchvision, whose keys both have.
 *
 * (N, 3, H, W) to (N, 1000); 224 or 227 pixels. Other sizes are averaged to the 6x6 cells of the classifier.
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
  Conv2d,
  Dropout,
  init,
  type Layer,
  Linear,
  LocalResponseNorm,
  type LocalResponseNormOptions,
  MaxPool2d,
  ReLU,
  Sequential,
} from '@convnets/nn'
import { flatten, type Tensor } from '@convnets/tensor'
import { withFreshLast } from './classifier.ts'
import { withFeatures } from './fields.ts'
import { caffe } from './weights.ts'

/** A convolution with ReLU, and what follows it: `norm` and then max pooling over 3x3 cells with stride 2. */
export interface AlexNetLayer {
  readonly channels: number
  readonly kernel: number
  readonly stride?: number
  readonly padding?: number
  readonly groups?: number
  /** Local response normalisation behind the ReLU. Default false. */
  readonly norm?: boolean
  /** Default false. */
  readonly pool?: boolean
}

/** What tells one AlexNet from another. */
export interface AlexNetConfig {
  /** Name of the network, for messages. */
  readonly name: string
  readonly layers: readonly AlexNetLayer[]
  /** Smallest height and width of images. */
  readonly smallest: number
  /** Dropout in front of the two hidden linear layers, or behind them. */
  readonly dropout: 'before' | 'behind'
  /** Initial weights: PyTorch's defaults, or those of section 5 of the 2012 paper. */
  readonly init: 'default' | '2012'
}

export interface AlexNetOptions extends ModelOptions {
  /**
   * Numbers of the local response normalisation. Default: those of section 3.3 of the paper (n 5, k 2, alpha 1e-4, beta
   * 0.75), whose alpha is not divided by n as here: alpha 5e-4. Caffe's weights want `{ k: 1, alpha: 1e-4 }`.
   */
  readonly lrn?: LocalResponseNormOptions
}

interface Variant extends Omit<AlexNetConfig, 'name'> {
  readonly paper: string
  readonly params: number
  readonly macs: number
  readonly size: number
  readonly weights: PublishedWeights
}

const variants: Readonly<Record<'alexnet' | 'alexnet_2012', Variant>> = {
  alexnet: {
    paper: 'Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014 (arXiv:1404.5997)',
    layers: [
      { channels: 64, kernel: 11, stride: 4, padding: 2, pool: true },
      { channels: 192, kernel: 5, padding: 2, pool: true },
      { channels: 384, kernel: 3, padding: 1 },
      { channels: 256, kernel: 3, padding: 1 },
      { channels: 256, kernel: 3, padding: 1, pool: true },
    ],
    smallest: 63,
    dropout: 'before',
    init: 'default',
    params: 61_100_840,
    macs: 714_188_480,
    size: 224,
    weights: { torchvision: { IMAGENET1K_V1: ['alexnet-owt-7be5be79.pth', 256, 56.522, 79.066] } },
  },
  alexnet_2012: {
    paper:
      'Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012, section 3.5 and figure 2',
    layers: [
      { channels: 96, kernel: 11, stride: 4, norm: true, pool: true },
      { channels: 256, kernel: 5, padding: 2, groups: 2, norm: true, pool: true },
      { channels: 384, kernel: 3, padding: 1 },
      { channels: 384, kernel: 3, padding: 1, groups: 2 },
      { channels: 256, kernel: 3, padding: 1, groups: 2, pool: true },
    ],
    smallest: 67,
    dropout: 'behind',
    init: '2012',
    params: 60_965_224,
    macs: 724_406_816,
    size: 227,
    weights: {
      others: [
        caffe({
          name: 'BVLC',
          url: 'http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel',
          crop: 227,
          top1: 57.1,
          top5: 80.2,
        }),
      ],
    },
  },
}

/**
 *     11x11 / 4 -- pool -- 5x5 -- pool -- 3x3 -- 3x3 -- 3x3 -- pool (features) -- 4096 -- 4096 -- classes (classifier)
 */
export class AlexNet extends ImageModel {
  readonly config: AlexNetConfig
  readonly featureInfo: readonly FeatureInfo[]
  /** `features` in checkpoints. */
  body: Sequential
  avgpool: AdaptiveAvgPool2d
  classifier: Sequential

  constructor(config: AlexNetConfig, options: AlexNetOptions = {}) {
    super()
    const { name, layers } = config
    const defaults = { dropout: 0.5, lrn: {} }
    const { numClasses, inChannels, dropout, lrn } = readModelOptions(name, options, defaults, { shortcuts: false })
    this.config = config
    const { body, info } = convolutions(layers, inChannels, { alpha: 5e-4, k: 2, ...lrn })
    this.body = body
    this.featureInfo = info
    this.avgpool = new AdaptiveAvgPool2d(6)
    const hidden = (inputs: number): Layer[] => {
      const layers = [new Linear(inputs, 4096), new ReLU()]
      return config.dropout === 'before' ? [new Dropout(dropout), ...layers] : [...layers, new Dropout(dropout)]
    }
    this.classifier = new Sequential(...hidden(body.outChannels * 6 * 6), ...hidden(4096), new Linear(4096, numClasses))
    if (config.init === '2012') initialize2012(this)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return withFeatures(this)
  }

  forwardFeatures(x: Tensor): Tensor {
    const { name: model, smallest } = this.config
    checkImages(x, { model, channels: this.body.inChannels, smallest })
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
  rows: readonly AlexNetLayer[],
  inChannels: number,
  lrn: LocalResponseNormOptions,
): { readonly body: Sequential; readonly info: readonly FeatureInfo[] } {
  const layers: Layer[] = []
  const info: FeatureInfo[] = []
  let [channels, stride] = [inChannels, 1]
  for (const { channels: out, kernel, norm = false, pool = false, ...window } of rows) {
    layers.push(new Conv2d(channels, out, { kernel, ...window }), new ReLU())
    channels = out
    stride *= window.stride ?? 1
    if (pool) info.push({ name: `features.${layers.length - 1}`, channels, stride })
    if (norm) layers.push(new LocalResponseNorm(5, lrn))
    if (pool) {
      layers.push(new MaxPool2d(3, { stride: 2 }))
      stride *= 2
    }
  }
  info.push({ name: `features.${layers.length - 1}`, channels, stride })
  return { body: new Sequential(...layers), info }
}

/**
 * Section 5 of the 2012 paper: weights normal with deviation 0.01, biases 1 in the second, fourth and fifth convolution
 * and in the hidden linear layers, which gives ReLUs positive inputs at first, and 0 elsewhere.
 */
function initialize2012({ body, classifier }: AlexNet): void {
  const layers = [...body, ...classifier].filter((layer): layer is Conv2d | Linear => 'weight' in layer)
  layers.forEach((layer, i) => {
    init.normal_(layer.weight, 0, 0.01)
    if (layer.bias !== undefined) init.constant_(layer.bias, [1, 3, 4, 5, 6].includes(i) ? 1 : 0)
  })
}

function alexNet(name: keyof typeof variants): ModelEntry<AlexNetOptions, AlexNet> {
  const { paper, params, macs, size, weights, ...config } = variants[name]
  const facts = {
    name,
    paper,
    params,
    macs,
    inputSize: [size, size] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(facts, (options) => new AlexNet({ name, ...config }, options))
}

/** AlexNet with one tower (2014): 61.1 million parameters, 0.71 GMACs, ImageNet top-1 56.5 %. */
export const alexnet: ModelEntry<AlexNetOptions, AlexNet> = /* @__PURE__ */ alexNet('alexnet')
/** The AlexNet of 2012: two groups, local response normalisation, 227 pixels; 61.0 million parameters, 0.72 GMACs. */
export const alexnet_2012: ModelEntry<AlexNetOptions, AlexNet> = /* @__PURE__ */ alexNet('alexnet_2012')
