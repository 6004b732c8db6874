/** What is particular to the networks of inverted bottlenecks: scaling, variants, constants, initial weights. */
import { readFileSync } from 'node:fs'
import type { ImageModel } from '@convnets/blocks'
import {
  compoundScale,
  createModel,
  EfficientNet,
  efficientNetScales,
  efficientNetShape,
  efficientnet_b0,
  efficientnet_b1,
  findModel,
  MnasNet,
  MobileNetV2,
  MobileNetV3,
  mnasnet1_0,
  mobilenet_v2,
  mobilenet_v3_small,
  modern,
  TimmEfficientNet,
  tf_efficientnet_b0,
  tf_efficientnet_b7,
  tf_efficientnet_l2,
} from '@convnets/models-modern'
import { BatchNorm2d, Conv2d, Dropout, DropPath, Linear } from '@convnets/nn'
import {
  defaultBackend,
  memory,
  noGrad,
  randn,
  seeded,
  setDefaultBackend,
  type Tensor,
  tensor,
  tidy,
  withPrecision,
} from '@convnets/tensor'
import { fill, fillModel, hollow, parseModelGolden, relativeError } from '@convnets/testkit'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const values = (t: Tensor): number[] => Array.from(t.dataSync())
const filled = (shape: readonly number[]): Tensor => tensor(Float32Array.from(fill('x', shape)), { shape })
const modules = <M>(model: ImageModel, kind: new (...args: never[]) => M): M[] =>
  [...model.namedModules().values()].filter((module): module is typeof module & M => module instanceof kind)

describe('compound scaling', () => {
  test('multiplies depth, width and resolution by powers of its constants', () => {
    expect(compoundScale(0)).toEqual({ depth: 1, width: 1, resolution: 1, macs: 1 })
    const one = compoundScale(1)
    expect([one.depth, one.width, one.resolution]).toEqual([1.2, 1.1, 1.15])
    // The paper: alpha beta^2 gamma^2 is about 2.
    expect(one.macs).toBeCloseTo(1.92027, 5)
    const half = compoundScale(0.5, { alpha: 4, beta: 1, gamma: 1.21 })
    expect([half.depth, half.width]).toEqual([2, 1])
    expect(half.resolution).toBeCloseTo(1.1, 12)
    expect(compoundScale(3).macs).toBeCloseTo(one.macs ** 3, 10)
  })

  test.each<[() => unknown, RegExp]>([
    [() => compoundScale(-1), /^compoundScale: phi expects a number .*, got -1$/],
    [() => compoundScale(Number.NaN), /^compoundScale: phi expects .*, got NaN$/],
    [() => compoundScale(1, { beta: 0.9 }), /^compoundScale: beta expects .*, got 0.9$/],
    [() => efficientNetShape({ width: 0, depth: 1 }), /^efficientNetShape: width expects .*, got 0$/],
    [() => efficientNetShape({ width: 1, depth: -2 }), /^efficientNetShape: depth expects .*, got -2$/],
  ])('bad arguments, case %#', (call, message) => {
    expect(call).toThrow(message)
  })

  // Stem, blocks per stage, channels per stage and head, as the reference classes build them.
  test.each([
    ['b0', 32, [1, 2, 2, 3, 3, 4, 1], [16, 24, 40, 80, 112, 192, 320], 1280],
    ['b1', 32, [2, 3, 3, 4, 4, 5, 2], [16, 24, 40, 80, 112, 192, 320], 1280],
    ['b2', 32, [2, 3, 3, 4, 4, 5, 2], [16, 24, 48, 88, 120, 208, 352], 1408],
    ['b3', 40, [2, 3, 3, 5, 5, 6, 2], [24, 32, 48, 96, 136, 232, 384], 1536],
    ['b4', 48, [2, 4, 4, 6, 6, 8, 2], [24, 32, 56, 112, 160, 272, 448], 1792],
    ['b5', 48, [3, 5, 5, 7, 7, 9, 3], [24, 40, 64, 128, 176, 304, 512], 2048],
    ['b6', 56, [3, 6, 6, 8, 8, 11, 3], [32, 40, 72, 144, 200, 344, 576], 2304],
    ['b7', 64, [4, 7, 7, 10, 10, 13, 4], [32, 48, 80, 160, 224, 384, 640], 2560],
    ['b8', 72, [4, 8, 8, 11, 11, 15, 4], [32, 56, 88, 176, 248, 424, 704], 2816],
    ['l2', 136, [6, 11, 11, 16, 16, 22, 6], [72, 104, 176, 344, 480, 824, 1376], 5504],
  ] as const)('%s has the channels and blocks of the published network', (name, stem, depths, widths, head) => {
    const shape = efficientNetShape(efficientNetScales[name])
    expect([shape.stem, shape.head]).toEqual([stem, head])
    expect(shape.stages.map(({ depth }) => depth)).toEqual(depths)
    expect(shape.stages.map(({ channels }) => channels)).toEqual(widths)
  })

  test('makes networks that nobody published', () => {
    const model = new EfficientNet({ name: 'mine', ...efficientNetShape(compoundScale(0.5)) }, { numClasses: 5 })
    expect(model.forward(filled([2, 3, 33, 40])).shape).toEqual([2, 5])
    expect(model.parameterCount()).toBeGreaterThan(efficientnet_b0.params)
  })
})

describe('constants', () => {
  const backend = defaultBackend()
  beforeEach(() => setDefaultBackend(hollow))
  afterEach(() => setDefaultBackend(backend))

  test.each([
    [/^efficientnet_b[0-48]$/, 1e-5, 0.1],
    [/^efficientnet_b[5-7]$/, 1e-3, 0.01],
    [/^efficientnet_v2_/, 1e-3, 0.1],
    [/^tf_efficientnet_/, 1e-3, 0.1],
    [/^mobilenet_v2$/, 1e-5, 0.1],
    [/^mobilenet_v3_/, 1e-3, 0.01],
    [/^mnasnet1_0$/, 1e-5, 0.0003],
  ])('%s: batch norm has the eps and momentum of the reference', (pattern, eps, momentum) => {
    const entries = modern.filter(({ name }) => pattern.test(name))
    expect(entries.length).toBeGreaterThan(0)
    for (const entry of entries) {
      const norms = modules(entry(), BatchNorm2d)
      expect(new Set(norms.map((norm) => norm.eps))).toEqual(new Set([eps]))
      for (const norm of norms) expect(norm.momentum).toBeCloseTo(momentum, 10)
    }
  })

  test('dropout is that of the published table', () => {
    const rates = [0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5, 0.5].map((rate, i) => [`b${i}`, rate] as const)
    for (const [scale, rate] of [...rates, ['l2', 0.5] as const]) {
      for (const name of [`efficientnet_${scale}`, `tf_efficientnet_${scale}`]) {
        if (name === 'efficientnet_l2') continue
        const model = createModel(name, { from: [modern] })
        expect(
          modules(model, Dropout).map(({ p }) => p),
          name,
        ).toEqual([rate])
      }
    }
    const others = { efficientnet_v2_s: 0.2, efficientnet_v2_m: 0.3, mobilenet_v2: 0.2, mobilenet_v3_large: 0.2 }
    for (const [name, rate] of Object.entries({ ...others, mobilenet_v3_small: 0.2, mnasnet1_0: 0.2 })) {
      expect(
        modules(createModel(name, { from: [modern] }), Dropout).map(({ p }) => p),
        name,
      ).toEqual([rate])
    }
  })

  test('drop-connect rises to 0.2 by the number of blocks, which the last block stays a step below', () => {
    for (const entry of [efficientnet_b0, tf_efficientnet_b0]) {
      const rates = modules(entry(), DropPath).map(({ p }) => p)
      expect(rates).toHaveLength(16)
      rates.forEach((p, i) => void expect(p).toBeCloseTo((0.2 * i) / 16, 12))
    }
    expect(modules(mobilenet_v2(), DropPath).every(({ p }) => p === 0)).toBe(true)
    const asked = modules(mobilenet_v2({ dropPath: 0.34 }), DropPath).map(({ p }) => p)
    asked.forEach((p, i) => void expect(p).toBeCloseTo(0.02 * i, 12))
    expect(modules(mnasnet1_0({ dropPath: 0.16 }), DropPath).at(-1)?.p).toBeCloseTo(0.15, 12)
    expect(modules(mobilenet_v3_small({ dropPath: 0.11 }), DropPath).at(-1)?.p).toBeCloseTo(0.1, 12)
  })

  test('widths have the parameters that torchvision and timm publish', () => {
    expect(new MnasNet({ name: 'mnasnet0_75', width: 0.75 }).parameterCount()).toBe(3_170_208)
    expect(new MnasNet({ name: 'mnasnet0_5', width: 0.5 }).parameterCount()).toBe(2_218_512)
    const millions = (width: number): string =>
      (new MobileNetV2({ name: 'mobilenet_v2', width }).parameterCount() / 1e6).toFixed(2)
    expect([0.5, 1.4].map(millions)).toEqual(['1.97', '6.11'])
  })

  test('gates of MobileNetV3 have a quarter of the channels inside, in multiples of 8', () => {
    const reduced = [...mobilenet_v3_small().stateDict()].filter(([key]) => key.endsWith('fc1.weight'))
    expect(reduced.map(([, { shape }]) => shape[0])).toEqual([8, 24, 64, 64, 32, 40, 72, 144, 144])
  })
})

/** The entries of a network with torchvision's keys as timm calls them. */
const asTimm = (key: string, lastFeature: number): string =>
  key
    .replace(/^features\.0\.0\./, 'conv_stem.')
    .replace(/^features\.0\.1\./, 'bn1.')
    .replace(new RegExp(`^features\\.${lastFeature}\\.0\\.`), 'conv_head.')
    .replace(new RegExp(`^features\\.${lastFeature}\\.1\\.`), 'bn2.')
    .replace(/^classifier\.1\./, 'classifier.')
    .replace(/^features\.1\.(\d+)\.block\.(\d)\./, (_, j, part) => `blocks.0.${j}.${['dw.', 'se.', 'pw.'][part]}`)
    .replace(/^features\.(\d)\.(\d+)\.block\.(\d)\./, (_, i, j, part) => {
      return `blocks.${i - 1}.${j}.${['pw.', 'dw.', 'se.', 'pwl.'][part]}`
    })
    .replace('se.fc1', 'se.conv_reduce')
    .replace('se.fc2', 'se.conv_expand')
    .replace(/^(blocks\.0\..*)(dw|pw)\.([01])\./, (_, path, name, layer) => {
      return `${path}${layer === '0' ? `conv_${name}` : `bn${{ dw: 1, pw: 2 }[name as 'dw' | 'pw']}`}.`
    })
    .replace(/^(blocks\..*\.)(pw|dw|pwl)\.([01])\./, (_, path, name, layer) => {
      return `${path}${layer === '0' ? `conv_${name}` : `bn${{ pw: 1, dw: 2, pwl: 3 }[name as 'pw' | 'dw' | 'pwl']}`}.`
    })

describe('variants without a golden', () => {
  const scales = ['b0', 'b1', 'b2', 'b3', 'b4', 'b5', 'b6', 'b7'] as const

  test.each(scales)('tf_efficientnet_%s has the tensors of the torchvision network that has one', (scale) => {
    const backend = defaultBackend()
    setDefaultBackend(hollow)
    try {
      const text = readFileSync(
        new URL(`../../../fixtures/goldens/models/efficientnet_${scale}.json`, import.meta.url),
        'utf8',
      )
      const golden = parseModelGolden(text)
      const own = [...createModel(`tf_efficientnet_${scale}`, { from: [modern] }).stateDict()]
      const expected = golden.state.map(([key, shape]) => `${asTimm(key, 8)} ${shape}`)
      expect(own.map(([key, { shape }]) => `${key} ${shape}`).sort()).toEqual(expected.sort())
    } finally {
      setDefaultBackend(backend)
    }
  })

  // On images of 65 pixels every strided map has an odd size (65, 33, 17, 9, 5), and TensorFlow's padding is PyTorch's.
  test.each(['b1', 'b2', 'b3', 'b5', 'b6'] as const)(
    'tf_efficientnet_%s computes what the torchvision network does',
    (scale) => {
      const { eps, momentum, ...own } = (
        createModel(`tf_efficientnet_${scale}`, { from: [modern] }) as TimmEfficientNet
      ).config
      expect([eps, momentum, own.padding]).toEqual([1e-3, undefined, 'same'])
      const reference = fillModel(createModel(`efficientnet_${scale}`, { from: [modern] })).eval() as EfficientNet
      // With the eps of the other network, which for b5 and up is TensorFlow's too.
      const model = new TimmEfficientNet({ ...own, eps: reference.config.eps ?? 1e-5 }).eval()
      const state = new Map([...reference.stateDict()].map(([key, value]) => [asTimm(key, 8), value]))
      expect(model.loadStateDict(state)).toEqual({ missing: [], unexpected: [], mismatched: [] })
      tidy(() => {
        const x = filled([1, 3, 65, 65])
        const [expected, got] = noGrad(() => [values(reference.forward(x)), values(model.forward(x))])
        expect(relativeError(got as number[], expected as number[])).toBeLessThan(1e-5)
        const even = filled([1, 3, 64, 64])
        const [symmetric, same] = noGrad(() => [values(reference.forward(even)), values(model.forward(even))])
        expect(relativeError(same as number[], symmetric as number[])).toBeGreaterThan(1e-2)
      })
      model.dispose()
      reference.dispose()
    },
  )
})

describe('initial weights', () => {
  const spread = (t: Tensor): { mean: number; std: number } =>
    tidy(() => ({ mean: t.mean().item(), std: t.std().item() }))

  test.each<[string, (conv: Conv2d) => number]>([
    // All convolutions by the outputs of all groups, so that depthwise ones start far too small: torchvision's way.
    ['efficientnet_b0', ({ outChannels, kernel }) => 2 / (outChannels * kernel[0] ** 2)],
    ['mobilenet_v2', ({ outChannels, kernel }) => 2 / (outChannels * kernel[0] ** 2)],
    ['mobilenet_v3_small', ({ outChannels, kernel }) => 2 / (outChannels * kernel[0] ** 2)],
    ['mnasnet1_0', ({ outChannels, kernel }) => 2 / (outChannels * kernel[0] ** 2)],
    // By the outputs of one group: TensorFlow's and timm's way.
    ['tf_efficientnet_b0', ({ outChannels, kernel, groups }) => (2 * groups) / (outChannels * kernel[0] ** 2)],
  ])('of the convolutions of %s are normal with the variance of the reference, biases 0', (name, variance) => {
    const model = createModel(name, { from: [modern], seed: 1 })
    for (const [path, conv] of model.namedModules()) {
      if (!(conv instanceof Conv2d)) continue
      if (conv.bias !== undefined) expect(Math.max(...values(conv.bias).map(Math.abs)), path).toBe(0)
      const { size } = conv.weight
      if (size < 256) continue
      const { mean, std } = spread(conv.weight)
      const expected = Math.sqrt(variance(conv))
      expect(Math.abs(std / expected - 1), path).toBeLessThan(5 / Math.sqrt(2 * size))
      expect(Math.abs(mean / expected), path).toBeLessThan(5 / Math.sqrt(size))
    }
    model.dispose()
  })

  test.each([
    ['efficientnet_b0', 1 / Math.sqrt(1000)],
    ['tf_efficientnet_b0', 1 / Math.sqrt(1000)],
    ['mnasnet1_0', Math.sqrt(3 / 1000)],
  ])('of the classifier of %s are uniform by its outputs, its bias 0', (name, bound) => {
    const model = createModel(name, { from: [modern], seed: 2 })
    const { weight, bias } = modules(model, Linear).at(-1) as Linear
    const largest = tidy(() => weight.abs().amax().item())
    expect(largest).toBeLessThanOrEqual(bound * (1 + 1e-6))
    expect(largest).toBeGreaterThan(bound * 0.999)
    expect(spread(weight).std).toBeCloseTo(bound / Math.sqrt(3), 4)
    expect(Math.max(...values(bias as Tensor).map(Math.abs))).toBe(0)
    model.dispose()
  })

  test('of the linear layers of MobileNets are normal with deviation 0.01', () => {
    for (const entry of [mobilenet_v2, mobilenet_v3_small]) {
      const model = entry({ seed: 3 })
      for (const { weight, bias } of modules(model, Linear)) {
        expect(spread(weight).std).toBeCloseTo(0.01, 4)
        expect(Math.max(...values(bias as Tensor).map(Math.abs))).toBe(0)
      }
      model.dispose()
    }
  })

  test('are a function of the seed, to the bit', () => {
    const weights = (seed: number): string =>
      values(tf_efficientnet_b0({ seed, numClasses: 3 }).blocks.parameters()[10] as Tensor).join()
    expect(weights(1)).toBe(weights(1))
    expect(weights(1)).not.toBe(weights(2))
    const model = mobilenet_v3_small({ seed: 1 })
    const reset = (seed: number): number[] =>
      values((model.resetClassifier(4, { seed }).classifier.at(-1) as Linear).weight)
    expect(reset(4)).toEqual(reset(4))
    expect(reset(4)).not.toEqual(reset(5))
  })
})

describe('published weights', () => {
  test('of Noisy Student are there for b0 to b7 and l2, at both sizes', () => {
    const top1 = [78.68, 81.388, 82.412, 84.054, 85.156, 86.096, 86.476, 86.85]
    for (const [i, accuracy] of top1.entries()) {
      const { weights, inputSize } = findModel(`tf_efficientnet_b${i}`, { from: [modern] })
      expect(weights.ns_jft_in1k).toMatchObject({ top1: accuracy, inputSize, mean: [0.485, 0.456, 0.406] })
      expect(Object.keys(weights)[0]).toBe('ns_jft_in1k')
      expect(weights.ns_jft_in1k?.license).toContain('JFT-300M')
    }
    const { ns_jft_in1k: large, ns_jft_in1k_475: small } = tf_efficientnet_l2.weights
    expect([large?.crop, large?.resize, large?.top1]).toEqual([800, 833, 88.36])
    expect([small?.crop, small?.resize, small?.top1]).toEqual([475, 507, 88.246])
    expect(small?.url).toBe(
      'https://huggingface.co/timm/tf_efficientnet_l2.ns_jft_in1k_475/resolve/main/model.safetensors',
    )
  })

  test('of AdvProp want images from -1 to 1, the others those of ImageNet', () => {
    for (const entry of modern.filter(({ name }) => name.startsWith('tf_'))) {
      for (const { name, mean } of Object.values(entry.weights)) {
        expect(mean[0], `${entry.name} ${name}`).toBe(name === 'ap_in1k' ? 0.5 : 0.485)
      }
    }
    expect(tf_efficientnet_b7.weights.ap_in1k?.std).toEqual([0.5, 0.5, 0.5])
  })

  test('of torchvision carry the checksum of the file, in full where it is known', () => {
    expect(efficientnet_b0.weights.IMAGENET1K_V1).toMatchObject({
      sha256: '7f5810bc96def8f7552d5b7e68d53c4786f81167d28291b21c0d90e1fca14934',
      interpolation: 'bicubic',
      resize: 256,
    })
    const { IMAGENET1K_V1: first, IMAGENET1K_V2: second } = efficientnet_b1.weights
    expect([first?.resize, first?.interpolation, second?.resize, second?.interpolation]).toEqual([
      256,
      'bicubic',
      255,
      'bilinear',
    ])
  })
})

test('features inside of blocks outlive the blocks, with gradients or without', () => {
  const model = fillModel(efficientnet_b0()).eval()
  const before = memory().tensors
  tidy(() => {
    const x = filled([1, 3, 32, 32])
    const names = ['features.2.0.block.1.0', 'features.3.1.act', 'features.8']
    // In fast precision the norms are folded into the weights where no gradient is recorded.
    const features = () => withPrecision('strict', () => model.features(x, names))
    const recorded = features()
    const bare = noGrad(features)
    for (const name of names) expect(values(bare.get(name) as Tensor)).toEqual(values(recorded.get(name) as Tensor))
  })
  expect(memory().tensors).toBe(before)
  model.dispose()
})

test('a network learns: every parameter has a gradient in training', () => {
  for (const entry of [efficientnet_b0, mobilenet_v3_small, mnasnet1_0]) {
    tidy(() => {
      const model = seeded(1, () => fillModel(entry({ numClasses: 4, dropPath: 0 })).train())
      model
        .forward(seeded(2, () => randn([4, 3, 32, 32])))
        .square()
        .sum()
        .backward()
      for (const [key, p] of model.namedParameters()) {
        expect(
          p.grad?.dataSync().some((g) => g !== 0),
          `${entry.name} ${key}`,
        ).toBe(true)
      }
    })
  }
})

test.each<[() => unknown, RegExp]>([
  [
    () => new EfficientNet({ name: 'mine', stem: 0, stages: [], head: 8 }),
    /^mine: stem expects an integer of at least 1, got 0$/,
  ],
  [
    () => new EfficientNet({ name: 'mine', stem: 8, stages: [], head: 8 }),
    /^mine: number of stages expects an integer of at least 1, got 0$/,
  ],
  [
    () => new TimmEfficientNet({ name: 'mine', ...efficientNetShape({ width: 1, depth: 1 }), head: 1.5 }),
    /^mine: head expects an integer of at least 1, got 1.5$/,
  ],
  [() => new MobileNetV2({ name: 'mine', width: 0 }), /^mine: width expects /],
  [() => new MnasNet({ name: 'mine', width: -1 }), /^mine: width expects /],
  [
    () => new MobileNetV3({ name: 'mine', rows: [], hidden: 8 }),
    /^mine: number of rows expects an integer of at least 1/,
  ],
  [
    () => createModel('efficientnet_b9', { from: [modern] }),
    /^findModel: name expects one of \d+ models, got 'efficientnet_b9'; nearest: efficientnet_b\d/,
  ],
])('bad configurations, case %#', (call, message) => {
  expect(call).toThrow(message)
})
