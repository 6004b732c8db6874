import { ArgumentError } from '@convnets/tensor'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Image, type Interpolation, type Pixels, resize, resizedCrop, toFloat } from '../src/index.ts'
import { interpolations } from '../src/resize/filters.ts'
import { resampleFast } from '../src/resize/kernel.ts'
import { resamplePlain } from '../src/resize/plain.ts'
import { makeTaps } from '../src/resize/taps.ts'

const smooth = interpolations.filter((name) => name !== 'nearest')

/** Bytes that look like noise; a function of `seed`. */
function noise(height: number, width: number, channels: number, seed = 1): Pixels & { data: Uint8Array } {
  const data = Uint8Array.from({ length: height * width * channels }, (_, i) => Math.imul(i + seed, 0x9e3779b1) >>> 24)
  return { data, height, width, channels }
}

/** Equality of many bytes, without the time that it takes to tell them apart nicely. */
function expectSame(got: Pixels['data'] | undefined, expected: Uint8Array): void {
  expect(got).toBeInstanceOf(Uint8Array)
  expect(Buffer.compare(got as Uint8Array, expected)).toBe(0)
}

const extent = fc.integer({ min: 1, max: 70 })
const sizes = fc.tuple(
  extent,
  extent,
  extent,
  extent,
  fc.integer({ min: 1, max: 4 }),
  fc.constantFrom(...smooth),
  fc.nat(1e6),
)

test('the vector kernel gives what the plain loops give, to the bit', () => {
  fc.assert(
    fc.property(sizes, ([height, width, down, across, channels, interpolation, seed]) => {
      const rows = down === height ? undefined : makeTaps(interpolation, height, 0, height, down)
      const columns = across === width ? undefined : makeTaps(interpolation, width, 0, width, across)
      fc.pre(rows !== undefined || columns !== undefined)
      const { data } = noise(height, width, channels, seed)
      const fast = resampleFast(data, height, width, channels, rows, columns)
      expectSame(fast, resamplePlain(data, height, width, channels, rows, columns))
    }),
    { numRuns: 400, seed: 1 },
  )
})

test.each(smooth)('%s: extremes are cut and not wrapped', (interpolation) => {
  const data = Uint8Array.from({ length: 40 * 40 }, (_, i) => (i % 40 < 20 === i < 800 ? 255 : 0))
  for (const size of [7, 97]) {
    const taps = makeTaps(interpolation, 40, 0, 40, size)
    const fast = resampleFast(data, 40, 40, 1, taps, taps)
    expectSame(fast, resamplePlain(data, 40, 40, 1, taps, taps))
    // Corners are far from the edges between the fields.
    expect([fast?.[0], fast?.[size - 1], fast?.at(-1)]).toEqual([255, 0, 255])
  }
})

test('a large picture after a small one and a small one after that', () => {
  const [small, large] = [noise(9, 9, 3), noise(1200, 900, 3)]
  const half = resize([4, 5])
  const before = half(small)
  const shrunk = resize([300, 200])(large)
  const rows = makeTaps('bilinear', 1200, 0, 1200, 300)
  const columns = makeTaps('bilinear', 900, 0, 900, 200)
  expectSame(shrunk.data, resamplePlain(large.data, 1200, 900, 3, rows, columns))
  expect(half(small)).toEqual(before)
})

describe.each(interpolations)('%s', (interpolation) => {
  const to = (height: number, width: number) => resize([height, width], { interpolation })

  test('one colour stays that colour', () => {
    fc.assert(
      fc.property(extent, extent, extent, extent, fc.nat(255), (height, width, down, across, value) => {
        const pixels = { data: new Uint8Array(height * width * 3).fill(value), height, width, channels: 3 }
        const result = to(down, across)(pixels)
        expect([result.height, result.width, result.channels]).toEqual([down, across, 3])
        expectSame(result.data, new Uint8Array(down * across * 3).fill(value))
      }),
      { numRuns: 50, seed: 1 },
    )
  })

  test('channels do not mix, for any number of them', () => {
    const pixels = noise(20, 30, 5)
    const whole = to(13, 41)(pixels)
    for (let c = 0; c < 5; c++) {
      const one = { ...pixels, data: pixels.data.filter((_, i) => i % 5 === c), channels: 1 }
      expect(to(13, 41)(one).data).toEqual(whole.data.filter((_, i) => i % 5 === c))
    }
  })

  test('floats are those of bytes but for rounding', () => {
    // In the middle of the range nothing is cut.
    const whole = noise(31, 22, 3)
    const pixels = { ...whole, data: whole.data.map((value) => 96 + (value >> 2)) }
    const bytes = to(17, 40)(pixels).data
    const floats = to(17, 40)(toFloat(pixels)).data
    expect(floats).toBeInstanceOf(Float32Array)
    for (const [i, value] of floats.entries()) {
      // Bytes are rounded after each pass, and sharp filters amplify that.
      expect(Math.abs(bytes[i]! - 255 * value)).toBeLessThan(1.5)
    }
  })

  test('the input is left alone', () => {
    const pixels = noise(12, 9, 4)
    const copy = pixels.data.slice()
    to(5, 20)(pixels)
    expect(pixels.data).toEqual(copy)
  })
})

test('box by a whole factor is the mean of each block, rounded half up after each pass', () => {
  const pixels = noise(12, 20, 1)
  const { data } = resize([3, 4], { interpolation: 'box' })(pixels)
  for (let y = 0; y < 3; y++) {
    for (let x = 0; x < 4; x++) {
      let sum = 0
      for (let j = 0; j < 4; j++) {
        let row = 0
        for (let i = 0; i < 5; i++) row += pixels.data[(4 * y + j) * 20 + 5 * x + i]!
        sum += Math.floor(row / 5 + 0.5)
      }
      expect(data[y * 4 + x]).toBe(Math.floor(sum / 4 + 0.5))
    }
  }
})

test('nearest repeats and skips', () => {
  const line: Pixels = { data: Uint8Array.of(1, 2, 3, 4), height: 1, width: 4, channels: 1 }
  const to = (width: number) => [...resize([1, width], { interpolation: 'nearest' })(line).data]
  expect([to(8), to(2), to(3)]).toEqual([
    [1, 1, 2, 2, 3, 3, 4, 4],
    [2, 4],
    [1, 3, 4],
  ])
})

test('what is transparent does not bleed', () => {
  // Left half opaque red, right half transparent green.
  const data = Uint8Array.from({ length: 8 * 8 * 4 }, (_, i) => {
    const left = Math.floor(i / 4) % 8 < 4
    return [left ? 255 : 0, left ? 0 : 255, 0, left ? 255 : 0][i % 4]!
  })
  const result = resize([3, 3])(new Image(data, 8, 8, 4))
  for (let i = 0; i < result.data.length; i += 4) {
    const [red, green, , alpha] = result.data.subarray(i, i + 4)
    expect(green).toBe(0)
    if (alpha! > 0) expect(red).toBeGreaterThan(250)
  }
  const grey = resize([2, 2])({ data: Uint8Array.of(200, 255, 0, 0, 200, 255, 0, 0), height: 2, width: 2, channels: 2 })
  expect(grey.height).toBe(2)
})

describe('sizes', () => {
  const shape = (height: number, width: number, ...args: Parameters<typeof resize>) => {
    const result = resize(...args)(noise(height, width, 1))
    return [result.height, result.width]
  }

  test('a number is for the shorter side; the longer is rounded down, as torchvision does', () => {
    expect(shape(480, 640, 256)).toEqual([256, 341])
    expect(shape(640, 480, 256)).toEqual([341, 256])
    expect(shape(375, 500, 232)).toEqual([232, 309])
    expect(shape(33, 33, 32)).toEqual([32, 32])
    expect(shape(2, 3, 7)).toEqual([7, 10])
  })

  test('maxSize bounds the longer side', () => {
    expect(shape(100, 400, 50, { maxSize: 120 })).toEqual([30, 120])
    expect(shape(100, 110, 50, { maxSize: 120 })).toEqual([50, 55])
  })

  test('nothing becomes nothing', () => {
    expect(shape(1, 500, 8, { maxSize: 9 })).toEqual([1, 9])
  })

  test('a picture of that size is given back as it is', () => {
    const pixels = noise(20, 30, 3)
    expect(resize(20)(pixels)).toBe(pixels)
    expect(resize([20, 30])(pixels)).toBe(pixels)
  })

  test('resizedCrop is a crop and a resize', () => {
    const pixels = noise(20, 30, 3)
    const box = { top: 3, left: 4, height: 10, width: 12 }
    const rows = Array.from({ length: 10 }, (_, y) => {
      const from = ((y + 3) * 30 + 4) * 3
      return [...pixels.data.subarray(from, from + 36)]
    })
    const cut = { data: Uint8Array.from(rows.flat()), height: 10, width: 12, channels: 3 }
    expect(resizedCrop(box, [7, 7])(pixels)).toEqual(resize([7, 7])(cut))
  })

  test.each([
    [0, {}, 'resize: size expects integers from 1, got 0'],
    [[3, -1], {}, 'resize: size expects integers from 1, got [3, -1]'],
    [2.5, {}, 'resize: size expects integers from 1, got 2.5'],
    [8, { interpolation: 'cubic' }, "resize: interpolation expects 'nearest' or 'box'"],
    [8, { maxSize: 8 }, 'resize: maxSize expects an integer from 9, got 8'],
    [[8, 8], { maxSize: 9 }, 'resize: maxSize expects a number as size, got [8, 8]'],
  ])('refuses %j, %j', (size, options, message) => {
    const call = (): unknown => resize(size as number, options as { interpolation: Interpolation })
    expect(call).toThrow(ArgumentError)
    expect(call).toThrow(message)
  })
})
