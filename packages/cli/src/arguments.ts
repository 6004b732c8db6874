/** What the command line's options may be. */
import { InvalidArgumentError, Option } from 'commander'

/** The number that `text` spells, or nothing: `Number('')` is 0 and `Number('0x10')` is 16, which nobody means. */
function parse(text: string): number | undefined {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) ? Number(text) : undefined
}

/** Reads a whole number in a range. */
export function integer(least: number, most: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = parse(text)
    if (value !== undefined && Number.isInteger(value) && value >= least && value <= most) return value
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
    throw new InvalidArgumentError(`It should be a whole number ${range}.`)
  }
}

/** Reads a number in a range. */
export function number(least: number, below: number): (text: string) => number {
  return (text) => {
    const value = parse(text)
    if (value !== undefined && value >= least && value < below) return value
    const range = below === Number.POSITIVE_INFINITY ? `of at least ${least}` : `from ${least} to below ${below}`
    throw new InvalidArgumentError(`It should be a number ${range}.`)
  }
}

/** Reads a number above 0. */
export function positive(text: string): number {
  const value = parse(text)
  if (value !== undefined && value > 0 && Number.isFinite(value)) return value
  throw new InvalidArgumentError('It should be a number above 0.')
}

/** The option for the number of threads. */
export const threads = (): Option =>
  new Option('--threads <n>', 'threads (default: one per core)').argParser(integer(1, 64))

/** Reads the shape of an image, channels first: 3x224x224, or 224 for three channels of that size. */
export function imageShape(text: string): [channels: number, height: number, width: number] {
  const extents = text.split(/[x,]/i).map((part) => parse(part) ?? 0)
  const shape = extents.length === 1 ? [3, extents[0], extents[0]] : extents.length === 2 ? [3, ...extents] : extents
  if (shape.length === 3 && shape.every((extent) => Number.isInteger(extent) && (extent as number) >= 1)) {
    return shape as [number, number, number]
  }
  throw new InvalidArgumentError('It should be channels, height and width, as in 3x224x224.')
}

/** Reads a number of bytes: 8GiB, 500 MB, 4000000. */
export function byteCount(text: string): number {
  const [, digits = '', unit = ''] = /^\s*([\d.]+)\s*([kmgt]?i?b?)\s*$/i.exec(text) ?? []
  const value = parse(digits)
  if (value === undefined || value <= 0) throw new InvalidArgumentError('It should be bytes, as in 8GiB or 500MB.')
  const power = 'kmgt'.indexOf(unit.charAt(0).toLowerCase()) + 1
  return Math.floor(value * (/i/i.test(unit) ? 1024 : 1000) ** (unit === '' ? 0 : power))
}
