/** Cuts and borders. */
import { type Padding as AnyPadding, readOptions, ShapeError } from '@convnets/tensor'
import type { Pixels, Size } from '../pixels.ts'
import { type DeterministicTransform, describe, fillOf, type Transform } from '../transforms.ts'
import { fill as checkFill, type Fill, refuse, roundEven, sizePair } from './arguments.ts'

/** Pixels of border: a number for all sides, `[vertical, horizontal]`, or `[top, right, bottom, left]`. */
export type Padding = Exclude<AnyPadding, 'same'>

/**
 * What a border shows: a colour (`constant`), the edge pixel (`edge`), or the picture mirrored at its edge without repeating
 * the edge (`reflect`) or with it (`symmetric`).
 */
export type PaddingMode = 'constant' | 'edge' | 'reflect' | 'symmetric'

/** How a border is made. */
export interface PadOptions {
  /** For `constant`. Default 0, black before normalisation. */
  readonly fill?: Fill
  /** Default `constant`. */
  readonly mode?: PaddingMode
}

const padDefaults = { fill: 0, mode: 'constant' } as const

/** An array of the same kind. */
export function sameKind(data: Pixels['data'], length: number): Uint8Array | Float32Array {
  return data instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length)
}

type Sides = readonly [top: number, right: number, bottom: number, left: number]

function sidesOf(what: string, padding: Padding): Sides {
  const list: readonly number[] = typeof padding === 'number' ? [padding] : padding
  const ok = Array.isArray(list) && [1, 2, 4].includes(list.length) && list.every((n) => Number.isInteger(n) && n >= 0)
  if (!ok) refuse(what, 'padding', 'integers from 0', padding)
  const [a, b = a, c = a, d = b] = list as [number, number?, number?, number?]
  return [a, b, c, d]
}

/** For each position from -before to size + after - 1 the one inside that it shows, or -1 for the fill. */
function positions(what: string, size: number, before: number, after: number, mode: PaddingMode): Int32Array {
  const most = { constant: Infinity, edge: Infinity, reflect: size - 1, symmetric: size }[mode]
  if (before > most || after > most) {
    throw new ShapeError(
      `${what}: padding with mode '${mode}' expects at most ${most} for ${size} pixels, got ${Math.max(before, after)}`,
    )
  }
  return Int32Array.from({ length: before + size + after }, (_, i) => {
    const at = i - before
    if (at >= 0 && at < size) return at
    if (mode === 'constant') return -1
    if (mode === 'edge') return at < 0 ? 0 : size - 1
    const again = mode === 'symmetric' ? 1 : 0
    return at < 0 ? -at - again : 2 * (size - 1) - at + again
  })
}

/** Rows and columns of a picture by number; -1 is the fill. */
function pick(
  { data, width, channels }: Pixels,
  rows: Int32Array,
  columns: Int32Array,
  values: readonly number[],
): Pixels {
  const result = sameKind(data, rows.length * columns.length * channels)
  let to = 0
  for (const row of rows) {
    for (const column of columns) {
      const from = row < 0 || column < 0 ? -1 : (row * width + column) * channels
      for (let c = 0; c < channels; c++) result[to++] = from < 0 ? values[c]! : data[from + c]!
    }
  }
  return { data: result, height: rows.length, width: columns.length, channels }
}

function addBorder(what: string, pixels: Pixels, sides: Sides, mode: PaddingMode, fill: Fill): Pixels {
  const values = fillOf(what, fill, pixels.channels)
  const [top, right, bottom, left] = sides
  if (top + right + bottom + left === 0) return pixels
  const rows = positions(what, pixels.height, top, bottom, mode)
  const columns = positions(what, pixels.width, left, right, mode)
  return pick(pixels, rows, columns, values)
}

/** A window, of which any part may lie outside of the picture and then shows `fill`. */
export function cut(
  pixels: Pixels,
  top: number,
  left: number,
  height: number,
  width: number,
  values: readonly number[],
): Pixels {
  const { data, channels } = pixels
  if (top === 0 && left === 0 && height === pixels.height && width === pixels.width) return pixels
  const result = sameKind(data, height * width * channels)
  if (values.every((value) => value === values[0])) result.fill(values[0] ?? 0)
  else for (let i = 0; i < result.length; i++) result[i] = values[i % channels]!
  const begin = Math.max(0, left)
  const end = Math.min(pixels.width, left + width)
  if (end <= begin) return { data: result, height, width, channels }
  for (let y = Math.max(0, top); y < Math.min(pixels.height, top + height); y++) {
    const from = y * pixels.width * channels
    const row = data.subarray(from + begin * channels, from + end * channels)
    result.set(row, ((y - top) * width + begin - left) * channels)
  }
  return { data: result, height, width, channels }
}

/** Adds a border. As torchvision's `pad`, but with the sides from the top clockwise, as in all of these packages. */
export function pad(padding: Padding, options: PadOptions = {}): DeterministicTransform {
  const { fill, mode } = readOptions('pad', options, padDefaults)
  const sides = sidesOf('pad', padding)
  checkFill('pad', fill)
  checkMode('pad', mode)
  return describe('pad', [padding, { fill, mode }], (pixels) => addBorder('pad', pixels, sides, mode, fill))
}

const modes: readonly PaddingMode[] = ['constant', 'edge', 'reflect', 'symmetric']

function checkMode(what: string, mode: PaddingMode): void {
  if (!modes.includes(mode)) refuse(what, 'mode', modes.map((name) => `'${name}'`).join(' or '), mode)
}

/** A window of a picture, in pixels. */
export interface Box {
  readonly top: number
  readonly left: number
  readonly height: number
  readonly width: number
}

export function checkBox(what: string, { top, left, height, width }: Box): void {
  for (const [name, value, least] of [
    ['top', top, -Infinity],
    ['left', left, -Infinity],
    ['height', height, 1],
    ['width', width, 1],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < least) {
      refuse(what, name, least === 1 ? 'an integer from 1' : 'an integer', value)
    }
  }
}

/** Cuts out a window. What lies outside of the picture becomes 0. As torchvision's `crop`. */
export function crop({ top, left, height, width }: Box): DeterministicTransform {
  const box = { top, left, height, width }
  checkBox('crop', box)
  return describe('crop', [box], (pixels) => cut(pixels, top, left, height, width, [0]))
}

/** Cuts `size` out of the middle. A picture that is smaller is surrounded by 0. As torchvision's `CenterCrop`. */
export function centerCrop(size: Size): DeterministicTransform {
  const [height, width] = sizePair('centerCrop', 'size', size, 1)
  return describe('centerCrop', [size], (pixels) => {
    // Where a side is too short, the border is even, or one pixel thicker below and on the right.
    const top =
      pixels.height < height ? -Math.floor((height - pixels.height) / 2) : roundEven((pixels.height - height) / 2)
    const left = pixels.width < width ? -Math.floor((width - pixels.width) / 2) : roundEven((pixels.width - width) / 2)
    return cut(pixels, top, left, height, width, [0])
  })
}

/** How a random cut is made. */
export interface RandomCropOptions extends PadOptions {
  /** Border that is added before. Default 0. */
  readonly padding?: Padding
  /** Whether a picture that is too small even so gets as much border as it takes. Default false: it is refused. */
  readonly padIfNeeded?: boolean
}

/**
 * Cuts out `size` at a random place of the picture, after `padding` was added; as torchvision's `RandomCrop`. Throws
 * `ShapeError` for a picture that is smaller than the cut even so, unless `padIfNeeded`.
 */
export function randomCrop(size: Size, options: RandomCropOptions = {}): Transform {
  const defaults = { ...padDefaults, padding: 0, padIfNeeded: false }
  const { padding, fill, mode, padIfNeeded } = readOptions('randomCrop', options, defaults)
  const [height, width] = sizePair('randomCrop', 'size', size, 1)
  const [top, right, bottom, left] = sidesOf('randomCrop', padding)
  checkFill('randomCrop', fill)
  checkMode('randomCrop', mode)
  return describe('randomCrop', [size, { padding, fill, mode, padIfNeeded }], (pixels, generator) => {
    const values = fillOf('randomCrop', fill, pixels.channels)
    const short = (room: number): number => (padIfNeeded && room < 0 ? -room : 0)
    // As torchvision: what is missing is added on both sides.
    const moreY = short(pixels.height + top + bottom - height)
    const moreX = short(pixels.width + left + right - width)
    const sides: Sides = [top + moreY, right + moreX, bottom + moreY, left + moreX]
    const roomY = pixels.height + sides[0] + sides[2] - height
    const roomX = pixels.width + sides[1] + sides[3] - width
    if (roomY < 0 || roomX < 0) {
      throw new ShapeError(
        `randomCrop: size ${height} x ${width} expects at least that many pixels, got ${pixels.height} x ${pixels.width} with padding ${top} x ${left}`,
      )
    }
    const plain = mode === 'constant'
    const source = plain ? pixels : addBorder('randomCrop', pixels, sides, mode, fill)
    const y = generator.integer(roomY + 1) - (plain ? sides[0] : 0)
    const x = generator.integer(roomX + 1) - (plain ? sides[3] : 0)
    return cut(source, y, x, height, width, values)
  })
}

/** The four corners and the middle in `size`, in this order: top left, top right, bottom left, bottom right, middle. */
export function fiveCrop(size: Size): (pixels: Pixels) => readonly Pixels[] {
  const [height, width] = sizePair('fiveCrop', 'size', size, 1)
  const middle = centerCrop([height, width])
  return (pixels) => {
    const [down, right] = [pixels.height - height, pixels.width - width]
    if (down < 0 || right < 0) {
      throw new ShapeError(
        `fiveCrop: size expects at most ${pixels.height} x ${pixels.width}, got ${height} x ${width}`,
      )
    }
    const corner = (top: number, left: number): Pixels => cut(pixels, top, left, height, width, [0])
    return [corner(0, 0), corner(0, right), corner(down, 0), corner(down, right), middle(pixels)]
  }
}
