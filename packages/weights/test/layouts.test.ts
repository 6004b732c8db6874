import { readFileSync } from 'node:fs'
import { type Tensor, tensor, zeros } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { loadWeights, writeSafetensors } from '../src/index.ts'
import { chooseOffer } from '../src/layouts/choose.ts'
import { compare } from '../src/plan.ts'

type State = readonly (readonly [key: string, shape: readonly number[]])[]

/** State dicts of torchvision and timm, in their order; of some only the beginning and the end. */
const states = JSON.parse(readFileSync(new URL('fixtures/state-dicts.json', import.meta.url), 'utf8')) as Record<
  string,
  State
>

const state = (name: string): State => states[name]!

/** The file's key for each of the model's, and what is left over. */
function fit(
  file: State,
  model: State,
): { pairs: (readonly [string, string | undefined])[]; layout: string | undefined } {
  const own = new Map(model)
  const { offer, layout } = chooseOffer(own, new Map(file.map(([key, shape]) => [key, { shape }])), 'auto')
  expect(compare(own, offer)).toEqual({ missing: [], unexpected: [], mismatched: [] })
  return { pairs: model.map(([key]) => [key, offer.get(key)?.from] as const), layout }
}

/** Both lists are in the order of the network, so that they pair by position. */
function paired(file: State, model: State): (readonly [string, string | undefined])[] {
  return model.map(([key], i) => [key, file[i]?.[0]] as const)
}

/** lukemelas' names of EfficientNet-B0, in his order: model.py of EfficientNet-PyTorch. */
const lukemelas: State = (() => {
  const norm = ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
  const bn = (name: string): string[] => norm.map((leaf) => `${name}.${leaf}`)
  const both = (name: string): string[] => [`${name}.weight`, `${name}.bias`]
  const block = (index: number): string[] =>
    [
      ...(index === 0 ? [] : ['_expand_conv.weight', ...bn('_bn0')]),
      '_depthwise_conv.weight',
      ...bn('_bn1'),
      ...both('_se_reduce'),
      ...both('_se_expand'),
      '_project_conv.weight',
      ...bn('_bn2'),
    ].map((key) => `_blocks.${index}.${key}`)
  const keys = [
    '_conv_stem.weight',
    ...bn('_bn0'),
    ...Array.from({ length: 16 }, (_, index) => block(index)).flat(),
    '_conv_head.weight',
    ...bn('_bn1'),
    ...both('_fc'),
  ]
  return keys.map((key, i) => [key, state('efficientnet_b0')[i]![1]] as const)
})()

describe('layouts', () => {
  const b0 = state('efficientnet_b0')
  const timm = state('tf_efficientnet_b0')

  test.each([
    ['timm EfficientNet into torchvision’s', timm, b0, 'timm EfficientNet'],
    ['torchvision’s EfficientNet into timm’s', b0, timm, 'timm EfficientNet'],
    ['lukemelas’ EfficientNet into torchvision’s', lukemelas, b0, 'lukemelas EfficientNet'],
    ['lukemelas’ EfficientNet into timm’s', lukemelas, timm, 'lukemelas EfficientNet'],
    ['Cadene’s SE-ResNet into timm’s', state('legacy_seresnet50'), state('seresnet50'), 'Cadene SENet'],
  ])('%s: every tensor by its place in the network', (_, file, model, layout) => {
    expect(file.length).toBe(model.length)
    expect(fit(file, model)).toEqual({ pairs: paired(file, model), layout })
  })

  test('DenseNet’s old spelling', () => {
    const model = state('densenet121')
    const old = model.map(
      ([key, shape]) => [key.replace(/(denselayer\d+\.(?:norm|conv))([12])/, '$1.$2'), shape] as const,
    )
    expect(old[6]![0]).toBe('features.denseblock1.denselayer1.norm.1.weight')
    expect(fit(old, model)).toEqual({ pairs: paired(old, model), layout: 'DenseNet with dotted names' })
  })

  test('Cadene’s ResNeXt, which has numbers instead of names', () => {
    const model = state('resnext101_64x4d')
    const place: Record<string, string> = {
      conv1: '0.0.0.0',
      bn1: '0.0.0.1',
      conv2: '0.0.0.3',
      bn2: '0.0.0.4',
      conv3: '0.0.1',
      bn3: '0.0.2',
      'downsample.0': '0.1.0',
      'downsample.1': '0.1.1',
    }
    const file = model.map(([key, shape]) => {
      const [, layer, block, module, leaf] = /^layer(\d)\.(\d+)\.(.+)\.([a-z_]+)$/.exec(key) ?? []
      if (layer) return [`features.${Number(layer) + 3}.${block}.${place[module!]}.${leaf}`, shape] as const
      return [
        key.replace('conv1.', 'features.0.').replace('bn1.', 'features.1.').replace('fc.', 'last_linear.'),
        shape,
      ] as const
    })
    expect(file[0]![0]).toBe('features.0.weight')
    expect(fit(file, model)).toEqual({ pairs: paired(file, model), layout: 'Cadene ResNeXt' })
  })

  test('timm’s VGG, whose linear layers are convolutions', () => {
    const features: State = [
      ['features.0.weight', [64, 3, 3, 3]],
      ['features.0.bias', [64]],
    ]
    const file: State = [
      ...features,
      ['pre_logits.fc1.weight', [4096, 512, 7, 7]],
      ['pre_logits.fc1.bias', [4096]],
      ['pre_logits.fc2.weight', [4096, 4096, 1, 1]],
      ['pre_logits.fc2.bias', [4096]],
      ['head.fc.weight', [1000, 4096]],
      ['head.fc.bias', [1000]],
    ]
    const model: State = [
      ...features,
      ['classifier.0.weight', [4096, 25088]],
      ['classifier.0.bias', [4096]],
      ['classifier.3.weight', [4096, 4096]],
      ['classifier.3.bias', [4096]],
      ['classifier.6.weight', [1000, 4096]],
      ['classifier.6.bias', [1000]],
    ]
    expect(fit(file, model)).toEqual({ pairs: paired(file, model), layout: 'timm VGG' })
    expect(fit(model, file)).toEqual({ pairs: paired(model, file), layout: 'timm VGG' })
  })

  test.each(['classif', 'fc', 'head.fc'])('a classifier called %s is the last layer', (name) => {
    const body: State = [['conv2d_1a.conv.weight', [32, 3, 3, 3]]]
    const head = (path: string): State => [
      [`${path}.weight`, [1000, 1536]],
      [`${path}.bias`, [1000]],
    ]
    const [file, model] = [
      [...body, ...head(name)],
      [...body, ...head('last_linear')],
    ]
    expect(fit(file, model).pairs).toEqual(paired(file, model))
  })

  test('a file of another network is not made to fit', () => {
    const own = new Map(state('seresnet50'))
    const entries = new Map(b0.map(([key, shape]) => [key, { shape }]))
    const { offer } = chooseOffer(own, entries, 'auto')
    expect(compare(own, offer).missing.length).toBeGreaterThan(40)
  })
})

test('the background of a classifier of 1001 classes is left out, and the numbers are those of the others', async () => {
  const rows = Float32Array.from({ length: 1001 * 2 }, (_, i) => i)
  const file = new Map<string, Tensor>([
    ['last_linear.weight', tensor(rows, { shape: [1001, 2] })],
    ['last_linear.bias', tensor(rows.subarray(0, 1001))],
  ])
  const weight = zeros([1000, 2])
  const bias = zeros([1000])
  const model = {
    stateDict: () =>
      new Map([
        ['fc.weight', weight],
        ['fc.bias', bias],
      ]),
  }
  const { layout } = await loadWeights(model, await writeSafetensors(file))
  expect(layout).toBe('classifier of any name, background class left out')
  expect(weight.dataSync()).toEqual(rows.subarray(2))
  expect(bias.dataSync()).toEqual(rows.subarray(1, 1001))
  for (const made of [weight, bias, ...file.values()]) made.dispose()
})
