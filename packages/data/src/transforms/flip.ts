/** Mirrors. */
import type { Pixels } from '../pixels.ts'
import { describe, type Transform } from '../transforms.ts'
import { chance } from './arguments.ts'
import { sameKind } from './crop.ts'

/** Left and right exchanged. */
export function horizontalFlip({ data, height, width, channels }: Pixels): Pixels {
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

/** Top and bottom exchanged. */
export function verticalFlip({ data, height, width, channels }: Pixels): Pixels {
  const result = sameKind(data, data.length)
  const row = width * channels
  for (let y = 0; y < height; y++) result.set(data.subarray(y * row, (y + 1) * row), (height - 1 - y) * row)
  return { data: result, height, width, channels }
}

/** Mirrors left and right with probability `p` (default 0.5), as torchvision's `RandomHorizontalFlip`. */
export function randomHorizontalFlip(options: { readonly p?: number } = {}): Transform {
  const p = chance('randomHorizontalFlip', options)
  return describe('randomHorizontalFlip', [{ p }], (pixels, generator) =>
    generator.uniform() < p ? horizontalFlip(pixels) : pixels,
  )
}

/** Mirrors top and bottom with probability `p` (default 0.5), as torchvision's `RandomVerticalFlip`. */
export function randomVerticalFlip(options: { readonly p?: number } = {}): Transform {
  const p = chance('randomVerticalFlip', options)
  return describe('randomVerticalFlip', [{ p }], (pixels, generator) =>
    generator.uniform() < p ? verticalFlip(pixels) : pixels,
  )
}
