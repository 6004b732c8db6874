/** Batch norm by given statistics with its ReLU: the same numbers as the two ops, whoever computes and watches. */
import { describe, expect, it } from 'vitest'
import { normKernels } from '../src/backends/wasm/kernels/norm.ts'
import { f } from '../src/formula.ts'
import {
  batchNormInference,
  grad,
  noGrad,
  randn,
  reference,
  relu,
  type Shape,
  seeded,
  type Tensor,
  tidy,
  wasm,
  watchOps,
  withPrecision,
} from '../src/index.ts'
import { Generator } from '../src/random.ts'
import { normals } from './numbers.ts'
import { engine, expectSameBits, guarded, plain, upload } from './wasm/kernels.ts'

const rectified = f.max(f.input(0), 0)

/** As bits, so that -0 is not 0. */
const bits = (t: Tensor): number[] => [...new Int32Array((t.dataSync() as Float32Array).buffer)]

function parts(shape: Shape, backend = wasm): Record<'x' | 'mean' | 'variance' | 'weight' | 'bias', Tensor> {
  const channels = [shape[1] as number]
  return seeded(5, () => {
    const [x, mean, weight, bias] = [randn(shape), randn(channels), randn(channels), randn(channels)]
    const variance = randn(channels).square().add(0.1)
    const on = (t: Tensor): Tensor => t.to(backend)
    return { x: on(x), mean: on(mean), variance: on(variance), weight: on(weight), bias: on(bias) }
  })
}

const shapes: Shape[] = [
  [5, 3],
  [2, 3, 7],
  [1, 1, 1, 1],
  [2, 3, 4, 4],
  [1, 20, 9, 10],
  [3, 17, 5, 4],
  [1, 700, 13, 11],
  [0, 3, 4, 4],
]

describe('batchNormInference with relu', () => {
  it('is the op and relu to the bit, by kernels and by formulas', () => {
    for (const shape of shapes) {
      for (const precision of ['fast', 'strict'] as const) {
        tidy(() =>
          withPrecision(precision, () => {
            const { x, mean, variance, weight, bias } = parts(shape)
            const affine: (Tensor | undefined)[][] = [[], [weight], [undefined, bias], [weight, bias]]
            for (const [w, b] of affine) {
              const run = (rectify: boolean): Tensor =>
                batchNormInference(x, mean, variance, w, b, rectify ? { activation: relu } : {})
              for (const t of [x, weight, bias]) t.requiresGrad = true
              const recorded = run(false)
              const both = [bits(recorded), bits(relu(recorded))]
              expect(bits(run(true))).toEqual(both[1])
              for (const t of [x, weight, bias]) t.requiresGrad = false
              expect([bits(run(false)), bits(run(true))]).toEqual(both)
            }
          }),
        )
      }
    }
  })

  it('agrees with the reference backend', () => {
    const run = (backend: typeof wasm): number[] =>
      tidy(() => {
        const { x, mean, variance, weight, bias } = parts([3, 17, 5, 4], backend)
        return [...batchNormInference(x, mean, variance, weight, bias, { eps: 1e-3, activation: relu }).dataSync()]
      })
    const expected = run(reference)
    expect(expected.some((value) => value === 0) && expected.some((value) => value > 1)).toBe(true)
    run(wasm).forEach((value, i) => void expect(value).toBeCloseTo(expected[i] as number, 5))
  })

  it('keeps what it derives from statistics no longer than they stay the same', () => {
    tidy(() => {
      const { x, mean, variance, weight, bias } = parts([1, 20, 9, 10])
      const run = (): number[] => bits(batchNormInference(x, mean, variance, weight, bias, { activation: relu }))
      let last = run()
      expect(run()).toEqual(last)
      for (const t of [mean, variance, weight, bias]) {
        t.assign_(t.add(0.25))
        const next = run()
        expect(next).not.toEqual(last)
        expect(next).toEqual(bits(relu(batchNormInference(x, mean, variance, weight, bias))))
        last = next
      }
      expect(bits(batchNormInference(x, mean, variance, weight, bias, { eps: 0.5, activation: relu }))).not.toEqual(
        last,
      )
    })
  })

  it('has the gradients of both and shows both to who watches', () => {
    tidy(() => {
      const { x, mean, variance, weight, bias } = parts([2, 3, 4, 4])
      for (const t of [x, weight, bias]) t.requiresGrad = true
      const gradients = (y: Tensor): number[][] =>
        grad(y.square().sum(), [x, weight, bias]).map((t) => bits(t as Tensor))
      const together = gradients(batchNormInference(x, mean, variance, weight, bias, { activation: relu }))
      expect(together).toEqual(gradients(relu(batchNormInference(x, mean, variance, weight, bias))))
      const seen: string[] = []
      const run = (): Tensor => noGrad(() => batchNormInference(x, mean, variance, weight, bias, { activation: relu }))
      const watched = watchOps({ end: ({ name }) => void seen.push(name) }, run)
      expect(seen).toEqual(['batchNorm', 'relu'])
      expect(bits(watched)).toEqual(bits(run()))
    })
  })
})

it('norms by given statistics have the same bits on any number of threads', () => {
  const { normalizeGiven } = guarded(normKernels(engine, plain))
  const random = new Generator(5)
  for (const [rows, channels] of [
    [5000, 24],
    [4096, 3],
    [49, 1024],
  ] as const) {
    const [x, residual] = [0, 0].map(() => upload(normals(random, rows * channels)))
    const [mean, weight, bias] = [0, 0, 0].map(() => upload(normals(random, channels)))
    const variance = upload(normals(random, channels).map((value) => value * value + 0.1))
    const norm = { mean: mean!, variance, weight: weight!, bias: bias!, eps: 1e-5 }
    for (const added of [null, residual!]) expectSameBits(() => normalizeGiven!(x!, norm, added, rectified)!)
    for (const buffer of [x, residual, mean, weight, bias, variance]) engine.free(buffer!)
  }
})
