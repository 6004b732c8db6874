import { Generator } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import type { Pixels, Transform } from '../src/index.ts'
import * as exported from '../src/index.ts'

const {
  adjustBrightness,
  adjustContrast,
  adjustHue,
  adjustSaturation,
  adjustSharpness,
  affine,
  augMix,
  autoAugment,
  autocontrast,
  centerCrop,
  colorJitter,
  compose,
  crop,
  equalize,
  erase,
  evalTransform,
  gaussianBlur,
  grayscale,
  horizontalFlip,
  invert,
  normalize,
  pad,
  perspective,
  posterize,
  randAugment,
  randomAdjustSharpness,
  randomAffine,
  randomApply,
  randomAutocontrast,
  randomChoice,
  randomCrop,
  randomEqualize,
  randomErasing,
  randomGaussianBlur,
  randomGrayscale,
  randomHorizontalFlip,
  randomInvert,
  randomOrder,
  randomPerspective,
  randomPosterize,
  randomResizedCrop,
  randomRotation,
  randomSolarize,
  randomVerticalFlip,
  resize,
  resizedCrop,
  rotate,
  solarize,
  toChannels,
  toFloat,
  trivialAugmentWide,
  verticalFlip,
} = exported

const corners = [
  [0, 0],
  [22, 0],
  [22, 18],
  [0, 18],
] as const
const random: readonly Transform[] = [
  augMix(),
  autoAugment(),
  autoAugment({ policy: 'cifar10', fill: 128 }),
  autoAugment({ policy: 'svhn' }),
  colorJitter({ brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
  randAugment(),
  randomAdjustSharpness(2),
  randomAffine(30, { translate: [0.1, 0.1], scale: [0.8, 1.2], shear: 10, interpolation: 'bilinear' }),
  randomApply([horizontalFlip, resize(9)], { p: 0.3 }),
  randomAutocontrast(),
  randomChoice([horizontalFlip, rotate(45)], { weights: [1, 2] }),
  randomCrop(12, { padding: 2 }),
  randomEqualize(),
  randomErasing(),
  randomGaussianBlur(3),
  randomGrayscale({ p: 0.5 }),
  randomHorizontalFlip(),
  randomInvert(),
  randomOrder([horizontalFlip, rotate(45), adjustBrightness(1.2)]),
  randomPerspective(),
  randomPosterize(3),
  randomResizedCrop(16),
  randomRotation(40, { expand: true }),
  randomSolarize(100),
  randomVerticalFlip({ p: 0.7 }),
  trivialAugmentWide(),
]
const fixed: readonly Transform[] = [
  adjustBrightness(0.5),
  adjustContrast(1.5),
  adjustHue(-0.2),
  adjustSaturation(2),
  adjustSharpness(0),
  affine({ angle: 3, translate: [1, 2], scale: 0.9, shear: [5, -5], interpolation: 'bicubic' }),
  autocontrast,
  centerCrop([8, 40]),
  crop({ top: 1, left: -2, height: 9, width: 9 }),
  equalize,
  erase({ top: 1, left: 2, height: 3, width: 4 }, { value: [1, 2, 3] }),
  evalTransform({ resize: 16, crop: 14, mean: [0.4, 0.5, 0.6], std: [0.2, 0.2, 0.3], channelOrder: 'bgr' }),
  gaussianBlur([3, 5]),
  grayscale({ channels: 3 }),
  horizontalFlip,
  invert,
  normalize(0.5, 0.25),
  pad([1, 2, 3, 4], { mode: 'reflect' }),
  perspective(corners, [
    [1, 2],
    [20, 0],
    [22, 16],
    [3, 18],
  ]),
  posterize(4),
  resize(11, { interpolation: 'lanczos', maxSize: 13 }),
  resizedCrop({ top: 1, left: 2, height: 9, width: 8 }, [7, 5], { interpolation: 'hamming' }),
  rotate(33, { expand: true, interpolation: 'bilinear' }),
  solarize(128),
  toFloat,
  toChannels(3),
  verticalFlip,
  compose(resize(12), randomCrop(8), compose(randomHorizontalFlip(), normalize([0.1, 0.2, 0.3], [1, 1, 2]))),
]

const picture = (channels = 3): Pixels => ({
  data: Uint8Array.from({ length: 19 * 23 * channels }, (_, i) => 20 + (Math.imul(i + 7, 0x9e3779b1) >>> 24) * 0.8),
  height: 19,
  width: 23,
  channels,
})

describe.each([...random, ...fixed].map((transform) => [transform.name, transform] as const))(
  '%s',
  (name, transform) => {
    test('is a function of picture and seed, and changes neither the picture nor its kind', () => {
      const pixels = picture()
      const before = pixels.data.slice()
      for (const seed of [1, 2, 3, 4]) {
        const result = transform(pixels, new Generator(seed))
        expect(transform(pixels, new Generator(seed))).toEqual(result)
        expect(result.data).toHaveLength(result.height * result.width * result.channels)
        expect(result.channels).toBe(3)
        expect(pixels.data).toEqual(before)
        const floats = ['normalize', 'toFloat', 'compose'].includes(name)
        expect(result.data).toBeInstanceOf(floats ? Float32Array : Uint8Array)
      }
    })

    test('takes grey pictures too', () => {
      if (['erase', 'normalize', 'compose'].includes(name)) return
      const result = transform(picture(1), new Generator(5))
      expect(result.channels).toBe(name === 'grayscale' || name === 'toChannels' ? 3 : 1)
    })

    test('prints as code that makes it', () => {
      // Those without arguments are exported functions, and print by their name within a pipeline.
      const text = String(compose(transform))
      const parts: Readonly<Record<string, unknown>> = { ...exported }
      const made = new Function(...Object.keys(parts), `return ${text}`)(...Object.values(parts))
      expect(String(made)).toBe(text)
      for (const seed of [6, 7, 8]) {
        expect(made(picture(), new Generator(seed))).toEqual(transform(picture(), new Generator(seed)))
      }
    })
  },
)

test.each(random.map((transform) => [transform.name, transform] as const))(
  '%s differs from seed to seed',
  (_, transform) => {
    const results = new Set(
      Array.from({ length: 40 }, (_, seed) => String(transform(picture(), new Generator(seed)).data)),
    )
    expect(results.size).toBeGreaterThan(1)
  },
)

test('a pipeline prints itself, one step a line', () => {
  const pipeline = compose(
    randomResizedCrop(224),
    randomApply([invert], { p: 0.2 }),
    compose(randomHorizontalFlip(), (pixels) => pixels),
    toFloat,
    normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
  )
  expect(String(pipeline)).toBe(`compose(
  randomResizedCrop(224, { scale: [0.08, 1], ratio: [0.75, 1.3333333333333333], interpolation: 'bilinear' }),
  randomApply([invert], { p: 0.2 }),
  compose(
    randomHorizontalFlip({ p: 0.5 }),
    anonymous,
  ),
  toFloat,
  normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
)`)
  expect(String(compose())).toBe('compose()')
})

test('the list of steps is the pipeline’s own', () => {
  const steps = [horizontalFlip]
  const pipeline = compose(...steps)
  steps.push(verticalFlip)
  expect(pipeline(picture())).toEqual(horizontalFlip(picture()))
})

describe('chance', () => {
  const mark =
    (value: number) =>
    ({ data }: Pixels): Pixels => ({ data: Uint8Array.of(10 * data[0]! + value), height: 1, width: 1, channels: 1 })
  const zero: Pixels = { data: Uint8Array.of(0), height: 1, width: 1, channels: 1 }
  const count = (transform: Transform, runs = 4000): Map<number, number> => {
    const generator = new Generator(9)
    const counts = new Map<number, number>()
    for (let i = 0; i < runs; i++) {
      const value = transform(zero, generator).data[0]!
      counts.set(value, (counts.get(value) ?? 0) + 1)
    }
    return counts
  }
  // Five standard deviations of the binomial distribution.
  const near = (got: number | undefined, share: number, runs = 4000): void =>
    expect(Math.abs((got ?? 0) - share * runs)).toBeLessThan(5 * Math.sqrt(runs * share * (1 - share)))

  test('randomApply: all of them or none', () => {
    const counts = count(randomApply([mark(1), mark(2)], { p: 0.3 }))
    expect([...counts.keys()].sort()).toEqual([0, 12])
    near(counts.get(12), 0.3)
  })

  test('randomChoice: one of them, by weight', () => {
    const counts = count(randomChoice([mark(1), mark(2), mark(3)], { weights: [1, 0, 3] }))
    expect([...counts.keys()].sort()).toEqual([1, 3])
    near(counts.get(3), 0.75)
    expect(() => randomChoice([])).toThrow(/transforms expects a list of at least one/)
    expect(() => randomChoice([invert], { weights: [0] })).toThrow(
      /weights expects 1 numbers from 0 with a positive sum/,
    )
  })

  test('randomOrder: every order alike', () => {
    const counts = count(randomOrder([mark(1), mark(2)]))
    expect([...counts.keys()].sort()).toEqual([12, 21])
    near(counts.get(12), 0.5)
  })

  test.each([
    ['randomInvert', (p: number) => randomInvert({ p })],
    ['randomSolarize', (p: number) => randomSolarize(0, { p })],
  ])('%s as often as p says', (_, make) => {
    near(count(make(0.2)).get(255), 0.2)
    expect(() => make(2)).toThrow(/p expects a number from 0 to 1, got 2/)
  })
})
