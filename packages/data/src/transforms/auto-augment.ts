/** Augmentation by found or chosen policies. All of them take pictures of bytes, grey or in colours. */
import { type Generator, readOptions } from '@convnets/tensor'
import type { Pixels } from '../pixels.ts'
import { describe, type Transform } from '../transforms.ts'
import { bytesOf, coloursOf, integer, refuse } from './arguments.ts'
import {
  type OperationName,
  type OperationSpace,
  operate,
  type Reach,
  type Strength,
  spaceOf,
  strengthOf,
} from './operations.ts'
import { policies } from './policies.ts'
import { checkWarp, type WarpOptions, warpDefaults } from './warp.ts'

const enhancing = ['brightness', 'color', 'contrast', 'sharpness'] as const
const moving = ['shearX', 'shearY', 'translateX', 'translateY', 'rotate'] as const
const usual: readonly OperationName[] = [...moving, ...enhancing, 'posterize', 'solarize', 'autocontrast', 'equalize']

/** AutoAugment's and RandAugment's strengths: translations in parts of the picture, as on AutoAugment's 331 pixels. */
const autoReach = ({ height, width }: Pixels, count: number): Reach => ({
  count,
  shear: 0.3,
  translateX: (150 / 331) * width,
  translateY: (150 / 331) * height,
  rotate: 30,
  enhance: 0.9,
  posterize: [8, 4],
})

/** The strength at a level, with a random sign where it has one. */
function drawn({ levels, signed }: Strength, level: number, generator: Generator): number {
  const magnitude = levels?.[level] ?? 0
  return signed && generator.integer(2) === 1 ? -magnitude : magnitude
}

function checkPicture(what: string, pixels: Pixels): void {
  bytesOf(what, pixels)
  coloursOf(what, pixels)
}

export interface AutoAugmentOptions extends WarpOptions {
  /** What the policy was found for. Default `imagenet`. */
  readonly policy?: 'imagenet' | 'cifar10' | 'svhn'
}

/** One of the 25 pairs of operations of a policy. As torchvision's `AutoAugment` (Cubuk et al. 2018, arXiv:1805.09501). */
export function autoAugment(options: AutoAugmentOptions = {}): Transform {
  const what = 'autoAugment'
  const read = readOptions(what, options, { ...warpDefaults, policy: 'imagenet' })
  const { policy } = read
  const how = checkWarp(what, read)
  if (!Object.hasOwn(policies, policy)) refuse(what, 'policy', "'imagenet', 'cifar10' or 'svhn'", policy)
  const pairs = policies[policy]
  return describe(what, [{ policy, ...how }], (pixels, generator) => {
    checkPicture(what, pixels)
    const chosen = pairs[generator.integer(pairs.length)]!
    const draws = chosen.map(() => ({ chance: generator.uniform(), negative: generator.integer(2) === 0 }))
    return chosen.reduce((result, [name, p, level], i) => {
      const { chance, negative } = draws[i]!
      if (chance > p) return result
      const { levels, signed } = strengthOf(spaceOf([...usual, 'invert'], autoReach(result, 10)), name)
      const magnitude = level === undefined ? 0 : (levels?.[level] ?? 0)
      return operate(name, result, signed && negative ? -magnitude : magnitude, how)
    }, pixels)
  })
}

export interface RandAugmentOptions extends WarpOptions {
  /** Operations in a row. Default 2. */
  readonly numOps?: number
  /** Level of all of them, below `numMagnitudeBins`. Default 9. */
  readonly magnitude?: number
  /** Levels that there are. Default 31. */
  readonly numMagnitudeBins?: number
}

/** Random operations of one strength. As torchvision's `RandAugment` (Cubuk et al. 2019, arXiv:1909.13719). */
export function randAugment(options: RandAugmentOptions = {}): Transform {
  const what = 'randAugment'
  const read = readOptions(what, options, { ...warpDefaults, numOps: 2, magnitude: 9, numMagnitudeBins: 31 })
  const { numOps, magnitude, numMagnitudeBins } = read
  const how = checkWarp(what, read)
  integer(what, 'numOps', numOps, 0)
  integer(what, 'numMagnitudeBins', numMagnitudeBins, 2)
  integer(what, 'magnitude', magnitude, 0, numMagnitudeBins - 1)
  return describe(what, [{ numOps, magnitude, numMagnitudeBins, ...how }], (pixels, generator) => {
    checkPicture(what, pixels)
    let result = pixels
    for (let i = 0; i < numOps; i++) {
      const space = spaceOf(['identity', ...usual], autoReach(result, numMagnitudeBins))
      const [name, strength] = pick(space, generator)
      result = operate(name, result, drawn(strength, magnitude, generator), how)
    }
    return result
  })
}

function pick(space: OperationSpace, generator: Generator): readonly [OperationName, Strength] {
  return [...space][generator.integer(space.size)]!
}

/** One random operation of random strength. As torchvision's `TrivialAugmentWide` (Müller and Hutter 2021, arXiv:2103.10158). */
export function trivialAugmentWide(options: WarpOptions & { readonly numMagnitudeBins?: number } = {}): Transform {
  const what = 'trivialAugmentWide'
  const read = readOptions(what, options, { ...warpDefaults, numMagnitudeBins: 31 })
  const { numMagnitudeBins } = read
  const how = checkWarp(what, read)
  integer(what, 'numMagnitudeBins', numMagnitudeBins, 2)
  const reach = { shear: 0.99, translateX: 32, translateY: 32, rotate: 135, enhance: 0.99, posterize: [8, 6] } as const
  const space = spaceOf(['identity', ...usual], { count: numMagnitudeBins, ...reach })
  return describe(what, [{ numMagnitudeBins, ...how }], (pixels, generator) => {
    checkPicture(what, pixels)
    const [name, strength] = pick(space, generator)
    const level = strength.levels ? generator.integer(numMagnitudeBins) : 0
    return operate(name, pixels, drawn(strength, level, generator), how)
  })
}

export interface AugMixOptions extends WarpOptions {
  /** Most level, 1 to 10. Default 3. */
  readonly severity?: number
  /** Chains that are mixed. Default 3. */
  readonly mixtureWidth?: number
  /** Operations per chain; -1 (default) for 1 to 3 at random. */
  readonly chainDepth?: number
  /** Of the Beta and Dirichlet distributions that the shares come from. Default 1. */
  readonly alpha?: number
  /** Whether brightness, colour, contrast and sharpness take part. Default true. */
  readonly allOps?: boolean
}

/** A draw from the gamma distribution of shape `alpha` and scale 1 (Marsaglia and Tsang 2000). */
function gamma(alpha: number, generator: Generator): number {
  if (alpha < 1) return gamma(alpha + 1, generator) * (1 - generator.uniform()) ** (1 / alpha)
  const d = alpha - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = generator.normal()
    const v = (1 + c * x) ** 3
    if (v > 0 && Math.log(1 - generator.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v
  }
}

/** Shares that sum to 1, from the symmetric Dirichlet distribution. */
function dirichlet(alpha: number, count: number, generator: Generator): number[] {
  const draws = Array.from({ length: count }, () => gamma(alpha, generator))
  const sum = draws.reduce((total, draw) => total + draw, 0)
  return draws.map((draw) => (sum > 0 ? draw / sum : 1 / count))
}

/** The picture mixed with several chains of operations. As torchvision's `AugMix` (Hendrycks et al. 2020, arXiv:1912.02781). */
export function augMix(options: AugMixOptions = {}): Transform {
  const what = 'augMix'
  const read = readOptions(what, options, {
    ...warpDefaults,
    interpolation: 'bilinear',
    severity: 3,
    mixtureWidth: 3,
    chainDepth: -1,
    alpha: 1,
    allOps: true,
  })
  const { severity, mixtureWidth, chainDepth, alpha, allOps } = read
  const how = checkWarp(what, read)
  integer(what, 'severity', severity, 1, 10)
  integer(what, 'mixtureWidth', mixtureWidth, 1)
  if (chainDepth !== -1) integer(what, 'chainDepth', chainDepth, 1)
  if (!(alpha > 0 && alpha < Infinity)) refuse(what, 'alpha', 'a positive number', alpha)
  const names: readonly OperationName[] = [
    ...moving,
    'posterize',
    'solarize',
    'autocontrast',
    'equalize',
    ...(allOps ? enhancing : []),
  ]
  const args = [{ severity, mixtureWidth, chainDepth, alpha, allOps, ...how }]
  return describe(what, args, (pixels, generator) => {
    checkPicture(what, pixels)
    const { height, width, channels } = pixels
    const reach = { shear: 0.3, translateX: width / 3, translateY: height / 3, rotate: 30, enhance: 0.9 } as const
    const space = spaceOf(names, { count: 10, ...reach, posterize: [4, 4] })
    const [own = 1, others = 0] = dirichlet(alpha, 2, generator)
    const shares = dirichlet(alpha, mixtureWidth, generator)
    const mix = new Float32Array(pixels.data.length)
    for (let i = 0; i < mix.length; i++) mix[i] = own * pixels.data[i]!
    for (const share of shares) {
      const depth = chainDepth === -1 ? 1 + generator.integer(3) : chainDepth
      let chain = pixels
      for (let i = 0; i < depth; i++) {
        const [name, strength] = pick(space, generator)
        const level = strength.levels ? generator.integer(severity) : 0
        chain = operate(name, chain, drawn(strength, level, generator), how)
      }
      for (let i = 0; i < mix.length; i++) mix[i]! += share * others * chain.data[i]!
    }
    // Shares of 1 may sum to a little less, and 255 must not become 254 by that.
    const data = new Uint8Array(mix.length)
    for (let i = 0; i < mix.length; i++) data[i] = Math.min(255, Math.floor(mix[i]! + 1e-3))
    return { data, height, width, channels }
  })
}
