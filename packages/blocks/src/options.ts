/** Options that all networks read and check alike. */
import { ArgumentError, checkInteger, checkNumber, readOptions, type WithDefaults } from '@convnets/tensor'
import type { ModelOptions } from './registry.ts'

/** What networks take where their options say nothing. */
const common = { numClasses: 1000, inChannels: 3, dropout: 0, dropPath: 0 }

/** What a network takes instead of that, and what for each of the options that only it has. */
type ModelDefaults<Options> = Partial<typeof common> & {
  readonly [K in Exclude<keyof Options, keyof ModelOptions>]-?: Options[K] | undefined
}

/**
 * The options of the network `name` with their defaults, checked as far as every network has them. Without defaults of its
 * own it has 1000 classes, 3 channels and neither dropout nor stochastic depth.
 *
 * ```ts
 * const { numClasses, dropout, attention } = readModelOptions(name, options, { dropout: 0.2, attention: undefined })
 * ```
 *
 * @param rules `shortcuts`: whether there are shortcuts, which `dropPath` asks for. Default true.
 * @throws ArgumentError for an option that the network does not have, and for numbers out of range.
 */
export function readModelOptions<Options extends ModelOptions, const D extends ModelDefaults<Options>>(
  name: string,
  options: Options,
  defaults: D,
  rules: { readonly shortcuts?: boolean } = {},
): typeof common & Omit<WithDefaults<Options, D>, keyof ModelOptions> {
  const { shortcuts } = readOptions('readModelOptions', rules, { shortcuts: true })
  const table = { ...common, seed: undefined, ...defaults }
  const all = readOptions<object, object>(name, options, table) as typeof common
  const { numClasses, inChannels, dropout, dropPath } = all
  checkInteger(name, 'numClasses', numClasses, 1)
  checkInteger(name, 'inChannels', inChannels, 1)
  checkNumber(name, 'dropout', dropout, 0, 1)
  checkNumber(name, 'dropPath', dropPath, 0, 1)
  if (dropPath > 0 && !shortcuts) {
    throw new ArgumentError(
      `${name}: dropPath expects 0, since without shortcuts no block can be left out, got ${dropPath}`,
    )
  }
  return all as typeof all & WithDefaults<Options, D>
}
