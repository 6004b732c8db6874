/** Options that all networks of this package check and read alike. */
import type { ModelOptions } from '@convnets/blocks'
import { ArgumentError, checkInteger, checkNumber } from '@convnets/tensor'

/** What a network takes where its options say nothing. */
export interface Defaults {
  /** Default 1000. */
  readonly numClasses?: number
  /** Default 0. */
  readonly dropout?: number
  /** Default 0. */
  readonly dropPath?: number
  /** Whether there are shortcuts to skip along. Default true. */
  readonly shortcuts?: boolean
}

/** The options that every network has, checked. `dropPath` asks for shortcuts to skip along. */
export function readOptions(
  name: string,
  options: ModelOptions,
  defaults: Defaults = {},
): Required<Omit<ModelOptions, 'seed'>> {
  const { numClasses = defaults.numClasses ?? 1000, inChannels = 3 } = options
  const { dropout = defaults.dropout ?? 0, dropPath = defaults.dropPath ?? 0 } = options
  checkInteger(name, 'numClasses', numClasses, 1)
  checkInteger(name, 'inChannels', inChannels, 1)
  checkNumber(name, 'dropout', dropout, 0, 1)
  checkNumber(name, 'dropPath', dropPath, 0, 1)
  if (dropPath > 0 && defaults.shortcuts === false) {
    throw new ArgumentError(
      `${name}: dropPath expects 0, since without shortcuts no block can be left out, got ${dropPath}`,
    )
  }
  return { numClasses, inChannels, dropout, dropPath }
}
