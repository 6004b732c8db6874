/**
 * EfficientNet. Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019.
 *
 * A small network found by a search (B0, inverted bottlenecks with squeeze-and-excitation) grows in depth, width and
 * resolution at once, which gains more than growing in any of them alone. Keys, paddings and the constants of batch norm
 * are torchvision's: B0 to B4 as trained with PyTorch, B5 to B7 with the constants of the TensorFlow networks that their
 * weights come from. For the TensorFlow networks themselves see `tf_efficientnet_b0` and on.
 *
 * (N, 3, H, W) to (N, 1000); 224 to 600 pixels in the paper, any size from 1 too.
 */
import {
  defineModel,
  type ModelEntry,
  type ModelOptions,
  type PublishedWeights,
  publishedWeights,
  readModelOptions,
} from '@convnets/blocks'
import { Conv2d, Dropout, init, Linear, type Module, Sequential, SiLU } from '@convnets/nn'
import { checkShape, type EfficientNetShape, efficientNetScales, efficientNetShape } from './efficientnet-scaling.ts'
import { buildStages } from './efficientnet-stages.ts'
import { batchNormOf, ConvUnit, lastOfStrides, RowModel } from './row-model.ts'

/** What tells one EfficientNet from another. */
export interface EfficientNetConfig extends EfficientNetShape {
  /** Name of the network, for messages. */
  readonly name: string
  /** Dropout in front of the classifier. Default 0.2. */
  readonly dropout?: number
  /** Stochastic depth that the last block stays a step below. Default 0.2. */
  readonly dropPath?: number
  /** Added to the variance by batch norm. Default 1e-5. */
  readonly eps?: number
  /** Weight of the newest batch in the running statistics. Default 0.1. */
  readonly momentum?: number
}

export interface EfficientNetOptions extends ModelOptions {}

/**
 *     3x3 / 2 (features.0) -- stages of MBConv or FusedMBConv (features.1 and on) -- 1x1 (last of features) -- mean -- classifier
 */
export class EfficientNet extends RowModel {
  readonly config: EfficientNetConfig

  constructor(config: EfficientNetConfig, options: EfficientNetOptions = {}) {
    const { name, stem, head, dropout: rate = 0.2, dropPath: depthRate = 0.2, eps = 1e-5, momentum = 0.1 } = config
    const defaults = { dropout: rate, dropPath: depthRate }
    const { numClasses, inChannels, dropout, dropPath } = readModelOptions(name, options, defaults)
    checkShape(name, config)
    const norm = batchNormOf({ eps, momentum })
    const act = (): SiLU => new SiLU()
    const { stages, levels } = buildStages(config, { norm, dropPath, keys: 'torchvision' }, (i) => `features.${i + 1}`)
    const [last] = levels.slice(-1)
    const top = { name: `features.${stages.length + 1}`, channels: head, stride: last?.stride ?? 2 }
    super({
      name,
      key: 'features',
      body: new Sequential(
        new ConvUnit(inChannels, stem, { kernel: 3, stride: 2, norm, act }),
        ...stages,
        new ConvUnit(last?.channels ?? stem, head, { kernel: 1, norm, act }),
      ),
      featureInfo: lastOfStrides([...levels, top]),
      classifier: new Sequential(new Dropout(dropout), new Linear(head, numClasses)),
    })
    this.config = config
    this.apply(initialize)
  }
}

/** Convolutions as He et al. 2015b, by the outputs of all groups; the classifier uniform by its outputs. As torchvision. */
function initialize(module: Module): void {
  if (module instanceof Conv2d) init.kaimingNormal_(module.weight, { mode: 'fanOut' })
  else if (module instanceof Linear) uniformByOutputs(module)
  else return
  if (module.bias !== undefined) init.constant_(module.bias, 0)
}

/** Uniform in +- 1 / sqrt(outputs). */
export function uniformByOutputs({ weight, outFeatures }: Linear): void {
  const bound = 1 / Math.sqrt(outFeatures)
  init.uniform_(weight, -bound, bound)
}

interface Variant {
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

const bicubic = (crop: number, sha256?: string) =>
  ({ crop, interpolation: 'bicubic', ...(sha256 !== undefined && { sha256 }) }) as const

/** Table 2 of the paper; weights of torchvision, whose files were renamed after their checksums in 2024. */
const variants = {
  efficientnet_b0: {
    params: 5_288_548,
    macs: 385_814_752,
    weights: {
      torchvision: {
        IMAGENET1K_V1: [
          'efficientnet_b0_rwightman-7f5810bc.pth',
          256,
          77.692,
          93.532,
          bicubic(224, '7f5810bc96def8f7552d5b7e68d53c4786f81167d28291b21c0d90e1fca14934'),
        ],
      },
      timm: { ra4_e3600_r224_in1k: [224, 0.9, 78.568, 94.34, 'centred'], ra_in1k: [224, 0.875, 77.698, 93.538] },
    },
  },
  efficientnet_b1: {
    params: 7_794_184,
    macs: 686_802_832,
    weights: {
      torchvision: {
        IMAGENET1K_V2: ['efficientnet_b1-c27df63c.pth', 255, 79.838, 94.934, { crop: 240 }],
        IMAGENET1K_V1: ['efficientnet_b1_rwightman-bac287d4.pth', 256, 78.642, 94.186, bicubic(240)],
      },
      timm: { ra4_e3600_r240_in1k: [240, 0.9, 80.404, 95.152, 'centred'], ft_in1k: [224, 0.875, 77.592, 93.636] },
    },
  },
  efficientnet_b2: {
    params: 9_109_994,
    macs: 993_561_872,
    weights: {
      torchvision: {
        IMAGENET1K_V1: [
          'efficientnet_b2_rwightman-c35c1473.pth',
          288,
          80.608,
          95.31,
          bicubic(288, 'c35c147384e385a5bab5a8eabdabbe5a3df0487ee4a554108626ae474a5bf755'),
        ],
      },
      timm: { ra_in1k: [256, 0.875, 79.324, 94.582] },
    },
  },
  efficientnet_b3: {
    params: 12_233_232,
    macs: 1_827_141_392,
    weights: {
      torchvision: {
        IMAGENET1K_V1: [
          'efficientnet_b3_rwightman-b3899882.pth',
          320,
          82.008,
          96.054,
          bicubic(300, 'b3899882250c22946d0229d266049fcd133c169233530b36b9ffa7983988362f'),
        ],
      },
      timm: { ra2_in1k: [288, 0.875, 81.472, 95.696] },
    },
  },
  efficientnet_b4: {
    params: 19_341_616,
    macs: 4_393_771_024,
    weights: {
      torchvision: {
        IMAGENET1K_V1: [
          'efficientnet_b4_rwightman-23ab8bcd.pth',
          384,
          83.384,
          96.594,
          bicubic(380, '23ab8bcd5bdbef61a7a43b91adcad81f622fd7f36fb4935a569828d77888c44e'),
        ],
      },
      timm: { ra2_in1k: [320, 0.875, 82.658, 96.134] },
    },
  },
  efficientnet_b5: {
    params: 30_389_784,
    macs: 10_266_384_752,
    weights: {
      torchvision: {
        IMAGENET1K_V1: [
          'efficientnet_b5_lukemelas-1a07897c.pth',
          456,
          83.444,
          96.628,
          bicubic(456, '1a07897c0d357db7981640f6be44a63420f11deb932344a69768b62ebe272946'),
        ],
      },
    },
  },
  efficientnet_b6: {
    params: 43_040_704,
    macs: 19_067_593_536,
    weights: {
      torchvision: {
        IMAGENET1K_V1: [
          'efficientnet_b6_lukemelas-24a108a5.pth',
          528,
          84.008,
          96.916,
          bicubic(528, '24a108a596a00ad522bdfb9a2d98a9bd31819dfd7e37dd96bad6bb5bc00d6015'),
        ],
      },
    },
  },
  efficientnet_b7: {
    params: 66_347_960,
    macs: 37_745_884_192,
    weights: {
      torchvision: {
        IMAGENET1K_V1: [
          'efficientnet_b7_lukemelas-c5b4e57e.pth',
          600,
          84.122,
          96.908,
          bicubic(600, 'c5b4e57e0da1a10bb4f8a5b410dd3b7b6e7461f9b757209be29409707c3d87dd'),
        ],
      },
    },
  },
} as const satisfies Readonly<Record<string, Variant>>

type Entry = ModelEntry<EfficientNetOptions, EfficientNet>

function efficientnet(name: keyof typeof variants): Entry {
  const { params, macs, weights }: Variant = variants[name]
  const scale = efficientNetScales[name.slice(-2) as 'b0' | 'b1' | 'b2' | 'b3' | 'b4' | 'b5' | 'b6' | 'b7']
  const { dropout, resolution } = scale
  // torchvision took the weights of these from TensorFlow, and batch norm's constants with them.
  const norm = dropout >= 0.4 && name !== 'efficientnet_b4' ? { eps: 1e-3, momentum: 0.01 } : {}
  const facts = {
    name,
    paper: 'Tan and Le, "EfficientNet", 2019, table 2 (arXiv:1905.11946)',
    params,
    macs,
    inputSize: [resolution, resolution] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(
    facts,
    (options) => new EfficientNet({ name, ...efficientNetShape(scale), dropout, ...norm }, options),
  )
}

/** EfficientNet-B0: 5.3 million parameters, 0.39 GMACs, ImageNet top-1 77.7 %. */
export const efficientnet_b0: Entry = /* @__PURE__ */ efficientnet('efficientnet_b0')
/** EfficientNet-B1: 7.8 million parameters, 0.69 GMACs, ImageNet top-1 78.6 % (79.8 % by the newer recipe). */
export const efficientnet_b1: Entry = /* @__PURE__ */ efficientnet('efficientnet_b1')
/** EfficientNet-B2: 9.1 million parameters, 1.0 GMACs, ImageNet top-1 80.6 %. */
export const efficientnet_b2: Entry = /* @__PURE__ */ efficientnet('efficientnet_b2')
/** EfficientNet-B3: 12.2 million parameters, 1.8 GMACs, ImageNet top-1 82.0 %. */
export const efficientnet_b3: Entry = /* @__PURE__ */ efficientnet('efficientnet_b3')
/** EfficientNet-B4: 19.3 million parameters, 4.4 GMACs, ImageNet top-1 83.4 %. */
export const efficientnet_b4: Entry = /* @__PURE__ */ efficientnet('efficientnet_b4')
/** EfficientNet-B5: 30.4 million parameters, 10.3 GMACs, ImageNet top-1 83.4 %. */
export const efficientnet_b5: Entry = /* @__PURE__ */ efficientnet('efficientnet_b5')
/** EfficientNet-B6: 43.0 million parameters, 19.1 GMACs, ImageNet top-1 84.0 %. */
export const efficientnet_b6: Entry = /* @__PURE__ */ efficientnet('efficientnet_b6')
/** EfficientNet-B7: 66.3 million parameters, 37.7 GMACs, ImageNet top-1 84.1 %. */
export const efficientnet_b7: Entry = /* @__PURE__ */ efficientnet('efficientnet_b7')
