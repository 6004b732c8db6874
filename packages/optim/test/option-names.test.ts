/** Options that do not exist are refused, and so is what is no options at all. */
import * as optim from '@convnets/optim'
import { reference, type Tensor, tensor } from '@convnets/tensor'
import { optionFaults } from '@convnets/testkit'
import { expect, test } from 'vitest'

const p = (): Tensor => tensor(Float64Array.of(1, 2), { backend: reference, requiresGrad: true })
const model: optim.Averageable = { namedParameters: () => [['w', p()]], namedBuffers: () => [] }

/** Every function and class with options, called with wrong ones. */
const calls: Readonly<Record<string, (options: never) => unknown>> = {
  Adagrad: (options) => new optim.Adagrad([p()], options),
  Adam: (options) => new optim.Adam([p()], options),
  AdamW: (options) => new optim.AdamW([p()], options),
  RMSprop: (options) => new optim.RMSprop([p()], options),
  RMSpropTF: (options) => new optim.RMSpropTF([p()], options),
  SGD: (options) => new optim.SGD([p()], options),
  EMA: (options) => new optim.EMA(model, options),
  clipGradNorm: (options) => optim.clipGradNorm([p()], 1, options),
  clipGradNormOnDevice: (options) => optim.clipGradNormOnDevice([p()], 1, options),
  cosine: (options) => optim.cosine(options),
  cosineRestarts: (options) => optim.cosineRestarts(3, options),
  linearWarmup: (options) => optim.linearWarmup(3, options),
  multiStep: (options) => optim.multiStep([3], options),
  oneCycle: (options) => optim.oneCycle(options),
  polynomial: (options) => optim.polynomial(options),
  step: (options) => optim.step(3, options),
  withWarmup: (options) => optim.withWarmup(3, optim.cosine(), options),
}

test.each(Object.entries(calls))('%s', async (name, call) => {
  expect(await optionFaults(name, call)).toEqual([])
})

test('groups of parameters, too', () => {
  const groups = [{ parameters: [p()], axis: 1 }]
  expect(() => new optim.SGD(groups)).toThrow(/^SGD: options expects one of .*, got axis/)
})
