/** Chance: whether, which, and in what order. */
import { ArgumentError, readOptions } from '@convnets/tensor'
import { compose, type DeterministicTransform, describe, type Transform } from '../transforms.ts'
import { chance, refuse } from './arguments.ts'
import { adjustSharpness } from './blur.ts'
import { autocontrast, equalize, invert, posterize, solarize } from './tone.ts'

/** Options of transforms that happen or not. */
export interface ChanceOptions {
  /** Probability. Default 0.5. */
  readonly p?: number
}

const maybe = (
  name: string,
  args: readonly unknown[],
  change: DeterministicTransform,
  options: ChanceOptions,
): Transform => {
  const p = chance(name, options)
  return describe(name, [...args, { p }], (pixels, generator) => (generator.uniform() < p ? change(pixels) : pixels))
}

/** `posterize(bits)` with probability `p`. As torchvision's `RandomPosterize`. */
export const randomPosterize = (bits: number, options: ChanceOptions = {}): Transform =>
  maybe('randomPosterize', [bits], posterize(bits), options)

/** `solarize(threshold)` with probability `p`. As torchvision's `RandomSolarize`. */
export const randomSolarize = (threshold: number, options: ChanceOptions = {}): Transform =>
  maybe('randomSolarize', [threshold], solarize(threshold), options)

/** `adjustSharpness(factor)` with probability `p`. As torchvision's `RandomAdjustSharpness`. */
export const randomAdjustSharpness = (factor: number, options: ChanceOptions = {}): Transform =>
  maybe('randomAdjustSharpness', [factor], adjustSharpness(factor), options)

/** `autocontrast` with probability `p`. As torchvision's `RandomAutocontrast`. */
export const randomAutocontrast = (options: ChanceOptions = {}): Transform =>
  maybe('randomAutocontrast', [], autocontrast, options)

/** `equalize` with probability `p`. As torchvision's `RandomEqualize`. */
export const randomEqualize = (options: ChanceOptions = {}): Transform => maybe('randomEqualize', [], equalize, options)

/** `invert` with probability `p`. As torchvision's `RandomInvert`. */
export const randomInvert = (options: ChanceOptions = {}): Transform => maybe('randomInvert', [], invert, options)

function someTransforms(what: string, transforms: readonly Transform[]): readonly Transform[] {
  if (!Array.isArray(transforms) || transforms.length === 0) {
    throw new ArgumentError(`${what}: transforms expects a list of at least one, got none`)
  }
  return [...transforms]
}

/** All of `transforms` in turn with probability `p` (default 0.5), or none. As torchvision's `RandomApply`. */
export function randomApply(transforms: readonly Transform[], options: ChanceOptions = {}): Transform {
  const p = chance('randomApply', options)
  const all = compose(...someTransforms('randomApply', transforms))
  return describe('randomApply', [transforms, { p }], (pixels, generator) =>
    generator.uniform() < p ? all(pixels, generator) : pixels,
  )
}

/** One of `transforms`, by `weights` (default: all alike). As torchvision's `RandomChoice`. */
export function randomChoice(
  transforms: readonly Transform[],
  options: { readonly weights?: readonly number[] } = {},
): Transform {
  const read = readOptions('randomChoice', options, { weights: undefined })
  const all = someTransforms('randomChoice', transforms)
  const { weights = all.map(() => 1) } = read
  const sum = weights.reduce((total, weight) => total + weight, 0)
  if (weights.length !== all.length || !weights.every((weight) => weight >= 0) || !(sum > 0 && sum < Infinity)) {
    refuse('randomChoice', 'weights', `${all.length} numbers from 0 with a positive sum`, weights)
  }
  return describe('randomChoice', [transforms, read], (pixels, generator) => {
    let rest = generator.uniform() * sum
    const chosen = weights.findIndex((weight) => {
      rest -= weight
      return rest < 0
    })
    // Rounding may leave nothing over at the very end: then it is the last that can be chosen.
    const last = weights.findLastIndex((weight) => weight > 0)
    return all[chosen < 0 ? last : chosen]!(pixels, generator)
  })
}

/** All of `transforms` in random order. As torchvision's `RandomOrder`. */
export function randomOrder(transforms: readonly Transform[]): Transform {
  const all = someTransforms('randomOrder', transforms)
  return describe('randomOrder', [transforms], (pixels, generator) =>
    [...generator.permutation(all.length)].reduce((result, i) => all[i]!(result, generator), pixels),
  )
}
