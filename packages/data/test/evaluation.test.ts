import { ArgumentError, ShapeError } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { centerCrop, compose, evalTransform, Image, normalize, resize, swapRedBlue } from '../src/index.ts'

const image = new Image(
  Uint8Array.from({ length: 50 * 70 * 3 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24),
  50,
  70,
  3,
)
const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const

describe('evalTransform', () => {
  test('is resize, centre crop and normalisation, to the bit', () => {
    for (const interpolation of ['bilinear', 'bicubic'] as const) {
      const got = evalTransform({ resize: 37, crop: 32, interpolation, ...imagenet })(image)
      const steps = compose(resize(37, { interpolation }), centerCrop(32), normalize(imagenet.mean, imagenet.std))
      expect(got).toEqual(steps(image))
      expect([got.height, got.width, got.channels]).toEqual([32, 32, 3])
    }
  })

  test('Caffe: blue, green and red from 0 to 255 less their means', () => {
    const means = [104, 117, 123]
    const weights = {
      resize: 40,
      crop: 32,
      mean: means.map((value) => value / 255),
      std: [1 / 255, 1 / 255, 1 / 255],
      channelOrder: 'bgr' as const,
    }
    const got = evalTransform(weights)(image)
    const cut = compose(resize(40), centerCrop(32))(image)
    for (let i = 0; i < got.data.length; i += 3) {
      for (let c = 0; c < 3; c++) expect(got.data[i + c]).toBeCloseTo(cut.data[i + 2 - c]! - means[c]!, 4)
    }
  })

  test('grey is repeated, alpha dropped, and colours become grey for a network of one channel', () => {
    const transform = evalTransform({ resize: 20, crop: 16, ...imagenet })
    expect(transform(image.convert(1))).toEqual(transform(image.convert(1).convert(3)))
    expect(transform(image.convert(4))).toEqual(transform(image))
    const grey = evalTransform({ resize: 20, crop: 16, mean: [0.5], std: [0.5] })
    expect(grey(image.convert(1)).channels).toBe(1)
    expect(grey(image)).toEqual(grey(image.convert(1)))
  })

  test('resize may be height and width', () => {
    const got = evalTransform({ resize: [20, 20], crop: [16, 20], ...imagenet })(image)
    expect([got.height, got.width]).toEqual([16, 20])
    expect(got.data).toEqual(
      compose(resize([20, 20]), centerCrop([16, 20]), normalize(imagenet.mean, imagenet.std))(image).data,
    )
  })

  test('refuses what makes no sense, before any picture', () => {
    expect(() => evalTransform({ resize: 0, crop: 8, ...imagenet })).toThrow(ArgumentError)
    expect(() => evalTransform({ resize: 8, crop: 8, mean: [0], std: [1], channelOrder: 'bgr' })).toThrow(
      /three numbers/,
    )
    expect(() => evalTransform({ resize: 8, crop: 8, mean: [0, 0], std: [1, 1] })).toThrow(/one number or three/)
    expect(() => evalTransform({ resize: 8, crop: 8, ...imagenet, channelOrder: 'gbr' as 'bgr' })).toThrow(
      /'rgb' or 'bgr'/,
    )
    expect(() => evalTransform({ resize: 8, crop: 8, ...imagenet, interpolation: 'cubic' as 'bicubic' })).toThrow(
      ArgumentError,
    )
  })
})

test('swapRedBlue twice is nothing', () => {
  expect(swapRedBlue(swapRedBlue(image)).data).toEqual(image.data)
  expect([...swapRedBlue(new Image(Uint8Array.of(1, 2, 3, 4), 1, 1, 4)).data]).toEqual([3, 2, 1, 4])
  expect(() => swapRedBlue(image.convert(1))).toThrow(ShapeError)
})
