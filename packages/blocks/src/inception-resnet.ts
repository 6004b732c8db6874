/** The modules of Inception-ResNet v1 and v2: Inception branches inside of residual blocks. */
import { AvgPool2d, Conv2d, DropPath, type Layer, MaxPool2d, Module } from '@convnets/nn'
import {
  checkInteger,
  checkNumber,
  checkOptionNames,
  type Expr,
  elementwise,
  f,
  readOptions,
  type Tensor,
} from '@convnets/tensor'
import {
  Branches,
  branch,
  type ConvStep,
  concat,
  halve,
  type InceptionOptions,
  inceptionNorm,
  inceptionOptions,
} from './branches.ts'

type Sum = (branch: Tensor, x: Tensor) => Tensor

const sums: Map<string, Sum> = new Map()

/** scale * branch + x, or the ReLU of it, in one pass over memory; the gradient needs the output alone. */
function scaledSum(scale: number, relu: boolean): Sum {
  const key = `${scale} ${relu}`
  const known = sums.get(key)
  if (known !== undefined) return known
  const sum = (branch: Expr, x: Expr): Expr => f.add(f.mul(scale, branch), x)
  const made: Sum = relu
    ? elementwise('scaledAddRelu', (branch, x) => f.max(sum(branch, x), 0), {
        derivative: (i, _, y) => (i === 0 ? f.mul(scale, f.gt(y, 0)) : f.gt(y, 0)),
      })
    : elementwise('scaledAdd', sum)
  sums.set(key, made)
  return made
}

export interface InceptionResidualOptions extends InceptionOptions {
  /** Factor of the residual branch. Default 1; the published networks have 0.17, 0.1 and 0.2, and 1 in the last block. */
  readonly scale?: number
  /** Ends with a ReLU. Default true; the last block of the published networks has none. */
  readonly relu?: boolean
  /** Probability that a sample skips the residual branch in training. Default 0. */
  readonly dropPath?: number
}

const residualDefaults = { norm: inceptionNorm, attention: undefined, scale: 1, relu: true, dropPath: 0 }

/**
 * Branches, a 1x1 convolution back to the channels of the input, and a scaled sum.
 *
 *         +-- branch0 --+
 *     x --+-- branch1 --+-- concat -- conv 1x1 [-- attention] -- * scale -- (+) [-- relu] -- y
 *         |-- branch2 --+                                                    |
 *         +------------------------------------------------------------------+
 *
 * (N, inChannels, H, W) to the same shape. The 1x1 convolution has a bias and neither normalisation nor ReLU.
 */
abstract class InceptionResidual extends Module {
  readonly inChannels: number
  readonly outChannels: number
  readonly scale: number
  readonly relu: boolean
  readonly conv2d: Conv2d
  readonly attention: Layer | undefined
  readonly dropPath: DropPath
  readonly #branches: readonly Layer[]

  /** @param branches the convolutions of each, which give `width` channels together. */
  constructor(
    inChannels: number,
    width: number,
    branches: readonly (readonly [ConvStep, ...ConvStep[]])[],
    options: InceptionResidualOptions,
  ) {
    super()
    const name = new.target.name
    const { norm, attention, scale, relu, dropPath } = readOptions(name, options, residualDefaults)
    this.inChannels = checkInteger(name, 'inChannels', inChannels, 1)
    this.outChannels = inChannels
    this.scale = checkNumber(name, 'scale', scale, -Infinity)
    this.relu = relu
    this.#branches = branches.map((steps) => branch(inChannels, steps, { norm }))
    this.conv2d = new Conv2d(width, inChannels, { kernel: 1 })
    this.attention = attention?.(inChannels)
    this.dropPath = new DropPath(dropPath)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    const { conv2d, attention, dropPath } = this
    return [
      ...this.#branches.map((layer, i) => [`branch${i}`, layer] as const),
      ...Object.entries({ conv2d, attention, dropPath }),
    ]
  }

  forward(x: Tensor): Tensor {
    const { attention, dropPath, scale } = this
    const up = this.conv2d.forward(concat(x, this.#branches))
    const gated = dropPath.forward(attention === undefined ? up : attention.forward(up))
    return scaledSum(scale, this.relu)(gated, x)
  }
}

/**
 * For 35x35 maps ("block 35"). Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on
 * learning", 2017, figures 10 and 16.
 *
 *         +-- conv 1x1, 32 ------------------------------------------+
 *     x --+-- conv 1x1, 32 ---------------------- conv 3x3, 32 ------+-- concat -- conv 1x1 [-- attention] -- * scale --(+)-- relu -- y
 *         +-- conv 1x1, reduce -- conv 3x3, first -- conv 3x3, second +                                                  |
 *         +---------------------------------------------------------------------------------------------------------------+
 *
 * Branches: 1x1, 32; 1x1, 32 and 3x3, 32; 1x1, 3x3 and 3x3 with `widths` channels. v1 has [32, 32, 32], v2 [32, 48, 64].
 * (N, inChannels, H, W) to the same shape.
 *
 * ```ts
 * new Sequential(new InceptionResNetMixed(192), (channels) => new InceptionResNetA(channels, [32, 48, 64], { scale: 0.17 }))
 * ```
 */
export class InceptionResNetA extends InceptionResidual {
  constructor(
    inChannels: number,
    widths: readonly [reduce: number, first: number, second: number],
    options: InceptionResidualOptions = {},
  ) {
    const [reduce, first, second] = widths
    super(
      inChannels,
      32 + 32 + second,
      [
        [[32, 1]],
        [
          [32, 1],
          [32, 3],
        ],
        [
          [reduce, 1],
          [first, 3],
          [second, 3],
        ],
      ],
      options,
    )
  }
}

/** Channels of blocks B and C: of the 1x1 branch, and of the three convolutions of the other. */
export type InceptionResNetWidths = readonly [one: number, reduce: number, first: number, second: number]

/**
 * For 17x17 maps ("block 17"). Szegedy et al. 2017, figures 11 and 17.
 *
 *         +-- conv 1x1, one -------------------------------------------+
 *     x --+-- conv 1x1, reduce -- conv 1x7, first -- conv 7x1, second --+-- concat -- conv 1x1 [-- attention] -- * scale --(+)-- relu -- y
 *         +-----------------------------------------------------------------------------------------------------------------+
 *
 * Branches: 1x1; 1x1, 1x7 and 7x1. v1 has widths [128, 128, 128, 128], v2 [192, 128, 160, 192]. (N, inChannels, H, W) to the
 * same shape.
 *
 * ```ts
 * new InceptionResNetB(1088, [192, 128, 160, 192], { scale: 0.1 })
 * ```
 */
export class InceptionResNetB extends InceptionResidual {
  constructor(inChannels: number, widths: InceptionResNetWidths, options: InceptionResidualOptions = {}) {
    const [one, reduce, first, second] = widths
    super(
      inChannels,
      one + second,
      [
        [[one, 1]],
        [
          [reduce, 1],
          [first, [1, 7]],
          [second, [7, 1]],
        ],
      ],
      options,
    )
  }
}

/**
 * For 8x8 maps ("block 8"). Szegedy et al. 2017, figures 13 and 19.
 *
 *         +-- conv 1x1, one -------------------------------------------+
 *     x --+-- conv 1x1, reduce -- conv 1x3, first -- conv 3x1, second --+-- concat -- conv 1x1 [-- attention] -- * scale --(+) [-- relu] -- y
 *         +-----------------------------------------------------------------------------------------------------------------+
 *
 * Branches: 1x1; 1x1, 1x3 and 3x1. v1 has widths [192, 192, 192, 192], v2 [192, 192, 224, 256]. (N, inChannels, H, W) to the
 * same shape.
 *
 * ```ts
 * new InceptionResNetC(2080, [192, 192, 224, 256], { scale: 0.2 })
 * ```
 */
export class InceptionResNetC extends InceptionResidual {
  constructor(inChannels: number, widths: InceptionResNetWidths, options: InceptionResidualOptions = {}) {
    const [one, reduce, first, second] = widths
    super(
      inChannels,
      one + second,
      [
        [[one, 1]],
        [
          [reduce, 1],
          [first, [1, 3]],
          [second, [3, 1]],
        ],
      ],
      options,
    )
  }
}

/**
 * From 17x17 to 8x8 maps. Szegedy et al. 2017, figures 12 and 18.
 *
 *         +-- conv 1x1, 256 ------------------ conv 3x3 / 2, 384 ------+
 *         +-- conv 1x1, 256 ------------------ conv 3x3 / 2, short ----+
 *     x --+-- conv 1x1, 256 -- conv 3x3, mid - conv 3x3 / 2, long -----+-- concat [-- attention] -- y
 *         +----------------------------------- max pool 3x3 / 2 -------+
 *
 * v1 has [short, mid, long] = [256, 256, 256], v2 [288, 288, 320]. (N, inChannels, H, W) to (N, 384 + short + long +
 * inChannels, floor((H - 1) / 2), floor((W - 1) / 2)).
 *
 * ```ts
 * new InceptionResNetReductionB(1088, [288, 288, 320])
 * ```
 */
export class InceptionResNetReductionB extends Branches {
  constructor(
    inChannels: number,
    [short, mid, long]: readonly [short: number, mid: number, long: number],
    options: InceptionOptions = {},
  ) {
    checkOptionNames('InceptionResNetReductionB', options, inceptionOptions)
    super(
      inChannels,
      [
        branch(
          inChannels,
          [
            [256, 1],
            [384, 3, halve],
          ],
          options,
        ),
        branch(
          inChannels,
          [
            [256, 1],
            [short, 3, halve],
          ],
          options,
        ),
        branch(
          inChannels,
          [
            [256, 1],
            [mid, 3],
            [long, 3, halve],
          ],
          options,
        ),
        new MaxPool2d(3, { stride: 2 }),
      ],
      options,
    )
  }
}

/**
 * The only Inception module of Inception-ResNet v2 without a shortcut, in front of all others ("mixed 5b" of TensorFlow).
 *
 *         +---------------------------------- conv 1x1, 96 --+
 *         +-- conv 1x1, 48 ------------------ conv 5x5, 64 --+
 *     x --+-- conv 1x1, 64 -- conv 3x3, 96 -- conv 3x3, 96 --+-- concat [-- attention] -- y
 *         +-- avg pool 3x3 ------------------ conv 1x1, 64 --+
 *
 * (N, inChannels, H, W) to (N, 320, H, W). Padding is left out of the averages.
 *
 * ```ts
 * new InceptionResNetMixed(192)
 * ```
 */
export class InceptionResNetMixed extends Branches {
  constructor(inChannels: number, options: InceptionOptions = {}) {
    checkOptionNames('InceptionResNetMixed', options, inceptionOptions)
    super(
      inChannels,
      [
        branch(inChannels, [[96, 1]], options),
        branch(
          inChannels,
          [
            [48, 1],
            [64, 5],
          ],
          options,
        ),
        branch(
          inChannels,
          [
            [64, 1],
            [96, 3],
            [96, 3],
          ],
          options,
        ),
        branch(inChannels, [new AvgPool2d(3, { stride: 1, padding: 1, countIncludePad: false }), [64, 1]], options),
      ],
      options,
    )
  }
}
