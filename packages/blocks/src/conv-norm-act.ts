/** The most common three layers in a row. */
import { Conv2d, type Conv2dOptions, convNormAct, type Layer, Module, ReLU } from '@convnets/nn'
import { checkOptionNames, optionNames, pair, type Tensor } from '@convnets/tensor'
import { batchNorm } from './residual.ts'

export interface ConvNormActOptions extends Omit<Conv2dOptions, 'kernel'> {
  /** Size of the window. Default 3. */
  readonly kernel?: Conv2dOptions['kernel']
  /** Makes the normalisation, or `null` for none. Default: `BatchNorm2d`. */
  readonly norm?: ((channels: number) => Layer) | null
  /** Makes the activation, or `null` for none. Default: `ReLU`. */
  readonly act?: (() => Layer) | null
}

const convNormActOptions = optionNames<ConvNormActOptions>({
  kernel: true,
  norm: true,
  act: true,
  stride: true,
  padding: true,
  dilation: true,
  groups: true,
  precision: true,
  bias: true,
})

/**
 * Convolution, normalisation, activation.
 *
 *     x -- conv -- norm -- act -- y
 *
 * (N, inChannels, H, W) to (N, outChannels, H', W'). Padding defaults to half the kernel's span, which keeps height and
 * width at stride 1 and odd kernels; the convolution has a bias where nothing normalises it away. Keys: `conv`, `bn`.
 *
 * ```ts
 * new ConvNormAct(3, 32, { stride: 2, act: () => new SiLU() })
 * ```
 */
export class ConvNormAct extends Module {
  readonly inChannels: number
  readonly outChannels: number
  conv: Conv2d
  bn: Layer | undefined
  act: Layer | undefined

  constructor(inChannels: number, outChannels: number, options: ConvNormActOptions = {}) {
    super()
    checkOptionNames('ConvNormAct', options, convNormActOptions)
    const { kernel = 3, dilation = 1, norm = batchNorm, act = () => new ReLU(), ...others } = options
    const [height, width] = pair('ConvNormAct', 'kernel', kernel, 1)
    const [rows, columns] = pair('ConvNormAct', 'dilation', dilation, 1)
    const half = (extent: number, step: number): number => Math.floor(((extent - 1) * step) / 2)
    this.conv = new Conv2d(inChannels, outChannels, {
      padding: [half(height, rows), half(width, columns)],
      bias: norm === null,
      ...others,
      kernel,
      dilation,
    })
    this.inChannels = inChannels
    this.outChannels = outChannels
    this.bn = norm?.(outChannels)
    this.act = act?.()
  }

  forward(x: Tensor): Tensor {
    return convNormAct(x, this.conv, this.bn, this.act)
  }
}
