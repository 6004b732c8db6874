/** Patches that hide parts of a picture. */
import { DTypeError, readOptions } from '@convnets/tensor'
import type { Pixels } from '../pixels.ts'
import { type DeterministicTransform, describe, fillOf, type Transform } from '../transforms.ts'
import { fill as checkFill, type Fill, probability, type Range, range, roundEven } from './arguments.ts'
import { type Box, checkBox } from './crop.ts'

/** Writes `value(channel)` into a window of a copy. */
function erased(pixels: Pixels, { top, left, height, width }: Box, value: (channel: number) => number): Pixels {
  const { channels } = pixels
  const data = pixels.data.slice()
  for (let y = Math.max(0, top); y < Math.min(pixels.height, top + height); y++) {
    for (let x = Math.max(0, left); x < Math.min(pixels.width, left + width); x++) {
      const at = (y * pixels.width + x) * channels
      for (let c = 0; c < channels; c++) data[at + c] = value(c)
    }
  }
  return { data, height: pixels.height, width: pixels.width, channels }
}

/** Overwrites a window, as far as it lies within the picture, by `value` (default 0). As torchvision's `erase`. */
export function erase(box: Box, options: { readonly value?: Fill } = {}): DeterministicTransform {
  const { value } = readOptions('erase', options, { value: 0 })
  const { top, left, height, width } = box
  const window = { top, left, height, width }
  checkBox('erase', window)
  checkFill('erase', value)
  return describe('erase', [window, { value }], (pixels) => {
    const values = fillOf('erase', value, pixels.channels)
    return erased(pixels, window, (channel) => values[channel]!)
  })
}

/** Which windows `randomErasing` overwrites, and by what. */
export interface RandomErasingOptions {
  /** Default 0.5. */
  readonly p?: number
  /** Part of the picture's area. Default [0.02, 0.33]. */
  readonly scale?: Range
  /** Height over width. Default [0.3, 3.3]. */
  readonly ratio?: Range
  /** A value, one per channel, or `random` for numbers from the standard normal distribution. Default 0. */
  readonly value?: Fill | 'random'
}

/**
 * Overwrites a random window (Zhong et al. 2017, arXiv:1708.04896). As torchvision's `RandomErasing`, which comes after
 * normalisation; `random` values ask for floats.
 */
export function randomErasing(options: RandomErasingOptions = {}): Transform {
  const what = 'randomErasing'
  const { p, scale, ratio, value } = readOptions(what, options, {
    p: 0.5,
    scale: [0.02, 0.33],
    ratio: [0.3, 3.3],
    value: 0,
  })
  probability(what, p)
  range(what, 'scale', scale, 0, 1)
  range(what, 'ratio', ratio, Number.MIN_VALUE)
  if (value !== 'random') checkFill(what, value)
  const logs = [Math.log(ratio[0]), Math.log(ratio[1])] as const
  return describe(what, [{ p, scale, ratio, value }], (pixels, generator) => {
    if (value === 'random' && pixels.data instanceof Uint8Array) {
      throw new DTypeError(`${what}: value 'random' expects a picture of floats, got bytes; it belongs after normalize`)
    }
    const values = value === 'random' ? undefined : fillOf(what, value, pixels.channels)
    if (generator.uniform() >= p) return pixels
    const between = (low: number, high: number): number => low + (high - low) * generator.uniform()
    for (let attempt = 0; attempt < 10; attempt++) {
      const area = pixels.height * pixels.width * between(...scale)
      const shape = Math.exp(between(...logs))
      const height = roundEven(Math.sqrt(area * shape))
      const width = roundEven(Math.sqrt(area / shape))
      if (height < 1 || width < 1 || height >= pixels.height || width >= pixels.width) continue
      const top = generator.integer(pixels.height - height + 1)
      const left = generator.integer(pixels.width - width + 1)
      const draw = values ? (channel: number): number => values[channel]! : (): number => generator.normal()
      return erased(pixels, { top, left, height, width }, draw)
    }
    return pixels
  })
}
