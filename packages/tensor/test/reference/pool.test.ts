import { describe, expect, it } from 'vitest'
import type { InterpolateSpec, PoolSpec, Samples } from '../../src/backends/backend.ts'
import { interpolate, interpolateGrad } from '../../src/backends/reference/interpolate.ts'
import { avgPool, avgPoolGrad, maxPool, maxPoolGrad } from '../../src/backends/reference/pool.ts'
import { between, dot, expectClose, forSeeds, normals, plainWindows, randomPool } from '../numbers.ts'

function sizes(spec: PoolSpec): [input: number, output: number] {
  const images = spec.batch * spec.channels
  return [images * spec.height * spec.width, images * spec.rows.starts.length * spec.columns.starts.length]
}

describe('pooling', () => {
  it('averages by hand, with and without counting the padding', () => {
    const x = Float64Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9)
    for (const [countPadding, corner] of [[true, 12 / 9] as const, [false, 3] as const]) {
      const windows = plainWindows(3, 3, 2, 1, countPadding)
      const out = new Float64Array(4)
      avgPool(x, { batch: 1, height: 3, width: 3, channels: 1, rows: windows, columns: windows }, out)
      expect(out[0]).toBeCloseTo(corner, 14)
    }
  })

  it('takes the first of equal maxima, and the last NaN before any number', () => {
    const windows = plainWindows(2, 2, 2, 0, false)
    const spec = { batch: 1, height: 2, width: 2, channels: 2, rows: windows, columns: windows }
    const [out, indices] = [new Float64Array(2), new Int32Array(2)]
    maxPool(Float64Array.of(3, 1, 5, Number.NaN, 5, 2, 5, Number.NaN), spec, out, indices)
    expect([...out]).toEqual([5, Number.NaN])
    expect([...indices]).toEqual([1, 3])
    maxPool(new Float64Array(8).fill(-Infinity), spec, out, indices)
    expect([...indices]).toEqual([0, 0])
  })

  it('finds the maximum that its index names, and nothing larger', () => {
    forSeeds(30, (random) => {
      const spec = randomPool(random)
      const [inputs, outputs] = sizes(spec)
      const x = normals(random, inputs)
      const [out, indices] = [new Float64Array(outputs), new Int32Array(outputs)]
      maxPool(x, spec, out, indices)
      const { width, channels, rows, columns } = spec
      const cells = rows.starts.length * columns.starts.length
      for (const [at, value] of out.entries()) {
        const image = Math.floor(at / (cells * channels)) * spec.height * width * channels + (at % channels)
        const [oy, ox] = [
          Math.floor(at / (columns.starts.length * channels)) % rows.starts.length,
          Math.floor(at / channels) % columns.starts.length,
        ]
        expect(x[image + indices[at]! * channels]).toBe(value)
        const window: number[] = []
        for (let iy = 0; iy < spec.height; iy++) {
          for (let ix = 0; ix < width; ix++) {
            const inside =
              iy >= rows.starts[oy]! && iy < rows.ends[oy]! && ix >= columns.starts[ox]! && ix < columns.ends[ox]!
            if (inside) window.push(x[image + (iy * width + ix) * channels]!)
          }
        }
        expect(value).toBe(Math.max(...window))
      }
      const g = normals(random, outputs)
      const gx = new Float64Array(inputs)
      maxPoolGrad(g, indices, spec, gx)
      expect(dot(gx, x)).toBeCloseTo(dot(g, out), 9)
    })
  })

  it('gives gradients that are the transpose of averaging', () => {
    forSeeds(30, (random) => {
      const spec = randomPool(random)
      const [inputs, outputs] = sizes(spec)
      const [x, g] = [normals(random, inputs), normals(random, outputs)]
      const [out, gx] = [new Float64Array(outputs), new Float64Array(inputs)]
      avgPool(x, spec, out)
      avgPoolGrad(g, spec, gx)
      expect(dot(gx, x)).toBeCloseTo(dot(g, out), 9)
    })
  })
})

describe('interpolate', () => {
  const samples = (length: number, position: (i: number) => number, size: number): Samples => {
    const at = Float64Array.from({ length }, (_, i) => Math.min(size - 1, Math.max(0, position(i))))
    const low = Int32Array.from(at, Math.floor)
    return { low, high: low.map((i) => Math.min(size - 1, i + 1)), fraction: at.map((p, i) => p - low[i]!) }
  }

  it('samples a plane exactly', () => {
    forSeeds(20, (random) => {
      const [height, width, channels] = [between(random, 1, 6), between(random, 1, 6), between(random, 1, 3)]
      const rows = samples(between(random, 1, 9), (i) => (i + 0.5) * 0.6 - 0.5, height)
      const columns = samples(between(random, 1, 9), (i) => i * 1.3, width)
      const spec: InterpolateSpec = { batch: 2, height, width, channels, rows, columns }
      const plane = (n: number, y: number, x: number, c: number): number => 100 * n + 3 * y - 2 * x + 10 * c
      const x = Float64Array.from({ length: 2 * height * width * channels }, (_, at) =>
        plane(
          Math.floor(at / (height * width * channels)),
          Math.floor(at / (width * channels)) % height,
          Math.floor(at / channels) % width,
          at % channels,
        ),
      )
      const [oh, ow] = [rows.low.length, columns.low.length]
      const out = new Float64Array(2 * oh * ow * channels)
      interpolate(x, spec, out)
      const expected = out.map((_, at) => {
        const oy = Math.floor(at / (ow * channels)) % oh
        const ox = Math.floor(at / channels) % ow
        return plane(
          Math.floor(at / (oh * ow * channels)),
          rows.low[oy]! + rows.fraction[oy]!,
          columns.low[ox]! + columns.fraction[ox]!,
          at % channels,
        )
      })
      expectClose(out, expected, 1e-14)
      const g = normals(random, out.length)
      const gx = new Float64Array(x.length)
      interpolateGrad(g, spec, gx)
      expect(dot(gx, x)).toBeCloseTo(dot(g, out), 8)
    })
  })

  it('does not mix an infinity into a nearest neighbour', () => {
    const nearest = { low: Int32Array.of(0, 1), high: Int32Array.of(0, 1), fraction: new Float64Array(2) }
    const one = { low: Int32Array.of(0), high: Int32Array.of(0), fraction: new Float64Array(1) }
    const out = new Float64Array(2)
    const spec = { batch: 1, height: 1, width: 2, channels: 1, rows: one, columns: nearest }
    interpolate(Float64Array.of(Infinity, 2), spec, out)
    expect([...out]).toEqual([Infinity, 2])
  })
})
