/** Luminance. */
import type { Pixels } from '../pixels.ts'

/** Pillow's `convert('L')`, ITU-R 601: (19595 R + 38470 G + 7471 B + 32768) >> 16. */
export const luminance = (red: number, green: number, blue: number): number =>
  (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16

/** The luminance of every pixel of a picture of bytes; of grey ones the value itself. */
export function luminances(data: Uint8Array, channels: Pixels['channels']): Uint8Array {
  const count = data.length / channels
  const result = new Uint8Array(count)
  for (let i = 0, at = 0; i < count; i++, at += channels) {
    result[i] = channels >= 3 ? luminance(data[at]!, data[at + 1]!, data[at + 2]!) : data[at]!
  }
  return result
}
