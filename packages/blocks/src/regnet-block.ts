/** The block of RegNet. */
import { Conv2d, DropPath, type Layer, Module, ReLU, Sequential } from '@convnets/nn'
import { ArgumentError, checkInteger, readOptions, type Tensor } from '@convnets/tensor'
import { makeShortcut, meet, type NormLayer, type ResidualOptions, residualDefaults, silence } from './residual.ts'

export interface RegNetBlockOptions extends Omit<ResidualOptions, 'attention' | 'attentionKey'> {
  /** Channels of each group of the 3x3 convolution. Default: all, one group. */
  readonly groupWidth?: number
  /**
   * Makes a layer behind the 3x3 convolution, given its channels and those of the block's input, by which RegNetY sizes
   * its squeeze-and-excitation.
   */
  readonly attention?: (channels: number, inChannels: number) => Layer
}

/**
 * A bottleneck that is none: 1x1, grouped 3x3 and 1x1 convolutions of one width, gated in the middle. Radosavovic et al.,
 * "Designing network design spaces", 2020, figure 3; with squeeze-and-excitation (the Y of RegNetY) section 5.
 *
 *     x --+-- conv 1x1 -- norm -- relu -- conv 3x3 / stride -- norm -- relu [-- attention] -- conv 1x1 -- norm --(+)-- relu -- y
 *         +-- itself, or shortcut where the shape changes --------------------------------------------------------+
 *
 * (N, inChannels, H, W) to (N, width, ceil(H / stride), ceil(W / stride)). Keys are torchvision's: `proj`, `f.a`, `f.b`,
 * `f.se`, `f.c`.
 *
 * ```ts
 * stage<RegNetBlockOptions>(RegNetBlock, { inChannels: 32, width: 48, depth: 2, stride: 2, groupWidth: 8 })
 * ```
 *
 * @throws ArgumentError for a width that is not a multiple of `groupWidth`.
 */
export class RegNetBlock extends Module {
  readonly inChannels: number
  readonly outChannels: number
  proj: Layer | undefined
  readonly #branch: ReadonlyMap<'a' | 'b' | 'se' | 'c', Layer>
  readonly dropPath: DropPath

  constructor(inChannels: number, width: number, options: RegNetBlockOptions = {}) {
    super()
    const { attentionKey: _, ...defaults } = residualDefaults
    const chosen = readOptions('RegNetBlock', options, { ...defaults, groupWidth: width })
    const { stride, norm, shortcut, attention, dropPath, zeroInit, groupWidth } = chosen
    this.inChannels = checkInteger('RegNetBlock', 'inChannels', inChannels, 1)
    this.outChannels = checkInteger('RegNetBlock', 'width', width, 1)
    checkInteger('RegNetBlock', 'groupWidth', groupWidth, 1)
    checkInteger('RegNetBlock', 'stride', stride, 1)
    if (width % groupWidth !== 0) {
      throw new ArgumentError(`RegNetBlock: groupWidth expects a divisor of width ${width}, got ${groupWidth}`)
    }
    const grouped = { kernel: 3, stride, padding: 1, groups: width / groupWidth, bias: false }
    const last: NormLayer = norm(width)
    this.proj = makeShortcut(inChannels, width, stride, shortcut)
    this.#branch = new Map<'a' | 'b' | 'se' | 'c', Layer>([
      ['a', new Sequential(new Conv2d(inChannels, width, { kernel: 1, bias: false }), norm(width), new ReLU())],
      ['b', new Sequential(new Conv2d(width, width, grouped), norm(width), new ReLU())],
      ...(attention === undefined ? [] : [['se', attention(width, inChannels)] as const]),
      ['c', new Sequential(new Conv2d(width, width, { kernel: 1, bias: false }), last)],
    ])
    this.dropPath = new DropPath(dropPath)
    if (zeroInit) silence(last)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    const { proj, dropPath } = this
    return Object.entries({ proj, f: this.#branch, dropPath })
  }

  forward(x: Tensor): Tensor {
    const branch = [...this.#branch.values()].reduce((y, layer) => layer.forward(y), x)
    return meet(x, branch, { attention: undefined, dropPath: this.dropPath, downsample: this.proj })
  }
}
