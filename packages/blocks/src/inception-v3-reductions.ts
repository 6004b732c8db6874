/** The modules of Inception v3 that halve the map, B and D, and its auxiliary classifier. */
import { type Layer, Linear, Module } from '@convnets/nn'
import {
  avgPool2d,
  cat,
  checkInteger,
  checkOptionNames,
  globalAvgPool2d,
  maxPool2d,
  ShapeError,
  type Tensor,
} from '@convnets/tensor'
import { halve, type InceptionOptions, inceptionOptions, inceptionUnit, valid } from './branches.ts'
import type { ConvNormAct } from './conv-norm-act.ts'

/**
 * From 35x35 to 17x17 maps. Szegedy et al., "Rethinking the Inception architecture", 2016, figure 10.
 *
 *         +--------------------------------- conv 3x3 / 2, 384 --+
 *     x --+-- conv 1x1, 64 -- conv 3x3, 96 -- conv 3x3 / 2, 96 --+-- concat [-- attention] -- y
 *         +--------------------------------- max pool 3x3 / 2 ---+
 *
 * (N, inChannels, H, W) to (N, 480 + inChannels, floor((H - 1) / 2), floor((W - 1) / 2)). Keys are torchvision's.
 *
 * ```ts
 * new Sequential(new InceptionV3B(288), (channels) => new InceptionV3C(channels, 128))
 * ```
 */
export class InceptionV3B extends Module {
  readonly inChannels: number
  readonly outChannels: number
  branch3x3: ConvNormAct
  branch3x3dbl_1: ConvNormAct
  branch3x3dbl_2: ConvNormAct
  branch3x3dbl_3: ConvNormAct
  attention: Layer | undefined

  constructor(inChannels: number, options: InceptionOptions = {}) {
    super()
    checkOptionNames('InceptionV3B', options, inceptionOptions)
    this.inChannels = checkInteger('InceptionV3B', 'inChannels', inChannels, 1)
    this.outChannels = 384 + 96 + inChannels
    this.branch3x3 = inceptionUnit(inChannels, [384, 3, halve], options)
    this.branch3x3dbl_1 = inceptionUnit(inChannels, [64, 1], options)
    this.branch3x3dbl_2 = inceptionUnit(64, [96, 3], options)
    this.branch3x3dbl_3 = inceptionUnit(96, [96, 3, halve], options)
    this.attention = options.attention?.(this.outChannels)
  }

  forward(x: Tensor): Tensor {
    const three = this.branch3x3.forward(x)
    const double = this.branch3x3dbl_3.forward(this.branch3x3dbl_2.forward(this.branch3x3dbl_1.forward(x)))
    const y = cat([three, double, maxPool2d(x, 3, { stride: 2 })], 1)
    return this.attention === undefined ? y : this.attention.forward(y)
  }
}

/**
 * From 17x17 to 8x8 maps. Szegedy et al. 2016, the second reduction of table 1.
 *
 *         +-- conv 1x1, 192 ----------------------------------- conv 3x3 / 2, 320 --+
 *     x --+-- conv 1x1, 192 -- conv 1x7, 192 -- conv 7x1, 192 -- conv 3x3 / 2, 192 -+-- concat [-- attention] -- y
 *         +---------------------------------------------------- max pool 3x3 / 2 ---+
 *
 * (N, inChannels, H, W) to (N, 512 + inChannels, floor((H - 1) / 2), floor((W - 1) / 2)). Keys are torchvision's.
 *
 * ```ts
 * new Sequential(new InceptionV3D(768), (channels) => new InceptionV3E(channels))
 * ```
 */
export class InceptionV3D extends Module {
  readonly inChannels: number
  readonly outChannels: number
  branch3x3_1: ConvNormAct
  branch3x3_2: ConvNormAct
  branch7x7x3_1: ConvNormAct
  branch7x7x3_2: ConvNormAct
  branch7x7x3_3: ConvNormAct
  branch7x7x3_4: ConvNormAct
  attention: Layer | undefined

  constructor(inChannels: number, options: InceptionOptions = {}) {
    super()
    checkOptionNames('InceptionV3D', options, inceptionOptions)
    this.inChannels = checkInteger('InceptionV3D', 'inChannels', inChannels, 1)
    this.outChannels = 320 + 192 + inChannels
    this.branch3x3_1 = inceptionUnit(inChannels, [192, 1], options)
    this.branch3x3_2 = inceptionUnit(192, [320, 3, halve], options)
    this.branch7x7x3_1 = inceptionUnit(inChannels, [192, 1], options)
    this.branch7x7x3_2 = inceptionUnit(192, [192, [1, 7]], options)
    this.branch7x7x3_3 = inceptionUnit(192, [192, [7, 1]], options)
    this.branch7x7x3_4 = inceptionUnit(192, [192, 3, halve], options)
    this.attention = options.attention?.(this.outChannels)
  }

  forward(x: Tensor): Tensor {
    const three = this.branch3x3_2.forward(this.branch3x3_1.forward(x))
    const row = this.branch7x7x3_2.forward(this.branch7x7x3_1.forward(x))
    const seven = this.branch7x7x3_4.forward(this.branch7x7x3_3.forward(row))
    const y = cat([three, seven, maxPool2d(x, 3, { stride: 2 })], 1)
    return this.attention === undefined ? y : this.attention.forward(y)
  }
}

/**
 * The auxiliary classifier of Inception v3, on the last 17x17 map. Szegedy et al. 2016, section 4 and figure 8.
 *
 *     x -- avg pool 5x5 / 3 -- conv 1x1, 128 -- conv 5x5, 768 -- mean -- linear -- logits
 *
 * (N, inChannels, H, W), H and W of at least 17, to (N, numClasses). Keys are torchvision's.
 *
 * ```ts
 * new InceptionV3Aux(768, 1000)
 * ```
 */
export class InceptionV3Aux extends Module {
  readonly inChannels: number
  conv0: ConvNormAct
  conv1: ConvNormAct
  fc: Linear

  constructor(inChannels: number, numClasses: number, options: InceptionOptions = {}) {
    super()
    checkOptionNames('InceptionV3Aux', options, inceptionOptions)
    this.inChannels = checkInteger('InceptionV3Aux', 'inChannels', inChannels, 1)
    this.conv0 = inceptionUnit(inChannels, [128, 1], options)
    this.conv1 = inceptionUnit(128, [768, 5, valid], options)
    this.fc = new Linear(768, numClasses)
  }

  forward(x: Tensor): Tensor {
    if (x.rank !== 4 || Math.min(x.shape[2] ?? 0, x.shape[3] ?? 0) < 17) {
      throw new ShapeError(`InceptionV3Aux: x expects maps of at least 17 cells each way, got (${x.shape.join(', ')})`)
    }
    const cells = this.conv1.forward(this.conv0.forward(avgPool2d(x, 5, { stride: 3 })))
    return this.fc.forward(globalAvgPool2d(cells))
  }
}
