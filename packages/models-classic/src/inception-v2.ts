/**
 * Inception v2 (BN-Inception). Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing
 * internal covariate shift", 2015, appendix.
 *
 * GoogLeNet with batch norm behind every convolution, two 3x3 convolutions in place of each 5x5, and strided modules
 * between stages instead of pooling alone. `bninception` is the network of the published Caffe weights, whose convolutions
 * have biases and whose modules 4c and 4d have 128 channels behind the pooling; `inception_v2` has the paper's 96 and no
 * biases. Keys of both are Caffe's, as in pretrained-models.pytorch.
 *
 * (N, 3, H, W) to (N, 1000); 224 pixels, other sizes from 31 too.
 */
import {
  type ConvNormAct,
  checkImages,
  defineModel,
  type FeatureInfo,
  freshClassifier,
  ImageModel,
  InceptionV2,
  type InceptionV2Options,
  type InceptionV2Widths,
  type ModelEntry,
  type PublishedWeights,
  publishedWeights,
  readModelOptions,
  ConvNormAct as Unit,
} from '@convnets/blocks'
import { BatchNorm2d, Dropout, Linear, MaxPool2d, type Module } from '@convnets/nn'
import { globalAvgPool2d, type Tensor } from '@convnets/tensor'
import type { InceptionModelOptions } from './options.ts'
import { inBytes } from './weights.ts'

/** What tells one BN-Inception from another. */
export interface BNInceptionConfig {
  /** Name of the network, for messages. */
  readonly name: string
  /** Channels behind the pooling of modules 4c and 4d. */
  readonly pool4: number
  /** Bias in convolutions, though batch norm follows. */
  readonly bias: boolean
}

export interface BNInceptionOptions extends InceptionModelOptions {}

interface Variant extends Omit<BNInceptionConfig, 'name'> {
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

const variants: Readonly<Record<'bninception' | 'inception_v2', Variant>> = {
  bninception: {
    pool4: 128,
    bias: true,
    params: 11_295_240,
    macs: 2_032_600_064,
    weights: {
      cadene: { IMAGENET: ['bn_inception-52deb4733.pth', 73.524, 91.562, inBytes([104, 117, 128])] },
    },
  },
  inception_v2: { pool4: 96, bias: false, params: 11_194_984, macs: 2_018_851_840, weights: {} },
}

type Row = InceptionV2Widths & Pick<InceptionV2Options, 'stride' | 'pooling'>

/** The table in the appendix of the paper; 5b alone pools by maxima at stride 1. */
function rows(pool4: number): Readonly<Record<string, Row>> {
  return {
    '3a': { one: 64, three: [64, 64], double: [64, 96], pool: 32 },
    '3b': { one: 64, three: [64, 96], double: [64, 96], pool: 64 },
    '3c': { one: 0, three: [128, 160], double: [64, 96], pool: 0, stride: 2 },
    '4a': { one: 224, three: [64, 96], double: [96, 128], pool: 128 },
    '4b': { one: 192, three: [96, 128], double: [96, 128], pool: 128 },
    '4c': { one: 160, three: [128, 160], double: [128, 160], pool: pool4 },
    '4d': { one: 96, three: [128, 192], double: [160, 192], pool: pool4 },
    '4e': { one: 0, three: [128, 192], double: [192, 256], pool: 0, stride: 2 },
    '5a': { one: 352, three: [192, 320], double: [160, 224], pool: 128 },
    '5b': { one: 352, three: [192, 320], double: [192, 224], pool: 128, pooling: 'max' },
  }
}

/**
 *     7x7 / 2, 64 -- pool -- 1x1, 64 -- 3x3, 192 -- pool -- 3a 3b -- 3c / 2 -- 4a 4b 4c 4d -- 4e / 2 -- 5a 5b -- mean -- last_linear
 */
export class BNInception extends ImageModel {
  readonly config: BNInceptionConfig
  readonly #stem: readonly [seven: ConvNormAct, reduce: ConvNormAct, three: ConvNormAct]
  readonly #pools: readonly [MaxPool2d, MaxPool2d]
  /** Modules by name: `inception_3a` and so on. */
  readonly #modules: ReadonlyMap<string, InceptionV2>
  readonly dropout: Dropout
  last_linear: Linear

  constructor(config: BNInceptionConfig, options: BNInceptionOptions = {}) {
    super()
    const { name, pool4, bias } = config
    const read = readModelOptions(name, options, { attention: undefined }, { shortcuts: false })
    const { numClasses, inChannels, dropout, attention } = read
    this.config = config
    const norm = (channels: number): BatchNorm2d => new BatchNorm2d(channels)
    this.#stem = [
      new Unit(inChannels, 64, { kernel: 7, stride: 2, bias }),
      new Unit(64, 64, { kernel: 1, bias }),
      new Unit(64, 192, { kernel: 3, bias }),
    ]
    const pool = (): MaxPool2d => new MaxPool2d(3, { stride: 2, ceilMode: true })
    this.#pools = [pool(), pool()]
    const modules: Map<string, InceptionV2> = new Map()
    let channels = 192
    for (const [row, { stride, pooling, ...widths }] of Object.entries(rows(pool4))) {
      const module = new InceptionV2(channels, widths, {
        norm,
        bias,
        ...(stride && { stride }),
        ...(pooling && { pooling }),
        ...(attention && { attention }),
      })
      modules.set(`inception_${row}`, module)
      channels = module.outChannels
    }
    this.#modules = modules
    this.dropout = new Dropout(dropout)
    this.last_linear = new Linear(channels, numClasses)
  }

  /** Caffe knows no modules inside of modules: every layer lies at the top, under a long name. */
  override fields(): Iterable<readonly [string, unknown]> {
    const [seven, reduce, three] = this.#stem
    const inside = [...this.#modules].flatMap(([name, module]) =>
      [...module.fields()].flatMap(([part, layer]) =>
        layer instanceof Unit ? flat(name, part, layer) : [[`${name}_${part}`, layer] as const],
      ),
    )
    return [
      ...flat('conv1', '7x7_s2', seven, '7x7'),
      ['pool1_3x3_s2', this.#pools[0]],
      ...flat('conv2', '3x3_reduce', reduce),
      ...flat('conv2', '3x3', three),
      ['pool2_3x3_s2', this.#pools[1]],
      ...inside,
      ['dropout', this.dropout],
      ['last_linear', this.last_linear],
    ]
  }

  /** Inception modules too, by `inception_3a` and so on; they have no keys of their own. */
  override namedModules(): Map<string, Module> {
    return new Map([...super.namedModules(), ...this.#modules])
  }

  override train(mode = true): this {
    for (const unit of [...this.#stem, ...this.#modules.values()]) unit.train(mode)
    return super.train(mode)
  }

  get featureInfo(): readonly FeatureInfo[] {
    const channels = (module: string): number => this.#modules.get(module)?.outChannels ?? 0
    return [
      { name: 'conv1_relu_7x7', channels: 64, stride: 2 },
      { name: 'conv2_relu_3x3', channels: 192, stride: 4 },
      { name: 'inception_3b', channels: channels('inception_3b'), stride: 8 },
      { name: 'inception_4d', channels: channels('inception_4d'), stride: 16 },
      { name: 'inception_5b', channels: channels('inception_5b'), stride: 32 },
    ]
  }

  forwardFeatures(x: Tensor): Tensor {
    const [seven, reduce, three] = this.#stem
    checkImages(x, { model: this.config.name, channels: seven.inChannels, smallest: 31 })
    const narrow = this.#pools[0].forward(seven.forward(x))
    let y = this.#pools[1].forward(three.forward(reduce.forward(narrow)))
    for (const module of this.#modules.values()) y = module.forward(y)
    return y
  }

  forward(x: Tensor): Tensor {
    return this.last_linear.forward(this.dropout.forward(globalAvgPool2d(this.forwardFeatures(x))))
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.last_linear = freshClassifier(this.last_linear, numClasses, options)
    return this
  }
}

/** The three layers of a unit by their names in Caffe: `conv2_3x3`, `conv2_3x3_bn`, `conv2_relu_3x3`. */
function flat(
  module: string,
  part: string,
  { conv, bn, act }: ConvNormAct,
  activated: string = part,
): (readonly [string, unknown])[] {
  return [
    [`${module}_${part}`, conv],
    [`${module}_${part}_bn`, bn],
    [`${module}_relu_${activated}`, act],
  ]
}

function bnInception(name: keyof typeof variants): ModelEntry<BNInceptionOptions, BNInception> {
  const { params, macs, weights, ...config } = variants[name]
  const facts = {
    name,
    paper:
      'Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift", 2015, appendix (arXiv:1502.03167)',
    params,
    macs,
    inputSize: [224, 224] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(facts, (options) => new BNInception({ name, ...config }, options))
}

/** BN-Inception as in Caffe: 11.3 million parameters, 2.0 GMACs, ImageNet top-1 73.5 %. */
export const bninception: ModelEntry<BNInceptionOptions, BNInception> = /* @__PURE__ */ bnInception('bninception')
/** BN-Inception with the channels of the paper: 11.2 million parameters, 2.0 GMACs. */
export const inception_v2: ModelEntry<BNInceptionOptions, BNInception> = /* @__PURE__ */ bnInception('inception_v2')
