import { ArgumentError, DTypeError, Generator, ShapeError } from '@convnets/tensor'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  affine,
  centerCrop,
  crop,
  erase,
  fiveCrop,
  horizontalFlip,
  type Pixels,
  pad,
  perspective,
  randomAffine,
  randomCrop,
  randomErasing,
  randomPerspective,
  randomResizedCrop,
  randomRotation,
  rotate,
  toFloat,
  verticalFlip,
} from '../src/index.ts'

function picture(height: number, width: number, channels = 1): Pixels {
  const data = Uint8Array.from({ length: height * width * channels }, (_, i) => (i * 37 + 11) % 251)
  return { data, height, width, channels }
}

/** A value, or `otherwise` outside of the picture. */
function at({ data, height, width, channels }: Pixels, y: number, x: number, c = 0, otherwise = 0): number {
  return y < 0 || x < 0 || y >= height || x >= width ? otherwise : data[(y * width + x) * channels + c]!
}

/** Rows of the first channel. */
const rows = (pixels: Pixels): number[][] =>
  Array.from({ length: pixels.height }, (_, y) => Array.from({ length: pixels.width }, (_, x) => at(pixels, y, x)))

const grid = (...lines: number[][]): Pixels => ({
  data: Uint8Array.from(lines.flat()),
  height: lines.length,
  width: lines[0]!.length,
  channels: 1,
})

describe('crops', () => {
  test('crop is a window, with 0 outside', () => {
    const side = fc.integer({ min: 1, max: 9 })
    const place = fc.integer({ min: -5, max: 9 })
    fc.assert(
      fc.property(side, side, place, place, side, side, fc.integer({ min: 1, max: 4 }), (h, w, top, left, y, x, c) => {
        const pixels = picture(h, w, c)
        const result = crop({ top, left, height: y, width: x })(pixels)
        expect([result.height, result.width, result.channels]).toEqual([y, x, c])
        for (let j = 0; j < y; j++) {
          for (let i = 0; i < x; i++) {
            for (let k = 0; k < c; k++) expect(at(result, j, i, k)).toBe(at(pixels, top + j, left + i, k))
          }
        }
      }),
      { seed: 1 },
    )
  })

  test('centerCrop rounds half to even, and borders as torchvision does', () => {
    // round((5 - 2) / 2) = round(1.5) = 2, round((3 - 2) / 2) = round(0.5) = 0
    expect(rows(centerCrop(2)(picture(5, 3)))).toEqual(
      rows(crop({ top: 2, left: 0, height: 2, width: 2 })(picture(5, 3))),
    )
    // Three columns too few: one on the left, two on the right.
    expect(rows(centerCrop([1, 4])(grid([7])))).toEqual([[0, 7, 0, 0]])
    expect(rows(centerCrop([4, 1])(grid([7])))).toEqual([[0], [7], [0], [0]])
  })

  test('fiveCrop', () => {
    const corners = fiveCrop(1)(grid([1, 2, 3], [4, 5, 6], [7, 8, 9])).map(({ data }) => data[0])
    expect(corners).toEqual([1, 3, 7, 9, 5])
    expect(() => fiveCrop(4)(picture(3, 5))).toThrow(ShapeError)
  })

  test.each([
    [
      'constant',
      [
        [9, 9, 9, 9, 9, 9],
        [9, 9, 1, 2, 3, 9],
        [9, 9, 4, 5, 6, 9],
        [9, 9, 9, 9, 9, 9],
      ],
    ],
    [
      'edge',
      [
        [1, 1, 1, 2, 3, 3],
        [1, 1, 1, 2, 3, 3],
        [4, 4, 4, 5, 6, 6],
        [4, 4, 4, 5, 6, 6],
      ],
    ],
    [
      'reflect',
      [
        [6, 5, 4, 5, 6, 5],
        [3, 2, 1, 2, 3, 2],
        [6, 5, 4, 5, 6, 5],
        [3, 2, 1, 2, 3, 2],
      ],
    ],
    [
      'symmetric',
      [
        [2, 1, 1, 2, 3, 3],
        [2, 1, 1, 2, 3, 3],
        [5, 4, 4, 5, 6, 6],
        [5, 4, 4, 5, 6, 6],
      ],
    ],
  ] as const)('pad: %s', (mode, expected) => {
    const pixels = grid([1, 2, 3], [4, 5, 6])
    expect(rows(pad([1, 1, 1, 2], { mode, fill: 9 })(pixels))).toEqual(expected)
  })

  test('pad: colours, short forms, refusals', () => {
    const result = pad([0, 1], { fill: [1, 2, 3] })({ ...picture(1, 1, 3), data: Uint8Array.of(7, 8, 9) })
    expect([...result.data]).toEqual([1, 2, 3, 7, 8, 9, 1, 2, 3])
    expect(() => pad(1, { fill: [1, 2] })(picture(1, 1, 3))).toThrow(/fill expects a number or 3 for 3 channels/)
    expect(() => pad(3, { mode: 'reflect' })(picture(3, 9))).toThrow(/at most 2 for 3 pixels, got 3/)
    expect(() => pad(-1)).toThrow('pad: padding expects integers from 0, got -1')
    expect(() => pad([1, 2, 3] as unknown as [number, number])).toThrow(ArgumentError)
    expect(() => pad(1, { mode: 'wrap' as 'edge' })).toThrow(/mode expects 'constant' or 'edge'/)
  })

  test('randomCrop pads by mode, and as much as it takes', () => {
    const one = randomCrop(3, { padding: 1, mode: 'edge' })(grid([5]), new Generator(1))
    expect(rows(one)).toEqual([
      [5, 5, 5],
      [5, 5, 5],
      [5, 5, 5],
    ])
    const needed = randomCrop([2, 4], { padIfNeeded: true, fill: 3 })
    const seen = new Set(Array.from({ length: 50 }, (_, i) => String(rows(needed(grid([8], [9]), new Generator(i))))))
    // The column stands in any of the four places.
    const places = [0, 1, 2, 3].map((x) => String([8, 9].map((v) => [0, 1, 2, 3].map((i) => (i === x ? v : 3)))))
    expect(seen).toEqual(new Set(places))
  })
})

describe('flips', () => {
  test('twice is nothing, both ways is half a turn', () => {
    const pixels = picture(4, 5, 3)
    for (const flip of [horizontalFlip, verticalFlip]) expect(flip(flip(pixels))).toEqual(pixels)
    expect(rows(verticalFlip(grid([1, 2], [3, 4])))).toEqual([
      [3, 4],
      [1, 2],
    ])
    expect(horizontalFlip(verticalFlip(pixels))).toEqual(rotate(180)(pixels))
  })
})

describe('randomResizedCrop', () => {
  test('takes windows of the asked area and shape', () => {
    // Every pixel tells where it is, so that corners of a crop without resampling give the window.
    const size = 100
    const data = Float32Array.from({ length: size * size * 2 }, (_, i) =>
      i % 2 === 0 ? Math.floor(i / 2) % size : Math.floor(i / 2 / size),
    )
    const pixels = { data, height: size, width: size, channels: 2 }
    const transform = randomResizedCrop(64, { scale: [0.2, 0.5], ratio: [0.5, 2], interpolation: 'nearest' })
    const areas: number[] = []
    for (let seed = 0; seed < 300; seed++) {
      const result = transform(pixels, new Generator(seed))
      expect([result.height, result.width]).toEqual([64, 64])
      const last = result.data.length - 2
      const width = result.data[last]! - result.data[0]! + 1
      const height = result.data[last + 1]! - result.data[1]! + 1
      areas.push((width * height) / size ** 2)
      // Nearest may miss a pixel at either end.
      expect(width / height).toBeGreaterThan(0.5 * 0.9)
      expect(width / height).toBeLessThan(2 / 0.9)
    }
    const mean = areas.reduce((sum, area) => sum + area, 0) / areas.length
    expect(Math.min(...areas)).toBeGreaterThan(0.17)
    expect(Math.max(...areas)).toBeLessThan(0.52)
    expect(Math.abs(mean - 0.35)).toBeLessThan(0.03)
  })

  test('takes the middle where nothing fits', () => {
    const wide = picture(1, 50)
    const result = randomResizedCrop([1, 2], { scale: [1, 1], ratio: [1, 1.5], interpolation: 'nearest' })(
      wide,
      new Generator(0),
    )
    expect(rows(result)).toEqual([[at(wide, 0, 24), at(wide, 0, 25)]])
  })

  test('refuses', () => {
    expect(() => randomResizedCrop(8, { scale: [0.5, 0.1] })).toThrow(
      /scale expects \[low, high\] from 0 to 1, got \[0.5, 0.1\]/,
    )
    expect(() => randomResizedCrop(8, { ratio: [0, 1] })).toThrow(ArgumentError)
    expect(() => randomResizedCrop(0)).toThrow(ArgumentError)
  })
})

describe('warps', () => {
  test.each(['nearest', 'bilinear', 'bicubic'] as const)('the identity changes nothing: %s', (interpolation) => {
    for (const channels of [1, 3]) {
      const pixels = picture(9, 7, channels)
      expect(affine({ interpolation })(pixels)).toEqual(pixels)
      expect(rotate(360, { interpolation })(pixels)).toEqual(pixels)
      // An angle so small that it is worth a map, but moves nothing.
      expect(rotate(1e-9, { interpolation: 'nearest' })(pixels)).toEqual(pixels)
    }
  })

  test('whole translations move pixels, and fill the rest', () => {
    const pixels = picture(6, 8, 3)
    for (const interpolation of ['nearest', 'bilinear'] as const) {
      const moved = affine({ translate: [2, -1], interpolation, fill: [1, 2, 3] })(pixels)
      for (let y = 0; y < 6; y++) {
        for (let x = 0; x < 8; x++) {
          for (let c = 0; c < 3; c++) expect(at(moved, y, x, c)).toBe(at(pixels, y + 1, x - 2, c, c + 1))
        }
      }
    }
  })

  test('quarter turns are exact', () => {
    expect(rows(rotate(90, { expand: true })(grid([1, 2, 3], [4, 5, 6])))).toEqual([
      [3, 6],
      [2, 5],
      [1, 4],
    ])
    expect(rows(rotate(-90, { expand: true })(grid([1, 2, 3], [4, 5, 6])))).toEqual([
      [4, 1],
      [5, 2],
      [6, 3],
    ])
    const square = picture(5, 5, 3)
    expect(rotate(270)(rotate(90)(square))).toEqual(square)
  })

  test('rotation turns to the left, affine angles to the right', () => {
    const square = picture(7, 7)
    expect(affine({ angle: -90 })(square)).toEqual(rotate(90)(square))
  })

  test('enlarging by two about a corner repeats pixels', () => {
    const result = affine({ scale: 2, center: [0, 0] })(grid([1, 2, 3, 4]))
    expect(rows(result)).toEqual([[1, 1, 2, 2]])
  })

  test('a perspective that keeps the corners keeps the picture; one that moves them all, moves it', () => {
    const pixels = picture(6, 9)
    const corners = [
      [0, 0],
      [8, 0],
      [8, 5],
      [0, 5],
    ] as const
    expect(perspective(corners, corners, { interpolation: 'nearest' })(pixels)).toEqual(pixels)
    const moved = corners.map(([x, y]) => [x + 2, y + 1] as const) as unknown as typeof corners
    const result = perspective(corners, moved, { interpolation: 'nearest', fill: 5 })(pixels)
    expect(rows(result)).toEqual(rows(affine({ translate: [2, 1], fill: 5 })(pixels)))
  })

  test('a perspective brings corners where they belong', () => {
    // Four fields of one value each, whose middles are told apart.
    const data = Uint8Array.from({ length: 40 * 40 }, (_, i) => 50 + (i % 40 < 20 ? 0 : 50) + (i < 800 ? 0 : 100))
    const from = [
      [0, 0],
      [39, 0],
      [39, 39],
      [0, 39],
    ] as const
    const to = [
      [10, 5],
      [30, 8],
      [35, 36],
      [4, 30],
    ] as const
    const result = perspective(from, to)({ data, height: 40, width: 40, channels: 1 })
    expect([at(result, 7, 12), at(result, 10, 28), at(result, 33, 33), at(result, 28, 7)]).toEqual([50, 100, 200, 150])
    expect(at(result, 0, 0)).toBe(0)
    expect(() =>
      perspective(from, [
        [0, 0],
        [1, 1],
        [2, 2],
        [3, 3],
      ]),
    ).toThrow(/points on a line/)
  })

  test.each(['nearest', 'bilinear', 'bicubic'] as const)('floats go where bytes go: %s', (interpolation) => {
    const pixels = picture(20, 30, 3)
    const turn = rotate(25, { interpolation, expand: true })
    const [bytes, floats] = [turn(pixels).data, turn(toFloat(pixels)).data]
    for (const [i, value] of floats.entries()) {
      // Bytes are rounded down.
      const exact = Math.min(255, Math.max(0, 255 * value))
      expect(exact - bytes[i]!).toBeGreaterThan(-0.01)
      expect(exact - bytes[i]!).toBeLessThan(1)
    }
  })

  test('what is transparent does not bleed', () => {
    const data = Uint8Array.from(
      { length: 16 * 16 * 4 },
      (_, i) => (Math.floor(i / 4) % 16 < 8 ? [255, 0, 0, 255] : [0, 255, 0, 0])[i % 4]!,
    )
    const result = rotate(30, { interpolation: 'bilinear' })({ data, height: 16, width: 16, channels: 4 })
    expect(Math.max(...result.data.filter((_, i) => i % 4 === 1 && result.data[i + 2]! > 0))).toBe(0)
  })

  test('random warps stay within what was asked', () => {
    const pixels = grid([0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 9, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0])
    const seen = new Set<string>()
    for (let seed = 0; seed < 200; seed++) {
      const { data } = randomAffine(0, { translate: [0.2, 0.4] })(pixels, new Generator(seed))
      const place = data.indexOf(9)
      seen.add(`${(place % 5) - 2},${Math.floor(place / 5) - 2}`)
    }
    expect(seen.size).toBe(3 * 5)
    for (const place of seen) {
      const [x, y] = place.split(',').map(Number) as [number, number]
      expect(Math.abs(x)).toBeLessThanOrEqual(1)
      expect(Math.abs(y)).toBeLessThanOrEqual(2)
    }
    // Always the same angle.
    expect(randomRotation([30, 30])(picture(9, 9), new Generator(3))).toEqual(rotate(30)(picture(9, 9)))
    expect(
      randomAffine([-20, -20], { shear: [7, 7, -3, -3], scale: [1.5, 1.5] })(picture(9, 9), new Generator(3)),
    ).toEqual(affine({ angle: -20, shear: [7, -3], scale: 1.5 })(picture(9, 9)))
    expect(randomPerspective({ p: 0 })(pixels, new Generator(0))).toBe(pixels)
    expect(randomPerspective({ p: 1, distortionScale: 0, interpolation: 'nearest' })(pixels, new Generator(0))).toEqual(
      pixels,
    )
    for (const size of [1, 2, 3])
      randomPerspective({ p: 1, distortionScale: 1 })(picture(size, size), new Generator(size))
  })

  test.each([
    [() => rotate(Number.NaN), 'rotate: degrees expects a finite number, got NaN'],
    [
      () => rotate(1, { interpolation: 'lanczos' as 'nearest' }),
      "rotate: interpolation expects 'nearest' or 'bilinear' or 'bicubic'",
    ],
    [
      () => rotate(1, { center: [1] as unknown as [number, number] }),
      'rotate: center expects two finite numbers [x, y], got [1]',
    ],
    [() => affine({ scale: 0 }), 'affine: scale expects a positive number, got 0'],
    [() => affine({ translate: [Number.NaN, 0] }), 'affine: translate expects two finite numbers'],
    [() => randomAffine(10, { translate: [2, 0] }), 'randomAffine: translate expects a number from 0 to 1, got 2'],
    [() => randomRotation(-3), 'randomRotation: degrees expects a number from 0, got -3'],
    [() => randomPerspective({ distortionScale: 1.5 }), 'distortionScale expects a number from 0 to 1, got 1.5'],
    [() => crop({ top: 0.5, left: 0, height: 1, width: 1 }), 'crop: top expects an integer, got 0.5'],
    [() => crop({ top: 0, left: 0, height: 0, width: 1 }), 'crop: height expects an integer from 1, got 0'],
  ])('refusal %#', (call, message) => {
    expect(call).toThrow(ArgumentError)
    expect(call).toThrow(message)
  })
})

describe('erasing', () => {
  test('overwrites a window, as far as it lies inside', () => {
    const result = erase({ top: 1, left: -1, height: 9, width: 2 }, { value: 7 })(grid([1, 2], [3, 4]))
    expect(rows(result)).toEqual([
      [1, 2],
      [7, 4],
    ])
  })

  test('at random: a part within scale, the rest as it was', () => {
    const pixels = { data: new Float32Array(60 * 60).fill(1), height: 60, width: 60, channels: 1 }
    for (let seed = 0; seed < 100; seed++) {
      const { data } = randomErasing({ p: 1, scale: [0.1, 0.2] })(pixels, new Generator(seed))
      const part = data.filter((value) => value === 0).length / 3600
      expect(part).toBeGreaterThan(0.09)
      expect(part).toBeLessThan(0.21)
    }
    const erased = randomErasing({ p: 1, value: 'random' })(pixels, new Generator(1)).data
    const noise = Array.from(erased).filter((value) => value !== 1)
    const mean = noise.reduce((sum, value) => sum + value, 0) / noise.length
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(noise.length))
    expect(() => randomErasing({ value: 'random' })(picture(9, 9), new Generator(0))).toThrow(DTypeError)
    expect(randomErasing({ p: 0 })(pixels, new Generator(1))).toBe(pixels)
  })
})
