import { describe, expect, it } from 'vitest'
import type { InterpolateSpec, PoolSpec, Samples } from '../../src/backends/backend.ts'
import { maxPool } from '../../src/backends/reference/pool.ts'
import { interpolateKernels } from '../../src/backends/wasm/kernels/interpolate.ts'
import { poolKernels } from '../../src/backends/wasm/kernels/pool.ts'
import { Generator } from '../../src/random.ts'
import { adaptiveWindows, between, forSeeds, normals, plainWindows, randomPool } from '../numbers.ts'
import { engine, expectLikeReference, expectSameBits, guarded, plain, unfused, upload } from './kernels.ts'

const family = guarded({ ...poolKernels(engine, plain), ...interpolateKernels(engine, plain) })

function sizes(spec: PoolSpec): [input: number, output: number] {
  const images = spec.batch * spec.channels
  return [images * spec.height * spec.width, images * spec.rows.starts.length * spec.columns.starts.length]
}

/** The positions of the maxima of x. */
function indicesOf(x: Float64Array, spec: PoolSpec): Int32Array {
  const indices = new Int32Array(sizes(spec)[1])
  maxPool(Float32Array.from(x), spec, new Float32Array(indices.length), indices)
  return indices
}

function check(random: Generator, spec: PoolSpec): void {
  const [inputs, outputs] = sizes(spec)
  // Few different numbers, so that there are equals.
  const x = normals(random, inputs).map((value) => Math.round(value * 4) / 4)
  const g = normals(random, outputs)
  expectLikeReference([x], (k, x) => k.avgPool(x, spec), family, 2e-6)
  expectLikeReference([g], (k, g) => k.avgPoolGrad(g, spec), family, 1e-5)
  for (const indexed of [true, false])
    expectLikeReference([x], (k, x) => ({ ...k.maxPool(x, spec, indexed) }), family, 0)
  expectLikeReference([g, indicesOf(x, spec)], (k, g, i) => k.maxPoolGrad(g, i, spec), family, 1e-5)
}

describe('pooling', () => {
  it('agrees with float64 for windows of any kind and any number of channels', () => {
    forSeeds(60, (random) => check(random, randomPool(random, between(random, 1, 40))))
  })

  it('agrees for one window over all, for images of one pixel and for windows that are empty', () => {
    const whole = adaptiveWindows(37, 1)
    const one = adaptiveWindows(1, 1)
    const empty = { starts: Int32Array.of(0, 4), ends: Int32Array.of(2, 1), counts: Int32Array.of(2, 2) }
    for (const [size, windows] of [
      [37, whole],
      [1, one],
      [5, empty],
    ] as const) {
      const spec: PoolSpec = { batch: 2, height: size, width: size, channels: 21, rows: windows, columns: windows }
      check(new Generator(size), spec)
    }
  })

  it('takes NaN before every number, and the last of several', () => {
    forSeeds(10, (random) => {
      const spec = randomPool(random, 6)
      const x = normals(random, sizes(spec)[0]).map((value) => {
        const dice = random.integer(6)
        return dice === 0 ? Number.NaN : dice === 1 ? -Infinity : value
      })
      for (const one of [family, guarded(poolKernels(unfused, plain))])
        for (const indexed of [true, false])
          expectLikeReference([x], (k, x) => ({ ...k.maxPool(x, spec, indexed) }), one, 0)
    })
  })

  it('finds a NaN in any cell and channel, among infinities and numbers whose squares are none', () => {
    const others = [Infinity, -Infinity, 3e38, -3e38, 1e-44, -0, 0]
    for (const channels of [1, 3, 5, 7, 17, 32]) {
      const spec: PoolSpec = {
        ...{ batch: 1, height: 5, width: 6, channels },
        ...{ rows: plainWindows(5, 3, 2, 1, true), columns: plainWindows(6, 3, 2, 1, true) },
      }
      const random = new Generator(channels)
      for (let cell = -1; cell < 30; cell++) {
        const x = new Float64Array(30 * channels).map(() => others[random.integer(others.length)]!)
        if (cell >= 0) x[cell * channels + (cell % channels)] = Number.NaN
        for (const one of [family, guarded(poolKernels(unfused, plain))])
          for (const indexed of [true, false])
            expectLikeReference([x], (k, x) => ({ ...k.maxPool(x, spec, indexed) }), one, 0)
      }
      for (const same of [-Infinity, Number.NaN]) {
        const x = new Float64Array(30 * channels).fill(same)
        for (const indexed of [true, false])
          expectLikeReference([x], (k, x) => ({ ...k.maxPool(x, spec, indexed) }), family, 0)
      }
    }
  })

  it('gives for many images, more than caches hold, what it gives for each of them', () => {
    const one: PoolSpec = {
      ...{ batch: 1, height: 160, width: 128, channels: 65 },
      ...{ rows: plainWindows(160, 3, 2, 1, true), columns: plainWindows(128, 3, 2, 1, true) },
    }
    const [size, length] = sizes(one)
    const data = normals(new Generator(8), 4 * size)
    const all = upload(data)
    const pooled = family.maxPool(all, { ...one, batch: 4 }, false).output
    for (let image = 0; image < 4; image++) {
      const x = upload(data.subarray(image * size, (image + 1) * size))
      const { output } = family.maxPool(x, one, false)
      const [expected, got] = [engine.array(output), engine.array(pooled)]
      expect(expected.every((value, i) => value === got[image * length + i])).toBe(true)
      engine.free(x)
      engine.free(output)
    }
    engine.free(all)
    engine.free(pooled)
  })

  it('gives the same bits on any number of threads', () => {
    const random = new Generator(3)
    const spec: PoolSpec = {
      ...{ batch: 4, height: 30, width: 31, channels: 19 },
      ...{ rows: plainWindows(30, 3, 2, 1, true), columns: plainWindows(31, 3, 2, 1, true) },
    }
    const [inputs, outputs] = sizes(spec)
    const data = normals(random, inputs)
    const [x, g, indices] = [upload(data), upload(normals(random, outputs)), upload(indicesOf(data, spec))]
    expectSameBits(() => family.avgPool(x, spec))
    expectSameBits(() => family.avgPoolGrad(g, spec))
    for (const indexed of [true, false]) expectSameBits(() => ({ ...family.maxPool(x, spec, indexed) }))
    expectSameBits(() => family.maxPoolGrad(g, indices, spec))
    for (const buffer of [x, g, indices]) engine.free(buffer)
  })
})

describe('interpolate', () => {
  const samples = (random: Generator, size: number): Samples => {
    const length = between(random, 1, 15)
    const nearest = random.integer(3) === 0
    const ratio = size / length
    const at = Float64Array.from({ length }, (_, i) => Math.min(size - 1, Math.max(0, (i + 0.5) * ratio - 0.5)))
    const low = Int32Array.from(at, Math.floor)
    if (nearest) return { low, high: low, fraction: new Float64Array(length) }
    return { low, high: low.map((i) => Math.min(size - 1, i + 1)), fraction: at.map((p, i) => p - low[i]!) }
  }

  it('agrees with float64, up and down, with its gradients', () => {
    forSeeds(40, (random) => {
      const [batch, height, width, channels] = [1, 8, 8, 24].map((most) => between(random, 1, most)) as [
        number,
        number,
        number,
        number,
      ]
      const spec: InterpolateSpec = {
        ...{ batch, height, width, channels },
        ...{ rows: samples(random, height), columns: samples(random, width) },
      }
      const x = normals(random, batch * height * width * channels)
      const g = normals(random, batch * spec.rows.low.length * spec.columns.low.length * channels)
      expectLikeReference([x], (k, x) => k.interpolate(x, spec), family, 2e-6)
      expectLikeReference([g], (k, g) => k.interpolateGrad(g, spec), family, 1e-5)
    })
  })

  it('does not mix an infinity into a nearest neighbour', () => {
    const nearest = { low: Int32Array.of(0, 1), high: Int32Array.of(1, 1), fraction: new Float64Array(2) }
    const spec: InterpolateSpec = { batch: 1, height: 2, width: 2, channels: 1, rows: nearest, columns: nearest }
    const x = upload(Float32Array.of(Infinity, 2, 3, Number.NaN))
    const out = family.interpolate(x, spec)
    expect([...engine.array(out)]).toEqual([Infinity, 2, 3, Number.NaN])
    engine.free(out)
    engine.free(x)
  })
})
