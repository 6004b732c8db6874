import { ArgumentError, Generator, ShapeError } from '@convnets/tensor'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compose, normalize, type Pixels, randomCrop, randomHorizontalFlip, toFloat } from '../src/index.ts'

const bytes = (height: number, width: number, channels: number, values?: readonly number[]): Pixels => ({
  data: Uint8Array.from(values ?? Array.from({ length: height * width * channels }, (_, i) => (i * 7 + 1) % 256)),
  height,
  width,
  channels,
})

const at = ({ data, width, channels }: Pixels, y: number, x: number, c: number): number =>
  data[(y * width + x) * channels + c]!

const picture = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 4 }), fc.boolean())
  .map(([height, width, channels, float]) => {
    const pixels = bytes(height, width, channels)
    return float ? toFloat(pixels) : pixels
  })

const copy = (pixels: Pixels): Pixels => ({ ...pixels, data: pixels.data.slice() })

describe('randomHorizontalFlip', () => {
  const always = randomHorizontalFlip({ p: 1 })
  const never = randomHorizontalFlip({ p: 0 })

  test('mirrors every row, keeps channels together, and leaves its input alone', () => {
    fc.assert(
      fc.property(picture, (pixels) => {
        const before = copy(pixels)
        const result = always(pixels, new Generator(0))
        expect(pixels).toEqual(before)
        for (let y = 0; y < pixels.height; y++) {
          for (let x = 0; x < pixels.width; x++) {
            for (let c = 0; c < pixels.channels; c++) {
              expect(at(result, y, x, c)).toBe(at(pixels, y, pixels.width - 1 - x, c))
            }
          }
        }
        expect(always(result, new Generator(0))).toEqual(pixels)
        expect(never(pixels, new Generator(0))).toEqual(pixels)
      }),
      { seed: 1 },
    )
  })

  test('as often as asked', () => {
    const generator = new Generator(5)
    for (const p of [0.5, 0.1]) {
      const flip = p === 0.5 ? randomHorizontalFlip() : randomHorizontalFlip({ p })
      const pixels = bytes(1, 2, 1, [1, 2])
      let flips = 0
      for (let i = 0; i < 10_000; i++) if (flip(pixels, generator).data[0] === 2) flips++
      // Five standard deviations of the binomial distribution.
      expect(Math.abs(flips / 10_000 - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / 10_000))
    }
  })

  test.each([-0.1, 1.1, Number.NaN])('refuses p = %d', (p) => {
    expect(() => randomHorizontalFlip({ p })).toThrow(ArgumentError)
    expect(() => randomHorizontalFlip({ p })).toThrow(`randomHorizontalFlip: p expects a number from 0 to 1, got ${p}`)
  })
})

describe('randomCrop', () => {
  test('is a window of the padded picture', () => {
    const sizes = fc.integer({ min: 1, max: 6 })
    const pads = fc.integer({ min: 0, max: 3 })
    fc.assert(
      fc.property(
        picture,
        sizes,
        sizes,
        pads,
        pads,
        fc.nat(255),
        fc.nat(1000),
        (pixels, h, w, padY, padX, fill, seed) => {
          fc.pre(h <= pixels.height + 2 * padY && w <= pixels.width + 2 * padX)
          const before = copy(pixels)
          const result = randomCrop([h, w], { padding: [padY, padX], fill })(pixels, new Generator(seed))
          expect(pixels).toEqual(before)
          expect([result.height, result.width, result.channels]).toEqual([h, w, pixels.channels])
          expect(result.data.constructor).toBe(pixels.data.constructor)
          const padded = (y: number, x: number, c: number): number =>
            y < 0 || x < 0 || y >= pixels.height || x >= pixels.width ? fill : at(pixels, y, x, c)
          const fits = (top: number, left: number): boolean => {
            for (let y = 0; y < h; y++) {
              for (let x = 0; x < w; x++) {
                for (let c = 0; c < pixels.channels; c++) {
                  if (at(result, y, x, c) !== padded(top + y, left + x, c)) return false
                }
              }
            }
            return true
          }
          const windows: [number, number][] = []
          for (let top = -padY; top <= pixels.height + padY - h; top++) {
            for (let left = -padX; left <= pixels.width + padX - w; left++) windows.push([top, left])
          }
          expect(windows.some(([top, left]) => fits(top, left))).toBe(true)
        },
      ),
      { numRuns: 300, seed: 1 },
    )
  })

  test('comes from every place equally often', () => {
    const pixels = bytes(3, 4, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    const crop = randomCrop(2)
    const generator = new Generator(3)
    const counts = new Map<number, number>()
    for (let i = 0; i < 6000; i++) {
      const corner = crop(pixels, generator).data[0]!
      counts.set(corner, (counts.get(corner) ?? 0) + 1)
    }
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual([1, 2, 3, 5, 6, 7])
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(1000))
  })

  test('pads with black on all sides', () => {
    const result = randomCrop([3, 3], { padding: 1 })(bytes(1, 1, 1, [9]), new Generator(0))
    expect(Array.from(result.data)).toEqual([0, 0, 0, 0, 9, 0, 0, 0, 0])
  })

  test('refuses sizes and pictures that cannot be', () => {
    expect(() => randomCrop(0)).toThrow('randomCrop: size expects integers from 1, got 0')
    expect(() => randomCrop([2, 1.5])).toThrow('randomCrop: size expects integers from 1, got [2, 1.5]')
    expect(() => randomCrop(2, { padding: -1 })).toThrow('randomCrop: padding expects integers from 0, got -1')
    const crop = randomCrop(8, { padding: 1 })
    expect(() => crop(bytes(5, 9, 1), new Generator(0))).toThrow(ShapeError)
    expect(() => crop(bytes(5, 9, 1), new Generator(0))).toThrow(/8 x 8 .*, got 5 x 9 with padding 1 x 1/)
  })
})

describe('toFloat and normalize', () => {
  test('every byte becomes x / 255 in float32', () => {
    const all = bytes(
      16,
      16,
      1,
      Array.from({ length: 256 }, (_, i) => i),
    )
    const { data } = toFloat(all)
    for (let i = 0; i < 256; i++) expect(data[i]).toBe(Math.fround(i / 255))
    expect(toFloat(toFloat(all))).toEqual(toFloat(all))
  })

  test('equals torchvision: ToTensor, then Normalize, each step rounded to float32', () => {
    const mean = [0.485, 0.456, 0.406]
    const std = [0.229, 0.224, 0.225]
    const pixels = bytes(16, 48, 3)
    const { data } = normalize(mean, std)(pixels)
    for (const [i, byte] of pixels.data.entries()) {
      const x = Math.fround(byte / 255)
      expect(data[i]).toBe(Math.fround(Math.fround(x - Math.fround(mean[i % 3]!)) / Math.fround(std[i % 3]!)))
    }
    expect(normalize(mean, std)(toFloat(pixels)).data).toEqual(data)
  })

  test('known values of ImageNet preprocessing', () => {
    // From PyTorch's documentation: a white and a black pixel span about [-2.118, 2.640].
    const ends = normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])(bytes(1, 2, 3, [0, 0, 0, 255, 255, 255])).data
    const expected = [-2.1179039, -2.0357141, -1.8044444, 2.2489083, 2.4285715, 2.6399999]
    for (const [i, value] of expected.entries()) expect(ends[i]).toBeCloseTo(value, 6)
  })

  test('one number serves all channels', () => {
    expect(normalize(0.5, 0.25)(bytes(1, 1, 2, [0, 255]))).toEqual({
      data: Float32Array.of(-2, 2),
      height: 1,
      width: 1,
      channels: 2,
    })
  })

  test('refuses what does not fit', () => {
    expect(() => normalize([0, 0], [1])).toThrow('normalize: std expects as many numbers as mean (2), got 1')
    expect(() => normalize([], [])).toThrow(ArgumentError)
    expect(() => normalize(Number.NaN, 1)).toThrow(/mean expects finite numbers, got NaN/)
    expect(() => normalize(0, 0)).toThrow(/std expects positive numbers, got 0/)
    expect(() => normalize([0, 0, 0], [1, 1, 1])(bytes(1, 1, 1))).toThrow(ShapeError)
    expect(() => normalize([0, 0, 0], [1, 1, 1])(bytes(1, 1, 1))).toThrow(/a picture of 3 channels, got 1/)
  })
})

describe('compose', () => {
  test('runs first to last, handing the generator on', () => {
    const transform = compose(randomCrop(2, { padding: 1 }), randomHorizontalFlip(), normalize(0.5, 0.5))
    const pixels = bytes(3, 3, 1)
    const generator = new Generator(7)
    const expected = normalize(
      0.5,
      0.5,
    )(randomHorizontalFlip()(randomCrop(2, { padding: 1 })(pixels, generator), generator))
    expect(transform(pixels, new Generator(7))).toEqual(expected)
  })

  test('of deterministic transforms needs no generator; of none, it changes nothing', () => {
    const pixels = bytes(2, 2, 1)
    expect(compose(toFloat, normalize(0, 1))(pixels)).toEqual(toFloat(pixels))
    expect(compose()(pixels)).toBe(pixels)
  })
})
