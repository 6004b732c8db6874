/** Shortcuts around a residual branch that changes the shape: options A and B of He et al. 2015, section 3.3. */
import { BatchNorm2d, Conv2d, type Layer, Module, Sequential } from '@convnets/nn'
import { ArgumentError, checkInteger, pad, slice, type Tensor } from '@convnets/tensor'

/** Makes the shortcut of a block whose input and output differ in shape. */
export type Shortcut = (inChannels: number, outChannels: number, stride: number) => Layer

/**
 * Option A, without parameters: every `stride`-th pixel, and channels of zeros, half of them before the input's and half
 * behind, as in the CIFAR-10 networks of the paper.
 *
 *     x --- [:, :, ::stride, ::stride] --- pad channels --- y
 *
 * (N, inChannels, H, W) to (N, outChannels, ceil(H / stride), ceil(W / stride)).
 *
 * ```ts
 * new BasicBlock(16, 32, { stride: 2, shortcut: padShortcut })
 * ```
 */
export class PadShortcut extends Module {
  readonly inChannels: number
  readonly outChannels: number
  readonly stride: number

  constructor(inChannels: number, outChannels: number, stride = 1) {
    super()
    this.inChannels = checkInteger('PadShortcut', 'inChannels', inChannels, 1)
    this.outChannels = checkInteger('PadShortcut', 'outChannels', outChannels, 1)
    this.stride = checkInteger('PadShortcut', 'stride', stride, 1)
    if (outChannels < inChannels) {
      throw new ArgumentError(
        `PadShortcut: outChannels expects at least ${inChannels} as inChannels, got ${outChannels}`,
      )
    }
  }

  forward(x: Tensor): Tensor {
    const { stride } = this
    const every = [undefined, undefined, stride] as const
    const small = stride === 1 ? x : slice(x, [undefined, undefined, every, every])
    const more = this.outChannels - this.inChannels
    const before = Math.floor(more / 2)
    return more === 0 ? small : pad(small, [0, 0, 0, 0, before, more - before])
  }

  override describe(): string {
    return `${this.inChannels}, ${this.outChannels}, stride: ${this.stride}`
  }
}

/** Option A, as a `Shortcut`. */
export function padShortcut(inChannels: number, outChannels: number, stride: number): PadShortcut {
  return new PadShortcut(inChannels, outChannels, stride)
}

/**
 * Option B, the default of all blocks: a 1x1 convolution with stride and batch norm.
 *
 *     x --- conv 1x1 / stride --- norm --- y
 */
export function projectionShortcut(inChannels: number, outChannels: number, stride: number): Sequential {
  return new Sequential(
    new Conv2d(inChannels, outChannels, { kernel: 1, stride, bias: false }),
    new BatchNorm2d(outChannels),
  )
}

/**
 * Option B with a 3x3 convolution, as in SENet-154, whose strided shortcuts so see every pixel.
 *
 *     x --- conv 3x3 / stride --- norm --- y
 */
export function wideProjectionShortcut(inChannels: number, outChannels: number, stride: number): Sequential {
  return new Sequential(
    new Conv2d(inChannels, outChannels, { kernel: 3, stride, padding: 1, bias: false }),
    new BatchNorm2d(outChannels),
  )
}
