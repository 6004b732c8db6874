/**
 * MobileNetV3. Howard et al., "Searching for MobileNetV3", 2019.
 *
 * Blocks of MobileNetV2 arranged by a search, some with squeeze-and-excitation, with cheap gates and activations (hard
 * sigmoid and hard swish) and a last stage that is cut short. Tables 1 and 2 give the networks. Keys are torchvision's.
 *
 * (N, 3, H, W) to (N, 1000); 224 pixels, any size from 1 too.
 */
import {
  defineModel,
  type FeatureInfo,
  MBConv,
  type ModelEntry,
  type ModelOptions,
  type PublishedWeights,
  publishedWeights,
  readModelOptions,
  roundChannels,
  SqueezeExcitation,
} from '@convnets/blocks'
import { Dropout, Hardsigmoid, Hardswish, type Layer, Linear, ReLU, Sequential } from '@convnets/nn'
import { checkInteger } from '@convnets/tensor'
import { initializeMobile } from './mobilenet-v2.ts'
import { batchNormOf, ConvUnit, dropConnectRates, lastOfStrides, RowModel } from './row-model.ts'

/** A block: window, channels inside, channels out, whether it has gates, its activation, its step. */
export type MobileNetV3Row = readonly [
  kernel: number,
  expanded: number,
  channels: number,
  gates: boolean,
  act: 'relu' | 'hardswish',
  stride: number,
]

/** What tells one MobileNetV3 from another. */
export interface MobileNetV3Config {
  /** Name of the network, for messages. */
  readonly name: string
  readonly rows: readonly MobileNetV3Row[]
  /** Width of the hidden layer of the classifier. */
  readonly hidden: number
}

export interface MobileNetV3Options extends ModelOptions {}

/** Squeeze-and-excitation to a quarter, a multiple of 8. */
function gates(channels: number): SqueezeExcitation {
  return new SqueezeExcitation(channels, {
    squeeze: roundChannels(Math.floor(channels / 4)),
    gate: () => new Hardsigmoid(),
  })
}

/** Channels of the first convolution, in both networks. */
const STEM = 16

/**
 *     3x3 / 2, 16 (features.0) -- blocks (features.1 and on) -- 1x1 (last of features) -- mean -- hidden layer -- classifier
 */
export class MobileNetV3 extends RowModel {
  readonly config: MobileNetV3Config

  constructor(config: MobileNetV3Config, options: MobileNetV3Options = {}) {
    const { name, rows, hidden } = config
    const { numClasses, inChannels, dropout, dropPath } = readModelOptions(name, options, { dropout: 0.2 })
    checkInteger(name, 'number of rows', rows.length, 1)
    const norm = batchNormOf({ eps: 1e-3, momentum: 0.01 })
    const hardswish = (): Layer => new Hardswish()
    const stem = new ConvUnit(inChannels, STEM, { kernel: 3, stride: 2, norm, act: hardswish })
    const rates = dropConnectRates(dropPath, [rows.length])[0] ?? []
    let channels = STEM
    let stride = 2
    const levels: FeatureInfo[] = []
    const blocks = rows.map(([kernel, expandedChannels, out, gated, act, step], i) => {
      const block = new MBConv(channels, out, {
        kernel,
        stride: step,
        expandedChannels,
        norm,
        act: act === 'relu' ? () => new ReLU() : hardswish,
        attention: gated ? gates : null,
        dropPath: rates[i] ?? 0,
      })
      channels = out
      stride *= step
      levels.push({ name: `features.${i + 1}`, channels, stride })
      return block
    })
    const head = new ConvUnit(channels, 6 * channels, { kernel: 1, norm, act: hardswish })
    levels.push({ name: `features.${rows.length + 1}`, channels: head.outChannels, stride })
    super({
      name,
      key: 'features',
      body: new Sequential(stem, ...blocks, head),
      featureInfo: lastOfStrides(levels),
      classifier: new Sequential(
        new Linear(head.outChannels, hidden),
        new Hardswish(),
        new Dropout(dropout),
        new Linear(hidden, numClasses),
      ),
    })
    this.config = config
    this.apply(initializeMobile)
  }
}

interface Variant extends Omit<MobileNetV3Config, 'name'> {
  /** Where the paper has it. */
  readonly table: number
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

const variants = {
  mobilenet_v3_large: {
    rows: [
      [3, 16, 16, false, 'relu', 1],
      [3, 64, 24, false, 'relu', 2],
      [3, 72, 24, false, 'relu', 1],
      [5, 72, 40, true, 'relu', 2],
      [5, 120, 40, true, 'relu', 1],
      [5, 120, 40, true, 'relu', 1],
      [3, 240, 80, false, 'hardswish', 2],
      [3, 200, 80, false, 'hardswish', 1],
      [3, 184, 80, false, 'hardswish', 1],
      [3, 184, 80, false, 'hardswish', 1],
      [3, 480, 112, true, 'hardswish', 1],
      [3, 672, 112, true, 'hardswish', 1],
      [5, 672, 160, true, 'hardswish', 2],
      [5, 960, 160, true, 'hardswish', 1],
      [5, 960, 160, true, 'hardswish', 1],
    ],
    hidden: 1280,
    table: 1,
    params: 5_483_032,
    macs: 216_589_760,
    weights: {
      torchvision: {
        IMAGENET1K_V2: ['mobilenet_v3_large-5c1a4163.pth', 232, 75.274, 92.566],
        IMAGENET1K_V1: ['mobilenet_v3_large-8738ca79.pth', 256, 74.042, 91.34],
      },
    },
  },
  mobilenet_v3_small: {
    rows: [
      [3, 16, 16, true, 'relu', 2],
      [3, 72, 24, false, 'relu', 2],
      [3, 88, 24, false, 'relu', 1],
      [5, 96, 40, true, 'hardswish', 2],
      [5, 240, 40, true, 'hardswish', 1],
      [5, 240, 40, true, 'hardswish', 1],
      [5, 120, 48, true, 'hardswish', 1],
      [5, 144, 48, true, 'hardswish', 1],
      [5, 288, 96, true, 'hardswish', 2],
      [5, 576, 96, true, 'hardswish', 1],
      [5, 576, 96, true, 'hardswish', 1],
    ],
    hidden: 1024,
    table: 2,
    params: 2_542_856,
    macs: 56_510_400,
    weights: {
      torchvision: {
        IMAGENET1K_V1: [
          'mobilenet_v3_small-047dcff4.pth',
          256,
          67.668,
          87.402,
          { sha256: '047dcff4addef86ea5bc2eff13c9614dc11f47ab1160d0a71a25e7db994f4e1f' },
        ],
      },
    },
  },
} as const satisfies Readonly<Record<string, Variant>>

function mobilenetV3(name: keyof typeof variants): ModelEntry<MobileNetV3Options, MobileNetV3> {
  const { params, macs, weights, table, ...config }: Variant = variants[name]
  const facts = {
    name,
    paper: `Howard et al., "Searching for MobileNetV3", 2019, table ${table} (arXiv:1905.02244)`,
    params,
    macs,
    inputSize: [224, 224] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(facts, (options) => new MobileNetV3({ name, ...config }, options))
}

/** MobileNetV3-Large: 5.5 million parameters, 0.22 GMACs, ImageNet top-1 74.0 % (75.3 % by the newer recipe). */
export const mobilenet_v3_large: ModelEntry<MobileNetV3Options, MobileNetV3> =
  /* @__PURE__ */ mobilenetV3('mobilenet_v3_large')
/** MobileNetV3-Small: 2.5 million parameters, 0.057 GMACs, ImageNet top-1 67.7 %. */
export const mobilenet_v3_small: ModelEntry<MobileNetV3Options, MobileNetV3> =
  /* @__PURE__ */ mobilenetV3('mobilenet_v3_small')
