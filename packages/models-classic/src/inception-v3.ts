/**
 * Inception v3. Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016.
 *
 * Large convolutions taken apart: 5x5 into 3x3, 7x7 into a row and a column, 3x3 into a row beside a column where maps are
 * small; modules that halve the map by convolution and pooling at once; an auxiliary classifier with batch norm on the
 * last 17x17 map; label smoothing. Table 1 gives the network. Keys are torchvision's, and so is its average pooling, in
 * which padding counts.
 *
 * (N, 3, H, W) to (N, 1000); 299 pixels, other sizes from 75 too. In training mode with the auxiliary classifier it gives
 * `{ logits, aux, auxWeight }` and takes images of at least 299 pixels.
 */
import {
  AuxImageModel,
  type ConvNormAct,
  checkImages,
  defineModel,
  type FeatureInfo,
  freshClassifier,
  type ImageOutput,
  InceptionV3A,
  InceptionV3Aux,
  InceptionV3B,
  InceptionV3C,
  InceptionV3D,
  InceptionV3E,
  inceptionUnit,
  type ModelEntry,
  type PublishedWeights,
  publishedWeights,
  readModelOptions,
} from '@convnets/blocks'
import { AdaptiveAvgPool2d, Conv2d, Dropout, init, Linear, MaxPool2d } from '@convnets/nn'
import { flatten, type Tensor } from '@convnets/tensor'
import { type AuxModelOptions, auxDefaults, checkAuxOptions, squeezeExcitation } from './options.ts'
import { fromImagenetStatistics } from './transform-input.ts'

/** What tells one Inception v3 from another. */
export interface InceptionV3Config {
  /** Name of the network, for messages. */
  readonly name: string
  /** Channels of the 7x7 convolutions in the four modules C. */
  readonly widths: readonly [number, number, number, number]
}

export interface InceptionV3Options extends AuxModelOptions {}

interface Variant {
  readonly widths: InceptionV3Config['widths']
  readonly paper: string
  /** Squeeze-and-excitation at the end of every Inception module unless said otherwise. */
  readonly gated?: boolean
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

const widths = [128, 160, 160, 192] as const

/** Parameters are with the auxiliary classifier, which has 3,326,696. */
const variants: Readonly<Record<'inception_v3' | 'se_inception_v3', Variant>> = {
  inception_v3: {
    widths,
    paper:
      'Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016, table 1 (arXiv:1512.00567)',
    params: 27_161_264,
    macs: 5_713_216_096,
    weights: {
      // Published with ImageNet's statistics and transform_input, which together are this.
      torchvision: {
        IMAGENET1K_V1: ['inception_v3_google-0cc3c7bd.pth', 342, 77.294, 93.45, { crop: 299, centred: true }],
      },
      timm: {
        gluon_in1k: [299, 0.875, 78.806, 94.372],
        tf_in1k: [299, 0.875, 77.866, 93.644, 'centred'],
        tf_adv_in1k: [299, 0.875, 77.598, 93.726, 'centred'],
        tv_in1k: [299, 0.875, 77.472, 93.468, 'centred'],
      },
    },
  },
  se_inception_v3: {
    widths,
    paper: 'Hu et al., "Squeeze-and-excitation networks", 2018, figure 2 (arXiv:1709.01507)',
    gated: true,
    params: 28_822_884,
    macs: 5_714_867_040,
    weights: {},
  },
}

/**
 * How the paper trained Inception v3 (section 8; label smoothing section 7; auxiliary weight from TensorFlow's recipe).
 * The optimizer is RMSProp as TensorFlow has it, eps inside of the root. With `@convnets/train` and `@convnets/optim`:
 *
 * ```ts
 * const { optimizer, schedule, labelSmoothing, auxWeight, clipGradNorm, epochs } = inceptionV3Recipe
 * const model = inception_v3({ numClasses: 10, seed: 1 })
 * await fit(model, {
 *   train, // a loader of 299 x 299 pixels; for fewer than 1600 images a step, scale the learning rate down
 *   epochs,
 *   optimizer: new RMSpropTF(model.parameters(), optimizer),
 *   schedule: step(schedule.epochs * train.length, { gamma: schedule.gamma }),
 *   loss: (output, target) => headLoss(output, (logits) => crossEntropy(logits, target, { labelSmoothing }), { auxWeight }),
 *   logits: mainLogits,
 *   clipGradNorm,
 *   ema: new EMA(model), // the paper measures a running average of the weights
 * })
 * ```
 */
export const inceptionV3Recipe = {
  labelSmoothing: 0.1,
  auxWeight: 0.4,
  optimizer: { lr: 0.045, alpha: 0.9, eps: 1 },
  /** The learning rate times 0.94 every 2 epochs. */
  schedule: { gamma: 0.94, epochs: 2 },
  clipGradNorm: 2,
  /** Images: 50 replicas of 32. */
  batchSize: 1600,
  epochs: 100,
} as const

/**
 *     3x3 / 2, 32 -- 3x3, 32 -- 3x3, 64 -- pool -- 1x1, 80 -- 3x3, 192 -- pool -- A A A -- B / 2 -- C C C C -- D / 2 -- E E -- mean -- fc
 *                                                                                                     |
 *                                                                                                 AuxLogits   (in training)
 */
export class InceptionV3 extends AuxImageModel {
  readonly config: InceptionV3Config
  readonly auxHeads: readonly string[] = ['AuxLogits']
  readonly auxWeight: number = 0.4
  readonly transformInput: boolean
  Conv2d_1a_3x3: ConvNormAct
  Conv2d_2a_3x3: ConvNormAct
  Conv2d_2b_3x3: ConvNormAct
  maxpool1: MaxPool2d
  Conv2d_3b_1x1: ConvNormAct
  Conv2d_4a_3x3: ConvNormAct
  maxpool2: MaxPool2d
  Mixed_5b: InceptionV3A
  Mixed_5c: InceptionV3A
  Mixed_5d: InceptionV3A
  Mixed_6a: InceptionV3B
  Mixed_6b: InceptionV3C
  Mixed_6c: InceptionV3C
  Mixed_6d: InceptionV3C
  Mixed_6e: InceptionV3C
  AuxLogits: InceptionV3Aux | undefined
  Mixed_7a: InceptionV3D
  Mixed_7b: InceptionV3E
  Mixed_7c: InceptionV3E
  avgpool: AdaptiveAvgPool2d
  dropout: Dropout
  fc: Linear

  constructor(config: InceptionV3Config, options: InceptionV3Options = {}) {
    super()
    const { name, widths } = config
    const read = readModelOptions(name, options, { ...auxDefaults, dropout: 0.5 }, { shortcuts: false })
    const { numClasses, inChannels, dropout, attention, auxLogits, transformInput } = read
    checkAuxOptions(name, read)
    const inside = attention === undefined ? {} : { attention }
    this.config = config
    this.transformInput = transformInput
    this.Conv2d_1a_3x3 = inceptionUnit(inChannels, [32, 3, { stride: 2, padding: 0 }])
    this.Conv2d_2a_3x3 = inceptionUnit(32, [32, 3, { padding: 0 }])
    this.Conv2d_2b_3x3 = inceptionUnit(32, [64, 3])
    this.maxpool1 = new MaxPool2d(3, { stride: 2 })
    this.Conv2d_3b_1x1 = inceptionUnit(64, [80, 1])
    this.Conv2d_4a_3x3 = inceptionUnit(80, [192, 3, { padding: 0 }])
    this.maxpool2 = new MaxPool2d(3, { stride: 2 })
    this.Mixed_5b = new InceptionV3A(192, 32, inside)
    this.Mixed_5c = new InceptionV3A(this.Mixed_5b.outChannels, 64, inside)
    this.Mixed_5d = new InceptionV3A(this.Mixed_5c.outChannels, 64, inside)
    this.Mixed_6a = new InceptionV3B(this.Mixed_5d.outChannels, inside)
    this.Mixed_6b = new InceptionV3C(this.Mixed_6a.outChannels, widths[0], inside)
    this.Mixed_6c = new InceptionV3C(this.Mixed_6b.outChannels, widths[1], inside)
    this.Mixed_6d = new InceptionV3C(this.Mixed_6c.outChannels, widths[2], inside)
    this.Mixed_6e = new InceptionV3C(this.Mixed_6d.outChannels, widths[3], inside)
    this.AuxLogits = auxLogits ? new InceptionV3Aux(this.Mixed_6e.outChannels, numClasses) : undefined
    this.Mixed_7a = new InceptionV3D(this.Mixed_6e.outChannels, inside)
    this.Mixed_7b = new InceptionV3E(this.Mixed_7a.outChannels, inside)
    this.Mixed_7c = new InceptionV3E(this.Mixed_7b.outChannels, inside)
    this.avgpool = new AdaptiveAvgPool2d(1)
    this.dropout = new Dropout(dropout)
    this.fc = new Linear(this.Mixed_7c.outChannels, numClasses)
    initialize(this)
  }

  get featureInfo(): readonly FeatureInfo[] {
    const { Conv2d_2b_3x3, Conv2d_4a_3x3, Mixed_5d, Mixed_6e, Mixed_7c } = this
    return Object.entries({ Conv2d_2b_3x3, Conv2d_4a_3x3, Mixed_5d, Mixed_6e, Mixed_7c }).map(
      ([name, { outChannels }], i) => ({ name, channels: outChannels, stride: 2 ** (i + 1) }),
    )
  }

  /** Feature maps, and logits of the auxiliary head where `heads` asks for them. */
  #run(x: Tensor, heads: boolean): { readonly maps: Tensor; readonly aux: readonly Tensor[] } {
    const head = heads ? this.AuxLogits : undefined
    const { inChannels: channels } = this.Conv2d_1a_3x3
    checkImages(x, { model: this.config.name, channels, smallest: head === undefined ? 75 : 299 })
    let y = this.Conv2d_1a_3x3.forward(this.transformInput ? fromImagenetStatistics(x) : x)
    y = this.maxpool1.forward(this.Conv2d_2b_3x3.forward(this.Conv2d_2a_3x3.forward(y)))
    y = this.maxpool2.forward(this.Conv2d_4a_3x3.forward(this.Conv2d_3b_1x1.forward(y)))
    y = this.Mixed_5d.forward(this.Mixed_5c.forward(this.Mixed_5b.forward(y)))
    y = this.Mixed_6c.forward(this.Mixed_6b.forward(this.Mixed_6a.forward(y)))
    y = this.Mixed_6e.forward(this.Mixed_6d.forward(y))
    const aux = head === undefined ? [] : [head.forward(y)]
    return { maps: this.Mixed_7c.forward(this.Mixed_7b.forward(this.Mixed_7a.forward(y))), aux }
  }

  forwardFeatures(x: Tensor): Tensor {
    return this.#run(x, false).maps
  }

  forward(x: Tensor): ImageOutput {
    const { maps, aux } = this.#run(x, this.training)
    const pooled = this.dropout.forward(this.avgpool.forward(maps))
    return this.output(this.fc.forward(flatten(pooled, 1)), aux)
  }

  /** Replaces the last layer of the auxiliary head too. */
  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.fc = freshClassifier(this.fc, numClasses, options)
    if (this.AuxLogits !== undefined) this.AuxLogits.fc = freshClassifier(this.AuxLogits.fc, numClasses, options)
    return this
  }
}

/**
 * Weights normal with deviation 0.1, cut off at 2 (a value, not deviations), as torchvision; in the auxiliary head 0.01 for
 * the 5x5 convolution and 0.001 for the classifier, which torchvision means too (it does not reach its 0.01). Biases keep
 * PyTorch's default, and so does attention, which torchvision's network has none of.
 */
function initialize(model: InceptionV3): void {
  const head = model.AuxLogits
  for (const [path, module] of model.namedModules()) {
    if (!(module instanceof Conv2d || module instanceof Linear) || path.includes('.attention.')) continue
    const std = module === head?.conv1.conv ? 0.01 : module === head?.fc ? 0.001 : 0.1
    init.truncatedNormal_(module.weight, { std })
  }
}

function inceptionV3(name: keyof typeof variants): ModelEntry<InceptionV3Options, InceptionV3> {
  const { widths, paper, gated = false, params, macs, weights } = variants[name]
  const facts = {
    name,
    paper,
    params,
    macs,
    inputSize: [299, 299] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  const more = gated ? { attention: squeezeExcitation } : {}
  return defineModel(facts, (options) => new InceptionV3({ name, widths }, { ...more, ...options }))
}

/** Inception v3: 23.8 million parameters and 3.3 in the auxiliary head, 5.7 GMACs, ImageNet top-1 77.3 % (78.8 % by gluon). */
export const inception_v3: ModelEntry<InceptionV3Options, InceptionV3> = /* @__PURE__ */ inceptionV3('inception_v3')
/** Inception v3 with squeeze-and-excitation behind the concatenation of all eleven modules; no weights are published. */
export const se_inception_v3: ModelEntry<InceptionV3Options, InceptionV3> =
  /* @__PURE__ */ inceptionV3('se_inception_v3')
