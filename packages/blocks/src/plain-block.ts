/** The basic block without its shortcut: what residual learning is compared with. */
import { Conv2d, convNormAct, type Layer, Module } from '@convnets/nn'
import { checkInteger, readOptions, relu, type Tensor } from '@convnets/tensor'
import { batchNorm, type NormLayer } from './residual.ts'

export interface PlainBlockOptions {
  /** Step of the block: divides height and width. Default 1. */
  readonly stride?: number
  /** Makes the normalisations. Default: `BatchNorm2d`. */
  readonly norm?: (channels: number) => NormLayer
  /** Makes a layer in front of the last activation, given its channels: squeeze-and-excitation and the like. */
  readonly attention?: (channels: number) => Layer
}

/**
 * Two 3x3 convolutions, nothing around them. The plain networks of He et al. 2015, section 4.2.
 *
 *     x -- conv 3x3 / stride -- norm -- relu -- conv 3x3 -- norm [-- attention] -- relu -- y
 *
 * (N, inChannels, H, W) to (N, width, ceil(H / stride), ceil(W / stride)). Keys are those of `BasicBlock`.
 *
 * ```ts
 * stage(PlainBlock, { inChannels: 16, width: 16, depth: 3 })
 * ```
 */
export class PlainBlock extends Module {
  /** Output channels as a multiple of the width. */
  static readonly expansion = 1
  readonly inChannels: number
  readonly outChannels: number
  conv1: Conv2d
  bn1: NormLayer
  conv2: Conv2d
  bn2: NormLayer
  attention: Layer | undefined

  constructor(inChannels: number, width: number, options: PlainBlockOptions = {}) {
    super()
    const defaults = { stride: 1, norm: batchNorm, attention: undefined }
    const { stride, norm, attention } = readOptions('PlainBlock', options, defaults)
    this.inChannels = checkInteger('PlainBlock', 'inChannels', inChannels, 1)
    this.outChannels = checkInteger('PlainBlock', 'width', width, 1)
    checkInteger('PlainBlock', 'stride', stride, 1)
    this.conv1 = new Conv2d(inChannels, width, { kernel: 3, stride, padding: 1, bias: false })
    this.bn1 = norm(width)
    this.conv2 = new Conv2d(width, width, { kernel: 3, padding: 1, bias: false })
    this.bn2 = norm(width)
    this.attention = attention?.(width)
  }

  forward(x: Tensor): Tensor {
    const y = convNormAct(x, this.conv1, this.bn1, relu)
    const normal = convNormAct(y, this.conv2, this.bn2)
    return relu(this.attention === undefined ? normal : this.attention.forward(normal))
  }
}
