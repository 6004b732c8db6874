import {
  type Backend,
  batchNormTraining,
  checkpoint,
  conv2d,
  crossEntropy,
  DisposedError,
  globalAvgPool2d,
  linear,
  maxPool2d,
  reference,
  relu,
  ShapeError,
  softmax,
  Tensor,
  tidy,
  update,
  watchOps,
  zeros,
} from '@convnets/tensor'
import { createShapeOnly, shapeOnly } from '@convnets/tensor/shape-only'
import { makeInputs, type OpCase, opCases } from '@convnets/testkit'
import { describe, expect, it } from 'vitest'

const outlines = (result: unknown): unknown => {
  if (result instanceof Tensor) return { shape: result.shape, dtype: result.dtype }
  if (Array.isArray(result)) return result.map(outlines)
  if (typeof result === 'object' && result !== null) {
    return Object.fromEntries(Object.entries(result).map(([key, value]) => [key, outlines(value)]))
  }
  return result
}

describe('the backend without numbers', () => {
  for (const [op, cases] of Object.entries(opCases) as [string, readonly OpCase[]][]) {
    it(`gives ${op} the shapes and dtypes of the reference, and its gradients those of the inputs`, () => {
      for (const row of cases) {
        const results = [reference, shapeOnly].map((backend) => {
          const inputs = makeInputs(op, row, backend, 'float32')
          if (row.order > 0) for (const x of inputs) x.requiresGrad = true
          const result = row.run(...inputs)
          const shapes = outlines(result)
          const [main] = (Array.isArray(result) ? result : 'values' in result ? [result.values] : [result]) as Tensor[]
          if (row.order > 0 && main instanceof Tensor && main.requiresGrad) {
            main.backward(zeros(main.shape, { backend }))
          }
          return [shapes, inputs.map((x) => x.grad?.shape)]
        })
        expect(results[1], `${op} ${row.id}`).toEqual(results[0])
      }
    })
  }

  it('has no numbers to read, and says what asked for them', async () => {
    const y = softmax(zeros([2, 3], { backend: shapeOnly }))
    await expect(y.data()).rejects.toThrow(
      /shape-only: there are no numbers to read; asked for 6 of float32 made by softmax/,
    )
    expect(() => y.dataSync()).toThrow(/made by softmax/)
    expect(() =>
      y
        .slice([
          [0, 1],
          [0, 1],
        ])
        .item(),
    ).toThrow(/no numbers/)
  })

  it('finds mistakes in shapes as other backends do', () => {
    const x = zeros([1, 3, 8, 8], { backend: shapeOnly })
    expect(() => conv2d(x, zeros([4, 2, 3, 3], { backend: shapeOnly }))).toThrow(ShapeError)
    const y = relu(x)
    y.dispose()
    expect(() => relu(y)).toThrow(DisposedError)
  })

  /** Bytes of a small network's training step. */
  function step(backend: Backend): unknown {
    const make = (...shape: number[]): Tensor => {
      const t = zeros(shape, { backend }).keep()
      t.requiresGrad = true
      return t
    }
    const [w, scale, shift, fc] = [make(8, 3, 3, 3), make(8), make(8), make(5, 8)]
    const before = backend.memory().bytes
    backend.resetPeak()
    tidy(() => {
      const x = zeros([4, 3, 12, 12], { backend })
      const h = batchNormTraining(conv2d(x, w as Tensor, undefined, { padding: 1 }), scale, shift).output
      const pooled = globalAvgPool2d(checkpoint((t) => maxPool2d(relu(t), 2), h))
      const target = zeros([4], { backend, dtype: 'int32' })
      crossEntropy(linear(pooled, fc as Tensor), target).backward()
    })
    const { bytes, peakBytes, buffers } = backend.memory()
    return { before, bytes, peakBytes, buffers }
  }

  it('counts the bytes that the tensors of a training step take, to the byte', () => {
    const start = reference.memory()
    const got = step(createShapeOnly()) as Record<string, number>
    const wanted = step(reference) as Record<string, number>
    expect(got.before).toBe((wanted.before as number) - start.bytes)
    expect(got.bytes).toBe((wanted.bytes as number) - start.bytes)
    expect(got.peakBytes).toBe((wanted.peakBytes as number) - start.bytes)
    expect(got.peakBytes).toBeGreaterThan(got.bytes as number)
  })
})

describe('watchOps', () => {
  it('shows every op once, in order, with the step of the graph that a gradient belongs to', () => {
    const seen: string[] = []
    const x = zeros([2, 3], { backend: reference, requiresGrad: true })
    let node: string | undefined
    watchOps(
      {
        begin: (name) => seen.push(`begin ${name}`),
        end: ({ name, output, view }) => seen.push(`${name} ${output.shape} ${view}${node ? ` of ${node}` : ''}`),
        step: (of) => {
          node = of?.name
        },
      },
      () => {
        const y = relu(x).reshape([6])
        y.backward(zeros([6], { backend: reference }))
        update([{ kind: 'const', value: 0 }], [x])
      },
    )
    expect(seen.filter((line) => !line.startsWith('begin'))).toEqual([
      'relu 2,3 false',
      'reshape 6 true',
      'reshape 2,3 true of reshape',
      'relu gradient 2,3 false of relu',
      'update 2,3 false',
    ])
    expect(seen.filter((line) => line.startsWith('begin'))).toHaveLength(5)
    relu(x)
    expect(seen).toHaveLength(10)
  })
})
