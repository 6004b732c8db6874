/** The module of SqueezeNet. */
import { Conv2d, convNormAct, type Layer, Module } from '@convnets/nn'
import { cat, checkInteger, readOptions, relu, type Tensor } from '@convnets/tensor'

/** Channels of a fire module, as in a row of table 1 of the paper: s1x1, e1x1, e3x3. */
export type FireWidths = readonly [squeeze: number, one: number, three: number]

export interface FireOptions {
  /** Makes a layer at the end of the module, given its channels: squeeze-and-excitation and the like. */
  readonly attention?: (channels: number) => Layer
}

/**
 * Few channels, from which many are made again, most of them by 1x1 convolutions. Iandola et al., "SqueezeNet", 2016,
 * section 3.2.
 *
 *                                  +-- conv 1x1, one ---- relu --+
 *     x -- conv 1x1, squeeze -- relu                             concat [-- attention] -- y
 *                                  +-- conv 3x3, three -- relu --+
 *
 * (N, inChannels, H, W) to (N, one + three, H, W). There is no normalisation. Keys are torchvision's.
 *
 * ```ts
 * new Sequential(new Fire(96, [16, 64, 64]), (channels) => new Fire(channels, [32, 128, 128]))
 * ```
 */
export class Fire extends Module {
  readonly inChannels: number
  readonly outChannels: number
  squeeze: Conv2d
  expand1x1: Conv2d
  expand3x3: Conv2d
  attention: Layer | undefined

  constructor(inChannels: number, [squeeze, one, three]: FireWidths, options: FireOptions = {}) {
    super()
    const { attention } = readOptions('Fire', options, { attention: undefined })
    this.inChannels = checkInteger('Fire', 'inChannels', inChannels, 1)
    for (const [name, width] of Object.entries({ squeeze, one, three })) checkInteger('Fire', name, width, 1)
    this.outChannels = one + three
    this.squeeze = new Conv2d(inChannels, squeeze, { kernel: 1 })
    this.expand1x1 = new Conv2d(squeeze, one, { kernel: 1 })
    this.expand3x3 = new Conv2d(squeeze, three, { kernel: 3, padding: 1 })
    this.attention = attention?.(this.outChannels)
  }

  forward(x: Tensor): Tensor {
    const few = convNormAct(x, this.squeeze, undefined, relu)
    const y = cat(
      [this.expand1x1, this.expand3x3].map((expand) => convNormAct(few, expand, undefined, relu)),
      1,
    )
    return this.attention === undefined ? y : this.attention.forward(y)
  }
}
