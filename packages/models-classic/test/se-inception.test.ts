/** Squeeze-and-excitation in Inception networks, as figure 2 of the paper draws it. */
import { type ImageModel, type ImageOutput, SqueezeExcitation } from '@convnets/blocks'
import { inception_resnet_v2, inception_v3, se_inception_resnet_v2, se_inception_v3 } from '@convnets/models-classic'
import { init } from '@convnets/nn'
import { setDefaultBackend, wasm } from '@convnets/tensor'
import { fillModel, hollow, type ModelGolden } from '@convnets/testkit'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectLogits, read } from './golden.ts'

const gatesOf = (model: ImageModel<ImageOutput>): SqueezeExcitation[] =>
  [...model.namedModules().values()].filter((module) => module instanceof SqueezeExcitation)

/** Channels of every gate: what comes out of the modules' concatenations, or what their residual branches add to. */
const repeat = (channels: number, times: number): number[] => Array(times).fill(channels)
const cases = [
  ['se_inception_v3', se_inception_v3, inception_v3, [256, 288, 288, ...repeat(768, 5), 1280, 2048, 2048]],
  [
    'se_inception_resnet_v2',
    se_inception_resnet_v2,
    inception_resnet_v2,
    [320, ...repeat(320, 10), 1088, ...repeat(1088, 20), 2080, ...repeat(2080, 10)],
  ],
] as const

describe.each(cases)('%s', (_, gated, plain, channels) => {
  describe('without numbers', () => {
    beforeEach(() => setDefaultBackend(hollow))
    afterEach(() => setDefaultBackend(wasm))

    test('has a gate for each module, with a sixteenth of its channels inside', () => {
      const gates = gatesOf(gated())
      expect(gates.map((gate) => gate.inChannels)).toEqual(channels)
      expect(gates.map((gate) => gate.fc1.outChannels)).toEqual(channels.map((c) => Math.floor(c / 16)))
    })

    test('costs what the plain network costs, and two 1x1 convolutions with bias for each gate', () => {
      const params = channels.map((c) => 2 * c * Math.floor(c / 16) + Math.floor(c / 16) + c)
      const macs = channels.map((c) => 2 * c * Math.floor(c / 16))
      const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b)
      expect(gated.params - plain.params).toBe(sum(params))
      expect(gated.macs - plain.macs).toBe(sum(macs))
      expect(gated().parameterCount()).toBe(gated.params)
    })

    test('has the keys of the plain network beside those of its gates', () => {
      const keys = [...gated().stateDict().keys()]
      expect(keys.filter((key) => !key.includes('.attention.'))).toEqual([...plain().stateDict().keys()])
      expect(keys.filter((key) => key.includes('.attention.'))).toHaveLength(4 * channels.length)
    })

    test('takes other attention, and other reductions, by the same option', () => {
      const model = gated({ attention: (c) => new SqueezeExcitation(c, { reduction: 4 }) })
      expect(gatesOf(model).map((gate) => gate.fc1.outChannels)).toEqual(channels.map((c) => Math.floor(c / 4)))
    })
  })

  test('computes the logits of the plain network where its gates are open', () => {
    const open = ({ salt, normScale }: ModelGolden): ImageModel<ImageOutput> => {
      const model = fillModel<ImageModel<ImageOutput>>(gated(), { salt, normScale })
      for (const { fc2 } of gatesOf(model)) {
        init.constant_(fc2.weight, 0)
        if (fc2.bias !== undefined) init.constant_(fc2.bias, 100) // of which the sigmoid is 1
      }
      return model
    }
    expectLogits(read(plain.name), 'strict', open)
    // The comparison sees gates that are half open.
    expect(() =>
      expectLogits(read(plain.name), 'strict', (golden) => {
        const model = open(golden)
        for (const { fc2 } of gatesOf(model)) if (fc2.bias !== undefined) init.constant_(fc2.bias, 0)
        return model
      }),
    ).toThrow()
  }, 120_000)
})
