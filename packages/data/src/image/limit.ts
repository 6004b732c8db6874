/** How large a picture may be. */
import { ArgumentError, FormatError } from '@convnets/tensor'

/** Pixels that a picture may have unless it is said otherwise: 64 megapixels. */
const usualPixels = 64_000_000

/** The limit that a caller gave, or the usual one. */
export function checkLimit(what: string, maxPixels: number = usualPixels): number {
  if (!(maxPixels >= 1)) throw new ArgumentError(`${what}: maxPixels expects a number from 1, got ${maxPixels}`)
  return maxPixels
}

/** Refuses what its header says to be too large, before there are pixels: a small file may claim any size. */
export function checkPixelCount(file: string, height: number, width: number, maxPixels: number): void {
  if (height * width <= maxPixels) return
  throw new FormatError({
    file,
    offset: 0,
    expected: `a picture of at most ${maxPixels / 1e6} megapixels (maxPixels)`,
    got: `${height} x ${width} pixels`,
  })
}
