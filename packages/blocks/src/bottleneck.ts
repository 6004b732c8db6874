/** The block of ResNet-50, 101 and 152 and, with more width or groups, of wide ResNets and ResNeXt. */
import { Conv2d, convNormAct, DropPath, type Layer, Module } from '@convnets/nn'
import { ArgumentError, checkInteger, readOptions, relu, type Tensor } from '@convnets/tensor'
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

export interface BottleneckOptions extends ResidualOptions {
  /** Channels that come out. Default 4 times the width. */
  readonly outChannels?: number
  /** Groups of the 3x3 convolution. Default 1; ResNeXt has 32. */
  readonly groups?: number
  /** Channels between the first two convolutions. Default the width; SENet-154 has half of it. */
  readonly reduced?: number
  /**
   * Which convolution makes the step: the 3x3 one ('conv2', default: ResNet v1.5, as torchvision and timm), or the first
   * 1x1 one ('conv1': v1, the paper's, as Caffe's models and SE-ResNet).
   */
  readonly strideIn?: 'conv1' | 'conv2'
}

/**
 * 1x1 down, 3x3 (grouped), 1x1 up, and a shortcut. He et al. 2015, figure 5 right; Xie et al. 2017 for groups.
 *
 *     x --+-- conv 1x1 -- norm -- relu -- conv 3x3 / stride -- norm -- relu -- conv 1x1 -- norm [-- attention] -- (+) -- relu -- y
 *         |                                                                                                        |
 *         +--------------------------------- itself, or shortcut where the shape changes --------------------------+
 *
 * (N, inChannels, H, W) to (N, outChannels, ceil(H / stride), ceil(W / stride)). Keys are torchvision's.
 *
 * ```ts
 * new Bottleneck(256, 128, { stride: 2, groups: 32, attention: (channels) => new SqueezeExcitation(channels) })
 * ```
 */
export class Bottleneck extends Module {
  /** Output channels as a multiple of the width, unless said otherwise. */
  static readonly expansion = 4
  readonly inChannels: number
  readonly outChannels: number
  conv1: Conv2d
  bn1: NormLayer
  conv2: Conv2d
  bn2: NormLayer
  conv3: Conv2d
  bn3: NormLayer
  attention: Layer | undefined
  dropPath: DropPath
  downsample: Layer | undefined
  readonly #attentionKey: string | undefined

  constructor(inChannels: number, width: number, options: BottleneckOptions = {}) {
    super()
    const chosen = readOptions('Bottleneck', options, {
      ...residualDefaults,
      outChannels: undefined,
      groups: 1,
      reduced: width,
      strideIn: 'conv2',
    })
    const { norm, shortcut, attention, attentionKey, dropPath, zeroInit, groups, strideIn } = chosen
    this.inChannels = checkInteger('Bottleneck', 'inChannels', inChannels, 1)
    checkInteger('Bottleneck', 'width', width, 1)
    const out = checkInteger('Bottleneck', 'outChannels', chosen.outChannels ?? width * Bottleneck.expansion, 1)
    const stride = checkInteger('Bottleneck', 'stride', chosen.stride, 1)
    if (strideIn !== 'conv1' && strideIn !== 'conv2') {
      throw new ArgumentError(`Bottleneck: strideIn expects 'conv1' or 'conv2', got ${String(strideIn)}`)
    }
    const [stride1, stride2] = strideIn === 'conv1' ? [stride, 1] : [1, stride]
    const reduced = checkInteger('Bottleneck', 'reduced', chosen.reduced, 1)
    this.outChannels = out
    this.conv1 = new Conv2d(inChannels, reduced, { kernel: 1, stride: stride1, bias: false })
    this.bn1 = norm(reduced)
    this.conv2 = new Conv2d(reduced, width, { kernel: 3, stride: stride2, padding: 1, groups, bias: false })
    this.bn2 = norm(width)
    this.conv3 = new Conv2d(width, out, { kernel: 1, bias: false })
    this.bn3 = norm(out)
    this.#attentionKey = attentionKey
    this.attention = attention?.(out)
    this.dropPath = new DropPath(dropPath)
    this.downsample = makeShortcut(inChannels, out, stride, shortcut)
    if (zeroInit) silence(this.bn3)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return withAttentionKey(this, this.#attentionKey)
  }

  forward(x: Tensor): Tensor {
    return frugal(() => {
      let y = convNormAct(x, this.conv1, this.bn1, relu)
      y = convNormAct(y, this.conv2, this.bn2, relu)
      return meetConv(x, y, this.conv3, this.bn3, this)
    })
  }
}
