/** The module of GoogLeNet and its auxiliary classifier. */
import { AdaptiveAvgPool2d, AvgPool2d, Dropout, type Layer, Linear, MaxPool2d, Module } from '@convnets/nn'
import { ArgumentError, checkOptionNames, flatten, optionNames, relu, ShapeError, type Tensor } from '@convnets/tensor'
import { Branches, branch, type InceptionOptions, inceptionUnit } from './branches.ts'
import type { ConvNormAct } from './conv-norm-act.ts'

/** Channels of a module, as in a row of table 1 of the paper. */
export type InceptionV1Widths = readonly [
  one: number,
  reduceThree: number,
  three: number,
  reduceFive: number,
  five: number,
  pool: number,
]

export interface InceptionV1Options extends InceptionOptions {
  /** Kernel of the third branch. Default 5, the paper's; torchvision and TensorFlow have 3. */
  readonly wide?: 3 | 5
}

const moduleOptions = optionNames<InceptionV1Options>({ norm: true, attention: true, wide: true })

/**
 * Four views of one map. Szegedy et al., "Going deeper with convolutions", 2015, figure 2b.
 *
 *         +------------------- conv 1x1 --+
 *         +-- conv 1x1 ------- conv 3x3 --+
 *     x --+-- conv 1x1 ------- conv 5x5 --+-- concat [-- attention] -- y
 *         +-- max pool 3x3 --- conv 1x1 --+
 *
 * (N, inChannels, H, W) to (N, one + three + five + pool, H, W). Keys are torchvision's.
 *
 * ```ts
 * new InceptionV1(192, [64, 96, 128, 16, 32, 32]) // 64 + 128 + 32 + 32 channels
 * ```
 */
export class InceptionV1 extends Branches {
  constructor(inChannels: number, widths: InceptionV1Widths, options: InceptionV1Options = {}) {
    checkOptionNames('InceptionV1', options, moduleOptions)
    const { wide = 5, ...inside } = options
    if (wide !== 3 && wide !== 5) throw new ArgumentError(`InceptionV1: wide expects 3 or 5, got ${String(wide)}`)
    const [one, reduceThree, three, reduceFive, five, pool] = widths
    super(
      inChannels,
      [
        branch(inChannels, [[one, 1]], inside),
        branch(
          inChannels,
          [
            [reduceThree, 1],
            [three, 3],
          ],
          inside,
        ),
        branch(
          inChannels,
          [
            [reduceFive, 1],
            [five, wide],
          ],
          inside,
        ),
        branch(inChannels, [new MaxPool2d(3, { stride: 1, padding: 1, ceilMode: true }), [pool, 1]], inside),
      ],
      inside,
      1,
    )
  }
}

export interface InceptionV1AuxOptions extends InceptionOptions {
  /**
   * How the map comes down to 4x4 cells: 'adaptive' (default, torchvision's, from any size) or 'sliding', the paper's
   * average over 5x5 cells with stride 3, which takes maps of 14 to 16 cells.
   */
  readonly pool?: 'adaptive' | 'sliding'
  /** Dropout in front of the classifier. Default 0.7, the paper's. */
  readonly dropout?: number
}

const auxOptions = optionNames<InceptionV1AuxOptions>({ norm: true, attention: true, pool: true, dropout: true })

/**
 * An auxiliary classifier of GoogLeNet, for training. Szegedy et al. 2015, section 5.
 *
 *     x -- average to 4x4 -- conv 1x1, 128 -- linear, 1024 -- relu -- dropout -- linear -- logits
 *
 * (N, inChannels, H, W) to (N, numClasses). Keys are torchvision's.
 *
 * ```ts
 * new InceptionV1Aux(512, 1000, { dropout: 0.7 })
 * ```
 */
export class InceptionV1Aux extends Module {
  readonly inChannels: number
  readonly pool: Layer
  conv: ConvNormAct
  fc1: Linear
  fc2: Linear
  dropout: Dropout

  constructor(inChannels: number, numClasses: number, options: InceptionV1AuxOptions = {}) {
    super()
    checkOptionNames('InceptionV1Aux', options, auxOptions)
    const { pool = 'adaptive', dropout = 0.7, ...inside } = options
    if (pool !== 'adaptive' && pool !== 'sliding') {
      throw new ArgumentError(`InceptionV1Aux: pool expects 'adaptive' or 'sliding', got ${String(pool)}`)
    }
    this.inChannels = inChannels
    this.pool = pool === 'adaptive' ? new AdaptiveAvgPool2d(4) : new AvgPool2d(5, { stride: 3 })
    this.conv = inceptionUnit(inChannels, [128, 1], inside)
    this.fc1 = new Linear(128 * 4 * 4, 1024)
    this.fc2 = new Linear(1024, numClasses)
    this.dropout = new Dropout(dropout)
  }

  forward(x: Tensor): Tensor {
    const cells = this.pool.forward(x)
    if (cells.shape[2] !== 4 || cells.shape[3] !== 4) {
      throw new ShapeError(`InceptionV1Aux: x expects maps of 14 to 16 cells each way, got (${x.shape.join(', ')})`)
    }
    const y = relu(this.fc1.forward(flatten(this.conv.forward(cells), 1)))
    return this.fc2.forward(this.dropout.forward(y))
  }
}
