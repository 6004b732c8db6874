/** The unit of ShuffleNet v2, and the shuffling of channels. */
import { BatchNorm2d, Conv2d, type Layer, Module, ReLU, Sequential } from '@convnets/nn'
import {
  ArgumentError,
  cat,
  checkInteger,
  chunk,
  fromPixelRows,
  pixelRows,
  readOptions,
  ShapeError,
  type Tensor,
} from '@convnets/tensor'

/**
 * Channels of all groups dealt out in turn, so that the next grouped or split layer sees some of each: with two groups,
 * 0 1 2 | 3 4 5 becomes 0 3 1 4 2 5. Zhang et al., "ShuffleNet", 2018, section 3.1.
 *
 * (N, C, H, W) to the same shape.
 *
 * @throws ShapeError where the groups do not divide the channels.
 */
export function channelShuffle(x: Tensor, groups: number): Tensor {
  checkInteger('channelShuffle', 'groups', groups, 1)
  const [, channels = 0] = x.shape
  if (x.rank !== 4 || channels % groups !== 0) {
    throw new ShapeError(
      `channelShuffle: x expects (N, C, H, W) with a multiple of ${groups} channels, got (${x.shape.join(', ')})`,
    )
  }
  const rows = pixelRows(x)
  const pixels = rows.shape[0] ?? 0
  const dealt = rows.reshape([pixels, groups, channels / groups]).transpose(1, 2)
  return fromPixelRows(dealt.reshape([pixels, channels]), x.shape)
}

export interface ShuffleUnitOptions {
  /** Step of the unit: divides height and width. Default 1. */
  readonly stride?: number
  /** Makes a layer at the end of the branch with the convolutions, given its channels. */
  readonly attention?: (channels: number) => Layer
}

/**
 * Half of the channels pass as they are, the others go through three cheap convolutions, and both are shuffled. Ma et al.,
 * "ShuffleNet V2", 2018, figure 3 (c) and (d).
 *
 *               +-- (itself) ------------------------------------------------------------------------+
 *     x -- split                                                                                     concat -- shuffle -- y
 *               +-- conv 1x1 -- norm -- relu -- depthwise 3x3 -- norm -- conv 1x1 -- norm -- relu [-- attention] --+
 *
 * With a stride nothing is split: the first branch is depthwise 3x3 / stride, norm, conv 1x1, norm, relu, and the second
 * makes its step in the depthwise convolution. (N, inChannels, H, W) to (N, width, ceil(H / stride), ceil(W / stride)).
 * Keys are torchvision's: `branch1`, `branch2`.
 *
 * ```ts
 * stage(ShuffleUnit, { inChannels: 24, width: 116, depth: 4, stride: 2 })
 * ```
 *
 * @throws ArgumentError for an odd width, and without stride for a width other than `inChannels`.
 */
export class ShuffleUnit extends Module {
  readonly inChannels: number
  readonly outChannels: number
  /** Empty where half of the channels pass as they are. */
  branch1: Sequential
  branch2: Sequential

  constructor(inChannels: number, width: number, options: ShuffleUnitOptions = {}) {
    super()
    const { stride, attention } = readOptions('ShuffleUnit', options, { stride: 1, attention: undefined })
    this.inChannels = checkInteger('ShuffleUnit', 'inChannels', inChannels, 1)
    this.outChannels = checkInteger('ShuffleUnit', 'width', width, 1)
    checkInteger('ShuffleUnit', 'stride', stride, 1)
    if (width % 2 !== 0) throw new ArgumentError(`ShuffleUnit: width expects an even number, got ${width}`)
    if (stride === 1 && width !== inChannels) {
      throw new ArgumentError(
        `ShuffleUnit: width expects ${inChannels} as inChannels, since without stride half of them pass, got ${width}`,
      )
    }
    const half = width / 2
    const from = stride === 1 ? half : inChannels
    const pointwise = (inputs: number): Layer[] => [
      new Conv2d(inputs, half, { kernel: 1, bias: false }),
      new BatchNorm2d(half),
      new ReLU(),
    ]
    const depthwise = (channels: number): Layer[] => [
      new Conv2d(channels, channels, { kernel: 3, stride, padding: 1, groups: channels, bias: false }),
      new BatchNorm2d(channels),
    ]
    const gate = attention === undefined ? [] : [attention(half)]
    this.branch1 = stride === 1 ? new Sequential() : new Sequential(...depthwise(inChannels), ...pointwise(inChannels))
    this.branch2 = new Sequential(...pointwise(from), ...depthwise(half), ...pointwise(half), ...gate)
  }

  forward(x: Tensor): Tensor {
    const [first, second] = this.branch1.length === 0 ? (chunk(x, 2, 1) as [Tensor, Tensor]) : [x, x]
    return channelShuffle(cat([this.branch1.forward(first), this.branch2.forward(second)], 1), 2)
  }
}
