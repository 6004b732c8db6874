/** The modules of Inception v3 that keep the size of the map: A, C and E. */
import { type Layer, Module } from '@convnets/nn'
import { avgPool2d, cat, checkInteger, checkOptionNames, type Tensor } from '@convnets/tensor'
import { concat, type InceptionOptions, inceptionOptions, inceptionUnit } from './branches.ts'
import type { ConvNormAct } from './conv-norm-act.ts'

/** Average over 3x3 cells. Padding counts as zeros, as in torchvision; TensorFlow leaves it out. */
function average(x: Tensor): Tensor {
  return avgPool2d(x, 3, { stride: 1, padding: 1 })
}

/**
 * For 35x35 maps. Szegedy et al., "Rethinking the Inception architecture", 2016, figure 5.
 *
 *         +-------------------------------- conv 1x1, 64 --+
 *         +-- conv 1x1, 48 ---------------- conv 5x5, 64 --+
 *     x --+-- conv 1x1, 64 -- conv 3x3, 96 - conv 3x3, 96 -+-- concat [-- attention] -- y
 *         +-- avg pool 3x3 -------- conv 1x1, poolChannels +
 *
 * (N, inChannels, H, W) to (N, 224 + poolChannels, H, W). Keys are torchvision's. (The 5x5 convolution of the published
 * network is one, where figure 5 splits it.)
 *
 * ```ts
 * new InceptionV3A(192, 32, { attention: (channels) => new SqueezeExcitation(channels) })
 * ```
 */
export class InceptionV3A extends Module {
  readonly inChannels: number
  readonly outChannels: number
  branch1x1: ConvNormAct
  branch5x5_1: ConvNormAct
  branch5x5_2: ConvNormAct
  branch3x3dbl_1: ConvNormAct
  branch3x3dbl_2: ConvNormAct
  branch3x3dbl_3: ConvNormAct
  branch_pool: ConvNormAct
  attention: Layer | undefined

  constructor(inChannels: number, poolChannels: number, options: InceptionOptions = {}) {
    super()
    checkOptionNames('InceptionV3A', options, inceptionOptions)
    this.inChannels = checkInteger('InceptionV3A', 'inChannels', inChannels, 1)
    checkInteger('InceptionV3A', 'poolChannels', poolChannels, 1)
    this.outChannels = 64 + 64 + 96 + poolChannels
    this.branch1x1 = inceptionUnit(inChannels, [64, 1], options)
    this.branch5x5_1 = inceptionUnit(inChannels, [48, 1], options)
    this.branch5x5_2 = inceptionUnit(48, [64, 5], options)
    this.branch3x3dbl_1 = inceptionUnit(inChannels, [64, 1], options)
    this.branch3x3dbl_2 = inceptionUnit(64, [96, 3], options)
    this.branch3x3dbl_3 = inceptionUnit(96, [96, 3], options)
    this.branch_pool = inceptionUnit(inChannels, [poolChannels, 1], options)
    this.attention = options.attention?.(this.outChannels)
  }

  forward(x: Tensor): Tensor {
    const one = this.branch1x1.forward(x)
    const five = this.branch5x5_2.forward(this.branch5x5_1.forward(x))
    const double = this.branch3x3dbl_3.forward(this.branch3x3dbl_2.forward(this.branch3x3dbl_1.forward(x)))
    const y = cat([one, five, double, this.branch_pool.forward(average(x))], 1)
    return this.attention === undefined ? y : this.attention.forward(y)
  }
}

/**
 * For 17x17 maps: 7x7 convolutions as a row after a column. Szegedy et al. 2016, figure 6 with n = 7; w = `width`.
 *
 *         +-------------------------------------------------------------- conv 1x1, 192 --+
 *         +-- conv 1x1, w -- conv 1x7, w -------------------------------- conv 7x1, 192 --+
 *     x --+-- conv 1x1, w -- conv 7x1, w -- conv 1x7, w -- conv 7x1, w -- conv 1x7, 192 --+-- concat [-- attention] -- y
 *         +-- avg pool 3x3 ---------------------------------------------- conv 1x1, 192 --+
 *
 * (N, inChannels, H, W) to (N, 768, H, W). Keys are torchvision's.
 *
 * ```ts
 * new InceptionV3C(768, 128)
 * ```
 */
export class InceptionV3C extends Module {
  readonly inChannels: number
  readonly outChannels: number
  branch1x1: ConvNormAct
  branch7x7_1: ConvNormAct
  branch7x7_2: ConvNormAct
  branch7x7_3: ConvNormAct
  branch7x7dbl_1: ConvNormAct
  branch7x7dbl_2: ConvNormAct
  branch7x7dbl_3: ConvNormAct
  branch7x7dbl_4: ConvNormAct
  branch7x7dbl_5: ConvNormAct
  branch_pool: ConvNormAct
  attention: Layer | undefined

  constructor(inChannels: number, width: number, options: InceptionOptions = {}) {
    super()
    checkOptionNames('InceptionV3C', options, inceptionOptions)
    this.inChannels = checkInteger('InceptionV3C', 'inChannels', inChannels, 1)
    checkInteger('InceptionV3C', 'width', width, 1)
    this.outChannels = 4 * 192
    this.branch1x1 = inceptionUnit(inChannels, [192, 1], options)
    this.branch7x7_1 = inceptionUnit(inChannels, [width, 1], options)
    this.branch7x7_2 = inceptionUnit(width, [width, [1, 7]], options)
    this.branch7x7_3 = inceptionUnit(width, [192, [7, 1]], options)
    this.branch7x7dbl_1 = inceptionUnit(inChannels, [width, 1], options)
    this.branch7x7dbl_2 = inceptionUnit(width, [width, [7, 1]], options)
    this.branch7x7dbl_3 = inceptionUnit(width, [width, [1, 7]], options)
    this.branch7x7dbl_4 = inceptionUnit(width, [width, [7, 1]], options)
    this.branch7x7dbl_5 = inceptionUnit(width, [192, [1, 7]], options)
    this.branch_pool = inceptionUnit(inChannels, [192, 1], options)
    this.attention = options.attention?.(this.outChannels)
  }

  forward(x: Tensor): Tensor {
    const one = this.branch1x1.forward(x)
    const seven = this.branch7x7_3.forward(this.branch7x7_2.forward(this.branch7x7_1.forward(x)))
    let double = this.branch7x7dbl_2.forward(this.branch7x7dbl_1.forward(x))
    double = this.branch7x7dbl_4.forward(this.branch7x7dbl_3.forward(double))
    double = this.branch7x7dbl_5.forward(double)
    const y = cat([one, seven, double, this.branch_pool.forward(average(x))], 1)
    return this.attention === undefined ? y : this.attention.forward(y)
  }
}

/**
 * For 8x8 maps: 3x3 convolutions as a row beside a column. Szegedy et al. 2016, figure 7.
 *
 *         +----------------------------------------------------- conv 1x1, 320 ---+
 *         |                                         +-- conv 1x3, 384 --+         |
 *         +-- conv 1x1, 384 ------------------------+-- conv 3x1, 384 --+---------+
 *     x --|                                         +-- conv 1x3, 384 --+         +-- concat [-- attention] -- y
 *         +-- conv 1x1, 448 -- conv 3x3, 384 -------+-- conv 3x1, 384 --+---------+
 *         +-- avg pool 3x3 ------------------------------------- conv 1x1, 192 ---+
 *
 * (N, inChannels, H, W) to (N, 2048, H, W). Keys are torchvision's.
 *
 * ```ts
 * new InceptionV3E(1280)
 * ```
 */
export class InceptionV3E extends Module {
  readonly inChannels: number
  readonly outChannels: number
  branch1x1: ConvNormAct
  branch3x3_1: ConvNormAct
  branch3x3_2a: ConvNormAct
  branch3x3_2b: ConvNormAct
  branch3x3dbl_1: ConvNormAct
  branch3x3dbl_2: ConvNormAct
  branch3x3dbl_3a: ConvNormAct
  branch3x3dbl_3b: ConvNormAct
  branch_pool: ConvNormAct
  attention: Layer | undefined

  constructor(inChannels: number, options: InceptionOptions = {}) {
    super()
    checkOptionNames('InceptionV3E', options, inceptionOptions)
    this.inChannels = checkInteger('InceptionV3E', 'inChannels', inChannels, 1)
    this.outChannels = 320 + 2 * 384 + 2 * 384 + 192
    this.branch1x1 = inceptionUnit(inChannels, [320, 1], options)
    this.branch3x3_1 = inceptionUnit(inChannels, [384, 1], options)
    this.branch3x3_2a = inceptionUnit(384, [384, [1, 3]], options)
    this.branch3x3_2b = inceptionUnit(384, [384, [3, 1]], options)
    this.branch3x3dbl_1 = inceptionUnit(inChannels, [448, 1], options)
    this.branch3x3dbl_2 = inceptionUnit(448, [384, 3], options)
    this.branch3x3dbl_3a = inceptionUnit(384, [384, [1, 3]], options)
    this.branch3x3dbl_3b = inceptionUnit(384, [384, [3, 1]], options)
    this.branch_pool = inceptionUnit(inChannels, [192, 1], options)
    this.attention = options.attention?.(this.outChannels)
  }

  forward(x: Tensor): Tensor {
    const one = this.branch1x1.forward(x)
    const three = concat(this.branch3x3_1.forward(x), [this.branch3x3_2a, this.branch3x3_2b])
    const reduced = this.branch3x3dbl_2.forward(this.branch3x3dbl_1.forward(x))
    const double = concat(reduced, [this.branch3x3dbl_3a, this.branch3x3dbl_3b])
    const y = cat([one, three, double, this.branch_pool.forward(average(x))], 1)
    return this.attention === undefined ? y : this.attention.forward(y)
  }
}
