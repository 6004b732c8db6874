/** Squeeze-and-excitation: channels weighted by what the whole image shows. */
import { Conv2d, convNormAct, type Layer, Module, ReLU, Sigmoid } from '@convnets/nn'
import { adaptiveAvgPool2d, checkInteger, readOptions, type Tensor } from '@convnets/tensor'

export interface SqueezeExcitationOptions {
  /** Channels in the middle. Default: a `reduction`-th of the channels, rounded down, at least 1. */
  readonly squeeze?: number
  /** Default 16, the paper's. */
  readonly reduction?: number
  /** Makes the activation in the middle. Default: `ReLU`; EfficientNet: `SiLU`. */
  readonly act?: () => Layer
  /** Makes the function that gives the gates. Default: `Sigmoid`; MobileNetV3: `Hardsigmoid`. */
  readonly gate?: () => Layer
  /** Keys of the two convolutions in checkpoints. Default `fc1` and `fc2`. */
  readonly keys?: readonly [reduce: string, expand: string]
}

/**
 * Squeeze-and-excitation. Hu et al., "Squeeze-and-excitation networks", 2018, figure 1.
 *
 *     x --+-- mean of each channel -- conv 1x1, channels / 16 -- relu -- conv 1x1 -- sigmoid --+
 *         +---------------------------------------------------------------------------------(x)-- y
 *
 * (N, channels, H, W) to the same shape. `new Bottleneck(64, 64, { attention: (c) => new SqueezeExcitation(c) })` puts it
 * at the end of a residual branch, and the same option into any other block.
 *
 * ```ts
 * new Bottleneck(64, 64, { attention: (channels) => new SqueezeExcitation(channels) })
 * ```
 */
export class SqueezeExcitation extends Module {
  readonly inChannels: number
  readonly outChannels: number
  fc1: Conv2d
  act: Layer
  fc2: Conv2d
  gate: Layer
  readonly #keys: readonly [string, string]

  constructor(channels: number, options: SqueezeExcitationOptions = {}) {
    super()
    const { squeeze, reduction, act, gate, keys } = readOptions('SqueezeExcitation', options, {
      squeeze: undefined,
      reduction: 16,
      act: () => new ReLU(),
      gate: () => new Sigmoid(),
      keys: ['fc1', 'fc2'],
    })
    this.inChannels = checkInteger('SqueezeExcitation', 'channels', channels, 1)
    this.outChannels = channels
    checkInteger('SqueezeExcitation', 'reduction', reduction, 1)
    const middle = squeeze ?? Math.max(1, Math.floor(channels / reduction))
    checkInteger('SqueezeExcitation', 'squeeze', middle, 1)
    this.fc1 = new Conv2d(channels, middle, { kernel: 1 })
    this.act = act()
    this.fc2 = new Conv2d(middle, channels, { kernel: 1 })
    this.gate = gate()
    this.#keys = keys
  }

  override fields(): Iterable<readonly [string, unknown]> {
    const [reduce, expand] = this.#keys
    const names: Readonly<Record<string, string>> = { fc1: reduce, fc2: expand }
    return Object.entries(this).map(([key, value]) => [names[key] ?? key, value] as const)
  }

  /** The gates (N, channels, 1, 1), from 0 to 1. */
  gates(x: Tensor): Tensor {
    const squeezed = convNormAct(adaptiveAvgPool2d(x, 1), this.fc1, undefined, this.act)
    return convNormAct(squeezed, this.fc2, undefined, this.gate)
  }

  forward(x: Tensor): Tensor {
    return x.mul(this.gates(x))
  }
}
