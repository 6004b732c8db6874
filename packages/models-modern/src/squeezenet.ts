/**
 * SqueezeNet. Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and < 0.5 MB model size", 2016.
 *
 * Fire modules squeeze maps to few channels before 3x3 convolutions see them, maps stay large for long, and a 1x1
 * convolution gives the maps of the classes, whose means are the logits. Table 1 gives `squeezenet1_0`; `squeezenet1_1`,
 * of the authors' repository, pools earlier, for less than half of the work. Keys are torchvision's.
 *
 * (N, 3, H, W) to (N, 1000); 224 pixels, other sizes from 21 (`squeezenet1_1`: 17) too.
 */
import {
  checkImages,
  defineModel,
  type FeatureInfo,
  Fire,
  type FireWidths,
  freshLayer,
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
  MaxPool2d,
  type Module,
  ReLU,
  Sequential,
} from '@convnets/nn'
import { flatten, type Tensor } from '@convnets/tensor'
import { withFeatures } from './fields.ts'

/** What tells one SqueezeNet from another. */
export interface SqueezeNetConfig {
  /** Name of the network, for messages. */
  readonly name: string
  /** Of the first convolution, which has stride 2. */
  readonly stem: { readonly channels: number; readonly kernel: number }
  /** Fire modules behind each of the three poolings, eight in all. */
  readonly fires: readonly [number, number, number]
  /** Smallest height and width of images. */
  readonly smallest: number
}

export interface SqueezeNetOptions extends ModelOptions {
  /** Makes a layer at the end of every fire module, given its channels: `(c) => new SqueezeExcitation(c)`. */
  readonly attention?: (channels: number) => Layer
}

/** Rows fire2 to fire9 of table 1. */
const widths: readonly FireWidths[] = [16, 32, 48, 64].flatMap((squeeze): FireWidths[] => {
  const row: FireWidths = [squeeze, 4 * squeeze, 4 * squeeze]
  return [row, row]
})

/**
 *     conv / 2 -- relu -- pool -- fire ... -- pool -- fire ... -- pool -- fire ... -- dropout -- 1x1 -- relu -- mean
 */
export class SqueezeNet extends ImageModel {
  readonly config: SqueezeNetConfig
  readonly featureInfo: readonly FeatureInfo[]
  /** `features` in checkpoints. */
  body: Sequential
  classifier: Sequential

  constructor(config: SqueezeNetConfig, options: SqueezeNetOptions = {}) {
    super()
    const { name, stem, fires } = config
    const read = readModelOptions(name, options, { dropout: 0.5, attention: undefined }, { shortcuts: false })
    const { numClasses, inChannels, dropout, attention } = read
    const layers: Layer[] = [new Conv2d(inChannels, stem.channels, { kernel: stem.kernel, stride: 2 }), new ReLU()]
    const levels: FeatureInfo[] = []
    let channels = stem.channels
    let row = 0
    for (const [i, count] of fires.entries()) {
      layers.push(new MaxPool2d(3, { stride: 2, ceilMode: true }))
      for (const own of widths.slice(row, row + count)) {
        const fire = new Fire(channels, own, attention === undefined ? {} : { attention })
        layers.push(fire)
        channels = fire.outChannels
      }
      row += count
      levels.push({ name: `features.${layers.length - 1}`, channels, stride: 4 * 2 ** i })
    }
    this.config = config
    this.featureInfo = levels
    this.body = new Sequential(...layers)
    this.classifier = new Sequential(
      new Dropout(dropout),
      new Conv2d(channels, numClasses, { kernel: 1 }),
      new ReLU(),
      new AdaptiveAvgPool2d(1),
    )
    this.body.apply(initialize)
    this.classifier.apply(initializeLast)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return withFeatures(this)
  }

  forwardFeatures(x: Tensor): Tensor {
    const { name, smallest } = this.config
    checkImages(x, { model: name, channels: this.body.inChannels, smallest })
    return this.body.forward(x)
  }

  forward(x: Tensor): Tensor {
    return flatten(this.classifier.forward(this.forwardFeatures(x)), 1)
  }

  /** The fresh classifier is the last convolution. */
  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    const layers = [...this.classifier].map((layer) =>
      layer instanceof Conv2d
        ? freshLayer(
            layer,
            () => new Conv2d(layer.inChannels, numClasses, { kernel: 1 }).apply(initializeLast),
            options,
          )
        : layer,
    )
    const { training } = this.classifier
    this.classifier = new Sequential(...layers)
    this.classifier.training = training
    return this
  }
}

/** Weights uniform as He et al. 2015b, by the inputs, and biases 0. As torchvision. */
function initialize(module: Module): void {
  if (!(module instanceof Conv2d)) return
  init.kaimingUniform_(module.weight)
  if (module.bias !== undefined) init.constant_(module.bias, 0)
}

/** Weights normal with deviation 0.01, and biases 0. */
function initializeLast(module: Module): void {
  if (!(module instanceof Conv2d)) return
  init.normal_(module.weight, 0, 0.01)
  if (module.bias !== undefined) init.constant_(module.bias, 0)
}

interface Variant extends Omit<SqueezeNetConfig, 'name'> {
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

const paper = 'Iandola et al., "SqueezeNet", 2016, table 1 (arXiv:1602.07360)'

const variants = {
  squeezenet1_0: {
    stem: { channels: 96, kernel: 7 },
    fires: [3, 4, 1],
    smallest: 21,
    params: 1_248_424,
    macs: 818_924_576,
    weights: { torchvision: { IMAGENET1K_V1: ['squeezenet1_0-b66bff10.pth', 256, 58.092, 80.42] } },
  },
  squeezenet1_1: {
    stem: { channels: 64, kernel: 3 },
    fires: [2, 2, 4],
    smallest: 17,
    params: 1_235_496,
    macs: 349_151_936,
    weights: { torchvision: { IMAGENET1K_V1: ['squeezenet1_1-b8a52dc0.pth', 256, 58.178, 80.624] } },
  },
} as const satisfies Readonly<Record<string, Variant>>

function squeezenet(name: keyof typeof variants): ModelEntry<SqueezeNetOptions, SqueezeNet> {
  const { params, macs, weights, ...config }: Variant = variants[name]
  const inputSize = [224, 224] as const
  const facts = { name, paper, params, macs, inputSize, numClasses: 1000, weights: publishedWeights(name, weights) }
  return defineModel(facts, (options) => new SqueezeNet({ name, ...config }, options))
}

type Entry = ModelEntry<SqueezeNetOptions, SqueezeNet>

/** SqueezeNet 1.0: 1.2 million parameters, 0.8 GMACs, ImageNet top-1 58.1 %. */
export const squeezenet1_0: Entry = /* @__PURE__ */ squeezenet('squeezenet1_0')
/** SqueezeNet 1.1: 1.2 million parameters, 0.35 GMACs, ImageNet top-1 58.2 %. */
export const squeezenet1_1: Entry = /* @__PURE__ */ squeezenet('squeezenet1_1')
