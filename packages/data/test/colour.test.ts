import { ArgumentError, DTypeError, Generator, ShapeError } from '@convnets/tensor'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  adjustBrightness,
  adjustContrast,
  adjustHue,
  adjustSaturation,
  adjustSharpness,
  autocontrast,
  colorJitter,
  equalize,
  gaussianBlur,
  grayscale,
  Image,
  invert,
  type Pixels,
  posterize,
  randomGrayscale,
  solarize,
  toBytes,
  toFloat,
  toTensor,
} from '../src/index.ts'

const bytes = (height: number, width: number, channels: number, seed = 0): Pixels & { data: Uint8Array } => ({
  data: Uint8Array.from({ length: height * width * channels }, (_, i) => Math.imul(i + seed, 0x9e3779b1) >>> 24),
  height,
  width,
  channels,
})

const line = (channels: number, ...values: number[]): Pixels => ({
  data: Uint8Array.from(values),
  height: 1,
  width: values.length / channels,
  channels,
})

const picture = fc
  .tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 8 }), fc.constantFrom(1, 3), fc.nat(999))
  .map(([height, width, channels, seed]) => bytes(height, width, channels, seed))

const changes = {
  adjustBrightness: adjustBrightness(1.7),
  adjustContrast: adjustContrast(0.3),
  adjustSaturation: adjustSaturation(2),
  adjustSharpness: adjustSharpness(1.8),
  adjustHue: adjustHue(0.3),
  posterize: posterize(2),
  solarize: solarize(100),
  autocontrast,
  equalize,
  invert,
}

describe.each(Object.entries(changes))('%s', (name, change) => {
  test('leaves its input and alpha alone, and takes bytes only', () => {
    const pixels = bytes(5, 6, 4, 3)
    const before = pixels.data.slice()
    const result = change(pixels)
    expect(pixels.data).toEqual(before)
    expect(result.data.filter((_, i) => i % 4 === 3)).toEqual(before.filter((_, i) => i % 4 === 3))
    // The colours are those of the same picture without alpha.
    const opaque = { ...pixels, data: before.filter((_, i) => i % 4 !== 3), channels: 3 }
    expect(result.data.filter((_, i) => i % 4 !== 3)).toEqual(change(opaque).data)
    expect(() => change(toFloat(pixels))).toThrow(DTypeError)
    expect(() => change(toFloat(pixels))).toThrow(`${name}: expects a picture of bytes, got floats`)
    expect(() => change(bytes(2, 2, 5))).toThrow(ShapeError)
  })
})

describe('factors', () => {
  test('1 changes nothing, 0 leaves black, grey, the mean', () => {
    fc.assert(
      fc.property(picture, (pixels) => {
        for (const adjust of [adjustBrightness, adjustContrast, adjustSaturation, adjustSharpness]) {
          expect(adjust(1)(pixels)).toEqual(pixels)
        }
        expect(new Set(adjustBrightness(0)(pixels).data)).toEqual(new Set([0]))
        const grey = grayscale({ channels: pixels.channels as 1 | 3 })(pixels)
        expect(adjustSaturation(0)(pixels)).toEqual(grey)
        const greys = grayscale()(pixels).data
        const mean = Math.floor(Array.from(greys).reduce((sum, value) => sum + value, 0) / greys.length + 0.5)
        expect(new Set(adjustContrast(0)(pixels).data)).toEqual(new Set([mean]))
      }),
      { seed: 1 },
    )
  })

  test('brightness is rounded down and cut', () => {
    expect([...adjustBrightness(1.5)(line(1, 1, 100, 171, 255)).data]).toEqual([1, 150, 255, 255])
    expect([...adjustBrightness(0.5)(line(1, 1, 101)).data]).toEqual([0, 50])
  })

  test('sharpness 0 is the weighted mean of 3 x 3 inside, and the border stays', () => {
    const pixels = bytes(5, 6, 3)
    const { data } = adjustSharpness(0)(pixels)
    const at = (y: number, x: number, c: number): number => pixels.data[(y * 6 + x) * 3 + c]!
    for (let y = 0; y < 5; y++) {
      for (let x = 0; x < 6; x++) {
        for (let c = 0; c < 3; c++) {
          const inside = y > 0 && y < 4 && x > 0 && x < 5
          let sum = 4 * at(y, x, c)
          if (inside) for (const j of [-1, 0, 1]) for (const i of [-1, 0, 1]) sum += at(y + j, x + i, c)
          expect(data[(y * 6 + x) * 3 + c]).toBe(inside ? Math.round(sum / 13) : at(y, x, c))
        }
      }
    }
  })

  test.each([
    [() => adjustBrightness(-1), 'adjustBrightness: factor expects a number from 0, got -1'],
    [() => adjustContrast(Number.NaN), 'adjustContrast: factor expects a number from 0, got NaN'],
    [() => adjustHue(0.6), 'adjustHue: factor expects a number from -0.5 to 0.5, got 0.6'],
    [() => posterize(9), 'posterize: bits expects an integer from 0 to 8, got 9'],
    [() => solarize(Number.POSITIVE_INFINITY), 'solarize: threshold expects a finite number, got Infinity'],
    [() => grayscale({ channels: 2 as 1 }), 'grayscale: channels expects 1 or 3, got 2'],
    [() => colorJitter({ hue: 0.7 }), 'colorJitter: hue expects a number from 0 to 0.5, got 0.7'],
    [() => colorJitter({ brightness: [2, 1] }), 'colorJitter: brightness expects [low, high] from 0, got [2, 1]'],
    [() => gaussianBlur(4), 'gaussianBlur: kernelSize expects odd integers, got 4'],
    [() => gaussianBlur(3, { sigma: 0 }), 'gaussianBlur: sigma expects positive numbers, got 0'],
  ])('refusal %#', (call, message) => {
    expect(call).toThrow(ArgumentError)
    expect(call).toThrow(message)
  })
})

describe('hue', () => {
  test('a third of the circle leads from red to green to blue', () => {
    const turned = adjustHue(1 / 3)(line(3, 255, 0, 0, 0, 255, 0, 0, 0, 255))
    for (const [i, value] of [0, 255, 0, 0, 0, 255, 255, 0, 0].entries()) {
      // Hue has 256 steps, of which 85 are a third.
      expect(Math.abs(turned.data[i]! - value)).toBeLessThanOrEqual(6)
    }
  })

  test('keeps value, and grey', () => {
    fc.assert(
      fc.property(picture, fc.double({ min: -0.5, max: 0.5, noNaN: true }), (pixels, factor) => {
        const { data } = adjustHue(factor)(pixels)
        if (pixels.channels === 1) expect(data).toEqual(pixels.data)
        else
          for (let i = 0; i < data.length; i += 3) {
            expect(Math.max(...data.subarray(i, i + 3))).toBe(Math.max(...pixels.data.subarray(i, i + 3)))
          }
      }),
      { seed: 1 },
    )
    expect([...adjustHue(0.4)(line(3, 9, 9, 9)).data]).toEqual([9, 9, 9])
  })
})

describe('tables', () => {
  test('posterize, solarize, invert', () => {
    const values = line(1, 0, 63, 64, 127, 128, 255)
    expect([...posterize(2)(values).data]).toEqual([0, 0, 64, 64, 128, 192])
    expect([...posterize(0)(values).data]).toEqual([0, 0, 0, 0, 0, 0])
    expect(posterize(8)(values)).toEqual(values)
    expect([...solarize(128)(values).data]).toEqual([0, 63, 64, 127, 127, 0])
    expect(solarize(256)(values)).toEqual(values)
    expect(solarize(0)(values)).toEqual(invert(values))
    expect([...invert(values).data]).toEqual([255, 192, 191, 128, 127, 0])
  })

  test('autocontrast reaches from 0 to 255 in every channel, and leaves one value alone', () => {
    expect([...autocontrast(line(3, 50, 7, 1, 150, 7, 2, 100, 7, 3)).data]).toEqual([0, 7, 0, 255, 7, 127, 127, 7, 255])
    fc.assert(
      fc.property(picture, (pixels) => {
        const { data } = autocontrast(pixels)
        for (let c = 0; c < pixels.channels; c++) {
          const channel = (_: number, i: number): boolean => i % pixels.channels === c
          const [before, after] = [pixels.data.filter(channel), data.filter(channel)]
          if (new Set(before).size === 1) expect(after).toEqual(before)
          // Rounding down may leave 254, in Pillow too.
          else expect([Math.min(...after), Math.max(...after) >= 254]).toEqual([0, true])
        }
      }),
      { seed: 1 },
    )
  })

  test('equalize keeps the order of values and spreads them', () => {
    const pixels = {
      data: Uint8Array.from({ length: 64 * 64 }, (_, i) => 100 + (i % 20)),
      height: 64,
      width: 64,
      channels: 1,
    }
    const { data } = equalize(pixels)
    for (let i = 1; i < 20; i++) expect(data[i]! - data[i - 1]!).toBeGreaterThan(8)
    expect([data[0], data[19]]).toEqual([0, 255])
    expect(equalize(line(1, 5, 5, 5))).toEqual(line(1, 5, 5, 5))
  })
})

describe('grey', () => {
  test('is what Image.convert gives', () => {
    const pixels = bytes(4, 5, 3)
    const image = new Image(pixels.data, 4, 5, 3)
    expect(grayscale()(pixels).data).toEqual(image.convert(1).data)
    expect(grayscale({ channels: 3 })(pixels).data).toEqual(image.convert(1).convert(3).data)
    expect(randomGrayscale({ p: 1 })(pixels, new Generator(0))).toEqual(grayscale({ channels: 3 })(pixels))
    expect(randomGrayscale({ p: 0 })(pixels, new Generator(0))).toBe(pixels)
  })
})

describe('blur', () => {
  test('one colour stays, and a point becomes the kernel', () => {
    const flat = { data: new Uint8Array(75).fill(130), height: 5, width: 5, channels: 3 }
    expect(gaussianBlur(5)(flat)).toEqual(flat)
    const data = new Float32Array(49)
    data[24] = 1
    const point = gaussianBlur([3, 5], { sigma: [0.8, 1.5] })({ data, height: 7, width: 7, channels: 1 })
    const weights = (size: number, sigma: number): number[] => {
      const all = Array.from({ length: size }, (_, i) => Math.exp(-((i - (size - 1) / 2) ** 2) / (2 * sigma ** 2)))
      const sum = all.reduce((total, one) => total + one, 0)
      return all.map((one) => one / sum)
    }
    const [down, across] = [weights(3, 0.8), weights(5, 1.5)]
    for (let y = 0; y < 7; y++) {
      for (let x = 0; x < 7; x++) {
        expect(point.data[y * 7 + x]).toBeCloseTo((down[y - 2] ?? 0) * (across[x - 1] ?? 0), 6)
      }
    }
  })

  test('mirrors at edges, which must be far enough', () => {
    const { data } = gaussianBlur([1, 3], { sigma: 1 })(line(1, 0, 90, 0, 0))
    const side = Math.exp(-0.5) / (1 + 2 * Math.exp(-0.5))
    expect([...data]).toEqual([180 * side, 90 * (1 - 2 * side), 90 * side, 0].map(Math.round))
    expect(() => gaussianBlur(9)(bytes(4, 9, 1))).toThrow(ShapeError)
    expect(gaussianBlur(7)(bytes(4, 4, 1)).height).toBe(4)
  })
})

test('colorJitter does what its ranges say, in random order', () => {
  const pixels = bytes(6, 6, 3)
  const orders = new Set<string>()
  const fixed = colorJitter({ brightness: [1.4, 1.4], contrast: [0.5, 0.5], saturation: [0, 0], hue: [0.2, 0.2] })
  const steps = [adjustBrightness(1.4), adjustContrast(0.5), adjustSaturation(0), adjustHue(0.2)]
  const all = (rest: number[]): number[][] =>
    rest.length === 0 ? [[]] : rest.flatMap((i) => all(rest.filter((j) => j !== i)).map((order) => [i, ...order]))
  const possible = all([0, 1, 2, 3]).map((order) => String(order.reduce<Pixels>((p, i) => steps[i]!(p), pixels).data))
  for (let seed = 0; seed < 60; seed++) {
    const result = String(fixed(pixels, new Generator(seed)).data)
    expect(possible).toContain(result)
    orders.add(result)
  }
  expect(orders.size).toBeGreaterThan(3)
  expect(colorJitter()(pixels, new Generator(0))).toBe(pixels)
  const bright = colorJitter({ brightness: 0.5 })
  const white = line(1, 100)
  const values = Array.from({ length: 500 }, (_, seed) => bright(white, new Generator(seed)).data[0]!)
  expect([Math.min(...values) >= 50, Math.max(...values) <= 150]).toEqual([true, true])
  expect(Math.max(...values) - Math.min(...values)).toBeGreaterThan(95)
})

describe('tensors and kinds', () => {
  test('toBytes undoes toFloat for every byte, and cuts', () => {
    const all = line(1, ...Array.from({ length: 256 }, (_, i) => i))
    expect(toBytes(toFloat(all))).toEqual(all)
    expect([...toBytes({ data: Float32Array.of(-1, 2, 0.5), height: 1, width: 3, channels: 1 }).data]).toEqual([
      0, 255, 127,
    ])
    expect(toBytes(all)).toBe(all)
  })

  test('toTensor is (C, H, W)', async () => {
    const pixels = bytes(2, 3, 3)
    const result = toTensor(pixels)
    expect([result.shape, result.dtype]).toEqual([[3, 2, 3], 'float32'])
    const data = await result.data()
    for (let c = 0; c < 3; c++) {
      for (let i = 0; i < 6; i++) expect(data[c * 6 + i]).toBe(Math.fround(pixels.data[i * 3 + c]! / 255))
    }
    result.dispose()
    expect(() => toTensor({ ...pixels, height: 3 })).toThrow(ShapeError)
  })
})
