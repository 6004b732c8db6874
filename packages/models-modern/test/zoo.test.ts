/** Facts of the entries against what their publishers say of the networks and their weights. */
import { modern } from '@convnets/models-modern'
import { describe, expect, test } from 'vitest'
import { elsewhere, expectedWeights, variantsOf, withWeights } from '../../../scripts/zoo.ts'

describe.each(modern.map((entry) => [entry.name, entry] as const))('%s', (name, entry) => {
  test('lists every published set of weights as its publisher describes it, the best first', () => {
    const expected = expectedWeights(entry, (pattern) => expect.stringMatching(pattern))
    for (const [tag, facts] of Object.entries(expected)) expect(entry.weights[tag], tag).toMatchObject(facts)
    const others = Object.values(entry.weights).filter(({ name }) => !(name in expected))
    if (Object.keys(expected).length > 0) expect(others).toEqual([])
    const accuracies = Object.values(entry.weights).map(({ top1 }) => top1 ?? 0)
    expect(accuracies).toEqual([...accuracies].sort((a, b) => b - a))
  })

  test('has the parameters and multiply-accumulates of the zoo', () => {
    for (const { name: variant, params, macs, input } of variantsOf(name)) {
      expect(entry.params, variant).toBe(params)
      if (input[1] === entry.inputSize[0]) expect(entry.macs, variant).toBe(macs)
    }
  })
})

test('no set of weights of the zoo is left out without a reason', () => {
  const own = new Set(modern.flatMap(({ name }) => variantsOf(name).map((variant) => variant.name)))
  const classic = /^(timm\/)?(alexnet|vgg\d+(_bn)?|googlenet|inception_(v3|v4|resnet_v2))$/
  expect(withWeights().filter((name) => !own.has(name) && !(name in elsewhere) && !classic.test(name))).toEqual([])
})

test('licences are those of the publishers: Facebook’s weights are not for commerce', () => {
  const licenses = new Map(modern.flatMap(({ weights }) => Object.values(weights).map((w) => [w.name, w.license])))
  expect(licenses.get('fb_swsl_ig1b_ft_in1k')).toMatch(/^CC-BY-NC-4.0 .*Instagram/)
  expect(licenses.get('fb_ssl_yfcc100m_ft_in1k')).toMatch(/^CC-BY-NC-4.0 .*YFCC100M/)
  expect(licenses.get('tv2_in1k')).toMatch(/^BSD-3-Clause/)
  expect(licenses.get('ns_jft_in1k')).toMatch(/^Apache-2.0 .*JFT-300M/)
  expect(licenses.get('a1_in1k')).toMatch(/^Apache-2.0 \(timm\); trained on ImageNet, whose terms [^,]*$/)
  expect(licenses.get('IMAGENET1K_V2')).toMatch(/^BSD-3-Clause \(torchvision\); trained on ImageNet/)
})
