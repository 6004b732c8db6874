import { describe, expect, it } from 'vitest'
import type { ConvSpec } from '../../src/backends/backend.ts'
import { convForward, convInputGrad, convWeightGrad } from '../../src/backends/reference/conv.ts'
import { matmul } from '../../src/backends/reference/matmul.ts'
import { dot, expectClose, forSeeds, normals, randomConv } from '../numbers.ts'

function sizes(spec: ConvSpec): { x: number; weight: number; y: number } {
  return {
    x: spec.batch * spec.inHeight * spec.inWidth * spec.inChannels,
    weight: (spec.outChannels * spec.kernelHeight * spec.kernelWidth * spec.inChannels) / spec.groups,
    y: spec.batch * spec.outHeight * spec.outWidth * spec.outChannels,
  }
}

/** The convolution as one big matrix, built from the input side: row = output element, column = input element. */
function matrix(weight: Float64Array, spec: ConvSpec): Float64Array {
  const { x, y } = sizes(spec)
  const out = new Float64Array(x * y)
  const [groupIn, groupOut] = [spec.inChannels / spec.groups, spec.outChannels / spec.groups]
  for (let column = 0; column < x; column++) {
    const ic = column % spec.inChannels
    const ix = Math.floor(column / spec.inChannels) % spec.inWidth
    const iy = Math.floor(column / (spec.inChannels * spec.inWidth)) % spec.inHeight
    const n = Math.floor(column / (spec.inChannels * spec.inWidth * spec.inHeight))
    for (const [at, value] of weight.entries()) {
      const kx = Math.floor(at / groupIn) % spec.kernelWidth
      const ky = Math.floor(at / (groupIn * spec.kernelWidth)) % spec.kernelHeight
      const oc = Math.floor(at / (groupIn * spec.kernelWidth * spec.kernelHeight))
      if (Math.floor(oc / groupOut) * groupIn + (at % groupIn) !== ic) continue
      const oy = (iy + spec.padTop - ky * spec.dilationHeight) / spec.strideHeight
      const ox = (ix + spec.padLeft - kx * spec.dilationWidth) / spec.strideWidth
      if (!(Number.isInteger(oy) && Number.isInteger(ox))) continue
      if (oy < 0 || oy >= spec.outHeight || ox < 0 || ox >= spec.outWidth) continue
      const row = ((n * spec.outHeight + oy) * spec.outWidth + ox) * spec.outChannels + oc
      out[row * x + column]! += value
    }
  }
  return out
}

describe('matmul', () => {
  it('multiplies by hand', () => {
    const a = Float64Array.of(1, 2, 3, 4, 5, 6)
    const b = Float64Array.of(7, 8, 9, 10, 11, 12)
    const out = new Float64Array(4)
    const plain = { m: 2, n: 2, k: 3, transA: false, transB: false, offsetsA: [0], offsetsB: [0] }
    matmul(a, b, Float64Array.of(1000, 2000), plain, out)
    expect([...out]).toEqual([1058, 2064, 1139, 2154])
    matmul(a, b, null, { ...plain, transB: true }, out)
    expect([...out]).toEqual([50, 68, 122, 167])
    matmul(a, b, null, { ...plain, transA: true }, out)
    expect([...out]).toEqual([
      1 * 7 + 3 * 9 + 5 * 11,
      1 * 8 + 3 * 10 + 5 * 12,
      2 * 7 + 4 * 9 + 6 * 11,
      2 * 8 + 4 * 10 + 6 * 12,
    ])
  })

  it('takes each product of a batch from its own offsets', () => {
    const spec = { m: 1, n: 1, k: 2, transA: false, transB: false, offsetsA: [0, 2, 2], offsetsB: [0, 0, 2] }
    const out = new Float64Array(3)
    matmul(Float64Array.of(1, 2, 3, 4), Float64Array.of(5, 6, 7, 8), null, spec, out)
    expect([...out]).toEqual([17, 39, 53])
  })
})

describe('convolution', () => {
  it('slides, skips and pads by hand', () => {
    const spec: ConvSpec = {
      ...{ batch: 1, inHeight: 1, inWidth: 5, inChannels: 1, outHeight: 1, outWidth: 3, outChannels: 1 },
      ...{ kernelHeight: 1, kernelWidth: 2, strideHeight: 1, strideWidth: 2, padTop: 0, padLeft: 1 },
      ...{ dilationHeight: 1, dilationWidth: 2, groups: 1 },
    }
    const out = new Float64Array(3)
    convForward(Float64Array.of(1, 2, 3, 4, 5), Float64Array.of(10, 1), Float64Array.of(0.5), spec, out)
    // Cells (-1, 1), (1, 3), (3, 5) of the input; -1 and 5 are padding.
    expect([...out]).toEqual([2.5, 24.5, 40.5])
  })

  it('is the matrix that the gradients are made from, for any groups, dilation, stride and padding', () => {
    forSeeds(60, (random) => {
      const spec = randomConv(random)
      const { x: xs, weight: ws, y: ys } = sizes(spec)
      const [x, weight, g] = [normals(random, xs), normals(random, ws), normals(random, ys)]
      const bias = normals(random, spec.outChannels)
      const toeplitz = matrix(weight, spec)

      const y = new Float64Array(ys)
      convForward(x, weight, bias, spec, y)
      const expectedY = y.map(
        (_, row) => dot(toeplitz.subarray(row * xs, (row + 1) * xs), x) + bias[row % bias.length]!,
      )
      expectClose(y, expectedY, 1e-12)

      const gx = new Float64Array(xs)
      convInputGrad(g, weight, spec, gx)
      const expectedX = gx.map((_, column) =>
        g.reduce((sum, value, row) => sum + value * toeplitz[row * xs + column]!, 0),
      )
      expectClose(gx, expectedX, 1e-12)

      const gw = new Float64Array(ws)
      convWeightGrad(x, g, spec, gw)
      const one = new Float64Array(ws)
      const place = random.integer(ws)
      one[place] = 1
      const moved = new Float64Array(ys)
      convForward(x, one, null, spec, moved)
      expect(gw[place]).toBeCloseTo(dot(moved, g), 10)
      expect(dot(gw, weight)).toBeCloseTo(dot(gx, x), 8)
    })
  })
})
