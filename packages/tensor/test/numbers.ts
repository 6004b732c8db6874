import { expect } from 'vitest'
import type { ConvSpec, PoolSpec, Windows } from '../src/backends/backend.ts'
import { Generator } from '../src/random.ts'

/** `length` normal numbers. */
export function normals(random: Generator, length: number): Float64Array {
  return Float64Array.from({ length }, () => random.normal())
}

/** An integer from `low` to `high`, both included. */
export function between(random: Generator, low: number, high: number): number {
  return low + random.integer(high - low + 1)
}

/** Runs `test` for `count` numbered generators; a failure tells which. */
export function forSeeds(count: number, test: (random: Generator) => void): void {
  for (let seed = 0; seed < count; seed++) {
    try {
      test(new Generator(seed))
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error })
    }
  }
}

/** Expects equality up to `tolerance` times the largest absolute value expected, or `least` if that is more. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  least = 1e-30,
): void {
  expect(actual.length).toBe(expected.length)
  let largest = least
  for (let i = 0; i < expected.length; i++) {
    const size = Math.abs(expected[i]!)
    if (Number.isFinite(size)) largest = Math.max(largest, size)
  }
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i]!
    const b = expected[i]!
    if (!Object.is(a, b) && a !== b && !(Math.abs(a - b) <= tolerance * largest)) {
      expect.fail(`element ${i}: expected ${b}, got ${a} (largest ${largest}, tolerance ${tolerance})`)
    }
  }
}

/** Sum of products. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length)
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

/** Gradient of f at x by central differences. */
export function numericalGradient(f: (x: Float64Array) => number, x: Float64Array, step = 1e-5): Float64Array {
  return x.map((value, i) => {
    const moved = x.slice()
    moved[i] = value + step
    const up = f(moved)
    moved[i] = value - step
    return (up - f(moved)) / (2 * step)
  })
}

/** A random convolution: groups, dilation, strides and asymmetric (even negative, cropping) padding. */
export function randomConv(random: Generator): ConvSpec {
  const groups = between(random, 1, 3)
  const axis = (): {
    kernel: number
    stride: number
    dilation: number
    before: number
    input: number
    output: number
  } => {
    const [kernel, stride, dilation] = [between(random, 1, 3), between(random, 1, 3), between(random, 1, 2)]
    const [before, after] = [between(random, -1, 3), between(random, -1, 3)]
    const reach = dilation * (kernel - 1) + 1
    const input = Math.max(1, reach - before - after) + between(random, 0, 6)
    return {
      kernel,
      stride,
      dilation,
      before,
      input,
      output: Math.floor((input + before + after - reach) / stride) + 1,
    }
  }
  const [y, x] = [axis(), axis()]
  return {
    batch: between(random, 1, 2),
    inHeight: y.input,
    inWidth: x.input,
    inChannels: groups * between(random, 1, 3),
    outHeight: y.output,
    outWidth: x.output,
    outChannels: groups * between(random, 1, 3),
    kernelHeight: y.kernel,
    kernelWidth: x.kernel,
    strideHeight: y.stride,
    strideWidth: x.stride,
    padTop: y.before,
    padLeft: x.before,
    dilationHeight: y.dilation,
    dilationWidth: x.dilation,
    groups,
  }
}

/** Windows of `kernel` cells every `stride` cells over `size` cells with `padding` before and after, clipped to the input. */
export function plainWindows(
  size: number,
  kernel: number,
  stride: number,
  padding: number,
  countPadding: boolean,
): Windows {
  const length = Math.floor((size + 2 * padding - kernel) / stride) + 1
  const first = Int32Array.from({ length }, (_, i) => i * stride - padding)
  const starts = first.map((start) => Math.max(0, start))
  const ends = first.map((start) => Math.min(size, start + kernel))
  return { starts, ends, counts: countPadding ? first.map(() => kernel) : ends.map((end, i) => end - starts[i]!) }
}

/** Windows of adaptive pooling: cell i of n covers floor(i size / n) to ceil((i + 1) size / n). */
export function adaptiveWindows(size: number, n: number): Windows {
  const starts = Int32Array.from({ length: n }, (_, i) => Math.floor((i * size) / n))
  const ends = Int32Array.from({ length: n }, (_, i) => Math.ceil(((i + 1) * size) / n))
  return { starts, ends, counts: ends.map((end, i) => end - starts[i]!) }
}

/** A random pooling: plain or adaptive, overlapping or with gaps, with and without padding. */
export function randomPool(random: Generator, channels: number = between(random, 1, 9)): PoolSpec {
  const axis = (): [number, Windows] => {
    const size = between(random, 3, 12)
    if (random.integer(3) === 0) return [size, adaptiveWindows(size, between(random, 1, size))]
    const kernel = between(random, 1, 3)
    const padding = between(random, 0, kernel >> 1)
    return [size, plainWindows(size, kernel, between(random, 1, 3), padding, random.integer(2) === 0)]
  }
  const [[height, rows], [width, columns]] = [axis(), axis()]
  return { batch: between(random, 1, 3), height, width, channels, rows, columns }
}
