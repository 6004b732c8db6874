/** What all Inception modules are made of: branches side by side on one input, their channels one after another. */
import { BatchNorm2d, type Layer, Module, Sequential } from '@convnets/nn'
import { cat, checkInteger, checkOptionNames, optionNames, type Pair, type Tensor } from '@convnets/tensor'
import { ConvNormAct } from './conv-norm-act.ts'

/** Options of all Inception modules. */
export interface InceptionOptions {
  /** Makes the normalisation behind every convolution, or `null` for none (and a bias instead). Default: `inceptionNorm`. */
  readonly norm?: ((channels: number) => Layer) | null
  /** Makes a layer at the end of the module, given its channels: squeeze-and-excitation and the like. */
  readonly attention?: (channels: number) => Layer
}

/** The names of the options that all Inception modules have. */
export const inceptionOptions: readonly string[] = optionNames<InceptionOptions>({ norm: true, attention: true })

/** Batch norm as in TensorFlow's Inception networks: eps 1e-3. */
export function inceptionNorm(channels: number): BatchNorm2d {
  return new BatchNorm2d(channels, { eps: 1e-3 })
}

/** A convolution in a branch: channels, kernel, and stride and padding where they differ from 1 and half the kernel. */
export type ConvStep = readonly [
  channels: number,
  kernel: Pair,
  options?: { readonly stride?: number; readonly padding?: number },
]

/** Without padding. */
export const valid = { padding: 0 } as const

/** Half the size, without padding. */
export const halve = { stride: 2, padding: 0 } as const

/** Convolution, normalisation and ReLU, as everywhere in the Inception line. */
export function inceptionUnit(
  inChannels: number,
  [channels, kernel, options]: ConvStep,
  modules: InceptionOptions = {},
): ConvNormAct {
  checkOptionNames('inceptionUnit', modules, inceptionOptions)
  const { norm = inceptionNorm } = modules
  return new ConvNormAct(inChannels, channels, { ...options, kernel, norm })
}

function outChannelsOf(layer: Layer, inChannels: number): number {
  const { outChannels } = layer as Layer & { readonly outChannels?: unknown }
  return typeof outChannels === 'number' ? outChannels : inChannels
}

/** Steps one after another: convolutions, given as `ConvStep`, and other layers. One step alone is that layer itself. */
export function branch(
  inChannels: number,
  steps: readonly [ConvStep | Layer, ...(ConvStep | Layer)[]],
  options: InceptionOptions = {},
): Layer {
  checkOptionNames('branch', options, inceptionOptions)
  let channels = inChannels
  const layers = steps.map((step): Layer => {
    const layer = step instanceof Module ? step : inceptionUnit(channels, step, options)
    channels = outChannelsOf(layer, channels)
    return layer
  })
  const [only] = layers
  return layers.length === 1 && only !== undefined ? only : new Sequential(...layers)
}

/** Outputs of several layers on one input, joined along channels. */
export function concat(x: Tensor, layers: readonly Layer[]): Tensor {
  return cat(
    layers.map((layer) => layer.forward(x)),
    1,
  )
}

/**
 * Branches side by side.
 *
 *         +-- branch0 --+
 *     x --+-- branch1 --+-- concat [-- attention] -- y
 *         +--   ...   --+
 *
 * (N, inChannels, H, W) to (N, outChannels, H', W'). Keys: `branch0`, `branch1`, ..., or from another number on.
 */
export abstract class Branches extends Module {
  readonly inChannels: number
  readonly outChannels: number
  readonly attention: Layer | undefined
  readonly #branches: readonly Layer[]
  readonly #first: number

  constructor(inChannels: number, branches: readonly Layer[], options: InceptionOptions = {}, first: number = 0) {
    super()
    checkOptionNames(new.target.name, options, inceptionOptions)
    this.inChannels = checkInteger(new.target.name, 'inChannels', inChannels, 1)
    this.outChannels = branches.reduce((sum, layer) => sum + outChannelsOf(layer, inChannels), 0)
    this.attention = options.attention?.(this.outChannels)
    this.#branches = branches
    this.#first = first
  }

  override fields(): Iterable<readonly [string, unknown]> {
    const named = this.#branches.map((layer, i) => [`branch${i + this.#first}`, layer] as const)
    return this.attention === undefined ? named : [...named, ['attention', this.attention]]
  }

  forward(x: Tensor): Tensor {
    const y = concat(x, this.#branches)
    return this.attention === undefined ? y : this.attention.forward(y)
  }
}
