/** The block of ConvNeXt and the normalisation that goes with it. */
import {
  Conv2d,
  DropPath,
  GELU,
  type Layer,
  LayerNorm,
  Linear,
  Module,
  type NormOptions,
  parameter,
} from '@convnets/nn'
import { checkInteger, checkNumber, fromPixelRows, full, pixelRows, readOptions, type Tensor } from '@convnets/tensor'

/**
 * Layer norm over the channels of every pixel, (N, C, H, W) to the same shape. Keys are `weight` and `bias`; `eps` is 1e-6
 * unless said otherwise, as in ConvNeXt.
 *
 * ```ts
 * new Sequential(new Conv2d(3, 96, { kernel: 4, stride: 4 }), new LayerNorm2d(96))
 * ```
 */
export class LayerNorm2d extends LayerNorm {
  readonly inChannels: number
  readonly outChannels: number

  constructor(channels: number, options: NormOptions = {}) {
    super(channels, readOptions('LayerNorm2d', options, { eps: 1e-6, affine: true }))
    this.inChannels = channels
    this.outChannels = channels
  }

  override forward(x: Tensor): Tensor {
    return fromPixelRows(super.forward(pixelRows(x)), x.shape)
  }
}

export interface ConvNeXtBlockOptions {
  /** First value of the factors of the residual branch's channels (LayerScale). Default 1e-6. */
  readonly layerScale?: number
  /** Makes a layer at the end of the residual branch, given its channels: squeeze-and-excitation and the like. */
  readonly attention?: (channels: number) => Layer
  /** Probability that a sample skips the residual branch in training. Default 0. */
  readonly dropPath?: number
}

/**
 * A ResNet block with the habits of a transformer: one large depthwise convolution, one layer norm, one GELU, wide in the
 * middle. Liu et al., "A ConvNet for the 2020s", 2022, figure 4.
 *
 *     x --+-- depthwise 7x7 -- layer norm -- linear, 4 C -- gelu -- linear, C [-- attention] -- * layer_scale --(+)-- y
 *         +----------------------------------------------------------------------------------------------------+
 *
 * (N, channels, H, W) to the same shape. The linear layers work on pixels, which lie in memory as their rows. Keys are
 * torchvision's: `layer_scale`, `block.0`, `block.2`, `block.3`, `block.5`.
 *
 * ```ts
 * new Sequential(new ConvNeXtBlock(96), new ConvNeXtBlock(96))
 * ```
 */
export class ConvNeXtBlock extends Module {
  readonly inChannels: number
  readonly outChannels: number
  /** (channels, 1, 1). */
  layer_scale: Tensor
  readonly depthwise: Conv2d
  readonly norm: LayerNorm
  readonly expand: Linear
  readonly act: GELU
  readonly project: Linear
  readonly attention: Layer | undefined
  readonly dropPath: DropPath

  constructor(channels: number, options: ConvNeXtBlockOptions = {}) {
    super()
    const defaults = { layerScale: 1e-6, attention: undefined, dropPath: 0 }
    const { layerScale, attention, dropPath } = readOptions('ConvNeXtBlock', options, defaults)
    this.inChannels = checkInteger('ConvNeXtBlock', 'channels', channels, 1)
    this.outChannels = channels
    checkNumber('ConvNeXtBlock', 'layerScale', layerScale, -Infinity)
    this.layer_scale = parameter(full([channels, 1, 1], layerScale))
    this.depthwise = new Conv2d(channels, channels, { kernel: 7, padding: 3, groups: channels })
    this.norm = new LayerNorm(channels, { eps: 1e-6 })
    this.expand = new Linear(channels, 4 * channels)
    this.act = new GELU()
    this.project = new Linear(4 * channels, channels)
    this.attention = attention?.(channels)
    this.dropPath = new DropPath(dropPath)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    const { layer_scale, depthwise, norm, expand, act, project, attention, dropPath } = this
    const block = { 0: depthwise, 2: norm, 3: expand, 4: act, 5: project }
    return Object.entries({ layer_scale, block, attention, stochastic_depth: dropPath })
  }

  forward(x: Tensor): Tensor {
    const rows = this.norm.forward(pixelRows(this.depthwise.forward(x)))
    const mixed = fromPixelRows(this.project.forward(this.act.forward(this.expand.forward(rows))), x.shape)
    const branch = this.attention === undefined ? mixed : this.attention.forward(mixed)
    return this.dropPath.forward(branch.mul(this.layer_scale)).add(x)
  }
}
