/** <A x, y> = <x, A^T y>: what a linear op does forward and what its gradient does backward are transposes. */
import { describe, expect, it } from 'vitest'
import {
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  avgPool2d,
  type Backend,
  conv2d,
  convTranspose2d,
  type Generator,
  grad,
  interpolate,
  maxPool2dWithIndices,
  type Padding,
  reference,
  type Tensor,
  tensor,
  tidy,
  wasm,
} from '../src/index.ts'
import { between, dot, forSeeds } from './numbers.ts'

/** Small integers: products and sums are exact in float32, so both sides must be equal, whatever the order. */
function integers(random: Generator, shape: number[], backend: Backend): Tensor {
  const size = shape.reduce((product, extent) => product * extent, 1)
  const values = Float32Array.from({ length: size }, () => between(random, -4, 4))
  return tensor(values, { shape, backend, requiresGrad: true })
}

const both: [string, Backend][] = [
  ['reference', reference],
  ['wasm', wasm],
]

/** <A x, g> for a random g, and <x, A^T g> where A^T is the gradient by `x`. */
function expectAdjoint(random: Generator, run: () => Tensor, inputs: Tensor[], backend: Backend): void {
  const y = run()
  const g = integers(random, [...y.shape], backend)
  const gradients = grad(y, inputs, { gradients: [g.detach()] })
  const forward = dot(y.dataSync(), g.dataSync())
  inputs.forEach((x, i) => {
    const backward = dot(x.dataSync(), gradients[i]!.dataSync())
    expect(backward, `by input ${i} of shape (${x.shape.join(', ')})`).toBe(forward)
  })
}

/** A random convolution that fits: geometry by axis, then shapes. */
function geometry(random: Generator) {
  const axis = () => {
    const [kernel, stride, dilation] = [between(random, 1, 4), between(random, 1, 3), between(random, 1, 2)]
    const [before, after] = [between(random, 0, 3), between(random, 0, 3)]
    const span = dilation * (kernel - 1) + 1
    return {
      kernel,
      stride,
      dilation,
      before,
      after,
      input: Math.max(1, span - before - after) + between(random, 0, 6),
    }
  }
  return [axis(), axis()] as const
}

describe.each(both)('on %s', (_, backend) => {
  it('convolution and its gradients are adjoint, over 300 random shapes', () => {
    forSeeds(300, (random) =>
      tidy(() => {
        const [v, h] = geometry(random)
        const groups = between(random, 1, 4)
        const [inner, outer] = [between(random, 1, 5), between(random, 1, 5)]
        const padding: Padding = random.integer(5) === 0 ? 'same' : [v.before, h.after, v.after, h.before]
        const x = integers(random, [between(random, 1, 3), groups * inner, v.input, h.input], backend)
        const w = integers(random, [groups * outer, inner, v.kernel, h.kernel], backend)
        const options = { stride: [v.stride, h.stride], dilation: [v.dilation, h.dilation], padding, groups } as const
        expectAdjoint(random, () => conv2d(x, w, undefined, options), [x, w], backend)
      }),
    )
  })

  it('transposed convolution too, over 100 random shapes', () => {
    forSeeds(100, (random) =>
      tidy(() => {
        const [v, h] = geometry(random)
        const groups = between(random, 1, 3)
        const [inner, outer] = [between(random, 1, 3), between(random, 1, 3)]
        const x = integers(
          random,
          [between(random, 1, 2), groups * inner, 1 + random.integer(5), 1 + random.integer(5)],
          backend,
        )
        const w = integers(random, [groups * inner, outer, v.kernel + 1, h.kernel + 1], backend)
        const options = { stride: [v.stride, h.stride], dilation: [v.dilation, h.dilation], groups } as const
        expectAdjoint(random, () => convTranspose2d(x, w, undefined, options), [x, w], backend)
      }),
    )
  })

  it('transposed convolution is the transpose of convolution, over 100 random shapes', () => {
    forSeeds(100, (random) =>
      tidy(() => {
        const [v, h] = geometry(random)
        const [stride, dilation] = [
          [v.stride, h.stride],
          [v.dilation, h.dilation],
        ] as const
        const [channels, out] = [between(random, 1, 3), between(random, 1, 3)]
        const padding = [Math.min(v.before, v.kernel - 1), Math.min(h.before, h.kernel - 1)] as const
        const x = integers(random, [1, channels, v.input + v.kernel * 2, h.input + h.kernel * 2], backend)
        const w = integers(random, [out, channels, v.kernel, h.kernel], backend)
        const y = conv2d(x, w, undefined, { stride, dilation, padding })
        const g = integers(random, [...y.shape], backend)
        const outputPadding = ([0, 1] as const).map((i) => {
          const full = (y.shape[2 + i]! - 1) * stride[i] + dilation[i] * (w.shape[2 + i]! - 1) + 1 - 2 * padding[i]
          return x.shape[2 + i]! - full
        }) as [number, number]
        if (outputPadding.some((cells, i) => cells >= Math.max(stride[i]!, dilation[i]!))) return
        const back = convTranspose2d(g, w, undefined, { stride, dilation, padding, outputPadding })
        expect(back.shape).toEqual(x.shape)
        expect(dot(back.dataSync(), x.dataSync())).toBe(dot(y.dataSync(), g.dataSync()))
      }),
    )
  })

  it('maximum pooling hands the gradient to the cells that won, over 200 random shapes', () => {
    forSeeds(200, (random) =>
      tidy(() => {
        const shape = [between(random, 1, 2), between(random, 1, 9), between(random, 3, 11), between(random, 3, 11)]
        const x = integers(random, shape, backend)
        const kernel = [between(random, 1, 3), between(random, 1, 3)] as const
        const options = {
          stride: [between(random, 1, 3), between(random, 1, 3)],
          padding: [random.integer((kernel[0] >> 1) + 1), random.integer((kernel[1] >> 1) + 1)],
          ceilMode: random.integer(2) === 0,
        } as const
        const { values, indices } = maxPool2dWithIndices(x, kernel, options)
        const picked = x.reshape([shape[0]!, shape[1]!, -1]).gather(2, indices.reshape([shape[0]!, shape[1]!, -1]))
        expect([...values.dataSync()]).toEqual([...picked.dataSync()])
        expectAdjoint(random, () => maxPool2dWithIndices(x, kernel, options).values, [x], backend)
        expectAdjoint(random, () => adaptiveMaxPool2d(x, kernel), [x], backend)
      }),
    )
  })

  it('average pooling and interpolation spread the gradient as they gather, over 200 random shapes', () => {
    forSeeds(200, (random) =>
      tidy(() => {
        // Windows and factors that are powers of two keep the arithmetic exact.
        const shape = [
          between(random, 1, 2),
          between(random, 1, 9),
          4 * between(random, 1, 3),
          4 * between(random, 1, 3),
        ]
        const x = integers(random, shape, backend)
        const kernel = [2 ** random.integer(3), 2 ** random.integer(3)] as const
        const stride = [between(random, 1, 3), between(random, 1, 3)] as const
        expectAdjoint(
          random,
          () => avgPool2d(x, kernel, { stride, padding: [kernel[0] >> 1, kernel[1] >> 1] }),
          [x],
          backend,
        )
        expectAdjoint(random, () => adaptiveAvgPool2d(x, [shape[2]! / 2, shape[3]! / 4]), [x], backend)
        expectAdjoint(random, () => interpolate(x, [between(random, 1, 9), between(random, 1, 9)]), [x], backend)
        const size = [2 * shape[2]!, 2 * shape[3]!] as const
        expectAdjoint(random, () => interpolate(x, size, { mode: 'bilinear' }), [x], backend)
      }),
    )
  })
})
