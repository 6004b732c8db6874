/** Inverted bottlenecks: the block of MobileNetV2, V3, MNASNet and EfficientNet. */
import { Conv2d, convNormAct, DropPath, type Layer, Module, SiLU } from '@convnets/nn'
import { ArgumentError, add, checkInteger, readOptions, type Tensor } from '@convnets/tensor'
import { frugal } from './frugal.ts'
import { type ConvNorm, type MBConvKeys, mbconvFields } from './mbconv-keys.ts'
import { batchNorm } from './residual.ts'
import { SqueezeExcitation } from './squeeze-excitation.ts'

/** Options of `MBConv` and `FusedMBConv`. */
export interface InvertedOptions {
  /** Size of the (depthwise) window. Default 3. */
  readonly kernel?: number
  /** Step of the block: divides height and width. Default 1. */
  readonly stride?: number
  /** Channels inside as a multiple of the input's. With 1 there is no expansion. Default 6; fused 4. */
  readonly expand?: number
  /** Makes the normalisations. Default: `BatchNorm2d`. */
  readonly norm?: (channels: number) => Layer
  /** Makes the activation, which all convolutions but the last share. Default: `SiLU`. */
  readonly act?: () => Layer
  /**
   * Probability that a sample skips the branch in training (drop-connect); the others are scaled by 1 / (1 - p). Without
   * effect where there is no shortcut. Default 0. Huang et al. 2016.
   */
  readonly dropPath?: number
  /** Zeros around the input: half the window on all sides ('symmetric', default), or as TensorFlow ('same'). */
  readonly padding?: 'same' | 'symmetric'
}

export interface MBConvOptions extends InvertedOptions {
  /** Channels inside, instead of `expand`. */
  readonly expandedChannels?: number
  /**
   * Makes the layer behind the depthwise convolution, given its channels and those of the block's input, or `null` for
   * none. Default: `SqueezeExcitation` to a quarter of the input's channels, with the block's activation.
   */
  readonly attention?: ((channels: number, inChannels: number) => Layer) | null
  /** Whose checkpoint keys. Default 'torchvision'. */
  readonly keys?: MBConvKeys
}

/** What both blocks do where their options say nothing. */
export const invertedDefaults: Required<Omit<InvertedOptions, 'expand'>> = {
  kernel: 3,
  stride: 1,
  norm: batchNorm,
  act: () => new SiLU(),
  dropPath: 0,
  padding: 'symmetric',
}

/** Padding for `Conv2d`. */
export function paddingOf(block: string, kernel: number, padding: 'same' | 'symmetric'): 'same' | number {
  checkInteger(block, 'kernel', kernel, 1)
  if (padding === 'same') return 'same'
  if (padding !== 'symmetric') {
    throw new ArgumentError(`${block}: padding expects 'same' or 'symmetric', got ${String(padding)}`)
  }
  if (kernel % 2 === 0) {
    throw new ArgumentError(`${block}: kernel expects an odd number where padding is symmetric, got ${kernel}`)
  }
  return (kernel - 1) / 2
}

/**
 * Wide inside and thin outside: Sandler et al., "MobileNetV2", 2018, figure 3; with squeeze-and-excitation Tan et al.,
 * "MnasNet", 2019, figure 7, and Tan and Le, "EfficientNet", 2019.
 *
 *     x --+-- conv 1x1, 6 C -- norm -- act -- depthwise / stride -- norm -- act -- gates -- conv 1x1 -- norm --(+)-- y
 *         +---------------------------- where stride is 1 and channels stay -----------------------------------+
 *
 * (N, inChannels, H, W) to (N, outChannels, ceil(H / stride), ceil(W / stride)). Nothing follows the sum, since an
 * activation would lose what few channels there are.
 *
 * ```ts
 * stage<MBConvOptions>(MBConv, { inChannels: 24, width: 40, depth: 2, stride: 2, kernel: 5 })
 * ```
 */
export class MBConv extends Module {
  readonly inChannels: number
  readonly outChannels: number
  /** Whether the input is added. */
  readonly residual: boolean
  readonly expand: ConvNorm | undefined
  readonly depthwise: ConvNorm
  readonly attention: Layer | undefined
  readonly project: ConvNorm
  readonly dropPath: DropPath
  readonly act: Layer
  readonly #keys: MBConvKeys

  constructor(inChannels: number, outChannels: number, options: MBConvOptions = {}) {
    super()
    const chosen = readOptions('MBConv', options, {
      ...invertedDefaults,
      expand: 6,
      expandedChannels: undefined,
      attention: undefined,
      keys: 'torchvision',
    })
    const { kernel, stride, expand, norm, act, dropPath, keys } = chosen
    this.inChannels = checkInteger('MBConv', 'inChannels', inChannels, 1)
    this.outChannels = checkInteger('MBConv', 'outChannels', outChannels, 1)
    checkInteger('MBConv', 'stride', stride, 1)
    const inner = checkInteger('MBConv', 'channels inside', chosen.expandedChannels ?? inChannels * expand, 1)
    const padding = paddingOf('MBConv', kernel, chosen.padding)
    const quarter = (channels: number): Layer =>
      new SqueezeExcitation(channels, {
        squeeze: Math.max(1, Math.floor(inChannels / 4)),
        act,
        keys: keys === 'timm' ? ['conv_reduce', 'conv_expand'] : ['fc1', 'fc2'],
      })
    const { attention = quarter } = chosen
    this.residual = stride === 1 && inChannels === outChannels
    this.expand =
      inner === inChannels
        ? undefined
        : { conv: new Conv2d(inChannels, inner, { kernel: 1, bias: false }), bn: norm(inner) }
    this.depthwise = {
      conv: new Conv2d(inner, inner, { kernel, stride, padding, groups: inner, bias: false }),
      bn: norm(inner),
    }
    this.attention = attention?.(inner, inChannels)
    this.project = { conv: new Conv2d(inner, outChannels, { kernel: 1, bias: false }), bn: norm(outChannels) }
    this.dropPath = new DropPath(dropPath)
    this.act = act()
    this.#keys = keys
    // Keys of a project that is not known are an error here rather than when somebody asks for them.
    mbconvFields(keys, this)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return [...mbconvFields(this.#keys, this), ['dropPath', this.dropPath], ['act', this.act]]
  }

  forward(x: Tensor): Tensor {
    return frugal(() => {
      const { expand, depthwise, attention, project } = this
      const wide = expand === undefined ? x : this.#activate(expand, x)
      const mixed = this.#activate(depthwise, wide)
      const gated = attention === undefined ? mixed : attention.forward(mixed)
      if (this.residual && this.dropPath.idle) return convNormAct(gated, project.conv, project.bn, undefined, x)
      const y = convNormAct(gated, project.conv, project.bn)
      return this.residual ? add(this.dropPath.forward(y), x) : y
    })
  }

  #activate({ conv, bn }: ConvNorm, x: Tensor): Tensor {
    return frugal(() => convNormAct(x, conv, bn, this.act))
  }
}
