/** Stem and modules of Inception v4, and the reductions that it shares with the Inception-ResNets. */
import { AvgPool2d, type Layer, MaxPool2d, Module, Sequential } from '@convnets/nn'
import { cat, checkInteger, checkOptionNames, optionNames, type Tensor } from '@convnets/tensor'
import {
  Branches,
  branch,
  concat,
  halve,
  type InceptionOptions,
  inceptionOptions,
  inceptionUnit,
  valid,
} from './branches.ts'
import type { ConvNormAct } from './conv-norm-act.ts'

/** Average over 3x3 cells; padding is left out of the mean, as in TensorFlow. */
const average = (): AvgPool2d => new AvgPool2d(3, { stride: 1, padding: 1, countIncludePad: false })

const largest = (): MaxPool2d => new MaxPool2d(3, { stride: 2 })

type PoolAndConvOptions = InceptionOptions & { readonly poolFirst?: boolean }

const poolAndConvOptions = optionNames<PoolAndConvOptions>({ norm: true, attention: true, poolFirst: true })

/**
 * A map halved by a strided convolution and by max pooling side by side.
 *
 *     x --+-- max pool 3x3 / 2 --+-- concat -- y
 *         +-- conv 3x3 / 2 ------+
 *
 * (N, inChannels, H, W) to (N, inChannels + width, floor((H - 1) / 2), floor((W - 1) / 2)). Keys: `conv`.
 *
 * ```ts
 * new PoolAndConv(64, 96) // 64 channels pooled, 96 convolved
 * ```
 */
export class PoolAndConv extends Module {
  readonly inChannels: number
  readonly outChannels: number
  readonly poolFirst: boolean
  conv: ConvNormAct

  /** @param options `poolFirst` (default true): the pooled channels come before those of the convolution. */
  constructor(inChannels: number, width: number, options: PoolAndConvOptions = {}) {
    super()
    checkOptionNames('PoolAndConv', options, poolAndConvOptions)
    const { poolFirst = true, ...inside } = options
    this.inChannels = checkInteger('PoolAndConv', 'inChannels', inChannels, 1)
    this.outChannels = inChannels + width
    this.poolFirst = poolFirst
    this.conv = inceptionUnit(inChannels, [width, 3, halve], inside)
  }

  forward(x: Tensor): Tensor {
    const pooled = largest().forward(x)
    const y = this.conv.forward(x)
    return cat(this.poolFirst ? [pooled, y] : [y, pooled], 1)
  }
}

/** The fifth layer of the stem: two paths to 3x3 convolutions, one of them by a 7x7 field. */
class StemBranches extends Branches {
  constructor(inChannels: number, options: InceptionOptions) {
    super(inChannels, [
      branch(
        inChannels,
        [
          [64, 1],
          [96, 3, valid],
        ],
        options,
      ),
      branch(
        inChannels,
        [
          [64, 1],
          [64, [1, 7]],
          [64, [7, 1]],
          [96, 3, valid],
        ],
        options,
      ),
    ])
  }
}

/**
 * From images to 384 maps an eighth as large. Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual
 * connections on learning", 2017, figure 3.
 *
 *                                                           +-- max pool / 2 ----+
 *     x -- conv 3x3 / 2, 32 -- conv 3x3, 32 -- conv 3x3, 64 +-- conv 3x3 / 2, 96 + concat (160)
 *
 *       +-- conv 1x1, 64 ------------------------------------ conv 3x3, 96 +              +-- conv 3x3 / 2, 192 +
 *     --+-- conv 1x1, 64 -- conv 1x7, 64 -- conv 7x1, 64 --- conv 3x3, 96 -+ concat (192) +-- max pool / 2 -----+ concat (384) -- y
 *
 * (N, inChannels, H, W) to (N, 384, H', W'), 35 cells for 299 pixels. Its layers are the first six of `features` in
 * published checkpoints.
 *
 * ```ts
 * new Sequential(new InceptionStem(3), stage(Bottleneck, { inChannels: 384, width: 128, depth: 3 }))
 * ```
 */
export class InceptionStem extends Sequential {
  constructor(inChannels: number = 3, options: InceptionOptions = {}) {
    checkOptionNames('InceptionStem', options, inceptionOptions)
    checkInteger('InceptionStem', 'inChannels', inChannels, 1)
    super(
      inceptionUnit(inChannels, [32, 3, halve], options),
      inceptionUnit(32, [32, 3, valid], options),
      inceptionUnit(32, [64, 3], options),
      new PoolAndConv(64, 96, options),
      new StemBranches(160, options),
      new PoolAndConv(192, 192, { ...options, poolFirst: false }),
    )
  }
}

/**
 * For 35x35 maps. Szegedy et al. 2017, figure 4.
 *
 *         +---------------------------------- conv 1x1, 96 --+
 *         +-- conv 1x1, 64 ------------------ conv 3x3, 96 --+
 *     x --+-- conv 1x1, 64 -- conv 3x3, 96 -- conv 3x3, 96 --+-- concat [-- attention] -- y
 *         +-- avg pool 3x3 ------------------ conv 1x1, 96 --+
 *
 * (N, inChannels, H, W) to (N, 384, H, W). Keys: `branch0` to `branch3`.
 *
 * ```ts
 * new Sequential(new InceptionStem(3), (channels) => new InceptionV4A(channels))
 * ```
 */
export class InceptionV4A extends Branches {
  constructor(inChannels: number, options: InceptionOptions = {}) {
    checkOptionNames('InceptionV4A', options, inceptionOptions)
    super(
      inChannels,
      [
        branch(inChannels, [[96, 1]], options),
        branch(
          inChannels,
          [
            [64, 1],
            [96, 3],
          ],
          options,
        ),
        branch(
          inChannels,
          [
            [64, 1],
            [96, 3],
            [96, 3],
          ],
          options,
        ),
        branch(inChannels, [average(), [96, 1]], options),
      ],
      options,
    )
  }
}

/**
 * For 17x17 maps. Szegedy et al. 2017, figure 5.
 *
 *         +---------------------------------------------------------------------- conv 1x1, 384 --+
 *         +-- conv 1x1, 192 ------------------------------------ conv 1x7, 224 -- conv 7x1, 256 --+
 *     x --+-- conv 1x1, 192 -- conv 7x1, 192 -- conv 1x7, 224 -- conv 7x1, 224 -- conv 1x7, 256 --+-- concat [-- attention] -- y
 *         +-- avg pool 3x3 ------------------------------------------------------ conv 1x1, 128 --+
 *
 * (N, inChannels, H, W) to (N, 1024, H, W). Keys: `branch0` to `branch3`.
 *
 * ```ts
 * new InceptionV4B(1024)
 * ```
 */
export class InceptionV4B extends Branches {
  constructor(inChannels: number, options: InceptionOptions = {}) {
    checkOptionNames('InceptionV4B', options, inceptionOptions)
    super(
      inChannels,
      [
        branch(inChannels, [[384, 1]], options),
        branch(
          inChannels,
          [
            [192, 1],
            [224, [1, 7]],
            [256, [7, 1]],
          ],
          options,
        ),
        branch(
          inChannels,
          [
            [192, 1],
            [192, [7, 1]],
            [224, [1, 7]],
            [224, [7, 1]],
            [256, [1, 7]],
          ],
          options,
        ),
        branch(inChannels, [average(), [128, 1]], options),
      ],
      options,
    )
  }
}

/**
 * For 8x8 maps. Szegedy et al. 2017, figure 6.
 *
 *         +------------------------------------------------------------- conv 1x1, 256 --+
 *         |                                                   +-- conv 1x3, 256 --+      |
 *         +-- conv 1x1, 384 ----------------------------------+-- conv 3x1, 256 --+------+
 *     x --|                                                   +-- conv 1x3, 256 --+      +-- concat [-- attention] -- y
 *         +-- conv 1x1, 384 -- conv 3x1, 448 - conv 1x3, 512 -+-- conv 3x1, 256 --+------+
 *         +-- avg pool 3x3 --------------------------------------------- conv 1x1, 256 --+
 *
 * (N, inChannels, H, W) to (N, 1536, H, W). Keys are those of published checkpoints.
 *
 * ```ts
 * new InceptionV4C(1536)
 * ```
 */
export class InceptionV4C extends Module {
  readonly inChannels: number
  readonly outChannels: number
  branch0: ConvNormAct
  branch1_0: ConvNormAct
  branch1_1a: ConvNormAct
  branch1_1b: ConvNormAct
  branch2_0: ConvNormAct
  branch2_1: ConvNormAct
  branch2_2: ConvNormAct
  branch2_3a: ConvNormAct
  branch2_3b: ConvNormAct
  branch3: Layer
  attention: Layer | undefined

  constructor(inChannels: number, options: InceptionOptions = {}) {
    super()
    checkOptionNames('InceptionV4C', options, inceptionOptions)
    this.inChannels = checkInteger('InceptionV4C', 'inChannels', inChannels, 1)
    this.outChannels = 6 * 256
    this.branch0 = inceptionUnit(inChannels, [256, 1], options)
    this.branch1_0 = inceptionUnit(inChannels, [384, 1], options)
    this.branch1_1a = inceptionUnit(384, [256, [1, 3]], options)
    this.branch1_1b = inceptionUnit(384, [256, [3, 1]], options)
    this.branch2_0 = inceptionUnit(inChannels, [384, 1], options)
    this.branch2_1 = inceptionUnit(384, [448, [3, 1]], options)
    this.branch2_2 = inceptionUnit(448, [512, [1, 3]], options)
    this.branch2_3a = inceptionUnit(512, [256, [1, 3]], options)
    this.branch2_3b = inceptionUnit(512, [256, [3, 1]], options)
    this.branch3 = branch(inChannels, [average(), [256, 1]], options)
    this.attention = options.attention?.(this.outChannels)
  }

  forward(x: Tensor): Tensor {
    const one = this.branch0.forward(x)
    const short = concat(this.branch1_0.forward(x), [this.branch1_1a, this.branch1_1b])
    const field = this.branch2_2.forward(this.branch2_1.forward(this.branch2_0.forward(x)))
    const long = concat(field, [this.branch2_3a, this.branch2_3b])
    const y = cat([one, short, long, this.branch3.forward(x)], 1)
    return this.attention === undefined ? y : this.attention.forward(y)
  }
}

/** Channels of reduction A, by the letters of table 1 of the paper. */
export interface ReductionAWidths {
  readonly k: number
  readonly l: number
  readonly m: number
  readonly n: number
}

/**
 * From 35x35 to 17x17 maps, in Inception v4 and both Inception-ResNets. Szegedy et al. 2017, figure 7 and table 1.
 *
 *         +------------------------------- conv 3x3 / 2, n --+
 *     x --+-- conv 1x1, k -- conv 3x3, l -- conv 3x3 / 2, m -+-- concat [-- attention] -- y
 *         +------------------------------- max pool 3x3 / 2 -+
 *
 * (N, inChannels, H, W) to (N, n + m + inChannels, floor((H - 1) / 2), floor((W - 1) / 2)).
 *
 * ```ts
 * new ReductionA(384, { k: 192, l: 224, m: 256, n: 384 })
 * ```
 */
export class ReductionA extends Branches {
  constructor(inChannels: number, { k, l, m, n }: ReductionAWidths, options: InceptionOptions = {}) {
    checkOptionNames('ReductionA', options, inceptionOptions)
    super(
      inChannels,
      [
        branch(inChannels, [[n, 3, halve]], options),
        branch(
          inChannels,
          [
            [k, 1],
            [l, 3],
            [m, 3, halve],
          ],
          options,
        ),
        largest(),
      ],
      options,
    )
  }
}

/**
 * From 17x17 to 8x8 maps in Inception v4. Szegedy et al. 2017, figure 8.
 *
 *         +-- conv 1x1, 192 ----------------------------------- conv 3x3 / 2, 192 --+
 *     x --+-- conv 1x1, 256 -- conv 1x7, 256 -- conv 7x1, 320 -- conv 3x3 / 2, 320 -+-- concat [-- attention] -- y
 *         +---------------------------------------------------- max pool 3x3 / 2 ---+
 *
 * (N, inChannels, H, W) to (N, 512 + inChannels, floor((H - 1) / 2), floor((W - 1) / 2)).
 *
 * ```ts
 * new InceptionV4ReductionB(1024)
 * ```
 */
export class InceptionV4ReductionB extends Branches {
  constructor(inChannels: number, options: InceptionOptions = {}) {
    checkOptionNames('InceptionV4ReductionB', options, inceptionOptions)
    super(
      inChannels,
      [
        branch(
          inChannels,
          [
            [192, 1],
            [192, 3, halve],
          ],
          options,
        ),
        branch(
          inChannels,
          [
            [256, 1],
            [256, [1, 7]],
            [320, [7, 1]],
            [320, 3, halve],
          ],
          options,
        ),
        largest(),
      ],
      options,
    )
  }
}
