/** The module of BN-Inception (Inception v2). */
import { AvgPool2d, type Layer, MaxPool2d, Module } from '@convnets/nn'
import { ArgumentError, cat, checkInteger, checkOptionNames, optionNames, type Tensor } from '@convnets/tensor'
import type { InceptionOptions } from './branches.ts'
import { ConvNormAct } from './conv-norm-act.ts'

/** Channels of a module, as in a row of the table in the paper's appendix. */
export interface InceptionV2Widths {
  /** Of the 1x1 branch; 0 for none. */
  readonly one: number
  /** Of the branch with one 3x3 convolution: in front of it, and its own. */
  readonly three: readonly [reduce: number, out: number]
  /** Of the branch with two 3x3 convolutions: in front of them, and their own. */
  readonly double: readonly [reduce: number, out: number]
  /** Of the 1x1 convolution behind the pooling; 0 for none, so that all input channels pass. */
  readonly pool: number
}

export interface InceptionV2Options extends InceptionOptions {
  /** Pooling of the last branch. Default 'avg'; with stride 2 always 'max'. */
  readonly pooling?: 'avg' | 'max'
  /** 1 (default), or 2 for the modules between stages. */
  readonly stride?: 1 | 2
  /** Bias in convolutions that are normalised anyway. Default false; Caffe's network, and so its weights, have one. */
  readonly bias?: boolean
}

const moduleOptions = optionNames<InceptionV2Options>({
  norm: true,
  attention: true,
  pooling: true,
  stride: true,
  bias: true,
})

/**
 * The module of GoogLeNet with two 3x3 convolutions in place of the 5x5. Ioffe and Szegedy, "Batch normalization", 2015,
 * appendix.
 *
 *         +------------------------------- conv 1x1 ------------+
 *         +-- conv 1x1 ------------------- conv 3x3 / stride ---+
 *     x --+-- conv 1x1 ---- conv 3x3 ----- conv 3x3 / stride ---+-- concat [-- attention] -- y
 *         +-- pool 3x3 / stride ---------- conv 1x1 ------------+
 *
 * (N, inChannels, H, W) to (N, outChannels, ceil(H / stride), ceil(W / stride)), with at most one cell less where the
 * stride is 2 and the size odd. Between stages the first branch and the last 1x1 convolution are left out. Keys are the
 * parts of Caffe's names: `1x1`, `3x3_reduce`, `3x3`, `double_3x3_reduce`, `double_3x3_1`, `double_3x3_2`, `pool_proj`.
 *
 * ```ts
 * new InceptionV2(192, { one: 64, three: [64, 64], double: [64, 96], pool: 32 })
 * ```
 */
export class InceptionV2 extends Module {
  readonly inChannels: number
  readonly outChannels: number
  readonly attention: Layer | undefined
  readonly #branches: readonly (readonly (readonly [name: string, layer: Layer])[])[]

  constructor(inChannels: number, widths: InceptionV2Widths, options: InceptionV2Options = {}) {
    super()
    checkOptionNames('InceptionV2', options, moduleOptions)
    const { pooling = 'avg', stride = 1, norm, bias = norm === null } = options
    if (pooling !== 'avg' && pooling !== 'max') {
      throw new ArgumentError(`InceptionV2: pooling expects 'avg' or 'max', got ${String(pooling)}`)
    }
    if (stride !== 1 && stride !== 2) {
      throw new ArgumentError(`InceptionV2: stride expects 1 or 2, got ${String(stride)}`)
    }
    const { one, three, double, pool } = widths
    this.inChannels = checkInteger('InceptionV2', 'inChannels', inChannels, 1)
    const unit = (from: number, to: number, kernel: 1 | 3, step = 1): ConvNormAct =>
      new ConvNormAct(from, to, { kernel, stride: step, bias, ...(norm === undefined ? {} : { norm }) })
    const average = stride === 1 && pooling === 'avg'
    const window = stride === 1 ? { stride: 1, padding: 1, ceilMode: true } : { stride: 2, ceilMode: true }
    this.#branches = [
      one === 0 ? [] : [['1x1', unit(inChannels, one, 1)] as const],
      [
        ['3x3_reduce', unit(inChannels, three[0], 1)],
        ['3x3', unit(three[0], three[1], 3, stride)],
      ],
      [
        ['double_3x3_reduce', unit(inChannels, double[0], 1)],
        ['double_3x3_1', unit(double[0], double[1], 3)],
        ['double_3x3_2', unit(double[1], double[1], 3, stride)],
      ],
      [
        ['pool', average ? new AvgPool2d(3, window) : new MaxPool2d(3, window)],
        ...(pool === 0 ? [] : [['pool_proj', unit(inChannels, pool, 1)] as const]),
      ],
    ]
    this.outChannels = one + three[1] + double[1] + (pool === 0 ? inChannels : pool)
    this.attention = options.attention?.(this.outChannels)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    const layers = this.#branches.flat()
    return this.attention === undefined ? layers : [...layers, ['attention', this.attention]]
  }

  forward(x: Tensor): Tensor {
    const branches = this.#branches.filter((layers) => layers.length > 0)
    const outputs = branches.map((layers) => layers.reduce((y, [, layer]) => layer.forward(y), x))
    const y = cat(outputs, 1)
    return this.attention === undefined ? y : this.attention.forward(y)
  }
}
