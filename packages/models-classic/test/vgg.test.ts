/** A VGG against torchvision's, in a file of its own for its half gigabyte of weights, which one worker frees again. */
import { vgg11 } from '@convnets/models-classic'
import { getPrecision, memory, setPrecision, tidy } from '@convnets/tensor'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectLogits, read } from './golden.ts'

const before = getPrecision()
beforeAll(() => setPrecision('strict'))
afterAll(() => setPrecision(before))

test('vgg11_bn computes the logits of torchvision and leaves no memory behind', () => {
  const { tensors, bytes } = memory()
  expectLogits(read('vgg11_bn'), 'strict')
  expect(memory()).toMatchObject({ tensors, bytes })
}, 300_000)

test('initial weights of a VGG are torchvision’s: He by the outputs, and a classifier of deviation 0.01', () => {
  const model = vgg11({ seed: 1, numClasses: 10 })
  const dict = model.stateDict()
  const deviation = (key: string): number => tidy(() => dict.get(key)?.std().item() ?? Number.NaN)
  expect(deviation('features.8.weight') / Math.sqrt(2 / (256 * 9))).toBeCloseTo(1, 1)
  for (const key of ['classifier.3.weight', 'classifier.6.weight']) expect(deviation(key), key).toBeCloseTo(0.01, 3)
  for (const key of ['features.8.bias', 'classifier.6.bias']) expect(dict.get(key)?.abs().amax().item(), key).toBe(0)
  model.dispose()
}, 300_000)
