import { describe, expect, it } from 'vitest'
import type { CrossEntropySpec, Rows } from '../../src/backends/backend.ts'
import { softmaxKernels } from '../../src/backends/wasm/kernels/softmax.ts'
import { ArgumentError } from '../../src/errors.ts'
import { Generator } from '../../src/random.ts'
import { between, forSeeds, normals } from '../numbers.ts'
import { engine, expectLikeReference, expectSameBits, guarded, plain, unfused, upload } from './kernels.ts'

const fused = guarded(softmaxKernels(engine, plain))

describe.each([
  ['', fused],
  [' without fused products', guarded(softmaxKernels(unfused, plain))],
])('softmax%s', (_, family) => {
  it('agrees with float64 along any axis, with its gradients', () => {
    forSeeds(30, (random) => {
      const inner = random.integer(2) === 0 ? 1 : between(random, 2, 23)
      const rows: Rows = [between(random, 1, 9), between(random, 1, 90), inner]
      const length = rows[0] * rows[1] * rows[2]
      const x = normals(random, length).map((value) => value * 8)
      for (const log of [false, true]) {
        expectLikeReference([x], (k, x) => k.softmax(x, rows, log), family, 2e-6)
        const g = normals(random, length)
        // The gradient takes softmax's result, so it is given the same rounded one on both sides.
        const y = x.map((value) => (log ? -Math.abs(value) : Math.abs(value) / 40))
        expectLikeReference([g, y], (k, g, y) => k.softmaxGrad(g, y, rows, log), family, 1e-5)
      }
    })
  })

  it('neither overflows nor loses large or impossible logits', () => {
    const x = Float64Array.of(1e4, 1e4 - 1, -1e4, -Infinity, 1e4 - 3)
    for (const log of [false, true]) {
      expectLikeReference([x], (k, x) => k.softmax(x, [1, 5, 1], log), family, 1e-7)
      expectLikeReference([x], (k, x) => k.softmax(x, [5, 1, 1], log), family, 1e-7)
    }
  })

  it('keeps the digits of small probabilities, as far as differences of logits have them, and ends at exactly 0', () => {
    const logits = Float64Array.from({ length: 4001 }, (_, i) => 3 - i / 40)
    for (const inner of [1, 2]) {
      const x = upload(Float64Array.from({ length: logits.length * inner }, (_, i) => logits[Math.floor(i / inner)]!))
      const y = family.softmax(x, [1, logits.length, inner], false)
      const [given, got] = [engine.array(x), engine.array(y)]
      // As shares of the largest, so that the rounding of the sum is not in it.
      for (const [i, value] of got.entries()) {
        const distance = 3 - given[i]!
        const share = value / got[0]!
        if (distance < 80) expect(Math.abs(share / Math.exp(-distance) - 1)).toBeLessThan(4e-7 + distance * 6e-8)
        else if (distance > 88) expect(value).toBe(0)
      }
      engine.free(x)
      engine.free(y)
    }
  })

  it('is exactly 1 where there is one class, and NaN in the rows of a NaN alone', () => {
    for (const inner of [1, 3]) {
      const x = upload(normals(new Generator(5), 12))
      const y = family.softmax(x, [12 / inner, 1, inner], false)
      expect([...engine.array(y)]).toEqual(new Array(12).fill(1))
      engine.free(x)
      engine.free(y)
    }
    // A NaN in any lane of a full turn, of a single vector and of what is left over.
    const size = 23
    for (let at = 0; at < size; at++) {
      const data = normals(new Generator(at), 3 * size)
      data[size + at] = Number.NaN
      expectLikeReference([data], (k, x) => k.softmax(x, [3, size, 1], false), family, 1e-6)
      expectLikeReference([data], (k, x) => k.softmax(x, [3, size, 1], true), family, 1e-6)
    }
  })

  it('gives the same bits on any number of threads', () => {
    for (const rows of [
      [300, 37, 1],
      [3, 20, 70],
    ] as const) {
      const [x, g] = [1, 2].map((seed) => upload(normals(new Generator(seed), rows[0] * rows[1] * rows[2])))
      for (const log of [false, true]) {
        expectSameBits(() => family.softmax(x!, rows, log))
        expectSameBits(() => family.softmaxGrad(g!, x!, rows, log))
      }
      for (const buffer of [x, g]) engine.free(buffer!)
    }
  })
})

describe('crossEntropy', () => {
  const family = fused
  const targetOf = (random: Generator, rows: number, classes: number): Int32Array | Float64Array =>
    random.integer(2) === 0
      ? Int32Array.from({ length: rows }, () => random.integer(classes + 1) - 1)
      : normals(random, rows * classes).map((value) => (random.integer(3) === 0 ? 0 : Math.abs(value)))

  it('agrees with float64 for classes and distributions, weights, smoothing and ignored rows', () => {
    forSeeds(60, (random) => {
      const [rows, classes] = [between(random, 1, 40), between(random, 1, 70)]
      const logits = normals(random, rows * classes).map((value) => value * 5)
      const target = targetOf(random, rows, classes)
      const weight =
        random.integer(2) === 0
          ? null
          : normals(random, classes).map((value) => (random.integer(4) === 0 ? 0 : Math.abs(value)))
      const smoothing = [0, 0.1, 1][random.integer(3)]!
      const spec: CrossEntropySpec = { rows, classes, labelSmoothing: smoothing, ignoreIndex: -1 }
      expectLikeReference(
        [logits, target, weight],
        (k, logits, target, weight) => ({ ...k.crossEntropy(logits, target, weight, spec) }),
        family,
        2e-6,
      )
      expectLikeReference(
        [normals(random, rows), logits, target, weight],
        (k, g, logits, target, weight) => k.crossEntropyGrad(g, logits, target, weight, spec),
        family,
        1e-5,
      )
    })
  })

  it('is exactly 0 where one class alone is possible', () => {
    const spec: CrossEntropySpec = { rows: 1, classes: 37, labelSmoothing: 0, ignoreIndex: -100 }
    for (const top of [0, 17, 33, 36]) {
      const logits = Float64Array.from({ length: 37 }, (_, i) => (i === top ? 12.3 : -90))
      const [x, target] = [upload(logits), upload(Int32Array.of(top))]
      const { loss, rowWeight } = family.crossEntropy(x, target, null, spec)
      expect(engine.array(loss)[0]).toBe(0)
      for (const buffer of [x, target, loss, rowWeight]) engine.free(buffer)
    }
  })

  it('lets a class without a share be impossible', () => {
    const spec: CrossEntropySpec = { rows: 1, classes: 3, labelSmoothing: 0, ignoreIndex: -100 }
    const logits = Float64Array.of(-Infinity, 1, 2)
    for (const target of [Int32Array.of(1), Float64Array.of(0, 0.25, 0.75)]) {
      expectLikeReference([logits, target], (k, x, t) => ({ ...k.crossEntropy(x, t, null, spec) }), family, 1e-6)
    }
  })

  it('refuses a class that is not there and leaves nothing behind', () => {
    const spec: CrossEntropySpec = { rows: 2, classes: 3, labelSmoothing: 0, ignoreIndex: -100 }
    const [logits, target] = [upload(new Float64Array(6)), upload(Int32Array.of(0, 3))]
    const before = engine.memory.buffers
    expect(() => family.crossEntropy(logits, target, null, spec)).toThrow(ArgumentError)
    expect(() => family.crossEntropyGrad(logits, logits, target, null, spec)).toThrow('got 3 in row 1')
    expect(engine.memory.buffers).toBe(before)
    for (const buffer of [logits, target]) engine.free(buffer)
  })

  it('gives the same bits on any number of threads', () => {
    const random = new Generator(4)
    const spec: CrossEntropySpec = { rows: 200, classes: 50, labelSmoothing: 0.1, ignoreIndex: -100 }
    const [logits, g] = [upload(normals(random, 10_000)), upload(normals(random, 200))]
    for (const target of [Int32Array.from({ length: 200 }, (_, i) => i % 50), normals(random, 10_000)].map(upload)) {
      expectSameBits(() => ({ ...family.crossEntropy(logits, target, null, spec) }))
      expectSameBits(() => family.crossEntropyGrad(g, logits, target, null, spec))
      engine.free(target)
    }
    for (const buffer of [logits, g]) engine.free(buffer)
  })
})
