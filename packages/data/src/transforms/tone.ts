/** Tables from bytes to bytes, as Pillow's `ImageOps`. Alpha stays. */
import type { Pixels } from '../pixels.ts'
import { type DeterministicTransform, describe } from '../transforms.ts'
import { bytesOf, coloursOf, integer, number } from './arguments.ts'

/** Every colour looked up in a table, which may differ from channel to channel. */
function mapped(what: string, pixels: Pixels, table: (histogram: () => Uint32Array) => Uint8Array): Pixels {
  const data = bytesOf(what, pixels)
  const colours = coloursOf(what, pixels)
  const { height, width, channels } = pixels
  const result = data.slice()
  for (let c = 0; c < colours; c++) {
    const values = table(() => {
      const counts = new Uint32Array(256)
      for (let i = c; i < data.length; i += channels) counts[data[i]!]!++
      return counts
    })
    for (let i = c; i < data.length; i += channels) result[i] = values[data[i]!]!
  }
  return { data: result, height, width, channels }
}

const tableOf = (value: (byte: number) => number): Uint8Array => Uint8Array.from({ length: 256 }, (_, i) => value(i))

const identity = tableOf((byte) => byte)

/** Keeps the `bits` highest bits of every byte, 0 to 8. As torchvision's `posterize`. */
export function posterize(bits: number): DeterministicTransform {
  integer('posterize', 'bits', bits, 0, 8)
  const mask = ~(2 ** (8 - bits) - 1)
  const table = tableOf((byte) => byte & mask)
  return describe('posterize', [bits], (pixels) => mapped('posterize', pixels, () => table))
}

/** Inverts every byte from `threshold` on. As torchvision's `solarize` of a PIL image. */
export function solarize(threshold: number): DeterministicTransform {
  number('solarize', 'threshold', threshold)
  const table = tableOf((byte) => (byte < threshold ? byte : 255 - byte))
  return describe('solarize', [threshold], (pixels) => mapped('solarize', pixels, () => table))
}

const inverse = tableOf((byte) => 255 - byte)

/** 255 less every byte. As torchvision's `invert`. */
export function invert(pixels: Pixels): Pixels {
  return mapped('invert', pixels, () => inverse)
}

/** Stretches every channel so that its darkest value becomes 0 and its lightest 255. As torchvision's `autocontrast`. */
export function autocontrast(pixels: Pixels): Pixels {
  return mapped('autocontrast', pixels, (histogram) => {
    const counts = histogram()
    const low = counts.findIndex((count) => count > 0)
    const high = counts.findLastIndex((count) => count > 0)
    if (high <= low) return identity
    const scale = 255 / (high - low)
    const offset = -low * scale
    return tableOf((byte) => Math.max(0, Math.min(255, Math.trunc(byte * scale + offset))))
  })
}

/** Spreads the values of every channel so that all are about equally frequent. As torchvision's `equalize`. */
export function equalize(pixels: Pixels): Pixels {
  return mapped('equalize', pixels, (histogram) => {
    const counts = histogram()
    const used = counts.filter((count) => count > 0)
    const step = Math.floor((pixels.height * pixels.width - used.at(-1)!) / 255)
    if (used.length <= 1 || step === 0) return identity
    let sum = Math.floor(step / 2)
    return tableOf((byte) => {
      const value = Math.min(255, Math.floor(sum / step))
      sum += counts[byte]!
      return value
    })
  })
}
