/** Options that all networks of this package check and read alike. */
import { type InceptionOptions, type ModelOptions, SqueezeExcitation } from '@convnets/blocks'
import { ArgumentError, checkInteger, checkNumber } from '@convnets/tensor'

/** Options of networks of the Inception line. */
export interface InceptionModelOptions extends ModelOptions {
  /** Makes a layer at the end of every Inception module, given its channels: squeeze-and-excitation and the like. */
  readonly attention?: NonNullable<InceptionOptions['attention']>
}

/** Squeeze-and-excitation with the paper's reduction of 16. */
export function squeezeExcitation(channels: number): SqueezeExcitation {
  return new SqueezeExcitation(channels)
}

/** Options of networks with auxiliary classifiers. */
export interface AuxModelOptions extends InceptionModelOptions {
  /** Builds the auxiliary classifiers, which training mode then gives logits of. Default true. */
  readonly auxLogits?: boolean
  /**
   * Takes images normalised by ImageNet's statistics where the weights were trained on [-1, 1]. Default false, which with
   * the preprocessing that `weights` states is what they want. Asks for 3 channels.
   */
  readonly transformInput?: boolean
}

interface Common {
  readonly numClasses: number
  readonly inChannels: number
  readonly dropout: number
}

/** The options that every network has, checked. `dropPath` asks for shortcuts to skip along. */
export function readOptions(
  name: string,
  options: ModelOptions,
  defaults: { readonly dropout: number; readonly shortcuts?: boolean },
): Common & { readonly dropPath: number } {
  const { numClasses = 1000, inChannels = 3, dropout = defaults.dropout, dropPath = 0 } = options
  checkInteger(name, 'numClasses', numClasses, 1)
  checkInteger(name, 'inChannels', inChannels, 1)
  checkNumber(name, 'dropout', dropout, 0, 1)
  checkNumber(name, 'dropPath', dropPath, 0, 1)
  if (dropPath > 0 && defaults.shortcuts !== true) {
    throw new ArgumentError(
      `${name}: dropPath expects 0, since without shortcuts no block can be left out, got ${dropPath}`,
    )
  }
  return { numClasses, inChannels, dropout, dropPath }
}

/** `auxLogits` and `transformInput`, checked. */
export function readAuxOptions(
  name: string,
  { auxLogits = true, transformInput = false }: AuxModelOptions,
  inChannels: number,
): { readonly auxLogits: boolean; readonly transformInput: boolean } {
  for (const [option, value] of Object.entries({ auxLogits, transformInput })) {
    if (typeof value !== 'boolean') {
      throw new ArgumentError(`${name}: ${option} expects true or false, got ${String(value)}`)
    }
  }
  if (transformInput && inChannels !== 3) {
    throw new ArgumentError(`${name}: transformInput expects images of 3 channels, got inChannels ${inChannels}`)
  }
  return { auxLogits, transformInput }
}
