/** A VGG against torchvision's, in a file of its own for its half gigabyte of weights, which one worker frees again. */
import { getPrecision, memory, setPrecision } from '@convnets/tensor'
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
