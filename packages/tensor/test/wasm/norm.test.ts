import { describe, expect, it } from 'vitest'
import type { Buffer, NormExtents } from '../../src/backends/backend.ts'
import { normKernels } from '../../src/backends/wasm/kernels/norm.ts'
import { relu, silu } from '../../src/ops/elementwise.ts'
import { activationOf } from '../../src/ops/formula-op.ts'
import { Generator } from '../../src/random.ts'
import { between, expectClose, forSeeds, normals } from '../numbers.ts'
import { GuardedEngine } from './guards.ts'
import { engine, expectLikeReference, expectSameBits, guarded, plain, upload } from './kernels.ts'

const family = guarded(normKernels(engine, plain))
const eps = 1e-5

const seams: NormExtents[] = [
  [1, 1, 3, 1],
  [1, 129, 64, 1],
  [1, 1300, 24, 1],
  [1, 2600, 3, 1],
  [1, 2601, 3, 1],
  [1, 40, 520, 1],
  [4, 49, 16, 1],
  [3, 100, 4, 5],
  [2, 64, 1, 7],
  [5, 1, 3, 4],
  [7, 1, 1, 65],
  [300, 1, 1, 48],
  [2, 1, 1, 5000],
]

function shape(random: Generator): NormExtents {
  const kinds: NormExtents[] = [
    [1, between(random, 2, 700), between(random, 1, 80), 1],
    [between(random, 1, 6), between(random, 2, 90), between(random, 1, 40), 1],
    [between(random, 1, 6), between(random, 2, 90), between(random, 1, 6), between(random, 1, 9)],
    [between(random, 1, 60), 1, 1, between(random, 2, 300)],
  ]
  return kinds[random.integer(4)]!
}

function check(random: Generator, extents: NormExtents): void {
  const [a, b, c, d] = extents
  const length = a * b * c * d
  // Means of several standard deviations, as activations have them.
  const x = normals(random, length).map((value, i) => value + 3 * Math.sin(Math.floor(i / d) % c))
  const weight = random.integer(3) > 0 ? normals(random, c * d) : null
  const bias = random.integer(3) > 0 ? normals(random, c * d) : null
  expectLikeReference([x, weight, bias], (k, x, w, b) => k.normalize(x, w, b, extents, eps), family, 2e-6)
  const [g, mean, variance] = [normals(random, length), new Float64Array(a * c), new Float64Array(a * c)]
  for (let ia = 0; ia < a; ia++) {
    for (let ic = 0; ic < c; ic++) {
      const values = Array.from({ length: b * d }, (_, i) => {
        return x[((ia * b + Math.floor(i / d)) * c + ic) * d + (i % d)]!
      })
      const average = values.reduce((p, q) => p + q) / values.length
      mean[ia * c + ic] = average
      variance[ia * c + ic] = values.reduce((sum, value) => sum + (value - average) ** 2, 0) / values.length
    }
  }
  if (b * d === 1) variance.fill(1)
  expectLikeReference(
    [g, x, weight, mean, variance],
    (k, g, x, w, mean, variance) => ({ ...k.normalizeGrad(g, x, w, mean, variance, extents, eps) }),
    family,
    1e-5,
  )
}

describe('normalize', () => {
  it('agrees with float64 in batch, instance, group and layer norm, with its gradients', () => {
    forSeeds(40, (random) => check(random, shape(random)))
  })

  it('agrees on the shapes at the seams', () => {
    for (const extents of seams) check(new Generator(extents[1]), extents)
  })

  it('keeps its digits where the mean is large, the first rows are not like the rest, or all are equal', () => {
    const rows = 20_000
    const cases: ((i: number) => number)[] = [
      (i) => 1000 + Math.sin(i),
      (i) => (i < 100 * 16 ? 0 : 50) + Math.sin(i),
      (i) => i / 1000,
      (i) => (i === 5 ? 1e6 : Math.sin(i)),
    ]
    for (const value of cases) {
      const x = Float64Array.from({ length: rows * 16 }, (_, i) => value(i))
      const tolerance = { output: 1e-4, mean: 1e-6, variance: 1e-5 }
      expectLikeReference([x], (k, x) => k.normalize(x, null, null, [1, rows, 16, 1], eps), family, tolerance)
    }
    const constant = engine.alloc('float32', 4096)
    engine.array(constant).fill(7.3)
    for (const extents of [
      [1, 1024, 4, 1],
      [64, 1, 1, 64],
    ] as const) {
      const { output, mean, variance } = family.normalize(constant, null, null, extents, eps)
      expect(engine.array(output).every((value) => Math.abs(value) < 1e-3)).toBe(true)
      expect(engine.array(variance).every((value) => value >= 0 && value < 1e-11)).toBe(true)
      for (const buffer of [output, mean, variance]) engine.free(buffer)
    }
    engine.free(constant)
  })

  it('gives the same bits on any number of threads', () => {
    for (const extents of [
      [1, 5000, 24, 1],
      [8, 40, 4, 6],
      [333, 1, 1, 96],
    ] as const) {
      const random = new Generator(5)
      const size = extents[2] * extents[3]
      const [x, g, weight, bias] = [0, 0, size, size].map((length) => {
        const data = normals(random, length || extents[0] * extents[1] * size)
        return upload(data)
      })
      expectSameBits(() => ({ ...family.normalize(x!, weight!, bias!, extents, eps) }))
      const { output, mean, variance } = family.normalize(x!, weight!, bias!, extents, eps)
      expectSameBits(() => ({ ...family.normalizeGrad(g!, x!, weight!, mean, variance, extents, eps) }))
      for (const buffer of [x, g, weight, bias, output, mean, variance]) engine.free(buffer!)
    }
  })

  it('gives the same bits on any number of threads with an activation and its gradient', () => {
    for (const [rows, channels] of [
      [5000, 24],
      [2601, 3],
      [40, 520],
      [7, 1],
    ] as const) {
      const random = new Generator(5)
      const [x, g] = [0, 0].map(() => upload(normals(random, rows * channels)))
      const [weight, bias] = [0, 0].map(() => upload(normals(random, channels)))
      for (const { formula, gradient } of [relu, silu].map((act) => activationOf('test', act)!)) {
        const forward = () => family.normalizeBatch!(x!, weight!, bias!, channels, eps, formula, null)
        expectSameBits(() => ({ ...forward() }))
        const { output, ...statistics } = forward()
        expectSameBits(() => ({ ...family.normalizeBatchGrad!(g!, x!, weight!, statistics, eps, gradient) }))
        for (const buffer of [output, ...Object.values(statistics)]) engine.free(buffer)
      }
      for (const buffer of [x, g, weight, bias]) engine.free(buffer!)
    }
  })

  it('reads and writes no memory but its own, and moves running statistics on', () => {
    const host = new GuardedEngine(64)
    const kernels = normKernels(host.engine, host.plain)
    const numbers = (buffer: Buffer): number[] => [...host.array(buffer)]
    for (const extents of seams) {
      host.case(() => {
        const random = new Generator(extents[1])
        const [a, b, c, d] = extents
        const [x, g] = [0, 0].map(() => host.normals(random, a * b * c * d)) as [Buffer, Buffer]
        const [weight, bias] = [0, 0].map(() => host.normals(random, c * d)) as [Buffer, Buffer]
        const results = kernels.normalize(x, weight, bias, extents, eps)
        const grads = kernels.normalizeGrad(g, x, weight, results.mean, results.variance, extents, eps)
        const finite = [...Object.values(results), ...Object.values(grads)].flatMap((buffer) => [...host.keep(buffer)])
        expect(finite.every(Number.isFinite), String(extents)).toBe(true)
      })
    }
    for (const [rows, channels] of [
      [50, 1],
      [40, 6],
      [2601, 3],
      [33, 17],
      [40, 520],
    ] as const) {
      for (const momentum of [0.1, null]) {
        host.case(() => {
          const random = new Generator(rows)
          const [x, g] = [0, 0].map(() => host.normals(random, rows * channels)) as [Buffer, Buffer]
          const [weight, bias, mean, variance] = Array.from({ length: 4 }, () => host.normals(random, channels)) as [
            Buffer,
            Buffer,
            Buffer,
            Buffer,
          ]
          const count = host.engine.alloc('int32', 1)
          host.keep(count).fill(3)
          const former = [numbers(mean), numbers(variance)] as const
          const { formula, gradient } = activationOf('test', silu)!
          const running = { mean, variance, count, momentum }
          const { output, ...statistics } = kernels.normalizeBatch!(
            ...[x, weight, bias, channels, eps, formula, running],
          )
          const grads = kernels.normalizeBatchGrad!(g, x, weight, statistics, eps, gradient)
          for (const buffer of [output, ...Object.values(statistics), ...Object.values(grads)]) {
            expect(host.keep(buffer).every(Number.isFinite)).toBe(true)
          }
          expect(numbers(count)).toEqual([4])
          const share = momentum ?? 1 / 4
          const moved = (values: readonly number[], news: Buffer, factor: number): number[] =>
            values.map((value, i) => (1 - share) * value + share * factor * host.array(news)[i]!)
          expectClose(host.array(mean), moved(former[0], statistics.mean, 1), 1e-6)
          expectClose(host.array(variance), moved(former[1], statistics.variance, rows / (rows - 1)), 1e-6)
        })
      }
    }
  })
})
