/** Changes of many sets of tensors at once must be those of one after the other. */
import { describe, expect, it } from 'vitest'
import { type Backend, f, reference, type Tensor, tensor, update, updateEach, wasm, watchOps } from '../src/index.ts'

const both: [string, Backend][] = [
  ['reference', reference],
  ['wasm', wasm],
]

describe.each(both)('updateEach on %s', (_, backend) => {
  const velocity = f.add(f.mul(f.param(0), f.input(1)), f.input(2))
  const momentum = [f.sub(f.input(0), f.mul(f.param(1), velocity)), velocity]
  const counting = (length: number, factor: number, dtype: 'float32' | 'float64' = 'float32'): Tensor =>
    tensor(
      Array.from({ length }, (_, i) => Math.fround(factor * (i + 1))),
      { backend, dtype },
    )

  it('steps sets of all sizes and dtypes as update does, and leaves what they read', () => {
    const make = () =>
      ([3, 0, 9000, 1, 64] as const).flatMap((length) =>
        (['float32', 'float64'] as const).map((dtype) => ({
          targets: [counting(length, 1, dtype), counting(length, 0.5, dtype)] as const,
          others: [counting(length, -0.25, dtype)],
        })),
      )
    const [at, after] = [make(), make()]
    updateEach(momentum, at, [0.9, 0.1])
    for (const { targets, others } of after) update(momentum, targets, others, [0.9, 0.1])
    for (const [i, { targets, others }] of at.entries()) {
      const [weight, speed] = targets
      expect(weight.dataSync()).toEqual(after[i]?.targets[0].dataSync())
      expect(speed.dataSync()).toEqual(after[i]?.targets[1].dataSync())
      expect(others[0]?.dataSync()).toEqual(after[i]?.others[0]?.dataSync())
      if (weight.size > 0) expect(weight.dataSync()).not.toEqual(counting(weight.size, 1).dataSync())
    }
  })

  it('runs sets that share tensors one after the other', () => {
    const [a, b, c] = [counting(5000, 1), counting(5000, 2), counting(5000, 3)]
    const sum = [f.add(f.input(0), f.input(1))]
    // b reads the new a, a the new b, and c is added twice.
    updateEach(sum, [
      { targets: [a], others: [c] },
      { targets: [b], others: [a] },
      { targets: [a], others: [b] },
      { targets: [a], others: [c] },
    ])
    expect(a.dataSync()).toEqual(counting(5000, 13).dataSync())
    expect(b.dataSync()).toEqual(counting(5000, 6).dataSync())
  })

  it('changes nothing if a set is wrong', () => {
    const [a, b] = [counting(3, 1), counting(4, 1)]
    const wrong = () => updateEach([f.neg(f.input(0))], [{ targets: [a] }, { targets: [b], others: [a] }])
    expect(wrong).toThrow('updateEach: set 1: other 0 expects (4) as target 0, got (3)')
    expect(a.dataSync()).toEqual(Float32Array.of(1, 2, 3))
    updateEach([f.neg(f.input(0))], [])
  })

  it('is one op to watchers', () => {
    const sets = [2, 3, 4].map((length) => ({ targets: [counting(length, 1)], others: [counting(length, 2)] }))
    const seen: [string, number][] = []
    watchOps({ end: ({ name, inputs }) => void seen.push([name, inputs.length]) }, () =>
      updateEach([f.add(f.input(0), f.input(1))], sets),
    )
    expect(seen).toEqual([['update', 6]])
  })
})
