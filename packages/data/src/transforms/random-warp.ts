/** Random rotations, affine maps and views. */
import { readOptions } from '@convnets/tensor'
import { describe, type Transform } from '../transforms.ts'
import { number, point, probability, type Range, range, refuse, roundEven } from './arguments.ts'
import { throughMap } from './sample.ts'
import {
  affine,
  type Corners,
  checkWarp,
  type Point,
  perspectiveMap,
  type RotateOptions,
  readRotate,
  rotate,
  type WarpOptions,
  warpDefaults,
} from './warp.ts'

/** `[-value, value]` for a number, else the range. */
function symmetric(what: string, argument: string, value: number | Range): Range {
  if (typeof value !== 'number') return range(what, argument, value)
  number(what, argument, value, 0)
  return [-value, value]
}

/** Rotates by a random angle from -`degrees` to `degrees`, or from a range. As torchvision's `RandomRotation`. */
export function randomRotation(degrees: number | Range, options: RotateOptions = {}): Transform {
  const what = 'randomRotation'
  const { interpolation, expand, center, fill } = readRotate(what, options)
  const [low, high] = symmetric(what, 'degrees', degrees)
  const how: RotateOptions = { interpolation, expand, fill, ...(center && { center }) }
  return describe(what, [degrees, { interpolation, expand, center, fill }], (pixels, generator) =>
    rotate(low + (high - low) * generator.uniform(), how)(pixels),
  )
}

/** How far `randomAffine` goes beside the rotation. */
export interface RandomAffineOptions extends WarpOptions {
  /** Most that the picture moves, in parts of its width and of its height: 0 to 1. Default: not at all. */
  readonly translate?: Point
  /** Default: 1. */
  readonly scale?: Range
  /** Degrees: a number for x, from -x to x; a range for x; or ranges for x and y in one list of four. Default: none. */
  readonly shear?: number | Range | readonly [number, number, number, number]
  /** Default: the middle. */
  readonly center?: Point
}

/** A random affine map whose rotation is within `degrees`. As torchvision's `RandomAffine`. */
export function randomAffine(degrees: number | Range, options: RandomAffineOptions = {}): Transform {
  const what = 'randomAffine'
  const read = readOptions(what, options, {
    ...warpDefaults,
    translate: undefined,
    scale: undefined,
    shear: undefined,
    center: undefined,
  })
  const { translate, scale, shear, center } = read
  const angles = symmetric(what, 'degrees', degrees)
  const { interpolation, fill } = checkWarp(what, read)
  if (translate) {
    point(what, 'translate', translate)
    for (const part of translate) number(what, 'translate', part, 0, 1)
  }
  if (scale) range(what, 'scale', scale, Number.MIN_VALUE)
  const [shearX, shearY] = shears(what, shear)
  if (center) point(what, 'center', center)
  const args = [degrees, { translate, scale, shear, interpolation, center, fill }]
  return describe(what, args, (pixels, generator) => {
    const between = ([low, high]: Range): number => low + (high - low) * generator.uniform()
    const angle = between(angles)
    const move = (part: number, size: number): number => roundEven(between([-part * size, part * size]))
    const moved: Point = translate ? [move(translate[0], pixels.width), move(translate[1], pixels.height)] : [0, 0]
    const size = scale ? between(scale) : 1
    const slant: Point = [shearX ? between(shearX) : 0, shearY ? between(shearY) : 0]
    const all = { angle, translate: moved, scale: size, shear: slant, interpolation, fill }
    return affine(center ? { ...all, center } : all)(pixels)
  })
}

function shears(what: string, shear: RandomAffineOptions['shear']): readonly [Range | undefined, Range | undefined] {
  if (shear === undefined) return [undefined, undefined]
  if (typeof shear === 'number' || shear.length === 2) return [symmetric(what, 'shear', shear), undefined]
  if (shear.length !== 4) refuse(what, 'shear', 'a number, two or four', shear)
  return [range(what, 'shear', [shear[0], shear[1]]), range(what, 'shear', [shear[2], shear[3]])]
}

export interface RandomPerspectiveOptions extends WarpOptions {
  /** How far corners move, in parts of half a side: 0 to 1. Default 0.5. */
  readonly distortionScale?: number
  /** Default 0.5. */
  readonly p?: number
}

/** A view with its four corners moved inwards at random. As torchvision's `RandomPerspective`. */
export function randomPerspective(options: RandomPerspectiveOptions = {}): Transform {
  const what = 'randomPerspective'
  const defaults = { ...warpDefaults, interpolation: 'bilinear', distortionScale: 0.5, p: 0.5 } as const
  const read = readOptions(what, options, defaults)
  const { distortionScale, p } = read
  number(what, 'distortionScale', distortionScale, 0, 1)
  probability(what, p)
  const { interpolation, fill } = checkWarp(what, read)
  return describe(what, [{ distortionScale, p, interpolation, fill }], (pixels, generator) => {
    if (generator.uniform() >= p) return pixels
    const { height, width } = pixels
    const inX = Math.floor(distortionScale * Math.floor(width / 2))
    const inY = Math.floor(distortionScale * Math.floor(height / 2))
    const inward = (most: number): number => generator.integer(most + 1)
    const to: Corners = [
      [inward(inX), inward(inY)],
      [width - 1 - inward(inX), inward(inY)],
      [width - 1 - inward(inX), height - 1 - inward(inY)],
      [inward(inX), height - 1 - inward(inY)],
    ]
    const from: Corners = [
      [0, 0],
      [width - 1, 0],
      [width - 1, height - 1],
      [0, height - 1],
    ]
    // Corners of a picture of few pixels may fall together; no view shows that.
    const map = perspectiveMap(from, to)
    return map ? throughMap(what, pixels, map, height, width, interpolation, fill) : pixels
  })
}
