/**
 * Every network against its reference: keys, shapes and cost of all; logits and children of one or two per family, and the
 * training step of the smaller ones. `pnpm verify` compares the others.
 */
import { classic, findModel, type ImageOutput } from '@convnets/models-classic'
import { getPrecision, setDefaultBackend, setPrecision, wasm } from '@convnets/tensor'
import { hollow } from '@convnets/testkit'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectCompiled, expectCompiledSteps, expectLogits, expectStep, read } from './golden.ts'

const names = [
  'alexnet',
  'vgg11',
  'vgg11_bn',
  'vgg13',
  'vgg13_bn',
  'vgg16',
  'vgg16_bn',
  'vgg19',
  'vgg19_bn',
  'googlenet',
  'bninception',
  'inception_v3',
  'inception_v4',
  'inception_resnet_v1',
  'inception_resnet_v2',
]

describe.each(names)('%s, without numbers', (name) => {
  beforeEach(() => setDefaultBackend(hollow))
  afterEach(() => setDefaultBackend(wasm))

  test('has the keys and shapes of the reference, in its order, and its cost', () => {
    const golden = read(name)
    const entry = findModel<ImageOutput>(name, { from: [classic] })
    expect([...entry().stateDict()].map(([key, { shape }]) => [key, shape])).toEqual(golden.state)
    expect(entry.params).toBe(golden.parameters)
    expect(entry.macs).toBe(golden.macs)
    expect(entry.inputSize).toEqual([golden.nativeSize, golden.nativeSize])
  })
})

describe.each(['strict', 'fast'] as const)('%s arithmetic', (precision) => {
  const before = getPrecision()
  beforeEach(() => setPrecision(precision))
  afterEach(() => setPrecision(before))

  // Strict arithmetic differs in 3x3 convolutions alone, of which AlexNet has three in 61 million parameters.
  const networks = [
    'googlenet',
    'bninception',
    'inception_v3',
    'inception_v4',
    'inception_resnet_v1',
    'inception_resnet_v2',
  ]

  test.each(precision === 'strict' ? ['alexnet', ...networks] : networks)(
    'computes the logits of %s and all on the way to them',
    (name) => expectLogits(read(name), precision),
  )
})

test.each(['alexnet', 'vgg11_bn', 'googlenet', 'bninception', 'inception_v3', 'inception_resnet_v1'])(
  'computes the same bits of %s once it is compiled',
  (name) => expectCompiled(read(name)),
)

describe('a training step', () => {
  const before = getPrecision()
  beforeEach(() => setPrecision('strict'))
  afterEach(() => setPrecision(before))

  test.each(['alexnet', 'googlenet', 'bninception'])(
    'of %s has the loss, the gradients and the running statistics of the reference',
    (name) => expectStep(read(name), 'strict'),
  )

  test.each(['googlenet', 'bninception'])('of %s has the same bits once it is compiled', (name) =>
    expectCompiledSteps(read(name)),
  )
})
