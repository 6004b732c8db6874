import { ArgumentError, DTypeError, Generator } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import {
  adjustBrightness,
  adjustContrast,
  adjustSaturation,
  adjustSharpness,
  affine,
  augMix,
  autoAugment,
  autocontrast,
  type DeterministicTransform,
  equalize,
  invert,
  type Pixels,
  posterize,
  randAugment,
  rotate,
  solarize,
  toFloat,
  trivialAugmentWide,
} from '../src/index.ts'
import { policies } from '../src/transforms/policies.ts'

/** Never 255, so that solarizing from 255 on changes nothing. */
const picture: Pixels = {
  data: Uint8Array.from({ length: 40 * 50 * 3 }, (_, i) => 20 + (Math.imul(i + 3, 0x9e3779b1) >>> 24) * 0.8),
  height: 40,
  width: 50,
  channels: 3,
}

const outcome = ({ data }: Pixels): string => Buffer.from(data as Uint8Array).toString('base64')
const outcomes = (transforms: readonly DeterministicTransform[], from = picture): Set<string> =>
  new Set(transforms.map((transform) => outcome(transform(from))))

const same: DeterministicTransform = (pixels) => pixels
const degrees = (tangent: number): number => (Math.atan(tangent) * 180) / Math.PI
const shear = (x: number, y: number): DeterministicTransform =>
  affine({ shear: [degrees(x), degrees(y)], center: [0, 0] })
const shift = (x: number, y: number): DeterministicTransform => affine({ translate: [x, y] })
const both = (make: (value: number) => DeterministicTransform, value: number): DeterministicTransform[] => [
  make(value),
  make(-value),
]
const f = Math.fround

/** Everything that a space of torchvision does at a level, signs included. */
function space(
  s: number,
  x: number,
  y: number,
  turn: number,
  enhance: number,
  bits: number,
  threshold: number,
): DeterministicTransform[] {
  return [
    ...both((value) => shear(value, 0), s),
    ...both((value) => shear(0, value), s),
    ...both((value) => shift(Math.trunc(value), 0), x),
    ...both((value) => shift(0, Math.trunc(value)), y),
    ...both((value) => rotate(value), turn),
    ...[adjustBrightness, adjustSaturation, adjustContrast, adjustSharpness].flatMap((adjust) =>
      both((value) => adjust(1 + value), enhance),
    ),
    posterize(bits),
    solarize(threshold),
    autocontrast,
    equalize,
  ]
}

function seen(transform: (pixels: Pixels, generator: Generator) => Pixels, runs: number, from = picture): Set<string> {
  return new Set(Array.from({ length: runs }, (_, seed) => outcome(transform(from, new Generator(seed)))))
}

describe('randAugment', () => {
  test('at level 0 only autocontrast and equalize do anything', () => {
    expect(seen(randAugment({ numOps: 1, magnitude: 0 }), 150)).toEqual(outcomes([same, autocontrast, equalize]))
  })

  test('at its default level 9 of 31 it does what torchvision lists', () => {
    const level = (last: number): number => f((last * 9) / 30)
    const all = [
      same,
      ...space(
        level(0.3),
        level((150 / 331) * 50),
        level((150 / 331) * 40),
        level(30),
        level(0.9),
        8 - 1,
        f(255 - (255 * 9) / 30),
      ),
    ]
    expect(seen(randAugment({ numOps: 1 }), 500)).toEqual(outcomes(all))
  })

  test('several operations in a row', () => {
    const twice = outcomes(
      [same, autocontrast, equalize].flatMap((one) =>
        [same, autocontrast, equalize].map((two) => (p: Pixels) => two(one(p))),
      ),
    )
    for (const result of seen(randAugment({ numOps: 2, magnitude: 0 }), 60)) expect(twice).toContain(result)
    expect(randAugment({ numOps: 0 })(picture, new Generator(0))).toBe(picture)
  })
})

test('trivialAugmentWide: every operation at every level', () => {
  const all = [same, ...space(0, 0, 0, 0, 0, 8, 255), ...space(f(0.99), 32, 32, 135, f(0.99), 2, 0)]
  expect(seen(trivialAugmentWide({ numMagnitudeBins: 2 }), 700)).toEqual(outcomes(all))
})

describe('autoAugment', () => {
  test.each(['imagenet', 'cifar10', 'svhn'] as const)('%s: 25 pairs of operations, all of them possible', (policy) => {
    const pairs = policies[policy]
    expect(pairs).toHaveLength(25)
    for (const [name, p, level] of pairs.flat()) {
      expect(p * 10).toBe(Math.round(p * 10))
      expect(level === undefined).toBe(['autocontrast', 'equalize', 'invert'].includes(name))
      if (level !== undefined) expect(Number.isInteger(level) && level >= 0 && level <= 9).toBe(true)
    }
  })

  test('what it does, the policy lists', () => {
    // At level l of 10, as the paper's table of ranges has them for 0 to 9.
    const at = (last: number, level: number): number => f((last * level) / 9)
    const x = (150 / 331) * 50
    const y = (150 / 331) * 40
    const operation = (name: string, level: number): DeterministicTransform[] => {
      switch (name) {
        case 'shearX':
          return both((v) => shear(v, 0), at(0.3, level))
        case 'shearY':
          return both((v) => shear(0, v), at(0.3, level))
        case 'translateX':
          return both((v) => shift(Math.trunc(v), 0), at(x, level))
        case 'translateY':
          return both((v) => shift(0, Math.trunc(v)), at(y, level))
        case 'rotate':
          return both(rotate, at(30, level))
        case 'brightness':
          return both((v) => adjustBrightness(1 + v), at(0.9, level))
        case 'color':
          return both((v) => adjustSaturation(1 + v), at(0.9, level))
        case 'contrast':
          return both((v) => adjustContrast(1 + v), at(0.9, level))
        case 'sharpness':
          return both((v) => adjustSharpness(1 + v), at(0.9, level))
        case 'posterize':
          return [posterize([8, 8, 7, 7, 6, 6, 5, 5, 4, 4][level]!)]
        case 'solarize':
          return [solarize(f(255 - (255 * level) / 9))]
        case 'autocontrast':
          return [autocontrast]
        case 'equalize':
          return [equalize]
        default:
          return [invert]
      }
    }
    for (const policy of ['imagenet', 'cifar10', 'svhn'] as const) {
      const possible = new Set<string>()
      for (const [one, two] of policies[policy]) {
        const first = one[1] === 1 ? [] : [same]
        for (const a of [...first, ...operation(one[0], one[2] ?? 0)]) {
          for (const b of [same, ...operation(two[0], two[2] ?? 0)]) possible.add(outcome(b(a(picture))))
        }
      }
      const got = seen(autoAugment({ policy }), 250)
      for (const result of got) expect(possible).toContain(result)
      expect(got.size).toBeGreaterThan(40)
    }
  })

  test('refuses other policies and floats', () => {
    expect(() => autoAugment({ policy: 'mnist' as 'svhn' })).toThrow(ArgumentError)
    expect(() => autoAugment({ policy: 'constructor' as 'svhn' })).toThrow(
      /policy expects 'imagenet', 'cifar10' or 'svhn'/,
    )
    for (const make of [autoAugment, randAugment, trivialAugmentWide, augMix]) {
      expect(() => make()(toFloat(picture), new Generator(0))).toThrow(DTypeError)
    }
    expect(() => randAugment({ magnitude: 31 })).toThrow(/magnitude expects an integer from 0 to 30, got 31/)
  })
})

describe('augMix', () => {
  test('shares sum to 1: what no operation changes stays', () => {
    // Posterizing to 4 bits keeps 96; one value has no contrast to stretch; level 0 of the rest is nothing.
    const flat = { data: new Uint8Array(300).fill(96), height: 10, width: 10, channels: 3 }
    for (const alpha of [0.2, 1, 5]) {
      for (let seed = 0; seed < 40; seed++) {
        expect(augMix({ severity: 1, allOps: false, alpha })(flat, new Generator(seed))).toEqual(flat)
      }
    }
  })

  test('mixes: results lie between the picture and what operations make of it', () => {
    const black = { data: new Uint8Array(300), height: 10, width: 10, channels: 3 }
    expect(augMix()(black, new Generator(3)).data.every((value) => value <= 255)).toBe(true)
    // Chains without colours keep within the range of values, but for what is moved in, and stretched.
    const mean = (pixels: Pixels): number =>
      (pixels.data as Uint8Array).reduce((sum, value) => sum + value, 0) / pixels.data.length
    const results = Array.from({ length: 30 }, (_, seed) => augMix()(picture, new Generator(seed)))
    expect(new Set(results.map(outcome)).size).toBe(30)
    for (const result of results) expect(Math.abs(mean(result) - mean(picture))).toBeLessThan(80)
  })

  test('refuses', () => {
    expect(() => augMix({ severity: 11 })).toThrow(/severity expects an integer from 1 to 10, got 11/)
    expect(() => augMix({ alpha: 0 })).toThrow(/alpha expects a positive number, got 0/)
    expect(() => augMix({ chainDepth: 0 })).toThrow(/chainDepth expects an integer from 1, got 0/)
  })
})
