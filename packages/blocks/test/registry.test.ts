import {
  checkImages,
  createModel,
  defineModel,
  type FeatureInfo,
  findModel,
  freshClassifier,
  ImageModel,
  listModels,
  type ModelFacts,
  type ModelOptions,
  nearest,
} from '@convnets/blocks'
import { Conv2d, Linear } from '@convnets/nn'
import { globalAvgPool2d, ones, randn, reference, type Tensor } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'

class Tiny extends ImageModel {
  readonly featureInfo: readonly FeatureInfo[] = [{ name: 'conv', channels: 4, stride: 2 }]
  conv: Conv2d
  fc: Linear

  constructor({ inChannels = 3, numClasses = 2 }: ModelOptions) {
    super()
    this.conv = new Conv2d(inChannels, 4, { kernel: 3, stride: 2, padding: 1 })
    this.fc = new Linear(4, numClasses)
  }

  forwardFeatures(x: Tensor): Tensor {
    return this.conv.forward(x)
  }

  forward(x: Tensor): Tensor {
    return this.fc.forward(globalAvgPool2d(this.forwardFeatures(x)))
  }

  resetClassifier(numClasses: number, options: { readonly seed?: number } = {}): this {
    this.fc = freshClassifier(this.fc, numClasses, options)
    return this
  }
}

const facts = (name: string): ModelFacts => ({
  name,
  paper: 'none',
  params: 122,
  macs: 0,
  inputSize: [8, 8],
  numClasses: 2,
  weights: {},
})
const tiny = defineModel(facts('tiny'), (options: ModelOptions) => new Tiny(options))
const others = ['tiny_v2', 'huge', 'a+b'].map((name) =>
  defineModel(facts(name), (options: ModelOptions) => new Tiny(options)),
)
const lists = { from: [[tiny], others] }

describe('entries', () => {
  test('are functions with facts', () => {
    expect([tiny.name, tiny.params, tiny.paper]).toEqual(['tiny', 122, 'none'])
    expect({ ...tiny }).toEqual(facts('tiny'))
    expect(tiny({ numClasses: 5 }).fc.outFeatures).toBe(5)
    expect(tiny().parameterCount()).toBe(tiny.params)
  })

  test('build the same model from the same seed, whatever was drawn before', () => {
    const first = tiny({ seed: 7 }).conv.weight.dataSync()
    randn([100])
    expect(tiny({ seed: 7 }).conv.weight.dataSync()).toEqual(first)
    expect(tiny({ seed: 8 }).conv.weight.dataSync()).not.toEqual(first)
  })
})

describe('names', () => {
  test('are found in any of the lists', () => {
    expect(findModel('huge', lists).name).toBe('huge')
    expect(createModel('tiny', { ...lists, inChannels: 1 }).forward(ones([1, 1, 8, 8])).shape).toEqual([1, 2])
  })

  test('that are wrong are answered with the nearest', () => {
    expect(() => createModel('tyni', lists)).toThrow(
      "findModel: name expects one of 4 models, got 'tyni'; nearest: tiny, ",
    )
    expect(() => createModel('__proto__', lists)).toThrow("got '__proto__'; nearest: ")
    expect(() => findModel('tiny', {} as never)).toThrow(
      'findModel: from expects lists of models, as in { from: [modern] }, got undefined',
    )
    expect(() => createModel('tiny', undefined as never)).toThrow('findModel: from expects lists of models')
    expect(() => listModels('*', { from: tiny as never })).toThrow('listModels: from expects lists of models')
    expect(() => createModel('tiny', { ...lists, seed: 'one' as never })).toThrow(
      'Generator: seed expects a non-negative integer up to 2^53 - 1, got one',
    )
  })

  test('are listed by pattern, in order', () => {
    expect(listModels('*', lists)).toEqual(['tiny', 'tiny_v2', 'huge', 'a+b'])
    expect(listModels('tiny*', lists)).toEqual(['tiny', 'tiny_v2'])
    expect(listModels('?+b', lists)).toEqual(['a+b'])
    expect(listModels(/u|v/g, lists)).toEqual(['tiny_v2', 'huge'])
  })

  test('nearest ignores case and punctuation, and counts edits and swaps', () => {
    const names = ['resnet18', 'resnet50', 'resnext50_32x4d', 'vgg16']
    expect(nearest('ResNet-50', names)[0]).toBe('resnet50')
    expect(nearest('resnext50-32x4d', names, 1)).toEqual(['resnext50_32x4d'])
    expect(nearest('vg16', names, 1)).toEqual(['vgg16'])
    expect(nearest('renset18', names, 1)).toEqual(['resnet18'])
    expect(nearest('x', [])).toEqual([])
  })
})

describe('image models', () => {
  test('give the outputs of named modules, and leave no hook behind', () => {
    const model = tiny()
    const maps = model.features(ones([2, 3, 8, 8]))
    expect([...maps].map(([name, { shape }]) => [name, shape])).toEqual([['conv', [2, 4, 4, 4]]])
    expect(Object.hasOwn(model.conv, 'forward')).toBe(false)
    expect(() => model.features(ones([2, 4, 8, 8]))).toThrow('conv2d: weight expects 4 input channels, got 3')
    expect(Object.hasOwn(model.conv, 'forward')).toBe(false)
    expect(() => model.features(ones([2, 3, 8, 8]), ['fc'])).toThrow(
      "expects modules on the way to the last feature maps, got 'fc'",
    )
    expect(() => model.features(ones([2, 3, 8, 8]), ['cnov'])).toThrow("got 'cnov'; nearest: conv, fc")
    expect(() => model.features(ones([2, 3, 8, 8]), [''])).toThrow("got ''; nearest: ")
  })

  test('get a fresh classifier where the former one was', () => {
    const model = tiny().eval().to('float64').to(reference)
    const former = model.fc
    model.resetClassifier(9, { seed: 1 })
    expect(former.weight.disposed).toBe(true)
    expect([model.fc.weight.dtype, model.fc.weight.backend, model.fc.training]).toEqual(['float64', reference, false])
    expect(model.fc.weight.requiresGrad).toBe(true)
    const kept = model.fc
    expect(() => model.resetClassifier(-1)).toThrow('Linear: outFeatures expects an integer of at least 1, got -1')
    expect(model.fc).toBe(kept)
    expect(kept.weight.disposed).toBe(false)
  })

  test('say what images they take', () => {
    const rules = { model: 'tiny', channels: 3, smallest: 16 }
    expect(() => checkImages(ones([1, 3, 16, 16]), rules)).not.toThrow()
    for (const shape of [
      [1, 3, 15, 16],
      [1, 3, 16, 15],
      [1, 1, 16, 16],
      [3, 16, 16],
    ]) {
      expect(() => checkImages(ones(shape), rules)).toThrow(
        `tiny: x expects (N, 3, H, W) with H and W of at least 16, got (${shape.join(', ')})`,
      )
    }
  })
})
