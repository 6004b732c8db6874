/** The inverted bottleneck of EfficientNetV2's early stages. */
import { Conv2d, DropPath, type Layer, Module } from '@convnets/nn'
import { add, checkInteger, readOptions, type Tensor } from '@convnets/tensor'
import { frugal } from './frugal.ts'
import { type InvertedOptions, invertedDefaults, paddingOf } from './mbconv.ts'
import type { ConvNorm } from './mbconv-keys.ts'

export interface FusedMBConvOptions extends InvertedOptions {
  /** Makes a layer behind the first convolution, given its channels and those of the block's input. Default: none. */
  readonly attention?: (channels: number, inChannels: number) => Layer
}

/**
 * Expansion and depthwise convolution in one full convolution, which is faster where channels are few. Tan and Le,
 * "EfficientNetV2", 2021, figure 2.
 *
 *     x --+-- conv 3x3 / stride, 4 C -- norm -- act [-- gates] -- conv 1x1 -- norm --(+)-- y
 *         +------------------ where stride is 1 and channels stay ---------------+
 *
 * With `expand` 1 the first convolution, its norm and activation are all there is. (N, inChannels, H, W) to
 * (N, outChannels, ceil(H / stride), ceil(W / stride)). Keys are torchvision's: `block.0.0.weight`.
 *
 * ```ts
 * stage<FusedMBConvOptions>(FusedMBConv, { inChannels: 24, width: 48, depth: 4, stride: 2 })
 * ```
 */
export class FusedMBConv extends Module {
  readonly inChannels: number
  readonly outChannels: number
  /** Whether the input is added. */
  readonly residual: boolean
  readonly fused: ConvNorm
  readonly attention: Layer | undefined
  readonly project: ConvNorm | undefined
  readonly dropPath: DropPath
  readonly act: Layer

  constructor(inChannels: number, outChannels: number, options: FusedMBConvOptions = {}) {
    super()
    const chosen = readOptions('FusedMBConv', options, { ...invertedDefaults, expand: 4, attention: undefined })
    const { kernel, stride, expand, norm, act, attention, dropPath } = chosen
    this.inChannels = checkInteger('FusedMBConv', 'inChannels', inChannels, 1)
    this.outChannels = checkInteger('FusedMBConv', 'outChannels', outChannels, 1)
    checkInteger('FusedMBConv', 'stride', stride, 1)
    const inner = checkInteger('FusedMBConv', 'channels inside', inChannels * expand, 1)
    const width = expand === 1 ? outChannels : inner
    const padding = paddingOf('FusedMBConv', kernel, chosen.padding)
    this.residual = stride === 1 && inChannels === outChannels
    this.fused = { conv: new Conv2d(inChannels, width, { kernel, stride, padding, bias: false }), bn: norm(width) }
    this.attention = attention?.(width, inChannels)
    this.project =
      expand === 1
        ? undefined
        : { conv: new Conv2d(width, outChannels, { kernel: 1, bias: false }), bn: norm(outChannels) }
    this.dropPath = new DropPath(dropPath)
    this.act = act()
  }

  override fields(): Iterable<readonly [string, unknown]> {
    const { fused, attention, project } = this
    const block = [
      [fused.conv, fused.bn],
      ...(attention === undefined ? [] : [attention]),
      ...(project === undefined ? [] : [[project.conv, project.bn]]),
    ]
    return Object.entries({ block, dropPath: this.dropPath, act: this.act })
  }

  forward(x: Tensor): Tensor {
    return frugal(() => {
      const { fused, attention, project, act } = this
      const wide = frugal(() => act.forward(fused.bn.forward(fused.conv.forward(x))))
      const gated = attention === undefined ? wide : attention.forward(wide)
      const y = project === undefined ? gated : project.bn.forward(project.conv.forward(gated))
      return this.residual ? add(this.dropPath.forward(y), x) : y
    })
  }
}
