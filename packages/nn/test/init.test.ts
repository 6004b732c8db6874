import { init } from '@convnets/nn'
import { erf, Generator, ones, rand, reference, seeded, type Tensor, tensor, zeros } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { values } from './values.ts'

const mean = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0) / x.length
const std = (x: readonly number[]): number => Math.sqrt(mean(x.map((v) => (v - mean(x)) ** 2)))
const weight = (): Tensor => zeros([64, 32, 3, 3])
const count = 64 * 32 * 9

/** Expects the moments of `count` independent numbers, within five standard errors. */
function expectMoments(x: readonly number[], expected: { mean?: number; std: number }, bounded: boolean): void {
  expect(Math.abs(mean(x) - (expected.mean ?? 0))).toBeLessThan((5 * expected.std) / Math.sqrt(x.length))
  expect(Math.abs(std(x) / expected.std - 1)).toBeLessThan((bounded ? 4 : 5) / Math.sqrt(2 * x.length))
}

describe('initialisers', () => {
  const [fanIn, fanOut] = [32 * 9, 64 * 9]

  test.each<[string, (t: Tensor) => Tensor, number]>([
    ['kaimingUniform_', (t) => init.kaimingUniform_(t), Math.sqrt(6 / fanIn)],
    [
      'kaimingUniform_ with slope sqrt(5)',
      (t) => init.kaimingUniform_(t, { slope: Math.sqrt(5) }),
      Math.sqrt(1 / fanIn),
    ],
    [
      'kaimingUniform_ by the outputs for tanh',
      (t) => init.kaimingUniform_(t, { mode: 'fanOut', nonlinearity: 'tanh' }),
      (5 / 3) * Math.sqrt(3 / fanOut),
    ],
    ['xavierUniform_', (t) => init.xavierUniform_(t), Math.sqrt(6 / (fanIn + fanOut))],
    ['xavierUniform_ with gain', (t) => init.xavierUniform_(t, { gain: 2 }), 2 * Math.sqrt(6 / (fanIn + fanOut))],
    ['uniform_', (t) => init.uniform_(t, -3, 3), 3],
  ])('%s is uniform within its bound', (_, fillIn, bound) => {
    const x = values(seeded(1, () => fillIn(weight())))
    const largest = Math.max(...x.map(Math.abs))
    expect(largest).toBeLessThanOrEqual(bound * (1 + 1e-6))
    expect(largest).toBeGreaterThan(bound * 0.999)
    expectMoments(x, { std: bound / Math.sqrt(3) }, true)
  })

  test.each<[string, (t: Tensor) => Tensor, number, number]>([
    ['kaimingNormal_', (t) => init.kaimingNormal_(t), 0, Math.sqrt(2 / fanIn)],
    [
      'kaimingNormal_ by the outputs',
      (t) => init.kaimingNormal_(t, { mode: 'fanOut', nonlinearity: 'relu' }),
      0,
      Math.sqrt(2 / fanOut),
    ],
    ['xavierNormal_', (t) => init.xavierNormal_(t, { gain: 3 }), 0, 3 * Math.sqrt(2 / (fanIn + fanOut))],
    ['normal_', (t) => init.normal_(t, 4, 0.5), 4, 0.5],
    ['truncatedNormal_ with far bounds', (t) => init.truncatedNormal_(t, { std: 0.1 }), 0, 0.1],
  ])('%s is normal', (_, fillIn, centre, deviation) => {
    const x = values(seeded(2, () => fillIn(weight())))
    expectMoments(x, { mean: centre, std: deviation }, false)
    // Shares of the normal distribution within 1, 2 and 3 standard deviations.
    for (const [sigmas, share] of [
      [1, 0.682689],
      [2, 0.9545],
      [3, 0.9973],
    ] as const) {
      const inside = x.filter((v) => Math.abs(v - centre) < sigmas * deviation).length / count
      expect(Math.abs(inside - share)).toBeLessThan(5 * Math.sqrt((share * (1 - share)) / count))
    }
  })

  test('truncatedNormal_ stays within its bounds, with the moments of the truncated distribution', () => {
    const x = values(seeded(3, () => init.truncatedNormal_(weight(), { low: -2, high: 2 })))
    expect(Math.max(...x.map(Math.abs))).toBeLessThanOrEqual(2)
    // Variance of a standard normal cut off at +-2: 1 - 4 phi(2) / (2 Phi(2) - 1).
    expectMoments(x, { std: Math.sqrt(0.7737413) }, true)
    const tail = values(seeded(4, () => init.truncatedNormal_(weight(), { low: 3, high: 4 })))
    expect([Math.min(...tail) >= 3, Math.max(...tail) <= 4]).toEqual([true, true])
    // Mean of a standard normal between 3 and 4: (phi(3) - phi(4)) / (Phi(4) - Phi(3)).
    expect(mean(tail)).toBeCloseTo(3.263, 2)
    const moved = values(seeded(5, () => init.truncatedNormal_(weight(), { mean: 1, std: 2, low: -1, high: 3 })))
    expect([Math.min(...moved) >= -1, Math.max(...moved) <= 3]).toEqual([true, true])
    // Variance of a normal cut off at +- one standard deviation: std^2 (1 - 2 phi(1) / (2 Phi(1) - 1)).
    expectMoments(moved, { mean: 1, std: 2 * Math.sqrt(0.2911251) }, true)
  })

  test('truncatedNormal_ is the inverse of the distribution function, far into the tails', () => {
    // Phi(z) must be the uniform number that was drawn for z: 2 Phi(z) - 1 = erf(z / sqrt(2)).
    const options = { dtype: 'float64', backend: reference } as const
    const shape = [4000]
    const z = init.truncatedNormal_(zeros(shape, options), { low: -9, high: 9, generator: new Generator(1) })
    const drawn = values(
      rand(shape, { ...options, generator: new Generator(1) })
        .mul(2)
        .sub(1),
    )
    const reached = values(erf(z.div(Math.SQRT2)))
    drawn.forEach((u, i) => {
      // Relative to the distance from the nearest end, which is what a tail consists of.
      expect(Math.abs((reached[i] ?? Number.NaN) - u) / (1 - Math.abs(u))).toBeLessThan(2e-5)
      expect(Math.abs((reached[i] ?? Number.NaN) - u)).toBeLessThan(5e-7)
    })
    expect(Math.min(...drawn.map((u) => 1 - Math.abs(u)))).toBeLessThan(1e-3)
  })

  test.each([[[6, 10]], [[10, 6]], [[8, 2, 2, 2]], [[5, 5]]])(
    'orthogonal_ of %j has orthonormal rows or columns, times the gain',
    (shape) => {
      const t = seeded(6, () => init.orthogonal_(zeros(shape), { gain: 3 }))
      const m = t.reshape([shape[0] ?? 0, -1])
      const [rows = 0, columns = 0] = m.shape
      const gram = values(rows <= columns ? m.matmul(m.transpose(0, 1)) : m.transpose(0, 1).matmul(m))
      const n = Math.min(rows, columns)
      gram.forEach((v, i) => void expect(v).toBeCloseTo(i % (n + 1) === 0 ? 9 : 0, 4))
    },
  )

  test('constant_ works for every dtype', () => {
    expect(values(init.constant_(zeros([2, 2], { dtype: 'int32' }), 7))).toEqual([7, 7, 7, 7])
    expect(values(init.constant_(zeros([1], { dtype: 'float64', backend: reference }), 0.1))).toEqual([0.1])
  })

  test('give the tensor itself, and draw from the generator that is passed', () => {
    const t = weight()
    expect(init.normal_(t)).toBe(t)
    const draw = (seed: number): number[] => values(init.kaimingNormal_(weight(), { generator: new Generator(seed) }))
    expect(draw(1)).toEqual(draw(1))
    expect(draw(1)).not.toEqual(draw(2))
    expect(values(seeded(8, () => init.normal_(weight())))).toEqual(
      values(init.normal_(weight(), 0, 1, { generator: new Generator(8) })),
    )
  })

  test('fans and gains are those of PyTorch', () => {
    expect(init.fans(zeros([4, 3, 5, 7]))).toEqual({ fanIn: 105, fanOut: 140 })
    expect(init.fans(zeros([4, 3]))).toEqual({ fanIn: 3, fanOut: 4 })
    const gains = (['linear', 'sigmoid', 'tanh', 'relu', 'leakyRelu', 'selu'] as const).map((name) => init.gain(name))
    expect(gains).toEqual([1, 1, 5 / 3, Math.SQRT2, Math.sqrt(2 / 1.0001), 0.75])
    expect(init.gain('leakyRelu', 1)).toBe(1)
  })

  test.each<[() => unknown, string]>([
    [() => init.fans(ones([3])), 'init.fans: t expects at least rank 2 (out, in, ...), got (3)'],
    [() => init.kaimingNormal_(ones([3])), 'init.fans: t expects at least rank 2 (out, in, ...), got (3)'],
    [() => init.orthogonal_(ones([3])), 'init.orthogonal_: t expects at least rank 2 (out, in, ...), got (3)'],
    [() => init.normal_(ones([3]), 0, -1), 'init.normal_: std expects a number of at least 0, got -1'],
    [() => init.normal_(ones([3]), Number.NaN), 'init.normal_: mean expects a number of at least -Infinity, got NaN'],
    [() => init.uniform_(ones([3]), 1, 0), 'init.uniform_: high expects a number of at least 1, got 0'],
    [
      () => init.truncatedNormal_(ones([3]), { std: 0 }),
      'init.truncatedNormal_: std expects a number of at least 5e-324, got 0',
    ],
    [
      () => init.truncatedNormal_(ones([3]), { low: 3 }),
      'init.truncatedNormal_: high expects a number of at least 3, got 2',
    ],
    [
      () => init.kaimingUniform_(ones([3, 3]), { mode: 'fan_in' as never }),
      "init.kaimingUniform_: mode expects 'fanIn' or 'fanOut', got fan_in",
    ],
    [
      () => init.kaimingUniform_(ones([3, 3]), { nonlinearity: 'gelu' as never }),
      'init.gain: nonlinearity expects linear, sigmoid, tanh, relu, leakyRelu or selu, got gelu',
    ],
    [
      () => init.xavierNormal_(ones([3, 3]), { gain: -1 }),
      'init.xavierNormal_: gain expects a number of at least 0, got -1',
    ],
    [() => init.normal_(tensor(Int32Array.of(1))), 'draw: target expects float32 or float64, got int32'],
  ])('refuse bad arguments, case %#', (call, message) => {
    expect(call).toThrow(message)
  })
})
