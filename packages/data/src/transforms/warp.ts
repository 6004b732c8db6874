/** Rotation, affine maps and perspective. */
import { ArgumentError, readOptions } from '@convnets/tensor'
import type { Pixels } from '../pixels.ts'
import { type DeterministicTransform, describe } from '../transforms.ts'
import {
  fill as checkFill,
  interpolation as checkInterpolation,
  type Fill,
  number,
  point,
  refuse,
} from './arguments.ts'
import { horizontalFlip, verticalFlip } from './flip.ts'
import { type PlaneMap, type PointInterpolation, pointInterpolations, throughMap } from './sample.ts'

/** A place in a picture, in pixels from its upper left corner. */
export type Point = readonly [x: number, y: number]

/** What the maps of this file have in common. */
export interface WarpOptions {
  /** Default `nearest`. */
  readonly interpolation?: PointInterpolation
  /** What lies outside of the picture. Default 0. */
  readonly fill?: Fill
}

/** What they are where nothing is said; views are `bilinear`. */
export const warpDefaults = { interpolation: 'nearest', fill: 0 } as const

export interface RotateOptions extends WarpOptions {
  /** Whether the result grows to hold the whole picture; only about the middle. Default false. */
  readonly expand?: boolean
  /** Default: the middle. */
  readonly center?: Point
}

const radians = (degrees: number): number => (degrees * Math.PI) / 180

/** Pillow rounds sines and cosines to 15 digits, so that right angles are right. */
const rounded = (value: number): number => Math.round(value * 1e15) / 1e15

/** Quarter turns to the left, exactly. */
function quarterTurns(pixels: Pixels, turns: number): Pixels {
  if (turns === 0) return pixels
  if (turns === 2) return horizontalFlip(verticalFlip(pixels))
  const turned = transposed(pixels)
  return turns === 1 ? verticalFlip(turned) : horizontalFlip(turned)
}

function transposed({ data, height, width, channels }: Pixels): Pixels {
  const result = data.slice()
  for (let y = 0, from = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) result[(x * height + y) * channels + c] = data[from++]!
    }
  }
  return { data: result, height: width, width: height, channels }
}

export function checkWarp(what: string, { interpolation, fill }: Required<WarpOptions>): Required<WarpOptions> {
  checkInterpolation(what, interpolation, pointInterpolations)
  return { interpolation, fill: checkFill(what, fill) }
}

/** How `rotate` and `randomRotation` turn; `center` is undefined for the middle. */
export function readRotate(
  what: string,
  options: RotateOptions,
): Required<WarpOptions> & { readonly expand: boolean; readonly center: Point | undefined } {
  const read = readOptions(what, options, { ...warpDefaults, expand: false, center: undefined })
  const { expand, center } = read
  if (center) point(what, 'center', center)
  return { ...checkWarp(what, read), expand, center }
}

/**
 * Turned to the left by `degrees`, about the middle or `center`; as torchvision's `rotate` of a PIL image. With `expand` the
 * result has room for the whole picture, else the picture's size.
 */
export function rotate(degrees: number, options: RotateOptions = {}): DeterministicTransform {
  const what = 'rotate'
  const { interpolation, expand, center, fill } = readRotate(what, options)
  number(what, 'degrees', degrees)
  return describe(what, [degrees, { interpolation, expand, center, fill }], (pixels) => {
    const { height, width } = pixels
    const angle = ((degrees % 360) + 360) % 360
    if (!center && angle % 90 === 0 && (angle % 180 === 0 || expand || width === height)) {
      return quarterTurns(pixels, angle / 90)
    }
    const [cos, sin] = [rounded(Math.cos(-radians(angle))), rounded(Math.sin(-radians(angle)))]
    const [x, y] = center ?? [width / 2, height / 2]
    const moved: PlaneMap = [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y]
    if (!expand) return throughMap(what, pixels, moved, height, width, interpolation, fill)
    const [a, b, c, d, e, f] = moved
    const corners = [
      [0, 0],
      [width, 0],
      [width, height],
      [0, height],
    ] as const
    const xs = corners.map(([x, y]) => a * x + b * y + c)
    const ys = corners.map(([x, y]) => d * x + e * y + f)
    const across = Math.ceil(Math.max(...xs)) - Math.floor(Math.min(...xs))
    const down = Math.ceil(Math.max(...ys)) - Math.floor(Math.min(...ys))
    const [left, top] = [-(across - width) / 2, -(down - height) / 2]
    const map: PlaneMap = [a, b, a * left + b * top + c, d, e, d * left + e * top + f]
    return throughMap(what, pixels, map, down, across, interpolation, fill)
  })
}

/** An affine map, as torchvision's `affine` describes it. */
export interface AffineOptions extends WarpOptions {
  /** Degrees to the right. Default 0. */
  readonly angle?: number
  /** Pixels to the right and down. Default [0, 0]. */
  readonly translate?: Point
  /** Default 1. */
  readonly scale?: number
  /** Degrees along x and along y. Default [0, 0]. */
  readonly shear?: Point
  /** What stays in place but for the translation. Default: the middle. */
  readonly center?: Point
}

/** Back from the target to the source: the inverse of translation, rotation, shear and scale about `center`. */
function inverseAffine(center: Point, angle: number, translate: Point, scale: number, shear: Point): PlaneMap {
  const [turn, sx, sy] = [radians(angle), radians(shear[0]), radians(shear[1])]
  // Rotation times shears, RSS = [[a, b], [c, d]], has determinant 1.
  const a = Math.cos(turn - sy) / Math.cos(sy)
  const b = (-Math.cos(turn - sy) * Math.tan(sx)) / Math.cos(sy) - Math.sin(turn)
  const c = Math.sin(turn - sy) / Math.cos(sy)
  const d = (-Math.sin(turn - sy) * Math.tan(sx)) / Math.cos(sy) + Math.cos(turn)
  const [xx, xy, yx, yy] = [d / scale, -b / scale, -c / scale, a / scale]
  const [x, y] = [-center[0] - translate[0], -center[1] - translate[1]]
  return [xx, xy, xx * x + xy * y + center[0], yx, yy, yx * x + yy * y + center[1]]
}

/** Turned, moved, scaled and sheared at once; the size stays. As torchvision's `affine` of a PIL image. */
export function affine(options: AffineOptions = {}): DeterministicTransform {
  const what = 'affine'
  const read = readOptions(what, options, {
    ...warpDefaults,
    angle: 0,
    translate: [0, 0],
    scale: 1,
    shear: [0, 0],
    center: undefined,
  })
  const { angle, translate, scale, shear, center } = read
  const { interpolation, fill } = checkWarp(what, read)
  number(what, 'angle', angle)
  point(what, 'translate', translate)
  point(what, 'shear', shear)
  if (!(scale > 0 && Number.isFinite(scale))) refuse(what, 'scale', 'a positive number', scale)
  if (center) point(what, 'center', center)
  return describe(what, [{ angle, translate, scale, shear, interpolation, center, fill }], (pixels) => {
    const { height, width } = pixels
    const middle = center ?? [width / 2, height / 2]
    const map = inverseAffine(middle, angle, translate, scale, shear)
    return throughMap(what, pixels, map, height, width, interpolation, fill)
  })
}

/** Four corners: upper left, upper right, lower right, lower left. */
export type Corners = readonly [Point, Point, Point, Point]

/** The map that leads from `to` back to `from`, by Gaussian elimination; `undefined` where there is none. */
export function perspectiveMap(from: Corners, to: Corners): PlaneMap | undefined {
  const rows = to.flatMap(([x, y], i) => {
    const [u, v] = from[i]!
    return [
      [x, y, 1, 0, 0, 0, -u * x, -u * y, u],
      [0, 0, 0, x, y, 1, -v * x, -v * y, v],
    ]
  })
  for (let column = 0; column < 8; column++) {
    let pivot = column
    for (let row = column; row < 8; row++) {
      if (Math.abs(rows[row]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = row
    }
    const chosen = rows[pivot]!
    if (Math.abs(chosen[column]!) < 1e-12) return undefined
    rows[pivot] = rows[column]!
    rows[column] = chosen.map((value) => value / chosen[column]!)
    for (let row = 0; row < 8; row++) {
      if (row === column) continue
      const factor = rows[row]![column]!
      rows[row] = rows[row]!.map((value, i) => value - factor * rows[column]![i]!)
    }
  }
  return rows.map((row) => row[8]!) as unknown as PlaneMap
}

function checkCorners(what: string, argument: string, corners: Corners): void {
  if (!Array.isArray(corners) || corners.length !== 4) refuse(what, argument, 'four points [x, y]', corners)
  for (const corner of corners) point(what, argument, corner)
}

/**
 * Seen from elsewhere: what is at `from` comes to `to`. As torchvision's `perspective`, whose default interpolation
 * (`bilinear`) is the default here. Throws `ArgumentError` for corners that no such view has.
 */
export function perspective(from: Corners, to: Corners, options: WarpOptions = {}): DeterministicTransform {
  const what = 'perspective'
  const read = readOptions(what, options, { ...warpDefaults, interpolation: 'bilinear' })
  const { interpolation, fill } = checkWarp(what, read)
  checkCorners(what, 'from', from)
  checkCorners(what, 'to', to)
  const map = perspectiveMap(from, to)
  if (!map) throw new ArgumentError(`${what}: to expects four corners of a quadrangle, got points on a line`)
  return describe(what, [from, to, { interpolation, fill }], (pixels) =>
    throughMap(what, pixels, map, pixels.height, pixels.width, interpolation, fill),
  )
}
