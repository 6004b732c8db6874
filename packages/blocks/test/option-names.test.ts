/** Options that do not exist are refused, and so is what is no options at all, before anything else happens. */
import * as blocks from '@convnets/blocks'
import { Linear, ReLU } from '@convnets/nn'
import { ones } from '@convnets/tensor'
import { optionFaults } from '@convnets/testkit'
import { describe, expect, test } from 'vitest'

class Mine extends blocks.Branches {}

/** Every function and class with options, called with wrong ones. */
const calls: Readonly<Record<string, (options: never) => unknown>> = {
  BasicBlock: (options) => new blocks.BasicBlock(4, 4, options),
  Bottleneck: (options) => new blocks.Bottleneck(4, 4, options),
  ConcatBottleneck: (options) => new blocks.ConcatBottleneck(4, 4, options),
  ConvNeXtBlock: (options) => new blocks.ConvNeXtBlock(4, options),
  ConvNormAct: (options) => new blocks.ConvNormAct(4, 4, options),
  DenseBlock: (options) => new blocks.DenseBlock(4, 4, 1, options),
  DenseLayer: (options) => new blocks.DenseLayer(4, 4, options),
  Fire: (options) => new blocks.Fire(4, [4, 4, 4], options),
  FusedMBConv: (options) => new blocks.FusedMBConv(4, 4, options),
  InceptionResNetA: (options) => new blocks.InceptionResNetA(4, [4, 4, 4], options),
  InceptionResNetB: (options) => new blocks.InceptionResNetB(4, [4, 4, 4, 4], options),
  InceptionResNetC: (options) => new blocks.InceptionResNetC(4, [4, 4, 4, 4], options),
  InceptionResNetMixed: (options) => new blocks.InceptionResNetMixed(4, options),
  InceptionResNetReductionB: (options) => new blocks.InceptionResNetReductionB(4, [4, 4, 4], options),
  InceptionStem: (options) => new blocks.InceptionStem(3, options),
  InceptionV1: (options) => new blocks.InceptionV1(4, [4, 4, 4, 4, 4, 4], options),
  InceptionV1Aux: (options) => new blocks.InceptionV1Aux(4, 2, options),
  InceptionV2: (options) => new blocks.InceptionV2(4, { one: 4, three: [4, 4], double: [4, 4], pool: 4 }, options),
  InceptionV3A: (options) => new blocks.InceptionV3A(4, 4, options),
  InceptionV3Aux: (options) => new blocks.InceptionV3Aux(4, 2, options),
  InceptionV3B: (options) => new blocks.InceptionV3B(4, options),
  InceptionV3C: (options) => new blocks.InceptionV3C(4, 4, options),
  InceptionV3D: (options) => new blocks.InceptionV3D(4, options),
  InceptionV3E: (options) => new blocks.InceptionV3E(4, options),
  InceptionV4A: (options) => new blocks.InceptionV4A(4, options),
  InceptionV4B: (options) => new blocks.InceptionV4B(4, options),
  InceptionV4C: (options) => new blocks.InceptionV4C(4, options),
  InceptionV4ReductionB: (options) => new blocks.InceptionV4ReductionB(4, options),
  LayerNorm2d: (options) => new blocks.LayerNorm2d(4, options),
  MBConv: (options) => new blocks.MBConv(4, 4, options),
  Mine: (options) => new Mine(4, [], options),
  PlainBlock: (options) => new blocks.PlainBlock(4, 4, options),
  PoolAndConv: (options) => new blocks.PoolAndConv(4, 4, options),
  ReductionA: (options) => new blocks.ReductionA(4, { k: 4, l: 4, m: 4, n: 4 }, options),
  RegNetBlock: (options) => new blocks.RegNetBlock(4, 4, options),
  ShuffleUnit: (options) => new blocks.ShuffleUnit(4, 4, options),
  SqueezeExcitation: (options) => new blocks.SqueezeExcitation(4, options),
  SummedBottleneck: (options) => new blocks.SummedBottleneck(4, 4, options),
  Transition: (options) => new blocks.Transition(4, options),
  branch: (options) => blocks.branch(4, [[4, 1]], options),
  findModel: (options) => blocks.findModel('tiny', options),
  headLoss: (options) => blocks.headLoss(ones([1]), (logits) => logits, options),
  inceptionUnit: (options) => blocks.inceptionUnit(4, [4, 1], options),
  listModels: (options) => blocks.listModels('*', options),
  publishedWeights: (options) => blocks.publishedWeights('tiny', options),
  readModelOptions: (options) => blocks.readModelOptions('tiny', {}, {}, options),
  tiny: (options) => blocks.readModelOptions('tiny', options, {}),
}

/** Functions that `resetClassifier` hands its options on to, so that messages name it. */
const helpers: [string, (options: never) => unknown][] = [
  ['freshLayer', (options) => blocks.freshLayer(new ReLU(), () => new ReLU(), options)],
  ['freshClassifier', (options) => blocks.freshClassifier(new Linear(4, 2), 3, options)],
]

test.each(helpers)('%s', async (_, call) => {
  expect(await optionFaults('resetClassifier', call)).toEqual([])
})

test.each(Object.entries(calls))('%s', async (name, call) => {
  expect(await optionFaults(name, call)).toEqual([])
})

describe('what does not know all names by itself', () => {
  const entry = blocks.defineModel(
    { name: 'tiny', paper: '', params: 0, macs: 0, inputSize: [8, 8], numClasses: 2, weights: {} },
    (options) => {
      blocks.readModelOptions('tiny', options, {})
      throw new Error('a model was built')
    },
  )
  const from = [[entry]]

  test('stage leaves them to its blocks', () => {
    const shape = { inChannels: 4, width: 4, depth: 1 }
    const wrong = { ...shape, axis: 1 }
    expect(() => blocks.stage(blocks.BasicBlock, wrong)).toThrow(/^BasicBlock: options expects one of .*, got axis/)
    expect(() => blocks.stage(blocks.PlainBlock, { ...shape, dropPath: 0.5 })).toThrow(
      /^PlainBlock: options expects one of .*, got dropPath/,
    )
    expect(() => blocks.stage(blocks.BasicBlock, null as never)).toThrow('stage: options expects an object, got null')
  })

  test('createModel leaves them to its model', () => {
    const wrong = { from, axis: 1 }
    expect(() => blocks.createModel('tiny', wrong)).toThrow(/^tiny: options expects one of .*, got axis/)
    expect(() => blocks.createModel('tiny', 1 as never)).toThrow('createModel: options expects an object, got 1')
    expect(() => entry([1] as never)).toThrow('tiny: options expects an object, got [1]')
  })
})
