/** Brightness, contrast, saturation, hue and greyness of pictures of bytes, as Pillow's `ImageEnhance`. Alpha stays. */
import { readOptions } from '@convnets/tensor'
import type { Pixels } from '../pixels.ts'
import { type DeterministicTransform, describe, type Transform } from '../transforms.ts'
import { bytesOf, chance, coloursOf, number, type Range, range, refuse } from './arguments.ts'
import { sameKind } from './crop.ts'
import { luminances } from './grey.ts'
import { rotateHue } from './hue.ts'

/**
 * Pillow's `blend` in single precision: from the plain value (factor 0) to the picture's own (factor 1) and beyond, rounded
 * down, cut to 0 to 255. `plain` gives the value for a pixel's number and channel.
 */
export function blended(
  data: Uint8Array,
  channels: number,
  colours: number,
  factor: number,
  plain: (pixel: number, channel: number) => number,
): Uint8Array {
  const result = data.slice()
  const alpha = Math.fround(factor)
  if (alpha === 1) return result
  for (let pixel = 0, at = 0; at < data.length; pixel++, at += channels) {
    for (let c = 0; c < colours; c++) {
      const from = plain(pixel, c)
      const value = Math.fround(from + Math.fround(alpha * (data[at + c]! - from)))
      result[at + c] = Math.max(0, Math.min(255, value))
    }
  }
  return result
}

const factorOf = (what: string, factor: number): number => number(what, 'factor', factor, 0)

/** Black at factor 0, the same picture at 1, twice as bright at 2. As torchvision's `adjust_brightness`. */
export function adjustBrightness(factor: number): DeterministicTransform {
  factorOf('adjustBrightness', factor)
  return describe('adjustBrightness', [factor], (pixels) => {
    const data = bytesOf('adjustBrightness', pixels)
    const colours = coloursOf('adjustBrightness', pixels)
    return { ...sizeOf(pixels), data: blended(data, pixels.channels, colours, factor, () => 0) }
  })
}

/** The picture's mean grey at factor 0, the same picture at 1. As torchvision's `adjust_contrast`. */
export function adjustContrast(factor: number): DeterministicTransform {
  factorOf('adjustContrast', factor)
  return describe('adjustContrast', [factor], (pixels) => {
    const data = bytesOf('adjustContrast', pixels)
    const colours = coloursOf('adjustContrast', pixels)
    const greys = luminances(data, pixels.channels)
    let sum = 0
    for (const grey of greys) sum += grey
    const mean = Math.floor(sum / greys.length + 0.5)
    return { ...sizeOf(pixels), data: blended(data, pixels.channels, colours, factor, () => mean) }
  })
}

/** Grey at factor 0, the same picture at 1. As torchvision's `adjust_saturation`. */
export function adjustSaturation(factor: number): DeterministicTransform {
  factorOf('adjustSaturation', factor)
  return describe('adjustSaturation', [factor], (pixels) => {
    const data = bytesOf('adjustSaturation', pixels)
    const colours = coloursOf('adjustSaturation', pixels)
    if (colours === 1) return pixels
    const greys = luminances(data, pixels.channels)
    return { ...sizeOf(pixels), data: blended(data, pixels.channels, colours, factor, (pixel) => greys[pixel]!) }
  })
}

/** Turns all hues by `factor`, from -0.5 to 0.5 of the circle. As torchvision's `adjust_hue`, in Pillow's HSV of bytes. */
export function adjustHue(factor: number): DeterministicTransform {
  number('adjustHue', 'factor', factor, -0.5, 0.5)
  return describe('adjustHue', [factor], (pixels) => {
    const data = bytesOf('adjustHue', pixels)
    return coloursOf('adjustHue', pixels) === 1
      ? pixels
      : { ...sizeOf(pixels), data: rotateHue(data, pixels.channels, factor) }
  })
}

/** Luminance in one channel, or repeated in three. As torchvision's `Grayscale`. Alpha is dropped. */
export function grayscale(options: { readonly channels?: 1 | 3 } = {}): DeterministicTransform {
  const { channels } = readOptions('grayscale', options, { channels: 1 })
  if (channels !== 1 && channels !== 3) refuse('grayscale', 'channels', '1 or 3', channels)
  return describe('grayscale', [{ channels }], (pixels) => {
    const data = bytesOf('grayscale', pixels)
    coloursOf('grayscale', pixels)
    const { height, width } = pixels
    const greys = luminances(data, pixels.channels)
    if (channels === 1) return { data: greys, height, width, channels }
    const result = new Uint8Array(3 * greys.length)
    for (let i = 0; i < greys.length; i++) result.fill(greys[i]!, 3 * i, 3 * i + 3)
    return { data: result, height, width, channels }
  })
}

/**
 * Grey (1) or RGB (3): grey is repeated, colours of bytes become luminance, alpha is dropped. A picture that has as many
 * channels already is given back as it is; floats can only lose alpha or be repeated.
 */
export function toChannels(count: 1 | 3): DeterministicTransform {
  if (count !== 1 && count !== 3) refuse('toChannels', 'count', '1 or 3', count)
  return describe('toChannels', [count], (pixels) => {
    const { data, height, width, channels } = pixels
    if (channels === count) return pixels
    const colours = coloursOf('toChannels', pixels)
    if (colours > count) return grayscale()(pixels)
    const result = sameKind(data, height * width * count)
    for (let to = 0, from = 0; to < result.length; to += count, from += channels) {
      for (let c = 0; c < count; c++) result[to + c] = data[from + (colours === 1 ? 0 : c)]!
    }
    return { data: result, height, width, channels: count }
  })
}

/** Grey with probability `p` (default 0.1), in as many channels as before. As torchvision's `RandomGrayscale`. */
export function randomGrayscale(options: { readonly p?: number } = {}): Transform {
  const p = chance('randomGrayscale', options, 0.1)
  return describe('randomGrayscale', [{ p }], (pixels, generator) => {
    if (generator.uniform() >= p) return pixels
    return adjustSaturation(0)(pixels)
  })
}

const sizeOf = ({ height, width, channels }: Pixels): Omit<Pixels, 'data'> => ({ height, width, channels })

/** How far `colorJitter` goes: a number for both directions, or a range. Default 0, not at all. */
export interface ColorJitterOptions {
  /** Factors from max(0, 1 - x) to 1 + x. */
  readonly brightness?: number | Range
  /** Factors from max(0, 1 - x) to 1 + x. */
  readonly contrast?: number | Range
  /** Factors from max(0, 1 - x) to 1 + x. */
  readonly saturation?: number | Range
  /** Turns from -x to x; at most 0.5. */
  readonly hue?: number | Range
}

/** Changes brightness, contrast, saturation and hue at random and in random order. As torchvision's `ColorJitter`. */
export function colorJitter(options: ColorJitterOptions = {}): Transform {
  const what = 'colorJitter'
  const defaults = { brightness: 0, contrast: 0, saturation: 0, hue: 0 }
  const { brightness, contrast, saturation, hue } = readOptions(what, options, defaults)
  const factors = (name: string, value: number | Range): Range | undefined => {
    if (value === 0) return undefined
    if (typeof value !== 'number') return range(what, name, value, 0)
    number(what, name, value, 0)
    return [Math.max(0, 1 - value), 1 + value]
  }
  const turns = (value: number | Range): Range | undefined => {
    if (value === 0) return undefined
    if (typeof value !== 'number') return range(what, 'hue', value, -0.5, 0.5)
    number(what, 'hue', value, 0, 0.5)
    return [-value, value]
  }
  const changes = [
    { by: adjustBrightness, range: factors('brightness', brightness) },
    { by: adjustContrast, range: factors('contrast', contrast) },
    { by: adjustSaturation, range: factors('saturation', saturation) },
    { by: adjustHue, range: turns(hue) },
  ]
  return describe(what, [{ brightness, contrast, saturation, hue }], (pixels, generator) => {
    bytesOf(what, pixels)
    const order = generator.permutation(4)
    let result = pixels
    for (const i of order) {
      const { by, range } = changes[i]!
      if (range) result = by(range[0] + (range[1] - range[0]) * generator.uniform())(result)
    }
    return result
  })
}
