/**
 * RegNet. Radosavovic et al., "Designing network design spaces", 2020.
 *
 * A family found by narrowing down what good networks have in common: widths and depths follow from four numbers, blocks
 * have no bottleneck, groups one width. RegNetY has squeeze-and-excitation in every block. Keys are torchvision's.
 *
 * (N, 3, H, W) to (N, 1000); 224 pixels, any size from 1 too.
 */
import {
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
  RegNetBlock,
  readModelOptions,
  SqueezeExcitation,
} from '@convnets/blocks'
import {
  AdaptiveAvgPool2d,
  BatchNorm2d,
  Conv2d,
  Dropout,
  init,
  type Layer,
  Linear,
  Module,
  ReLU,
  Sequential,
} from '@convnets/nn'
import { ArgumentError, checkInteger, checkNumber, flatten, type Tensor } from '@convnets/tensor'

/** What tells one RegNet from another. */
export interface RegNetConfig {
  /** Name of the network, for messages. */
  readonly name: string
  /** Blocks in all, d in the paper. */
  readonly depth: number
  /** First width, w0. */
  readonly firstWidth: number
  /** How much wider each block would like to be than the one before, wa. */
  readonly slope: number
  /** How much wider each stage is than the one before, wm. */
  readonly multiplier: number
  /** Channels of each group, g. */
  readonly groupWidth: number
  /** Channels inside of squeeze-and-excitation as a part of those of the block's input. Default: none of it (RegNetX). */
  readonly squeeze?: number
}

export interface RegNetOptions extends ModelOptions {}

/**
 * Width and depth of every stage: the line w0 + wa j, rounded to powers of wm times w0, then to multiples of 8 and of the
 * group width, by which no width loses more than a tenth (so torchvision). Radosavovic et al. 2020, section 3.3, equations
 * 2 to 4.
 */
export function regnetStages(config: Omit<RegNetConfig, 'name' | 'squeeze'>): { width: number; depth: number }[] {
  const { depth, firstWidth, slope, multiplier, groupWidth } = config
  checkInteger('regnetStages', 'depth', depth, 1)
  checkInteger('regnetStages', 'firstWidth', firstWidth, 8)
  checkInteger('regnetStages', 'groupWidth', groupWidth, 1)
  checkNumber('regnetStages', 'slope', slope, 0)
  if (!(multiplier > 1)) {
    throw new ArgumentError(`regnetStages: multiplier expects a number above 1, got ${multiplier}`)
  }
  const nearest = (width: number, step: number): number => Math.max(step, Math.round(width / step) * step)
  const widths = Array.from({ length: depth }, (_, j) => {
    const power = Math.round(Math.log((firstWidth + slope * j) / firstWidth) / Math.log(multiplier))
    const width = nearest(firstWidth * multiplier ** power, 8)
    const group = Math.min(groupWidth, width)
    const divisible = nearest(width, group)
    return divisible < 0.9 * width ? divisible + group : divisible
  })
  return [...new Set(widths)].map((width) => ({ width, depth: widths.filter((other) => other === width).length }))
}

/** Layers one after another, under keys of their own. */
class NamedSequential<L extends Layer & { readonly outChannels: number }> extends Module {
  readonly #layers: readonly (readonly [key: string, layer: L])[]

  constructor(layers: readonly (readonly [key: string, layer: L])[]) {
    super()
    this.#layers = layers
  }

  get outChannels(): number {
    return this.#layers.at(-1)?.[1].outChannels ?? 0
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return this.#layers
  }

  /** Key and output channels of every layer. */
  get levels(): readonly { readonly key: string; readonly channels: number }[] {
    return this.#layers.map(([key, { outChannels }]) => ({ key, channels: outChannels }))
  }

  forward(x: Tensor): Tensor {
    return this.#layers.reduce((y, [, layer]) => layer.forward(y), x)
  }
}

/** Channels of the first convolution, in all networks. */
const STEM = 32

/**
 *     3x3 / 2, 32 -- block1 / 2 -- block2 / 2 -- block3 / 2 -- block4 / 2 -- mean -- fc
 */
export class RegNet extends ImageModel {
  readonly config: RegNetConfig
  stem: Sequential
  trunk_output: NamedSequential<NamedSequential<RegNetBlock>>
  avgpool: AdaptiveAvgPool2d
  dropout: Dropout
  fc: Linear

  constructor(config: RegNetConfig, options: RegNetOptions = {}) {
    super()
    const { name, groupWidth, squeeze } = config
    const { numClasses, inChannels, dropout, dropPath } = readModelOptions(name, options, {})
    const stages = regnetStages(config)
    const rates = dropPathRates(
      dropPath,
      stages.map(({ depth }) => depth),
    )
    const gates = (channels: number, blockInput: number): SqueezeExcitation =>
      new SqueezeExcitation(channels, { squeeze: Math.round((squeeze ?? 0) * blockInput) })
    const attention = squeeze === undefined ? {} : { attention: gates }
    this.config = config
    this.stem = new Sequential(
      new Conv2d(inChannels, STEM, { kernel: 3, stride: 2, padding: 1, bias: false }),
      new BatchNorm2d(STEM),
      new ReLU(),
    )
    let channels = STEM
    const trunk = stages.map(({ width }, i) => {
      const blocks = (rates[i] ?? []).map((rate, j) => {
        const shape = { stride: j === 0 ? 2 : 1, groupWidth: Math.min(groupWidth, width), dropPath: rate }
        const block = new RegNetBlock(channels, width, { ...shape, ...attention })
        channels = width
        return [`block${i + 1}-${j}`, block] as const
      })
      return [`block${i + 1}`, new NamedSequential(blocks)] as const
    })
    this.trunk_output = new NamedSequential(trunk)
    this.avgpool = new AdaptiveAvgPool2d(1)
    this.dropout = new Dropout(dropout)
    this.fc = new Linear(channels, numClasses)
    this.apply(initialize)
  }

  get featureInfo(): readonly FeatureInfo[] {
    return this.trunk_output.levels.map(({ key, channels }, i) => ({
      name: `trunk_output.${key}`,
      channels,
      stride: 4 * 2 ** i,
    }))
  }

  forwardFeatures(x: Tensor): Tensor {
    checkImages(x, { model: this.config.name, channels: this.stem.inChannels, smallest: 1 })
    return this.trunk_output.forward(this.stem.forward(x))
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

/**
 * Convolutions normal with variance 2 / (outputs kernel area), groups or not (so 1x1 ones of squeeze-and-excitation, whose
 * biases keep PyTorch's default, too); the classifier normal with deviation 0.01. As torchvision.
 */
function initialize(module: Module): void {
  if (module instanceof Conv2d) init.kaimingNormal_(module.weight, { mode: 'fanOut', nonlinearity: 'relu' })
  if (!(module instanceof Linear)) return
  init.normal_(module.weight, 0, 0.01)
  if (module.bias !== undefined) init.constant_(module.bias, 0)
}

interface Variant extends Omit<RegNetConfig, 'name'> {
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

/** The numbers of the published networks. */
const variants = {
  regnet_y_400mf: {
    depth: 16,
    firstWidth: 48,
    slope: 27.89,
    multiplier: 2.09,
    groupWidth: 8,
    squeeze: 0.25,
    params: 4_344_144,
    macs: 401_842_848,
    weights: {
      torchvision: {
        IMAGENET1K_V2: ['regnet_y_400mf-e6988f5f.pth', 232, 75.804, 92.742],
        IMAGENET1K_V1: ['regnet_y_400mf-c65dace8.pth', 256, 74.046, 91.716],
      },
    },
  },
} as const satisfies Readonly<Record<string, Variant>>

function regnet(name: keyof typeof variants): ModelEntry<RegNetOptions, RegNet> {
  const { params, macs, weights, ...config }: Variant = variants[name]
  const facts = {
    name,
    paper: 'Radosavovic et al., "Designing network design spaces", 2020, section 5 (arXiv:2003.13678)',
    params,
    macs,
    inputSize: [224, 224] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(facts, (options) => new RegNet({ name, ...config }, options))
}

/** RegNetY-400MF: 4.3 million parameters, 0.4 GMACs, ImageNet top-1 74.0 % (75.8 % by the newer recipe). */
export const regnet_y_400mf: ModelEntry<RegNetOptions, RegNet> = /* @__PURE__ */ regnet('regnet_y_400mf')
