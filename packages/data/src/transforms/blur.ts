/** Softer and sharper. */
import { readOptions, ShapeError } from '@convnets/tensor'
import type { Pixels, Size } from '../pixels.ts'
import { type DeterministicTransform, describe, type Transform } from '../transforms.ts'
import { bytesOf, coloursOf, number, type Range, range, refuse, roundEven, sizePair } from './arguments.ts'
import { blended } from './color.ts'
import { sameKind } from './crop.ts'

/** Pillow's filter SMOOTH: a 3 x 3 mean whose middle counts five times. The border stays. */
function smooth(data: Uint8Array, { height, width, channels }: Pixels): Uint8Array {
  const result = data.slice()
  const row = width * channels
  for (let y = 1; y < height - 1; y++) {
    for (let i = y * row + channels; i < (y + 1) * row - channels; i++) {
      const above = i - row
      const below = i + row
      const sum =
        data[above - channels]! +
        data[above]! +
        data[above + channels]! +
        data[i - channels]! +
        5 * data[i]! +
        data[i + channels]! +
        data[below - channels]! +
        data[below]! +
        data[below + channels]!
      // sum / 13 rounded: 13 is odd, so it never lies half way.
      result[i] = (2 * sum + 13) / 26
    }
  }
  return result
}

/** Blurred at factor 0, the same picture at 1, sharper beyond. As torchvision's `adjust_sharpness` of a PIL image. */
export function adjustSharpness(factor: number): DeterministicTransform {
  number('adjustSharpness', 'factor', factor, 0)
  return describe('adjustSharpness', [factor], (pixels) => {
    const { height, width, channels } = pixels
    const data = bytesOf('adjustSharpness', pixels)
    const colours = coloursOf('adjustSharpness', pixels)
    const soft = smooth(data, pixels)
    const mixed = blended(data, channels, colours, factor, (pixel, c) => soft[pixel * channels + c]!)
    return { data: mixed, height, width, channels }
  })
}

/** The standard deviation of torchvision's default for a kernel of `size`. */
const usualSigma = (size: number): number => 0.3 * ((size - 1) * 0.5 - 1) + 0.8

function kernel(size: number, sigma: number): Float64Array {
  const middle = (size - 1) / 2
  const weights = Float64Array.from({ length: size }, (_, i) => Math.exp(-0.5 * ((i - middle) / sigma) ** 2))
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.map((weight) => weight / sum)
}

/**
 * One pass along the middle axis of (outer, `length`, `inner`); positions beyond the edge are mirrored at it. Each run is
 * laid out with its borders once, so that every weight is one sweep over neighbouring numbers.
 */
function convolve(data: Float64Array, length: number, inner: number, weights: Float64Array): Float64Array {
  const reach = (weights.length - 1) / 2
  const run = length * inner
  const bordered = new Float64Array((length + 2 * reach) * inner)
  const result = new Float64Array(data.length)
  for (let start = 0; start < data.length; start += run) {
    for (let i = -reach; i < length + reach; i++) {
      const outside = Math.abs(i)
      const from = start + (outside < length ? outside : 2 * (length - 1) - outside) * inner
      const to = (i + reach) * inner
      for (let c = 0; c < inner; c++) bordered[to + c] = data[from + c]!
    }
    for (let k = 0; k < weights.length; k++) {
      const weight = weights[k]!
      const shift = k * inner
      for (let i = 0; i < run; i++) result[start + i]! += weight * bordered[shift + i]!
    }
  }
  return result
}

function oddSize(what: string, size: Size): readonly [number, number] {
  const [height, width] = sizePair(what, 'kernelSize', size, 1)
  if (height % 2 === 0 || width % 2 === 0) refuse(what, 'kernelSize', 'odd integers', size)
  return [height, width]
}

function blur(pixels: Pixels, [down, across]: readonly [number, number], [sigmaY, sigmaX]: Range): Pixels {
  const { data, height, width, channels } = pixels
  if (down >= 2 * height || across >= 2 * width) {
    throw new ShapeError(
      `gaussianBlur: kernelSize expects less than twice the picture's ${height} x ${width}, got ${down} x ${across}`,
    )
  }
  const rows = convolve(new Float64Array(data), width, channels, kernel(across, sigmaX))
  const both = convolve(rows, height, width * channels, kernel(down, sigmaY))
  const result = sameKind(data, data.length)
  const bytes = data instanceof Uint8Array
  for (let i = 0; i < both.length; i++) result[i] = bytes ? roundEven(both[i]!) : both[i]!
  return { data: result, height, width, channels }
}

/**
 * Convolved with a Gaussian of `kernelSize` (odd; height and width) whose standard deviation is `sigma` pixels: a number, or
 * `[vertical, horizontal]`. Default: 0.3 ((size - 1) / 2 - 1) + 0.8 per side. The picture is mirrored at its edges. As
 * torchvision's `gaussian_blur`, whose pairs are the other way round.
 */
export function gaussianBlur(
  kernelSize: Size,
  options: { readonly sigma?: number | readonly [vertical: number, horizontal: number] } = {},
): DeterministicTransform {
  const read = readOptions('gaussianBlur', options, { sigma: undefined })
  const size = oddSize('gaussianBlur', kernelSize)
  const { sigma = [usualSigma(size[0]), usualSigma(size[1])] } = read
  const pair: Range = typeof sigma === 'number' ? [sigma, sigma] : sigma
  if (pair.length !== 2 || !pair.every((one) => one > 0 && Number.isFinite(one))) {
    refuse('gaussianBlur', 'sigma', 'positive numbers', sigma)
  }
  return describe('gaussianBlur', [kernelSize, { sigma }], (pixels) => blur(pixels, size, pair))
}

/** `gaussianBlur` with a standard deviation from `sigma` (default [0.1, 2]). As torchvision's `GaussianBlur`. */
export function randomGaussianBlur(kernelSize: Size, options: { readonly sigma?: Range } = {}): Transform {
  const { sigma } = readOptions('randomGaussianBlur', options, { sigma: [0.1, 2] })
  const size = oddSize('randomGaussianBlur', kernelSize)
  const [low, high] = range('randomGaussianBlur', 'sigma', sigma, Number.MIN_VALUE)
  return describe('randomGaussianBlur', [kernelSize, { sigma }], (pixels, generator) => {
    const deviation = low + (high - low) * generator.uniform()
    return blur(pixels, size, [deviation, deviation])
  })
}
