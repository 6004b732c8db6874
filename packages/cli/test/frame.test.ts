import type { Pixels } from '@convnets/data'
import { fill } from '@convnets/testkit'
import { describe, expect, test } from 'vitest'
import { frame } from '../src/frame.ts'
import fixture from './fixtures/bilinear.json' with { type: 'json' }

const grey = (height: number, width: number, value: (y: number, x: number) => number): Pixels => ({
  data: Float32Array.from({ length: height * width }, (_, i) => value(Math.floor(i / width), i % width)),
  height,
  width,
  channels: 1,
})

/** The picture of `fixtures/goldens/generate.py` under this name. */
function picture({ name, height, width }: { name: string; height: number; width: number }): Pixels {
  const noise = fill(name, [height, width, 3])
  const data = Uint8Array.from(noise, (u, i) => {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)]
    const base = [(x * 255) / (width - 1), (y * 255) / (height - 1), ((x + y) * 255) / (height + width - 2)][c]!
    return Math.min(255, Math.max(0, Math.floor(base * 0.75 + 32 + 24 * u)))
  })
  return { data, height, width, channels: 3 }
}

describe('frame', () => {
  test('a picture of the right size is not touched', () => {
    const picture = grey(5, 7, (y, x) => y * x)
    expect(frame(picture, 5, 7)).toBe(picture)
  })

  test.each([
    [28, 28, 56, 56],
    [28, 28, 13, 9],
    [28, 28, 480, 640],
    [32, 32, 1, 1],
    [28, 28, 29, 1000],
  ])('%d x %d of one colour stays of that colour, made from %d x %d', (height, width, fromHeight, fromWidth) => {
    const result = frame(
      grey(fromHeight, fromWidth, () => 0.25),
      height,
      width,
    )
    expect([result.height, result.width, result.channels]).toEqual([height, width, 1])
    expect(result.data).toHaveLength(height * width)
    for (const value of result.data) expect(value).toBeCloseTo(0.25, 6)
  })

  test.each(fixture.cases)('$input.name in $shape is as Pillow makes it', ({ input, shape, bytes }) => {
    const [height, width] = shape as [number, number]
    const result = frame(picture(input), height, width)
    // Pillow rounds to bytes after each of its two passes, so it may be off by one.
    const expected = Buffer.from(bytes, 'base64')
    const worst = Math.max(...Array.from(expected, (value, i) => Math.abs(value - 255 * result.data[i]!)))
    expect(result.data).toHaveLength(expected.length)
    expect(worst).toBeLessThan(1.01)
  })

  test('enlarging is linear between pixel centres', () => {
    const result = frame(
      grey(2, 2, (_, x) => x),
      4,
      4,
    )
    for (const [i, value] of [0, 0.25, 0.75, 1].entries()) expect(result.data[i]).toBeCloseTo(value, 6)
  })

  test('the longer side is cut in the middle', () => {
    // Three fields of 28 x 28, left to right: 0, 1, 0.
    const picture = grey(28, 84, (_, x) => (x >= 28 && x < 56 ? 1 : 0))
    expect(new Set(frame(picture, 28, 28).data)).toEqual(new Set([1]))
    const tall = grey(84, 28, (y) => (y >= 28 && y < 56 ? 1 : 0))
    expect(new Set(frame(tall, 28, 28).data)).toEqual(new Set([1]))
  })

  test('bytes become floats from 0 to 1', () => {
    const picture: Pixels = { data: Uint8Array.from([255, 255, 255, 255]), height: 2, width: 2, channels: 1 }
    expect(Array.from(frame(picture, 1, 1).data)).toEqual([1])
  })
})
