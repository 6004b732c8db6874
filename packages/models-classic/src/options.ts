/** Options that several networks of this package have. */
import { type InceptionOptions, type ModelOptions, SqueezeExcitation } from '@convnets/blocks'
import { ArgumentError } from '@convnets/tensor'

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

/** What networks with auxiliary classifiers take where their options say nothing. */
export const auxDefaults = { attention: undefined, auxLogits: true, transformInput: false } as const

/** Checks `auxLogits` and `transformInput`. */
export function checkAuxOptions(
  name: string,
  { auxLogits, transformInput, inChannels }: Pick<AuxModelOptions, 'auxLogits' | 'transformInput' | 'inChannels'>,
): void {
  for (const [option, value] of Object.entries({ auxLogits, transformInput })) {
    if (typeof value !== 'boolean') {
      throw new ArgumentError(`${name}: ${option} expects true or false, got ${String(value)}`)
    }
  }
  if (transformInput && inChannels !== 3) {
    throw new ArgumentError(`${name}: transformInput expects images of 3 channels, got inChannels ${inChannels}`)
  }
}
