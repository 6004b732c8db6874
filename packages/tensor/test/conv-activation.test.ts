/** A convolution with its activation: the same numbers as the two ops, whoever computes and watches. */
import { describe, expect, it } from 'vitest'
import {
  conv2d,
  grad,
  noGrad,
  randn,
  reference,
  relu,
  type Shape,
  seeded,
  sigmoid,
  silu,
  softmax,
  type Tensor,
  tidy,
  wasm,
  watchOps,
  withPrecision,
} from '../src/index.ts'

const values = (t: Tensor): number[] => [...t.dataSync()]

/** A convolution by each algorithm of the wasm backend: Winograd, pixels as rows, direct, depthwise, one pixel. */
const cases: (readonly [
  name: string,
  x: Shape,
  weight: Shape,
  options: { padding?: number; stride?: number; groups?: number },
])[] = [
  ['3x3', [2, 16, 9, 10], [20, 16, 3, 3], { padding: 1 }],
  ['1x1', [1, 20, 6, 7], [24, 20, 1, 1], {}],
  ['5x5, stride 2', [1, 3, 11, 12], [7, 3, 5, 5], { padding: 2, stride: 2 }],
  ['depthwise', [2, 8, 7, 7], [8, 1, 3, 3], { padding: 1, groups: 8 }],
  ['one pixel', [1, 24, 1, 1], [6, 24, 1, 1], {}],
  ['no image', [0, 3, 8, 8], [4, 3, 3, 3], {}],
]

function inputs(x: Shape, weight: Shape, backend = wasm): [Tensor, Tensor, Tensor] {
  return seeded(5, () => [x, weight, [weight[0] as number]].map((shape) => randn(shape).to(backend))) as never
}

describe.each(cases)('conv2d that ends in an activation: %s', (_, x, weight, options) => {
  it('is the two ops to the bit in both precisions, with a bias and without', () => {
    for (const precision of ['fast', 'strict'] as const) {
      for (const activation of [relu, silu, sigmoid]) {
        tidy(() => {
          const [from, weights, bias] = inputs(x, weight)
          for (const b of [bias, undefined]) {
            const whole = conv2d(from, weights, b, { ...options, precision, activation })
            const expected = activation(conv2d(from, weights, b, { ...options, precision }))
            expect(values(whole)).toEqual(values(expected))
            expect(
              values(withPrecision(precision, () => conv2d(from, weights, b, { ...options, activation }))),
            ).toEqual(values(expected))
          }
        })
      }
    }
  })

  it('agrees with the reference backend', () => {
    const run = (backend: typeof wasm): number[] =>
      tidy(() => values(conv2d(...inputs(x, weight, backend), { ...options, activation: silu })))
    const expected = run(reference)
    run(wasm).forEach((value, i) => void expect(value).toBeCloseTo(expected[i] as number, 4))
  })

  it('has the gradients of both', () => {
    tidy(() => {
      const all = inputs(x, weight)
      for (const t of all) t.requiresGrad = true
      const gradients = (y: Tensor) => grad(y.square().sum(), all).map((t) => values(t as Tensor))
      const together = gradients(conv2d(...all, { ...options, activation: silu }))
      expect(together).toEqual(gradients(silu(conv2d(...all, options))))
    })
  })
})

describe('the activation of conv2d', () => {
  const [, x, weight, options] = cases[0] as (typeof cases)[number]

  it('is seen by who watches', () => {
    tidy(() => {
      const seen: string[] = []
      const run = (): Tensor => noGrad(() => conv2d(...inputs(x, weight), { ...options, activation: relu }))
      const watched = watchOps({ end: ({ name }) => void seen.push(name) }, run)
      expect(seen.slice(-2)).toEqual(['conv2d', 'relu'])
      expect(values(watched)).toEqual(values(run()))
    })
  })

  it('may be any function, and must be one', () => {
    tidy(() => {
      const all = inputs(x, weight)
      const channels = (y: Tensor): Tensor => softmax(y, { dim: 1 })
      const whole = conv2d(...all, { ...options, activation: channels })
      expect(values(whole)).toEqual(values(channels(conv2d(...all, options))))
      expect(() => conv2d(...all, { ...options, activation: 'relu' as never })).toThrow(
        /^conv2d: activation expects a function/,
      )
    })
  })
})
