/** Checks of what transforms are given; each refuses with a sentence, before anything is made. */
import { ArgumentError, DTypeError, readOptions, ShapeError } from '@convnets/tensor'
import type { Pixels, Size } from '../pixels.ts'
import { type Interpolation, interpolations } from '../resize/filters.ts'

/** A range: from the first number to the second. */
export type Range = readonly [low: number, high: number]

/** Values for what lies outside of a picture: one for all channels, or one for each. */
export type Fill = number | readonly number[]

const written = (value: unknown): string => (Array.isArray(value) ? `[${value.join(', ')}]` : String(value))

/** Throws `ArgumentError`: what, argument, expected, got. */
export function refuse(what: string, argument: string, expected: string, got: unknown): never {
  throw new ArgumentError(`${what}: ${argument} expects ${expected}, got ${written(got)}`)
}

/** A size as height and width, integers from `least`. */
export function sizePair(what: string, argument: string, size: Size, least: number): readonly [number, number] {
  const [height, width] = typeof size === 'number' ? [size, size] : Array.isArray(size) ? size : [Number.NaN]
  if (!(Number.isInteger(height) && Number.isInteger(width) && height >= least && (width as number) >= least)) {
    refuse(what, argument, `integers from ${least}`, size)
  }
  return [height, width as number]
}

/** A finite number within bounds. */
export function number(
  what: string,
  argument: string,
  value: number,
  least: number = -Infinity,
  most: number = Infinity,
): number {
  if (!(Number.isFinite(value) && value >= least && value <= most)) {
    const bounds = most === Infinity ? (least === -Infinity ? 'a finite number' : `a number from ${least}`) : ''
    refuse(what, argument, bounds || `a number from ${least} to ${most}`, value)
  }
  return value
}

export const probability = (what: string, p: number): number => number(what, 'p', p, 0, 1)

/** The probability of what happens or not, and has no other options. */
export const chance = (what: string, options: { readonly p?: number }, usual: number = 0.5): number =>
  probability(what, readOptions(what, options, { p: usual }).p)

/** An integer within bounds. */
export function integer(what: string, argument: string, value: number, least: number, most: number = Infinity): number {
  if (!(Number.isInteger(value) && value >= least && value <= most)) {
    refuse(
      what,
      argument,
      most === Infinity ? `an integer from ${least}` : `an integer from ${least} to ${most}`,
      value,
    )
  }
  return value
}

/** A rising pair of numbers within bounds. */
export function range(
  what: string,
  argument: string,
  value: Range,
  least: number = -Infinity,
  most: number = Infinity,
): Range {
  const [low, high] = Array.isArray(value) && value.length === 2 ? (value as Range) : [Number.NaN, Number.NaN]
  if (!(Number.isFinite(low) && Number.isFinite(high) && low <= high && low >= least && high <= most)) {
    const bounds = `${least === -Infinity ? '' : ` from ${least}`}${most === Infinity ? '' : ` to ${most}`}`
    refuse(what, argument, `[low, high]${bounds}`, value)
  }
  return [low, high]
}

/** A pair of finite numbers. */
export function point(what: string, argument: string, value: readonly number[]): Range {
  if (!Array.isArray(value) || value.length !== 2 || !value.every(Number.isFinite)) {
    refuse(what, argument, 'two finite numbers [x, y]', value)
  }
  return [value[0] as number, value[1] as number]
}

/** One of the interpolations that `among` names. */
export function interpolation<I extends Interpolation>(what: string, value: I, among: readonly I[]): I {
  if (!among.includes(value)) refuse(what, 'interpolation', among.map((name) => `'${name}'`).join(' or '), value)
  return value
}

export const anyInterpolation = (what: string, value: Interpolation): Interpolation =>
  interpolation(what, value, interpolations)

/** A fill that is a finite number or a list of them. */
export function fill(what: string, value: Fill): Fill {
  const all = Array.isArray(value) ? (value as readonly number[]) : [value as number]
  if (all.length === 0 || !all.every(Number.isFinite)) refuse(what, 'fill', 'a finite number or one per channel', value)
  return value
}

/** The bytes of a picture. Throws `DTypeError` for one of floats. */
export function bytesOf(what: string, { data }: Pixels): Uint8Array {
  if (data instanceof Uint8Array) return data
  throw new DTypeError(`${what}: expects a picture of bytes, got floats; it belongs before toFloat and normalize`)
}

/** Channels of colour: all but alpha. Throws `ShapeError` for pictures of more than four channels. */
export function coloursOf(what: string, { channels }: Pixels): 1 | 3 {
  if (channels > 4) throw new ShapeError(`${what}: expects a picture of 1 to 4 channels, got ${channels}`)
  return channels >= 3 ? 3 : 1
}

/** Rounded to the nearest integer, and to the even one of two, as Python rounds. */
export function roundEven(value: number): number {
  const down = Math.floor(value)
  const rest = value - down
  return rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1
}
