/** From bytes to what networks take. */
import { ArgumentError, fromChannelsLast, ShapeError, squeeze, type Tensor, tidy } from '@convnets/tensor'
import { checkPixels, type Pixels } from '../pixels.ts'
import { type DeterministicTransform, describe, unit } from '../transforms.ts'

/** Bytes 0 to 255 as float32 0 to 1, as torchvision's `ToTensor`. Floats pass unchanged. */
export function toFloat(pixels: Pixels): Pixels {
  const { data, height, width, channels } = pixels
  if (data instanceof Float32Array) return pixels
  return { data: looked(data, [unit]), height, width, channels }
}

/**
 * Floats 0 to 1 as bytes, x * (256 - 0.001) rounded down, as torchvision's `convert_image_dtype`, so that every byte comes
 * back from `toFloat`. Values beyond are cut to 0 and 255. Bytes pass unchanged.
 */
export function toBytes(pixels: Pixels): Pixels {
  const { data, height, width, channels } = pixels
  if (data instanceof Uint8Array) return pixels
  const bytes = new Uint8Array(data.length)
  for (let i = 0; i < data.length; i++) bytes[i] = Math.max(0, Math.min(255, Math.floor(data[i]! * (256 - 1e-3))))
  return { data: bytes, height, width, channels }
}

/** A picture as a tensor (C, H, W) of float32; bytes become 0 to 1, floats stay. Throws `ShapeError` for a malformed one. */
export function toTensor(pixels: Pixels): Tensor {
  checkPixels('toTensor', pixels)
  const { data, height, width, channels } = toFloat(pixels)
  return tidy(() => squeeze(fromChannelsLast(data as Float32Array, [1, height, width, channels]), 0))
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
  return describe('normalize', [mean, std], ({ data, height, width, channels }) => {
    if (tables.length !== 1 && tables.length !== channels) {
      throw new ShapeError(`normalize: expects a picture of ${tables.length} channels, got ${channels}`)
    }
    const result =
      data instanceof Uint8Array ? looked(data, tables) : data.map((value, i) => standard(value, i % tables.length))
    return { data: result, height, width, channels }
  })
}
