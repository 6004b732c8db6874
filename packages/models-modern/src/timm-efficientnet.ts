/**
 * EfficientNet with the keys of timm, first of all the networks as TensorFlow computes them. Tan and Le 2019; Xie et al.,
 * "Adversarial examples improve image recognition", 2020 (B8, AdvProp); Xie et al., "Self-training with Noisy Student
 * improves ImageNet classification", 2020 (L2).
 *
 * TensorFlow pads strided convolutions as the output needs it, which for even sizes is one row and column at the bottom
 * and right, and adds 1e-3 to the variance. With PyTorch's padding the published weights lose accuracy.
 *
 * (N, 3, H, W) to (N, 1000); 224 to 800 pixels as published, any size from 1 too.
 */
import {
  checkImages,
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
} from '@convnets/blocks'
import { BatchNorm2d, Conv2d, Dropout, GlobalAvgPool2d, init, Linear, type Module, Sequential } from '@convnets/nn'
import { silu, type Tensor } from '@convnets/tensor'
import { type EfficientNetConfig, uniformByOutputs } from './efficientnet.ts'
import { checkShape, efficientNetScales, efficientNetShape } from './efficientnet-scaling.ts'
import { buildStages } from './efficientnet-stages.ts'
import { batchNormOf, lastOfStrides } from './row-model.ts'

/** What tells one network from another. */
export interface TimmEfficientNetConfig extends EfficientNetConfig {
  /** Zeros around maps: half the window on all sides ('symmetric', default), or as TensorFlow ('same'). */
  readonly padding?: 'same' | 'symmetric'
}

export interface TimmEfficientNetOptions extends ModelOptions {}

/** Batch norm and SiLU as one module, as which timm's hooks and features see them. */
class BatchNormSiLU extends BatchNorm2d {
  override forward(x: Tensor): Tensor {
    return frugal(() => silu(super.forward(x)))
  }
}

/**
 *     3x3 / 2 (conv_stem) -- bn1 -- stages of MBConv (blocks) -- 1x1 (conv_head) -- bn2 -- mean -- classifier
 */
export class TimmEfficientNet extends ImageModel {
  readonly config: TimmEfficientNetConfig
  readonly featureInfo: readonly FeatureInfo[]
  conv_stem: Conv2d
  bn1: BatchNorm2d
  blocks: Sequential
  conv_head: Conv2d
  bn2: BatchNorm2d
  global_pool: GlobalAvgPool2d
  dropout: Dropout
  classifier: Linear

  constructor(config: TimmEfficientNetConfig, options: TimmEfficientNetOptions = {}) {
    super()
    const { name, stem, head, padding = 'symmetric', eps = 1e-5, momentum = 0.1 } = config
    const defaults = { dropout: config.dropout ?? 0.2, dropPath: config.dropPath ?? 0.2 }
    const { numClasses, inChannels, dropout, dropPath } = readModelOptions(name, options, defaults)
    checkShape(name, config)
    const numbers = { eps, momentum }
    const shared = { padding, norm: batchNormOf(numbers), dropPath, keys: 'timm' } as const
    const { stages, levels } = buildStages(config, shared, (i) => `blocks.${i}`)
    const [last] = levels.slice(-1)
    this.config = config
    this.featureInfo = lastOfStrides([...levels, { name: 'bn2', channels: head, stride: last?.stride ?? 2 }])
    const around = padding === 'same' ? padding : 1
    this.conv_stem = new Conv2d(inChannels, stem, { kernel: 3, stride: 2, padding: around, bias: false })
    this.bn1 = new BatchNormSiLU(stem, numbers)
    this.blocks = new Sequential(...stages)
    this.conv_head = new Conv2d(this.blocks.outChannels, head, { kernel: 1, bias: false })
    this.bn2 = new BatchNormSiLU(head, numbers)
    this.global_pool = new GlobalAvgPool2d()
    this.dropout = new Dropout(dropout)
    this.classifier = new Linear(head, numClasses)
    this.apply(initialize)
  }

  forwardFeatures(x: Tensor): Tensor {
    checkImages(x, { model: this.config.name, channels: this.conv_stem.inChannels, smallest: 1 })
    const stem = frugal(() => this.bn1.forward(this.conv_stem.forward(x)))
    const maps = this.blocks.forward(stem)
    return frugal(() => this.bn2.forward(this.conv_head.forward(maps)))
  }

  forward(x: Tensor): Tensor {
    return this.classifier.forward(this.dropout.forward(this.global_pool.forward(this.forwardFeatures(x))))
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.classifier = freshClassifier(this.classifier, numClasses, options)
    return this
  }
}

/**
 * Convolutions normal with variance 2 / outputs, those of one group (a depthwise one has its window's cells); the
 * classifier uniform by its outputs; biases 0. As TensorFlow's code and timm.
 */
function initialize(module: Module): void {
  if (module instanceof Conv2d) {
    const { fanOut } = init.fans(module.weight)
    init.normal_(module.weight, 0, Math.sqrt((2 * module.groups) / fanOut))
  } else if (module instanceof Linear) uniformByOutputs(module)
  else return
  if (module.bias !== undefined) init.constant_(module.bias, 0)
}

type Scale = keyof typeof efficientNetScales

interface Variant {
  readonly scale: Scale
  readonly params: number
  readonly macs: number
  /** Pixels of the images, where they are not the scale's, and what part of the shorter side they are. */
  readonly weights: PublishedWeights
}

/**
 * Weights of the authors as timm has them, best first: `ns_jft` Noisy Student, `ap` AdvProp, `ra` RandAugment, `aa`
 * AutoAugment.
 */
const tensorflow = {
  tf_efficientnet_b0: {
    scale: 'b0',
    params: 5_288_548,
    macs: 385_814_752,
    weights: {
      timm: {
        ns_jft_in1k: [224, 0.875, 78.68, 94.372],
        ap_in1k: [224, 0.875, 77.1, 93.258, 'centred'],
        aa_in1k: [224, 0.875, 76.882, 93.27],
        in1k: [224, 0.875, 76.542, 93.008],
      },
    },
  },
  tf_efficientnet_b1: {
    scale: 'b1',
    params: 7_794_184,
    macs: 686_802_832,
    weights: {
      timm: {
        ns_jft_in1k: [240, 0.882, 81.388, 95.756],
        ap_in1k: [240, 0.882, 79.288, 94.316, 'centred'],
        aa_in1k: [240, 0.882, 78.84, 94.202],
        in1k: [240, 0.882, 78.546, 94.096],
      },
    },
  },
  tf_efficientnet_b2: {
    scale: 'b2',
    params: 9_109_994,
    macs: 993_561_872,
    weights: {
      timm: {
        ns_jft_in1k: [260, 0.89, 82.412, 96.238],
        ap_in1k: [260, 0.89, 80.3, 95.032, 'centred'],
        aa_in1k: [260, 0.89, 80.074, 94.906],
        in1k: [260, 0.89, 79.612, 94.714],
      },
    },
  },
  tf_efficientnet_b3: {
    scale: 'b3',
    params: 12_233_232,
    macs: 1_827_141_392,
    weights: {
      timm: {
        ns_jft_in1k: [300, 0.904, 84.054, 96.926],
        ap_in1k: [300, 0.904, 81.842, 95.614, 'centred'],
        aa_in1k: [300, 0.904, 81.648, 95.724],
        in1k: [300, 0.904, 80.878, 95.308],
      },
    },
  },
  tf_efficientnet_b4: {
    scale: 'b4',
    params: 19_341_616,
    macs: 4_393_771_024,
    weights: {
      timm: {
        ns_jft_in1k: [380, 0.922, 85.156, 97.482],
        ap_in1k: [380, 0.922, 83.246, 96.392, 'centred'],
        aa_in1k: [380, 0.922, 83.04, 96.298],
        in1k: [380, 0.922, 82.598, 96.132],
      },
    },
  },
  tf_efficientnet_b5: {
    scale: 'b5',
    params: 30_389_784,
    macs: 10_266_384_752,
    weights: {
      timm: {
        ns_jft_in1k: [456, 0.934, 86.096, 97.744],
        ap_in1k: [456, 0.934, 84.258, 96.984, 'centred'],
        ra_in1k: [456, 0.934, 83.834, 96.764],
        aa_in1k: [456, 0.934, 83.696, 96.712],
        in1k: [456, 0.934, 83.17, 96.534],
      },
    },
  },
  tf_efficientnet_b6: {
    scale: 'b6',
    params: 43_040_704,
    macs: 19_067_593_536,
    weights: {
      timm: {
        ns_jft_in1k: [528, 0.942, 86.476, 97.864],
        ap_in1k: [528, 0.942, 84.794, 97.138, 'centred'],
        aa_in1k: [528, 0.942, 84.124, 96.89],
      },
    },
  },
  tf_efficientnet_b7: {
    scale: 'b7',
    params: 66_347_960,
    macs: 37_745_884_192,
    weights: {
      timm: {
        ns_jft_in1k: [600, 0.949, 86.85, 98.08],
        ap_in1k: [600, 0.949, 85.132, 97.256, 'centred'],
        ra_in1k: [600, 0.949, 84.926, 97.22],
        aa_in1k: [600, 0.949, 84.424, 96.908],
      },
    },
  },
  tf_efficientnet_b8: {
    scale: 'b8',
    params: 87_413_142,
    macs: 62_597_461_568,
    weights: {
      timm: {
        ap_in1k: [672, 0.954, 85.358, 97.298, 'centred'],
        ra_in1k: [672, 0.954, 85.344, 97.392],
      },
    },
  },
  tf_efficientnet_l2: {
    scale: 'l2',
    params: 480_309_308,
    macs: 475_703_653_280,
    weights: {
      timm: {
        ns_jft_in1k: [800, 0.96, 88.36, 98.656],
        ns_jft_in1k_475: [475, 0.936, 88.246, 98.554],
      },
    },
  },
} as const satisfies Readonly<Record<string, Variant>>

const papers: Readonly<Partial<Record<Scale, string>>> = {
  b8: 'Xie et al., "Adversarial examples improve image recognition", 2020, section 5 (arXiv:1911.09665)',
  l2: 'Xie et al., "Self-training with Noisy Student", 2020, table 7 (arXiv:1911.04252)',
}

type Entry = ModelEntry<TimmEfficientNetOptions, TimmEfficientNet>

function entry(name: string, variant: Variant, numbers: Pick<TimmEfficientNetConfig, 'padding' | 'eps'>): Entry {
  const { params, macs, weights } = variant
  const scale = efficientNetScales[variant.scale]
  const { dropout, resolution } = scale
  const facts = {
    name,
    paper: papers[variant.scale] ?? 'Tan and Le, "EfficientNet", 2019, table 2, in TensorFlow (arXiv:1905.11946)',
    params,
    macs,
    inputSize: [resolution, resolution] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  const config = { name, ...efficientNetShape(scale), dropout, ...numbers }
  return defineModel(facts, (options) => new TimmEfficientNet(config, options))
}

function tf(name: keyof typeof tensorflow): Entry {
  return entry(name, tensorflow[name], { padding: 'same', eps: 1e-3 })
}

/** timm's B8 and L2 with PyTorch's padding and batch norm, of which there are no weights. */
function untrained(name: 'b8' | 'l2'): Entry {
  return entry(`efficientnet_${name}`, { ...tensorflow[`tf_efficientnet_${name}`], weights: {} }, {})
}

/** EfficientNet-B0 of TensorFlow: 5.3 million parameters, 0.39 GMACs, ImageNet top-1 76.5 % (Noisy Student 78.7 %). */
export const tf_efficientnet_b0: Entry = /* @__PURE__ */ tf('tf_efficientnet_b0')
/** EfficientNet-B1 of TensorFlow: 7.8 million parameters, 0.69 GMACs, ImageNet top-1 78.5 % (Noisy Student 81.4 %). */
export const tf_efficientnet_b1: Entry = /* @__PURE__ */ tf('tf_efficientnet_b1')
/** EfficientNet-B2 of TensorFlow: 9.1 million parameters, 1.0 GMACs, ImageNet top-1 79.6 % (Noisy Student 82.4 %). */
export const tf_efficientnet_b2: Entry = /* @__PURE__ */ tf('tf_efficientnet_b2')
/** EfficientNet-B3 of TensorFlow: 12.2 million parameters, 1.8 GMACs, ImageNet top-1 80.9 % (Noisy Student 84.1 %). */
export const tf_efficientnet_b3: Entry = /* @__PURE__ */ tf('tf_efficientnet_b3')
/** EfficientNet-B4 of TensorFlow: 19.3 million parameters, 4.4 GMACs, ImageNet top-1 82.6 % (Noisy Student 85.2 %). */
export const tf_efficientnet_b4: Entry = /* @__PURE__ */ tf('tf_efficientnet_b4')
/** EfficientNet-B5 of TensorFlow: 30.4 million parameters, 10.3 GMACs, ImageNet top-1 83.2 % (Noisy Student 86.1 %). */
export const tf_efficientnet_b5: Entry = /* @__PURE__ */ tf('tf_efficientnet_b5')
/** EfficientNet-B6 of TensorFlow: 43.0 million parameters, 19.1 GMACs, ImageNet top-1 84.1 % (Noisy Student 86.5 %). */
export const tf_efficientnet_b6: Entry = /* @__PURE__ */ tf('tf_efficientnet_b6')
/** EfficientNet-B7 of TensorFlow: 66.3 million parameters, 37.7 GMACs, ImageNet top-1 84.9 % (Noisy Student 86.9 %). */
export const tf_efficientnet_b7: Entry = /* @__PURE__ */ tf('tf_efficientnet_b7')
/** EfficientNet-B8 of TensorFlow: 87.4 million parameters, 62.6 GMACs, ImageNet top-1 85.4 % by AdvProp. */
export const tf_efficientnet_b8: Entry = /* @__PURE__ */ tf('tf_efficientnet_b8')
/** EfficientNet-L2 of TensorFlow: 480 million parameters, 476 GMACs, ImageNet top-1 88.4 % by Noisy Student. */
export const tf_efficientnet_l2: Entry = /* @__PURE__ */ tf('tf_efficientnet_l2')
/** EfficientNet-B8 with PyTorch's padding: 87.4 million parameters, 62.6 GMACs; no weights are published. */
export const efficientnet_b8: Entry = /* @__PURE__ */ untrained('b8')
/** EfficientNet-L2 with PyTorch's padding: 480 million parameters, 476 GMACs; no weights are published. */
export const efficientnet_l2: Entry = /* @__PURE__ */ untrained('l2')
