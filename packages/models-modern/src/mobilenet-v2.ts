/**
 * MobileNetV2. Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018.
 *
 * Shortcuts join the thin ends of blocks that are wide inside, where depthwise convolutions make width cheap; the thin
 * ends have no activation, which would lose what they hold. Table 2 gives the network. Keys are torchvision's.
 *
 * (N, 3, H, W) to (N, 1000); 224 pixels, any size from 1 too.
 */
import {
  defineModel,
  type FeatureInfo,
  MBConv,
  type ModelEntry,
  type ModelOptions,
  publishedWeights,
  readModelOptions,
  roundChannels,
} from '@convnets/blocks'
import { Conv2d, Dropout, init, Linear, type Module, ReLU6, Sequential } from '@convnets/nn'
import { checkNumber } from '@convnets/tensor'
import { batchNormOf, ConvUnit, dropConnectRates, lastOfStrides, RowModel } from './row-model.ts'

/** What tells one MobileNetV2 from another. */
export interface MobileNetV2Config {
  /** Name of the network, for messages. */
  readonly name: string
  /** Factor of the channels, which are rounded to multiples of 8. Default 1. */
  readonly width?: number
}

export interface MobileNetV2Options extends ModelOptions {}

/** Table 2 of the paper: expansion, channels, blocks, step of the first. */
const rows = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const

/**
 *     3x3 / 2, 32 (features.0) -- 17 blocks (features.1 to 17) -- 1x1, 1280 (features.18) -- mean -- classifier
 */
export class MobileNetV2 extends RowModel {
  readonly config: MobileNetV2Config

  constructor(config: MobileNetV2Config, options: MobileNetV2Options = {}) {
    const { name, width = 1 } = config
    const { numClasses, inChannels, dropout, dropPath } = readModelOptions(name, options, { dropout: 0.2 })
    checkNumber(name, 'width', width, Number.MIN_VALUE)
    const unit = { norm: batchNormOf({}), act: () => new ReLU6() }
    const stem = new ConvUnit(inChannels, roundChannels(32 * width), { ...unit, kernel: 3, stride: 2 })
    const rates = dropConnectRates(
      dropPath,
      rows.map(([, , depth]) => depth),
    )
    let channels = stem.outChannels
    let stride = 2
    const levels: FeatureInfo[] = []
    const blocks = rows.flatMap(([expand, out, , first], i) =>
      (rates[i] ?? []).map((rate, j) => {
        const own = { stride: j === 0 ? first : 1, dropPath: rate }
        const shared = { ...unit, expand, attention: null, keys: 'mobilenet_v2' } as const
        const block = new MBConv(channels, roundChannels(out * width), { ...shared, ...own })
        channels = block.outChannels
        stride *= own.stride
        levels.push({ name: `features.${levels.length + 1}`, channels, stride })
        return block
      }),
    )
    const head = new ConvUnit(channels, roundChannels(1280 * Math.max(1, width)), { ...unit, kernel: 1 })
    levels.push({ name: `features.${levels.length + 1}`, channels: head.outChannels, stride })
    super({
      name,
      key: 'features',
      body: new Sequential(stem, ...blocks, head),
      featureInfo: lastOfStrides(levels),
      classifier: new Sequential(new Dropout(dropout), new Linear(head.outChannels, numClasses)),
    })
    this.config = config
    this.apply(initializeMobile)
  }
}

/** Convolutions as He et al. 2015b, by the outputs; linear layers normal with deviation 0.01; biases 0. As torchvision. */
export function initializeMobile(module: Module): void {
  if (module instanceof Conv2d) init.kaimingNormal_(module.weight, { mode: 'fanOut' })
  else if (module instanceof Linear) init.normal_(module.weight, 0, 0.01)
  else return
  if (module.bias !== undefined) init.constant_(module.bias, 0)
}

function mobilenetV2(): ModelEntry<MobileNetV2Options, MobileNetV2> {
  const name = 'mobilenet_v2'
  const facts = {
    name,
    paper: 'Sandler et al., "MobileNetV2", 2018, table 2 (arXiv:1801.04381)',
    params: 3_504_872,
    macs: 300_774_272,
    inputSize: [224, 224] as const,
    numClasses: 1000,
    weights: publishedWeights('mobilenet_v2', {
      torchvision: {
        IMAGENET1K_V2: ['mobilenet_v2-7ebf99e0.pth', 232, 72.154, 90.822],
        IMAGENET1K_V1: ['mobilenet_v2-b0353104.pth', 256, 71.878, 90.286],
      },
    }),
  }
  return defineModel(facts, (options) => new MobileNetV2({ name }, options))
}

/** MobileNetV2: 3.5 million parameters, 0.30 GMACs, ImageNet top-1 71.9 % (72.2 % by the newer recipe). */
export const mobilenet_v2: ModelEntry<MobileNetV2Options, MobileNetV2> = /* @__PURE__ */ mobilenetV2()
