/** The operations that AutoAugment and its successors choose from, and how strong each of their levels is. */
import { ArgumentError } from '@convnets/tensor'
import type { Pixels } from '../pixels.ts'
import { type Fill, roundEven } from './arguments.ts'
import { adjustSharpness } from './blur.ts'
import { adjustBrightness, adjustContrast, adjustSaturation } from './color.ts'
import type { PointInterpolation } from './sample.ts'
import { autocontrast, equalize, invert, posterize, solarize } from './tone.ts'
import { affine, rotate } from './warp.ts'

/** An operation by the name that the papers give it. */
export type OperationName =
  | 'identity'
  | 'shearX'
  | 'shearY'
  | 'translateX'
  | 'translateY'
  | 'rotate'
  | 'brightness'
  | 'color'
  | 'contrast'
  | 'sharpness'
  | 'posterize'
  | 'solarize'
  | 'autocontrast'
  | 'equalize'
  | 'invert'

/** What lies outside of a picture that is moved, and how values between pixels are made. */
export interface OperationOptions {
  readonly interpolation: PointInterpolation
  readonly fill: Fill
}

type Operation = (pixels: Pixels, magnitude: number, options: OperationOptions) => Pixels

const slanted = (tangent: number): number => (Math.atan(tangent) * 180) / Math.PI

/** Shears keep the upper left corner; translations are of whole pixels, rounded towards zero. */
const operations: Readonly<Record<OperationName, Operation>> = {
  identity: (pixels) => pixels,
  shearX: (pixels, m, options) => affine({ ...options, shear: [slanted(m), 0], center: [0, 0] })(pixels),
  shearY: (pixels, m, options) => affine({ ...options, shear: [0, slanted(m)], center: [0, 0] })(pixels),
  translateX: (pixels, m, options) => affine({ ...options, translate: [Math.trunc(m), 0] })(pixels),
  translateY: (pixels, m, options) => affine({ ...options, translate: [0, Math.trunc(m)] })(pixels),
  rotate: (pixels, m, options) => rotate(m, options)(pixels),
  brightness: (pixels, m) => adjustBrightness(1 + m)(pixels),
  color: (pixels, m) => adjustSaturation(1 + m)(pixels),
  contrast: (pixels, m) => adjustContrast(1 + m)(pixels),
  sharpness: (pixels, m) => adjustSharpness(1 + m)(pixels),
  posterize: (pixels, m) => posterize(Math.trunc(m))(pixels),
  solarize: (pixels, m) => solarize(m)(pixels),
  autocontrast: (pixels) => autocontrast(pixels),
  equalize: (pixels) => equalize(pixels),
  invert: (pixels) => invert(pixels),
}

export const operate = (name: OperationName, pixels: Pixels, magnitude: number, options: OperationOptions): Pixels =>
  operations[name](pixels, magnitude, options)

/** How strong an operation is at each level, and whether chance gives it a sign. Without levels it is always the same. */
export interface Strength {
  readonly levels?: Float64Array
  readonly signed: boolean
}

/** Operations with their strengths, in the order in which they are numbered. */
export type OperationSpace = ReadonlyMap<OperationName, Strength>

/** Numbers from `first` to `last` at equal distances, in single precision as `torch.linspace` has them. */
function levels(first: number, last: number, count: number): Float64Array {
  if (count === 1) return Float64Array.of(first)
  return Float64Array.from({ length: count }, (_, i) => Math.fround(first + ((last - first) * i) / (count - 1)))
}

/** `most` bits at the first level, less 0 to `range` of them. */
function bits(most: number, range: number, count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => most - roundEven(count === 1 ? 0 : (i * range) / (count - 1)))
}

/** How far each kind of operation goes in a space. */
export interface Reach {
  readonly count: number
  readonly shear: number
  readonly translateX: number
  readonly translateY: number
  readonly rotate: number
  /** Of brightness, colour, contrast and sharpness. Absent where they are left out. */
  readonly enhance?: number
  readonly posterize: readonly [most: number, range: number]
}

const fixed: Strength = { signed: false }

/** torchvision's `_augmentation_space`. */
export function spaceOf(names: readonly OperationName[], reach: Reach): OperationSpace {
  const { count } = reach
  const signed = (last: number): Strength => ({ levels: levels(0, last, count), signed: true })
  const unsigned = (values: Float64Array): Strength => ({ levels: values, signed: false })
  const enhance = signed(reach.enhance ?? 0)
  const strengths: Readonly<Record<OperationName, Strength>> = {
    identity: fixed,
    shearX: signed(reach.shear),
    shearY: signed(reach.shear),
    translateX: signed(reach.translateX),
    translateY: signed(reach.translateY),
    rotate: signed(reach.rotate),
    brightness: enhance,
    color: enhance,
    contrast: enhance,
    sharpness: enhance,
    posterize: unsigned(bits(...reach.posterize, count)),
    solarize: unsigned(levels(255, 0, count)),
    autocontrast: fixed,
    equalize: fixed,
    invert: fixed,
  }
  return new Map(names.map((name) => [name, strengths[name]]))
}

/** The strength of `name` in `space`. */
export function strengthOf(space: OperationSpace, name: OperationName): Strength {
  const strength = space.get(name)
  if (!strength) throw new ArgumentError(`autoAugment: policy expects one of ${[...space.keys()]}, got '${name}'`)
  return strength
}
