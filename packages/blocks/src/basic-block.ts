/** The block of ResNet-18 and 34, and of the ResNets for CIFAR-10. */
import { Conv2d, convNormAct, DropPath, type Layer, Module } from '@convnets/nn'
import { checkInteger, readOptions, relu, type Tensor } from '@convnets/tensor'
import { frugal } from './frugal.ts'
import {
  makeShortcut,
  meetConv,
  type NormLayer,
  type ResidualOptions,
  residualDefaults,
  silence,
  withAttentionKey,
} from './residual.ts'

/**
 * Two 3x3 convolutions and a shortcut. He et al., "Deep residual learning for image recognition", 2015, figure 5 left.
 *
 *     x --+-- conv 3x3 / stride -- norm -- relu -- conv 3x3 -- norm [-- attention] -- (+) -- relu -- y
 *         |                                                                            |
 *         +------------------- itself, or shortcut where the shape changes ------------+
 *
 * (N, inChannels, H, W) to (N, width, ceil(H / stride), ceil(W / stride)). Keys are torchvision's.
 *
 * ```ts
 * stage(BasicBlock, { inChannels: 64, width: 128, depth: 2, stride: 2 })
 * ```
 */
export class BasicBlock extends Module {
  /** Output channels as a multiple of the width. */
  static readonly expansion = 1
  readonly inChannels: number
  readonly outChannels: number
  conv1: Conv2d
  bn1: NormLayer
  conv2: Conv2d
  bn2: NormLayer
  attention: Layer | undefined
  dropPath: DropPath
  downsample: Layer | undefined
  readonly #attentionKey: string | undefined

  constructor(inChannels: number, width: number, options: ResidualOptions = {}) {
    super()
    const chosen = readOptions('BasicBlock', options, residualDefaults)
    const { norm, shortcut, attention, attentionKey, dropPath, zeroInit } = chosen
    this.inChannels = checkInteger('BasicBlock', 'inChannels', inChannels, 1)
    this.outChannels = checkInteger('BasicBlock', 'width', width, 1)
    const stride = checkInteger('BasicBlock', 'stride', chosen.stride, 1)
    this.conv1 = new Conv2d(inChannels, width, { kernel: 3, stride, padding: 1, bias: false })
    this.bn1 = norm(width)
    this.conv2 = new Conv2d(width, width, { kernel: 3, padding: 1, bias: false })
    this.bn2 = norm(width)
    this.#attentionKey = attentionKey
    this.attention = attention?.(width)
    this.dropPath = new DropPath(dropPath)
    this.downsample = makeShortcut(inChannels, width, stride, shortcut)
    if (zeroInit) silence(this.bn2)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return withAttentionKey(this, this.#attentionKey)
  }

  forward(x: Tensor): Tensor {
    return frugal(() => {
      const y = convNormAct(x, this.conv1, this.bn1, relu)
      return meetConv(x, y, this.conv2, this.bn2, this)
    })
  }
}
