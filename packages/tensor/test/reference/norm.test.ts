import { describe, expect, it } from 'vitest'
import type { NormExtents } from '../../src/backends/backend.ts'
import { normalize, normalizeGrad } from '../../src/backends/reference/norm.ts'
import { between, dot, expectClose, forSeeds, normals, numericalGradient } from '../numbers.ts'

describe('normalize', () => {
  it('normalises two channels by hand', () => {
    const out = new Float64Array(4)
    const [mean, variance] = [new Float64Array(2), new Float64Array(2)]
    const weight = Float64Array.of(1, 10)
    normalize(Float64Array.of(1, 0, 3, 4), weight, Float64Array.of(0, 1), [1, 2, 2, 1], 0, out, mean, variance)
    expect([...mean, ...variance]).toEqual([2, 2, 1, 4])
    expect([...out]).toEqual([-1, -9, 1, 11])
  })

  it('has gradients that central differences confirm, for batch, instance, group and layer norm', () => {
    forSeeds(16, (random) => {
      const small = (): number => between(random, 2, 4)
      const shapes: NormExtents[] = [
        [1, small(), small(), 1],
        [small(), small(), small(), 1],
        [small(), small(), small(), small()],
        [small(), 1, 1, small()],
      ]
      const extents = shapes[random.integer(4)]!
      const [a, b, c, d] = extents
      const length = a * b * c * d
      const [x, g] = [normals(random, length), normals(random, length)]
      const [weight, bias] = [normals(random, c * d), normals(random, c * d)]
      const [mean, variance] = [new Float64Array(a * c), new Float64Array(a * c)]
      const loss = (x: Float64Array, weight: Float64Array, bias: Float64Array): number => {
        const out = new Float64Array(length)
        normalize(x, weight, bias, extents, 1e-2, out, mean, variance)
        return dot(out, g)
      }
      loss(x, weight, bias)
      const [gx, gw, gb] = [new Float64Array(length), new Float64Array(c * d), new Float64Array(c * d)]
      normalizeGrad(g, x, weight, mean, variance, extents, 1e-2, gx, gw, gb)
      expectClose(
        gx,
        numericalGradient((x) => loss(x, weight, bias), x),
        1e-7,
      )
      expectClose(
        gw,
        numericalGradient((weight) => loss(x, weight, bias), weight),
        1e-7,
      )
      expectClose(
        gb,
        numericalGradient((bias) => loss(x, weight, bias), bias),
        1e-7,
      )
    })
  })

  it('without weight and bias is with ones and zeros', () => {
    forSeeds(4, (random) => {
      const extents: NormExtents = [2, 5, 3, 2]
      const x = normals(random, 60)
      const [plain, affine] = [new Float64Array(60), new Float64Array(60)]
      const [mean, variance] = [new Float64Array(6), new Float64Array(6)]
      normalize(x, null, null, extents, 1e-5, plain, mean, variance)
      normalize(x, new Float64Array(6).fill(1), new Float64Array(6), extents, 1e-5, affine, mean, variance)
      expect(plain).toEqual(affine)
    })
  })
})
