/**
 * Transforms of pictures: plain functions from pixels to pixels, which never change what they are given. Random ones draw
 * from the generator that they are handed; `DataLoader` hands each sample its own.
 */
import { ArgumentError, type Generator, ShapeError } from '@convnets/tensor'
import type { Pixels, Size } from './pixels.ts'

/** A transform that may draw random numbers. Deterministic ones ignore the generator, and fit wherever this is asked. */
export type Transform = (pixels: Pixels, generator: Generator) => Pixels

/** A transform without chance. */
export type DeterministicTransform = (pixels: Pixels) => Pixels

/** Transforms one after the other, first to last. The result is deterministic if all of them are. */
export function compose(...transforms: readonly DeterministicTransform[]): DeterministicTransform
export function compose(...transforms: readonly Transform[]): Transform
export function compose(...transforms: readonly Transform[]): Transform {
  return (pixels, generator) => transforms.reduce((result, transform) => transform(result, generator), pixels)
}

function sameKind(data: Pixels['data'], length: number): Uint8Array | Float32Array {
  return data instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length)
}

function mirrored({ data, height, width, channels }: Pixels): Pixels {
  const result = sameKind(data, data.length)
  let to = 0
  for (let y = 0; y < height; y++) {
    for (let x = width - 1; x >= 0; x--) {
      const from = (y * width + x) * channels
      for (let c = 0; c < channels; c++) result[to++] = data[from + c]!
    }
  }
  return { data: result, height, width, channels }
}

/** Mirrors left and right with probability `p` (default 0.5), as torchvision's `RandomHorizontalFlip`. */
export function randomHorizontalFlip({ p = 0.5 }: { p?: number } = {}): Transform {
  if (!(p >= 0 && p <= 1)) throw new ArgumentError(`randomHorizontalFlip: p expects a number from 0 to 1, got ${p}`)
  return (pixels, generator) => (generator.uniform() < p ? mirrored(pixels) : pixels)
}

function pair(size: Size, least: number, what: string): readonly [number, number] {
  const [height, width] = typeof size === 'number' ? [size, size] : size
  if (!(Number.isInteger(height) && Number.isInteger(width) && height >= least && width >= least)) {
    const got = typeof size === 'number' ? size : `[${size.join(', ')}]`
    throw new ArgumentError(`randomCrop: ${what} expects integers from ${least}, got ${got}`)
  }
  return [height, width]
}

/**
 * Cuts out `size` at a random place of the picture, to which `padding` pixels of value `fill` (default 0, black before
 * normalisation) have been added on every side; as torchvision's `RandomCrop`. Throws `ShapeError` for a picture that is
 * smaller than the cut even so.
 */
export function randomCrop(size: Size, { padding = 0, fill = 0 }: { padding?: Size; fill?: number } = {}): Transform {
  const [height, width] = pair(size, 1, 'size')
  const [padY, padX] = pair(padding, 0, 'padding')
  return (pixels, generator) => {
    const { data, channels } = pixels
    const roomY = pixels.height + 2 * padY - height
    const roomX = pixels.width + 2 * padX - width
    if (roomY < 0 || roomX < 0) {
      throw new ShapeError(
        `randomCrop: size ${height} x ${width} expects at least that many pixels, got ${pixels.height} x ${pixels.width} with padding ${padY} x ${padX}`,
      )
    }
    const top = generator.integer(roomY + 1) - padY
    const left = generator.integer(roomX + 1) - padX
    const result = sameKind(data, height * width * channels)
    if (fill !== 0) result.fill(fill)
    const fromX = Math.max(0, left)
    const values = Math.max(0, Math.min(pixels.width, left + width) - fromX) * channels
    for (let y = Math.max(0, top); y < Math.min(pixels.height, top + height); y++) {
      const from = (y * pixels.width + fromX) * channels
      const to = ((y - top) * width + fromX - left) * channels
      for (let i = 0; i < values; i++) result[to + i] = data[from + i]!
    }
    return { data: result, height, width, channels }
  }
}

/** What `toFloat` makes of each byte: x / 255 in float32. */
export const unit: Float32Array = Float32Array.from({ length: 256 }, (_, byte) => byte / 255)

/** Bytes 0 to 255 as float32 0 to 1, as torchvision's `ToTensor`. Floats pass unchanged. */
export function toFloat(pixels: Pixels): Pixels {
  const { data, height, width, channels } = pixels
  if (data instanceof Float32Array) return pixels
  return { data: looked(data, [unit]), height, width, channels }
}

/** Bytes looked up in one table, or in one per channel. */
function looked(data: Uint8Array, tables: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(data.length)
  const channels = tables.length
  for (let c = 0; c < channels; c++) {
    const table = tables[c]!
    for (let i = c; i < data.length; i += channels) result[i] = table[data[i]!]!
  }
  return result
}

/**
 * `(x - mean) / std` per channel in float32, where x runs from 0 to 1: bytes are divided by 255 first, floats are taken
 * as they are. Equals torchvision's `ToTensor` and `Normalize` to the bit. `mean` and `std` are numbers for all channels,
 * or lists with one number per channel. Throws `ShapeError` for a picture of another number of channels.
 */
export function normalize(mean: number | readonly number[], std: number | readonly number[]): DeterministicTransform {
  const means = Float32Array.from(typeof mean === 'number' ? [mean] : mean)
  const stds = Float32Array.from(typeof std === 'number' ? [std] : std)
  if (means.length === 0 || means.length !== stds.length) {
    throw new ArgumentError(`normalize: std expects as many numbers as mean (${means.length}), got ${stds.length}`)
  }
  if (!means.every(Number.isFinite)) throw new ArgumentError(`normalize: mean expects finite numbers, got ${mean}`)
  if (!stds.every((value) => Number.isFinite(value) && value > 0)) {
    throw new ArgumentError(`normalize: std expects positive numbers, got ${std}`)
  }
  const standard = (value: number, c: number): number => Math.fround(value - means[c]!) / stds[c]!
  const tables = Array.from(means, (_, c) => unit.map((value) => standard(value, c)))
  return ({ data, height, width, channels }) => {
    if (tables.length !== 1 && tables.length !== channels) {
      throw new ShapeError(`normalize: expects a picture of ${tables.length} channels, got ${channels}`)
    }
    const result =
      data instanceof Uint8Array ? looked(data, tables) : data.map((value, i) => standard(value, i % tables.length))
    return { data: result, height, width, channels }
  }
}
