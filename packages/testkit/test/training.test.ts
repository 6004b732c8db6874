/** The comparison of two ways to train finds what differs, wherever it does. */
import { crossEntropy, dropout, linear, randn, seeded, type Tensor, tensor, zeros } from '@convnets/tensor'
import { type Trainee, trainingDifference } from '@convnets/testkit'
import { describe, expect, it } from 'vitest'

type Change = Partial<Record<'loss' | 'weight' | 'buffer' | 'unused', (step: number) => number>>

/** A linear layer behind dropout, with a buffer that counts; `change` adds to its numbers by step. */
function trainee(change: Change = {}): Trainee {
  const weight = seeded(1, () => randn([3, 4])).keep()
  const bias = zeros([3]).keep()
  const count = zeros([1]).keep()
  weight.requiresGrad = true
  bias.requiresGrad = true
  const add = (name: keyof Change, step: number): number => change[name]?.(step) ?? 0
  return {
    loss(step): Tensor {
      count.assign_(tensor([step + add('buffer', step)]))
      const x = dropout(seeded(step + 2, () => randn([5, 4])))
      const logits = linear(x, weight.mul(1 + add('weight', step)), add('unused', step) ? undefined : bias)
      return crossEntropy(logits, tensor(Int32Array.of(0, 1, 2, 0, 1))).add(add('loss', step))
    },
    namedParameters: () => new Map(Object.entries({ weight, bias })),
    namedBuffers: () => new Map([['count', count]]),
  }
}

describe('trainingDifference', () => {
  it('gives undefined for the same', () => {
    expect(trainingDifference(trainee(), trainee(), 4)).toBeUndefined()
  })

  it.each<[string, Change]>([
    ['step 2: loss', { loss: (step) => (step === 2 ? 1e-6 : 0) }],
    ['step 1: loss', { weight: (step) => (step === 1 ? 1e-3 : 0) }],
    ['step 3: count', { buffer: (step) => (step === 3 ? 1 : 0) }],
    ['step 0: gradient of bias', { unused: () => 1 }],
  ])('says %s', (where, change) => {
    expect(trainingDifference(trainee(), trainee(change), 4)).toBe(where)
    expect(trainingDifference(trainee(), trainee(), 4)).toBeUndefined()
  })
})
