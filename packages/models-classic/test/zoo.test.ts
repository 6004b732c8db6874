/** Facts of the entries against what their publishers say of the networks and their weights. */
import { classic } from '@convnets/models-classic'
import { describe, expect, test } from 'vitest'
import { expectedWeights, variantsOf } from '../../../scripts/zoo.ts'

/** The zoo counts some without auxiliary classifiers, which the entries have; `models.test.ts` builds both. */
const withoutAuxiliary: Readonly<Record<string, number>> = { googlenet: 6_624_904, 'timm/inception_v3': 23_834_568 }

describe.each(classic.map((entry) => [entry.name, entry] as const))('%s', (name, entry) => {
  test('lists every published set of weights as its publisher describes it, the best first', () => {
    const expected = expectedWeights(entry, (pattern) => expect.stringMatching(pattern))
    for (const [tag, facts] of Object.entries(expected)) expect(entry.weights[tag], tag).toMatchObject(facts)
    const others = Object.values(entry.weights).filter(({ name }) => !(name in expected))
    if (Object.keys(expected).length > 0) expect(others).toEqual([])
    const accuracies = Object.values(entry.weights).map(({ top1 }) => top1 ?? 0)
    expect(accuracies).toEqual([...accuracies].sort((a, b) => b - a))
  })

  test('has the parameters and multiply-accumulates of the zoo', () => {
    for (const { name: variant, params, macs } of variantsOf(name)) {
      expect(withoutAuxiliary[variant] ?? entry.params, variant).toBe(params)
      if (macs !== null) expect(entry.macs, variant).toBe(macs)
    }
  })
})

test('features of SSD’s VGG-16 have no accuracy, and the statistics that they were trained with', () => {
  const { IMAGENET1K_FEATURES: features } = classic.find(({ name }) => name === 'vgg16')?.weights ?? {}
  expect(features).toMatchObject({ mean: [0.48235, 0.45882, 0.40784], std: Array(3).fill(1 / 255) })
  expect(features && 'top1' in features).toBe(false)
})

test('weights of Caffe are those of its zoo', () => {
  const weights = new Map(classic.map((entry) => [entry.name, entry.weights]))
  const [alexnet] = variantsOf('alexnet_2012')
  expect(weights.get('alexnet_2012')?.BVLC).toMatchObject({ top1: alexnet?.top1, top5: alexnet?.top5, crop: 227 })
  expect(weights.get('googlenet_2014')?.BVLC).toMatchObject({ top1: 68.7, top5: 88.9, crop: 224, channelOrder: 'bgr' })
})
