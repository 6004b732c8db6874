/** Options that do not exist are refused by name, before anything is read, fetched or made. */
import { ArgumentError } from '@convnets/tensor'
import { optionFaults } from '@convnets/testkit'
import { expect, test } from 'vitest'
import * as exported from '../src/index.ts'

/** The name as users write it, and a call that is right but for the options. */
type Case = readonly [name: string, call: (options: never) => unknown]

const bytes = Uint8Array.of(0)
const box = { top: 0, left: 0, height: 1, width: 1 }
const corners = [
  [0, 0],
  [1, 0],
  [1, 1],
  [0, 1],
] as const
const image = new exported.Image(bytes, 1, 1, 1)
const dataset = exported.arrayDataset([{ image, label: 0 }])
const loader = new exported.DataLoader(dataset)
const sampler = exported.sequentialSampler(4)

const now: readonly Case[] = [
  ['DataLoader', (options) => new exported.DataLoader(dataset, options)],
  ['DataLoader.epoch', (options) => loader.epoch(0, options)],
  ['Image.from', (options) => exported.Image.from(image, options)],
  ['affine', (options) => exported.affine(options)],
  ['augMix', (options) => exported.augMix(options)],
  ['autoAugment', (options) => exported.autoAugment(options)],
  ['colorJitter', (options) => exported.colorJitter(options)],
  ['cutMix', (options) => exported.cutMix(options)],
  ['distributedSampler', (options) => exported.distributedSampler(sampler, options)],
  ['erase', (options) => exported.erase(box, options)],
  ['gaussianBlur', (options) => exported.gaussianBlur(3, options)],
  ['grayscale', (options) => exported.grayscale(options)],
  ['mixUp', (options) => exported.mixUp(options)],
  ['pad', (options) => exported.pad(1, options)],
  ['perspective', (options) => exported.perspective(corners, corners, options)],
  ['randAugment', (options) => exported.randAugment(options)],
  ['randomAdjustSharpness', (options) => exported.randomAdjustSharpness(2, options)],
  ['randomAffine', (options) => exported.randomAffine(10, options)],
  ['randomApply', (options) => exported.randomApply([exported.invert], options)],
  ['randomAutocontrast', (options) => exported.randomAutocontrast(options)],
  ['randomChoice', (options) => exported.randomChoice([exported.invert], options)],
  ['randomCrop', (options) => exported.randomCrop(10, options)],
  ['randomEqualize', (options) => exported.randomEqualize(options)],
  ['randomErasing', (options) => exported.randomErasing(options)],
  ['randomGaussianBlur', (options) => exported.randomGaussianBlur(3, options)],
  ['randomGrayscale', (options) => exported.randomGrayscale(options)],
  ['randomHorizontalFlip', (options) => exported.randomHorizontalFlip(options)],
  ['randomInvert', (options) => exported.randomInvert(options)],
  ['randomPerspective', (options) => exported.randomPerspective(options)],
  ['randomPosterize', (options) => exported.randomPosterize(4, options)],
  ['randomResizedCrop', (options) => exported.randomResizedCrop(10, options)],
  ['randomRotation', (options) => exported.randomRotation(10, options)],
  ['randomSampler', (options) => exported.randomSampler(4, options)],
  ['randomSolarize', (options) => exported.randomSolarize(128, options)],
  ['randomVerticalFlip', (options) => exported.randomVerticalFlip(options)],
  ['readCifar10', (options) => exported.readCifar10(bytes, options)],
  ['readCifar100', (options) => exported.readCifar100(bytes, options)],
  ['readIdx', (options) => exported.readIdx(bytes, options)],
  ['resize', (options) => exported.resize(10, options)],
  ['resizedCrop', (options) => exported.resizedCrop(box, 10, options)],
  ['rotate', (options) => exported.rotate(10, options)],
  ['trivialAugmentWide', (options) => exported.trivialAugmentWide(options)],
  ['weightedSampler', (options) => exported.weightedSampler([1, 2], options)],
]

/** What there is to read or to fetch does not exist: whoever looks for it first fails otherwise. */
const later: readonly Case[] = [
  ['Image.open', (options) => exported.Image.open('/nowhere.png', options)],
  ['cifar10', (options) => exported.cifar10(options)],
  ['cifar100', (options) => exported.cifar100(options)],
  ['download', (options) => exported.download('http://nowhere.invalid', '/nowhere/file', options)],
  ['fashionMnist', (options) => exported.fashionMnist(options)],
  ['imageFolder', (options) => exported.imageFolder('/nowhere', options)],
  ['loadIdx', (options) => exported.loadIdx('/nowhere.idx', options)],
  ['mnist', (options) => exported.mnist(options)],
]

test.each([...now, ...later])('%s refuses options that do not exist', async (name, call) => {
  expect(await optionFaults(name, call)).toEqual([])
})

test.each(later)('%s gives a promise, whatever is wrong', async (_, call) => {
  const answer = call(1 as never)
  await expect(answer).rejects.toBeInstanceOf(ArgumentError)
})

/** All that is exported and can be called, with its source: functions, constructors and methods. */
function* callables(): Generator<readonly [name: string, source: string]> {
  for (const [name, value] of Object.entries(exported)) {
    if (typeof value !== 'function') continue
    const source = String(value)
    if (!source.startsWith('class')) yield [name, source]
    else {
      yield [name, /constructor(\(.*)/.exec(source)?.[1] ?? '()']
      for (const holder of [value, value.prototype as object]) {
        for (const [key, { value: method }] of Object.entries(Object.getOwnPropertyDescriptors(holder))) {
          if (typeof method === 'function' && method !== value) yield [`${name}.${key}`, String(method)]
        }
      }
    }
  }
}

test('every export with options is in the lists', () => {
  // Parameters end at the first parenthesis that closes; options that are taken apart among them are options too.
  const takesOptions = (source: string): boolean => /^[^)]*(\boptions\b|= \{\})/.test(source)
  const found = [...callables()].filter(([, source]) => takesOptions(source)).map(([name]) => name)
  expect([...now, ...later].map(([name]) => name).sort()).toEqual(found.sort())
})
