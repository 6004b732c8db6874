/** Blocks of DenseNet: every layer sees the outputs of all layers before it. */
import { Conv2d, convNormAct, Dropout, type Layer, Module, normAct } from '@convnets/nn'
import {
  avgPool2d,
  cat,
  checkInteger,
  checkNumber,
  checkOptionNames,
  checkpoint,
  isGradEnabled,
  readOptions,
  relu,
  type Tensor,
} from '@convnets/tensor'
import { frugal } from './frugal.ts'
import { batchNorm } from './residual.ts'

/** Options of a dense layer, and of all layers of a dense block. */
export interface DenseLayerOptions {
  /** Channels of the 1x1 convolution as a multiple of the growth rate. Default 4, the paper's (DenseNet-B). */
  readonly bottleneck?: number
  /** Probability of dropout behind the 3x3 convolution. Default 0. */
  readonly dropout?: number
  /**
   * Keeps the joined inputs, their norm and the 1x1 convolution for no gradient, but computes them again in the backward
   * pass: memory linear in depth instead of quadratic. Gradients are the same to the bit, and running statistics are
   * updated once. Default false. Pleiss et al., "Memory-efficient implementation of DenseNets", 2017.
   */
  readonly memoryEfficient?: boolean
  /** Makes the normalisations. Default: `BatchNorm2d`. */
  readonly norm?: (channels: number) => Layer
  /** Makes a layer at the end, given the channels: squeeze-and-excitation and the like. */
  readonly attention?: (channels: number) => Layer
}

const layerDefaults = {
  bottleneck: 4,
  dropout: 0,
  memoryEfficient: false,
  norm: batchNorm,
  attention: undefined,
}

/** Whether a layer saves memory for the gradient: where none is recorded there is nothing to save. */
const saves = ({ memoryEfficient }: { readonly memoryEfficient: boolean }): boolean =>
  memoryEfficient && isGradEnabled()

/**
 * The new channels of one dense layer. Huang et al., "Densely connected convolutional networks", 2017, section 3.
 *
 *     all maps so far -- norm -- relu -- conv 1x1, 4 k -- norm -- relu -- conv 3x3, k [-- attention] [-- dropout] -- new maps
 *
 * (N, inChannels, H, W) to (N, growth, H, W). Keys are torchvision's.
 *
 * ```ts
 * new DenseLayer(64, 32, { memoryEfficient: true })
 * ```
 */
export class DenseLayer extends Module {
  readonly inChannels: number
  readonly outChannels: number
  readonly memoryEfficient: boolean
  norm1: Layer
  conv1: Conv2d
  norm2: Layer
  conv2: Conv2d
  attention: Layer | undefined
  dropout: Dropout

  constructor(inChannels: number, growth: number, options: DenseLayerOptions = {}) {
    super()
    const chosen = readOptions('DenseLayer', options, layerDefaults)
    const { bottleneck, dropout, memoryEfficient, norm, attention } = chosen
    this.inChannels = checkInteger('DenseLayer', 'inChannels', inChannels, 1)
    this.outChannels = checkInteger('DenseLayer', 'growth', growth, 1)
    const inner = checkInteger('DenseLayer', 'bottleneck', bottleneck, 1) * growth
    this.memoryEfficient = memoryEfficient
    this.norm1 = norm(inChannels)
    this.conv1 = new Conv2d(inChannels, inner, { kernel: 1, bias: false })
    this.norm2 = norm(inner)
    this.conv2 = new Conv2d(inner, growth, { kernel: 3, padding: 1, bias: false })
    this.attention = attention?.(growth)
    this.dropout = new Dropout(dropout)
  }

  /** @param x the maps so far: joined, or as a list that is joined here. */
  forward(x: Tensor | readonly Tensor[]): Tensor {
    const maps = Array.isArray(x) ? (x as readonly Tensor[]) : [x as Tensor]
    return frugal(() => {
      const squeezed = saves(this)
        ? normAct(
            checkpoint((...all) => this.conv1.forward(this.#join(all)), ...maps),
            this.norm2,
            relu,
          )
        : convNormAct(this.#join(maps), this.conv1, this.norm2, relu)
      const grown = this.conv2.forward(squeezed)
      return this.dropout.forward(this.attention === undefined ? grown : this.attention.forward(grown))
    })
  }

  #join(maps: readonly Tensor[]): Tensor {
    const [first] = maps
    const joined = maps.length === 1 && first !== undefined ? first : cat([...maps], 1)
    return normAct(joined, this.norm1, relu)
  }
}

/**
 * Dense layers in a row, whose outputs all stay. Huang et al. 2017, figure 1.
 *
 *     x --+------------+--------------+-- ... --+
 *         |            |              |         concat -- y, the oldest maps first
 *         +-- layer1 --+-- layer2 ... +-- ... --+
 *
 * (N, inChannels, H, W) to (N, inChannels + depth growth, H, W). Keys: `denselayer1`, `denselayer2`, ...
 *
 * ```ts
 * new Sequential(new DenseBlock(64, 32, 6), (channels) => new Transition(channels))
 * ```
 */
export class DenseBlock extends Module {
  readonly inChannels: number
  readonly outChannels: number
  readonly #layers: readonly DenseLayer[]

  constructor(inChannels: number, growth: number, depth: number, options: DenseLayerOptions = {}) {
    super()
    checkOptionNames('DenseBlock', options, Object.keys(layerDefaults))
    this.inChannels = checkInteger('DenseBlock', 'inChannels', inChannels, 1)
    checkInteger('DenseBlock', 'growth', growth, 1)
    checkInteger('DenseBlock', 'depth', depth, 1)
    this.#layers = Array.from({ length: depth }, (_, i) => new DenseLayer(inChannels + i * growth, growth, options))
    this.outChannels = inChannels + depth * growth
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return this.#layers.map((layer, i) => [`denselayer${i + 1}`, layer] as const)
  }

  forward(x: Tensor): Tensor {
    if (!this.#layers.some(saves)) return this.#joined(x, this.#layers.length)
    // Apart, every map is kept once; what layers join of them is not kept.
    const maps = [x]
    for (const layer of this.#layers) maps.push(layer.forward(maps))
    return cat(maps, 1)
  }

  /** x and what the first `count` layers add: joined once, so that a layer takes one tensor and copies the maps once. */
  #joined(x: Tensor, count: number): Tensor {
    const layer = this.#layers[count - 1]
    if (layer === undefined) return x
    return frugal(() => {
      const maps = this.#joined(x, count - 1)
      return cat([maps, layer.forward(maps)], 1)
    })
  }
}

/** Options of a transition. */
export interface TransitionOptions {
  /** Part of the channels that come out, theta in the paper. Default 0.5 (DenseNet-C); 1 keeps them all. */
  readonly compression?: number
  /** Makes the normalisation. Default: `BatchNorm2d`. */
  readonly norm?: (channels: number) => Layer
}

/**
 * Between dense blocks: fewer channels, half the size. Huang et al. 2017, section 3.
 *
 *     x -- norm -- relu -- conv 1x1 -- average pool 2x2 / 2 -- y
 *
 * (N, inChannels, H, W) to (N, floor(theta inChannels), floor(H / 2), floor(W / 2)).
 *
 * ```ts
 * new Transition(256, { compression: 0.5 })
 * ```
 */
export class Transition extends Module {
  readonly inChannels: number
  readonly outChannels: number
  norm: Layer
  conv: Conv2d

  constructor(inChannels: number, options: TransitionOptions = {}) {
    super()
    const { compression, norm } = readOptions('Transition', options, { compression: 0.5, norm: batchNorm })
    this.inChannels = checkInteger('Transition', 'inChannels', inChannels, 1)
    checkNumber('Transition', 'compression', compression, 0, 1)
    this.outChannels = checkInteger('Transition', 'compression * inChannels', Math.floor(inChannels * compression), 1)
    this.norm = norm(inChannels)
    this.conv = new Conv2d(inChannels, this.outChannels, { kernel: 1, bias: false })
  }

  forward(x: Tensor): Tensor {
    return frugal(() => avgPool2d(this.conv.forward(normAct(x, this.norm, relu)), 2))
  }
}
