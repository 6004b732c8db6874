/**
 * MnasNet. Tan et al., "MnasNet: platform-aware neural architecture search for mobile", 2019.
 *
 * Found by a search for accuracy at a given time on a telephone: blocks of MobileNetV2 that differ from stage to stage.
 * This is MnasNet-B1, without squeeze-and-excitation, as torchvision has it, whose keys these are.
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
import { BatchNorm2d, Conv2d, Dropout, init, Linear, type Module, ReLU, Sequential } from '@convnets/nn'
import { checkNumber } from '@convnets/tensor'
import { dropConnectRates, lastOfStrides, RowModel } from './row-model.ts'

/** What tells one MnasNet from another. */
export interface MnasNetConfig {
  /** Name of the network, for messages. */
  readonly name: string
  /** Factor of the channels, which are rounded to multiples of 8. Default 1. */
  readonly width?: number
}

export interface MnasNetOptions extends ModelOptions {}

/** Figure 7 of the paper (B1): window, expansion, channels, blocks, step of the first. */
const rows = [
  [3, 3, 24, 3, 2],
  [5, 3, 40, 3, 2],
  [5, 6, 80, 3, 2],
  [3, 6, 96, 2, 1],
  [5, 6, 192, 4, 2],
  [3, 6, 320, 1, 1],
] as const

/** Channels of the last convolution, whatever the width. */
const HEAD = 1280

/**
 *     3x3 / 2, 32 -- depthwise 3x3 -- 1x1, 16 (layers.0 to 7) -- 6 stages (layers.8 to 13) -- 1x1, 1280 -- mean -- classifier
 */
export class MnasNet extends RowModel {
  readonly config: MnasNetConfig

  constructor(config: MnasNetConfig, options: MnasNetOptions = {}) {
    const { name, width = 1 } = config
    const { numClasses, inChannels, dropout, dropPath } = readModelOptions(name, options, { dropout: 0.2 })
    checkNumber(name, 'width', width, Number.MIN_VALUE)
    // TensorFlow's 0.9997 is the weight of the past.
    const norm = (channels: number): BatchNorm2d => new BatchNorm2d(channels, { momentum: 1 - 0.9997 })
    const act = (): ReLU => new ReLU()
    const [stem, first] = [roundChannels(32 * width), roundChannels(16 * width)]
    const rates = dropConnectRates(
      dropPath,
      rows.map(([, , , depth]) => depth),
    )
    let channels: number = first
    let stride = 2
    const levels: FeatureInfo[] = [{ name: 'layers.7', channels, stride }]
    const stages = rows.map(([kernel, expand, out, , step], i) => {
      const blocks = (rates[i] ?? []).map((rate, j) => {
        const own = { kernel, expand, stride: j === 0 ? step : 1, dropPath: rate }
        const block = new MBConv(channels, roundChannels(out * width), {
          ...own,
          norm,
          act,
          attention: null,
          keys: 'mnasnet',
        })
        channels = block.outChannels
        return block
      })
      stride *= step
      levels.push({ name: `layers.${8 + i}`, channels, stride })
      return new Sequential(...blocks)
    })
    levels.push({ name: `layers.${8 + rows.length + 2}`, channels: HEAD, stride })
    super({
      name,
      key: 'layers',
      body: new Sequential(
        new Conv2d(inChannels, stem, { kernel: 3, stride: 2, padding: 1, bias: false }),
        norm(stem),
        act(),
        new Conv2d(stem, stem, { kernel: 3, padding: 1, groups: stem, bias: false }),
        norm(stem),
        act(),
        new Conv2d(stem, first, { kernel: 1, bias: false }),
        norm(first),
        ...stages,
        new Conv2d(channels, HEAD, { kernel: 1, bias: false }),
        norm(HEAD),
        act(),
      ),
      featureInfo: lastOfStrides(levels),
      classifier: new Sequential(new Dropout(dropout), new Linear(HEAD, numClasses)),
    })
    this.config = config
    this.apply(initialize)
  }
}

/** Convolutions as He et al. 2015b, by the outputs; the classifier uniform by its outputs, its bias 0. As torchvision. */
function initialize(module: Module): void {
  if (module instanceof Conv2d) init.kaimingNormal_(module.weight, { mode: 'fanOut', nonlinearity: 'relu' })
  if (!(module instanceof Linear)) return
  init.kaimingUniform_(module.weight, { mode: 'fanOut', nonlinearity: 'sigmoid' })
  if (module.bias !== undefined) init.constant_(module.bias, 0)
}

function mnasnet(): ModelEntry<MnasNetOptions, MnasNet> {
  const name = 'mnasnet1_0'
  const facts = {
    name,
    paper: 'Tan et al., "MnasNet", 2019, figure 7 (arXiv:1807.11626)',
    params: 4_383_312,
    macs: 314_415_872,
    inputSize: [224, 224] as const,
    numClasses: 1000,
    weights: publishedWeights('mnasnet1_0', {
      torchvision: { IMAGENET1K_V1: ['mnasnet1.0_top1_73.512-f206786ef8.pth', 256, 73.456, 91.51] },
    }),
  }
  return defineModel(facts, (options) => new MnasNet({ name }, options))
}

/** MnasNet-B1 1.0x: 4.4 million parameters, 0.31 GMACs, ImageNet top-1 73.5 %. */
export const mnasnet1_0: ModelEntry<MnasNetOptions, MnasNet> = /* @__PURE__ */ mnasnet()
