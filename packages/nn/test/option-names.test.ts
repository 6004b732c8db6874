/** Options that do not exist are refused, and so is what is no options at all; layers hand on those that the ops have. */
import * as nn from '@convnets/nn'
import { ones, type Tensor, zeros } from '@convnets/tensor'
import { optionFaults } from '@convnets/testkit'
import { describe, expect, test } from 'vitest'

const { init } = nn

/** Every function and class with options, called with wrong ones. */
const calls: Readonly<Record<string, (options: never) => unknown>> = {
  AvgPool2d: (options) => new nn.AvgPool2d(2, options),
  BatchNorm1d: (options) => new nn.BatchNorm1d(3, options),
  BatchNorm2d: (options) => new nn.BatchNorm2d(3, options),
  Conv2d: (options) => new nn.Conv2d(3, 3, options),
  ConvTranspose2d: (options) => new nn.ConvTranspose2d(3, 3, options),
  CrossEntropyLoss: (options) => new nn.CrossEntropyLoss(options),
  DropPath: (options) => new nn.DropPath(0.5, options),
  Dropout: (options) => new nn.Dropout(0.5, options),
  Dropout2d: (options) => new nn.Dropout2d(0.5, options),
  GELU: (options) => new nn.GELU(options),
  GroupNorm: (options) => new nn.GroupNorm(1, 3, options),
  InstanceNorm2d: (options) => new nn.InstanceNorm2d(3, options),
  LayerNorm: (options) => new nn.LayerNorm(3, options),
  Linear: (options) => new nn.Linear(3, 3, options),
  LocalResponseNorm: (options) => new nn.LocalResponseNorm(5, options),
  LogSoftmax: (options) => new nn.LogSoftmax(options),
  MSELoss: (options) => new nn.MSELoss(options),
  MaxPool2d: (options) => new nn.MaxPool2d(2, options),
  Softmax: (options) => new nn.Softmax(options),
  Softplus: (options) => new nn.Softplus(options),
  Upsample: (options) => new nn.Upsample(options),
  buffer: (options) => nn.buffer(zeros([2]), options),
  compile: (options) => nn.compile(new nn.ReLU(), options),
  'init.kaimingNormal_': (options) => init.kaimingNormal_(zeros([2, 2]), options),
  'init.kaimingUniform_': (options) => init.kaimingUniform_(zeros([2, 2]), options),
  'init.normal_': (options) => init.normal_(zeros([2, 2]), 0, 1, options),
  'init.orthogonal_': (options) => init.orthogonal_(zeros([2, 2]), options),
  'init.truncatedNormal_': (options) => init.truncatedNormal_(zeros([2, 2]), options),
  'init.uniform_': (options) => init.uniform_(zeros([2, 2]), 0, 1, options),
  'init.xavierNormal_': (options) => init.xavierNormal_(zeros([2, 2]), options),
  'init.xavierUniform_': (options) => init.xavierUniform_(zeros([2, 2]), options),
  loadStateDict: (options) => new nn.ReLU().loadStateDict(new Map(), options),
}

test.each(Object.entries(calls))('%s', async (name, call) => {
  expect(await optionFaults(name, call)).toEqual([])
})

test('a tensor that is refused its options stays as it was', () => {
  const t = ones([2, 2])
  expect(() => init.kaimingNormal_(t, { axis: 1 } as object)).toThrow('got axis')
  expect([...t.dataSync()]).toEqual([1, 1, 1, 1])
})

describe('options of a layer reach its op, and nothing else does', () => {
  const x = (): Tensor => ones([1, 4, 4, 4])
  test.each<[string, { forward(x: Tensor): Tensor }]>([
    ['AvgPool2d', new nn.AvgPool2d(2, { stride: 1, countIncludePad: false })],
    ['Conv2d', new nn.Conv2d(4, 2, { kernel: 3, precision: 'strict' })],
    ['ConvTranspose2d', new nn.ConvTranspose2d(4, 2, { kernel: 3, stride: 2, outputPadding: 1 })],
    ['GELU', new nn.GELU({ approximate: 'tanh' })],
    ['GroupNorm', new nn.GroupNorm(2, 4)],
    ['InstanceNorm2d', new nn.InstanceNorm2d(4)],
    ['LayerNorm', new nn.LayerNorm(4)],
    ['LocalResponseNorm', new nn.LocalResponseNorm(5)],
    ['LogSoftmax', new nn.LogSoftmax({ dim: 1 })],
    ['MaxPool2d', new nn.MaxPool2d(2, { ceilMode: true })],
    ['Softmax', new nn.Softmax({ dim: 1 })],
    ['Softplus', new nn.Softplus({ beta: 2 })],
    ['Upsample', new nn.Upsample({ scale: 2, mode: 'bilinear', alignCorners: true })],
  ])('%s', (_, layer) => {
    expect(layer.forward(x()).rank).toBe(4)
  })
  test('losses', () => {
    expect(new nn.MSELoss({ reduction: 'sum' }).forward(x(), x()).item()).toBe(0)
    const target = zeros([2], { dtype: 'int32' })
    expect(new nn.CrossEntropyLoss({ reduction: 'none' }).forward(ones([2, 3]), target).shape).toEqual([2])
  })
})
