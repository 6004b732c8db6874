/** Other sizes. */
import { readOptions } from '@convnets/tensor'
import type { Pixels, Size } from '../pixels.ts'
import type { Interpolation } from '../resize/filters.ts'
import { resample } from '../resize/resize.ts'
import { type DeterministicTransform, describe, type Transform } from '../transforms.ts'
import { anyInterpolation, integer, type Range, range, refuse, roundEven, sizePair } from './arguments.ts'
import { type Box, checkBox, cut } from './crop.ts'

/** How a picture is resized. */
export interface ResizeOptions {
  /** Default `bilinear`. */
  readonly interpolation?: Interpolation
  /** With a number as size: the most that the longer side may become; the shorter side then gives way. Default: none. */
  readonly maxSize?: number
}

/**
 * The picture in another size: `[height, width]`, or a number for its shorter side, the longer one following in proportion
 * and rounded down; as torchvision's `Resize` of a PIL image. Bytes come out as Pillow makes them, to the bit: its filters
 * widen when shrinking (antialiasing), rows come before columns, and each pass rounds to bytes. Colours with alpha are
 * weighted by it. A picture that has the size already is given back as it is.
 */
export function resize(size: Size, options: ResizeOptions = {}): DeterministicTransform {
  const { interpolation, maxSize } = readOptions('resize', options, { interpolation: 'bilinear', maxSize: undefined })
  sizePair('resize', 'size', size, 1)
  anyInterpolation('resize', interpolation)
  if (maxSize !== undefined) {
    if (typeof size !== 'number') refuse('resize', 'maxSize', 'a number as size', size)
    integer('resize', 'maxSize', maxSize, (size as number) + 1)
  }
  return describe('resize', [size, { interpolation, maxSize }], (pixels) => {
    const [height, width] = typeof size === 'number' ? proportional(pixels, size, maxSize) : size
    return resample(pixels, height, width, interpolation)
  })
}

/** Height and width with the shorter side at `size`. */
function proportional({ height, width }: Pixels, size: number, maxSize: number | undefined): [number, number] {
  const [short, long] = [Math.min(height, width), Math.max(height, width)]
  let newShort = size
  let newLong = Math.floor((size * long) / short)
  if (maxSize !== undefined && newLong > maxSize) {
    newShort = Math.floor((maxSize * newShort) / newLong)
    newLong = maxSize
  }
  // A picture may be so long that nothing would be left of its shorter side.
  newShort = Math.max(1, newShort)
  return height <= width ? [newShort, newLong] : [newLong, newShort]
}

/** A window of the picture, resized; as torchvision's `resized_crop`. */
export function resizedCrop(
  box: Box,
  size: Size,
  options: Pick<ResizeOptions, 'interpolation'> = {},
): DeterministicTransform {
  const { interpolation } = readOptions('resizedCrop', options, { interpolation: 'bilinear' })
  const { top, left, height, width } = box
  checkBox('resizedCrop', box)
  const [down, across] = sizePair('resizedCrop', 'size', size, 1)
  anyInterpolation('resizedCrop', interpolation)
  return describe('resizedCrop', [{ top, left, height, width }, size, { interpolation }], (pixels) =>
    resample(cut(pixels, top, left, height, width, [0]), down, across, interpolation),
  )
}

/** Which windows `randomResizedCrop` takes. */
export interface RandomResizedCropOptions {
  /** Part of the picture's area. Default [0.08, 1]. */
  readonly scale?: Range
  /** Width over height. Default [3 / 4, 4 / 3]. */
  readonly ratio?: Range
  /** Default `bilinear`. */
  readonly interpolation?: Interpolation
}

/**
 * A window of random area and shape at a random place, resized to `size`: what networks for ImageNet are trained on since
 * Inception (Szegedy et al. 2014, section 6). As torchvision's `RandomResizedCrop`: ten attempts, then the middle.
 */
export function randomResizedCrop(size: Size, options: RandomResizedCropOptions = {}): Transform {
  const { scale, ratio, interpolation } = readOptions('randomResizedCrop', options, {
    scale: [0.08, 1],
    ratio: [3 / 4, 4 / 3],
    interpolation: 'bilinear',
  })
  const [down, across] = sizePair('randomResizedCrop', 'size', size, 1)
  range('randomResizedCrop', 'scale', scale, 0, 1)
  range('randomResizedCrop', 'ratio', ratio, Number.MIN_VALUE)
  anyInterpolation('randomResizedCrop', interpolation)
  const logs = [Math.log(ratio[0]), Math.log(ratio[1])] as const
  return describe('randomResizedCrop', [size, { scale, ratio, interpolation }], (pixels, generator) => {
    const { top, left, height, width } = window()
    return resample(cut(pixels, top, left, height, width, [0]), down, across, interpolation)

    function window(): Box {
      const between = (low: number, high: number): number => low + (high - low) * generator.uniform()
      for (let attempt = 0; attempt < 10; attempt++) {
        const area = pixels.height * pixels.width * between(...scale)
        const shape = Math.exp(between(...logs))
        const width = roundEven(Math.sqrt(area * shape))
        const height = roundEven(Math.sqrt(area / shape))
        if (width <= 0 || height <= 0 || width > pixels.width || height > pixels.height) continue
        const top = generator.integer(pixels.height - height + 1)
        return { top, left: generator.integer(pixels.width - width + 1), height, width }
      }
      return middle(pixels, ratio)
    }
  })
}

/** The largest window in the middle whose shape is within `ratio`. */
function middle({ height, width }: Pixels, [narrowest, widest]: Range): Box {
  const shape = width / height
  const box = { height, width }
  if (shape < narrowest) box.height = Math.max(1, roundEven(width / narrowest))
  else if (shape > widest) box.width = Math.max(1, roundEven(height * widest))
  return { ...box, top: Math.floor((height - box.height) / 2), left: Math.floor((width - box.width) / 2) }
}
