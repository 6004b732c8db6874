/** What every model of the package promises, read off its entry and checked on a built network. */
import { type ImageModel, type ModelEntry, type ModelOptions, SqueezeExcitation } from '@convnets/blocks'
import {
  convnext_tiny,
  createModel,
  densenet_bc_40_12,
  densenet121,
  legacy_seresnet18,
  listModels,
  modern,
  plain20,
  regnet_y_400mf,
  regnetStages,
  resnet18,
  resnet20,
  resnet50,
  resnet101,
  seresnet50,
  shufflenet_v2_x1_0,
  squeezenet1_1,
} from '@convnets/models-modern'
import { BatchNorm2d, Conv2d, crossEntropy, Dropout, DropPath, type Layer, Linear } from '@convnets/nn'
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
} from '@convnets/tensor'
import { hollow } from '@convnets/testkit'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

/** Multiply-accumulates of convolutions and linear layers, counted by hooks. */
function countMacs(model: ImageModel, [height, width]: readonly [number, number], channels: number): number {
  let macs = 0
  for (const module of model.namedModules().values()) {
    if (module instanceof Conv2d) {
      const perCell = (module.inChannels / module.groups) * module.kernel[0] * module.kernel[1]
      module.registerForwardHook((_, __, y) => {
        macs += y.size * perCell
      })
    } else if (module instanceof Linear) {
      module.registerForwardHook((_, __, y) => {
        macs += y.size * module.inFeatures
      })
    }
  }
  tidy(() => noGrad(() => model.eval().forward(randn([1, channels, height, width]))))
  return macs
}

type WithAttention = { readonly attention?: (channels: number) => Layer }

const smallestSides: readonly (readonly [RegExp, number])[] = [
  [/^densenet_bc/, 4],
  [/^densenet/, 29],
  [/^legacy_se/, 5],
  [/^squeezenet1_0/, 21],
  [/^squeezenet1_1/, 17],
  [/^convnext/, 32],
]

/** Height and width below which a network has no last feature maps. */
const smallest = ({ name }: ModelEntry): number => smallestSides.find(([pattern]) => pattern.test(name))?.[1] ?? 1

const describeEach = describe.each(modern.map((entry): [string, ModelEntry] => [entry.name, entry]))

describeEach('%s, without numbers', (name, entry) => {
  const backend = defaultBackend()
  beforeEach(() => setDefaultBackend(hollow))
  afterEach(() => setDefaultBackend(backend))

  test('has the parameters and multiply-accumulates of its row', () => {
    const model = entry()
    expect(model.parameterCount()).toBe(entry.params)
    expect(countMacs(model, entry.inputSize, 3)).toBe(entry.macs)
  })

  test('takes numClasses, inChannels and resetClassifier, on the smallest image too', () => {
    const model = entry({ numClasses: 7, inChannels: 5 }).eval()
    const image = randn([2, 5, smallest(entry), smallest(entry)])
    expect(model.forward(image).shape).toEqual([2, 7])
    model.resetClassifier(3)
    expect(model.forward(image).shape).toEqual([2, 3])
    expect(() => model.resetClassifier(0)).toThrow(
      /(Linear: outFeatures|Conv2d: outChannels) expects an integer of at least 1, got 0/,
    )
  })

  test('gives a pyramid whose levels are as featureInfo says', () => {
    const model = entry().eval()
    const maps = model.features(randn([1, 3, 64, 64]))
    expect([...maps.keys()]).toEqual(model.featureInfo.map((level) => level.name))
    for (const { name, channels, stride } of model.featureInfo) {
      const [n, c, ...cells] = maps.get(name)?.shape ?? []
      expect([n, c], name).toEqual([1, channels])
      // Without padding a map loses cells at its edges, in SqueezeNet up to two.
      const lost = entry.name.startsWith('squeezenet') ? 2 : 0
      expect(cells[0], name).toBeGreaterThanOrEqual(64 / stride - lost)
      expect(cells[0], name).toBeLessThanOrEqual(64 / stride)
      expect(cells[1], name).toBe(cells[0])
    }
    const last = model.featureInfo.at(-1)
    expect(model.forwardFeatures(randn([1, 3, 64, 64])).shape).toEqual(maps.get(last?.name ?? '')?.shape)
  })

  test('freezes what lies under a path', () => {
    const model = entry()
    const [first] = [...model.namedParameters().keys()]
    const path = first?.split('.')[0] ?? ''
    model.freeze(path)
    const frozen = [...model.namedParameters()].filter(([, parameter]) => !parameter.requiresGrad)
    expect(frozen.length).toBeGreaterThan(0)
    expect(frozen.every(([key]) => key.startsWith(`${path}.`))).toBe(true)
    model.unfreeze()
    expect(model.parameters().every((parameter) => parameter.requiresGrad)).toBe(true)
  })

  test('puts dropout in front of the classifier', () => {
    const model = entry({ dropout: 0.3 })
    const found = [...model.namedModules()].filter(([path]) => !path.includes('denselayer'))
    const rates = found.flatMap(([, module]) => (module instanceof Dropout ? [module.p] : []))
    expect(rates).toEqual([0.3])
  })

  test.each([
    [1, 4, 64, 64],
    [3, 64, 64],
    [1, 3, 64, smallest(entry) - 1],
  ])('refuses images of shape %j', (...shape) => {
    expect(() => entry().forward(randn(shape))).toThrow(
      `${name}: x expects (N, 3, H, W) with H and W of at least ${smallest(entry)}, got (${shape.join(', ')})`,
    )
  })

  test.each([
    [{ numClasses: 0 }, `${name}: numClasses expects an integer of at least 1, got 0`],
    [{ inChannels: 1.5 }, `${name}: inChannels expects an integer of at least 1, got 1.5`],
    [{ dropout: -0.1 }, `${name}: dropout expects a number from 0 to 1, got -0.1`],
    [{ dropPath: 2 }, `${name}: dropPath expects a number from 0 to 1, got 2`],
    [{ seed: -1 }, 'Generator: seed expects a non-negative integer up to 2^53 - 1, got -1'],
  ])('refuses options %j', (options, message) => {
    expect(() => entry(options)).toThrow(message)
  })
})

describe('stochastic depth', () => {
  const rates = (model: ImageModel): number[] =>
    [...model.namedModules().values()].filter((module) => module instanceof DropPath).map(({ p }) => p)

  test('rises linearly from 0 at the first block to dropPath at the last', () => {
    const found = rates(resnet18({ dropPath: 0.7 }))
    expect(found).toHaveLength(8)
    found.forEach((p, i) => void expect(p).toBeCloseTo(i / 10, 12))
    expect(rates(resnet20({ dropPath: 0.4 })).map((p) => Math.round(p * 20))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
  })

  test('asks for shortcuts', () => {
    expect(() => plain20({ dropPath: 0.1 })).toThrow(
      'plain20: dropPath expects 0, since without shortcuts no block can be left out, got 0.1',
    )
  })
})

describe('the networks for small images', () => {
  test('have the keys of akamaster: 97 entries and the counters of batch norm in resnet20', () => {
    const keys = [...resnet20().stateDict().keys()].filter((key) => !key.endsWith('num_batches_tracked'))
    const unit = (path: string, i: number): string[] => [
      `${path}conv${i}.weight`,
      ...['weight', 'bias', 'running_mean', 'running_var'].map((leaf) => `${path}bn${i}.${leaf}`),
    ]
    const blocks = [1, 2, 3].flatMap((layer) => [0, 1, 2].map((block) => `layer${layer}.${block}.`))
    const expected = [...unit('', 1), ...blocks.flatMap((path) => [...unit(path, 1), ...unit(path, 2)])]
    expect(keys).toEqual([...expected, 'linear.weight', 'linear.bias'])
    expect(keys).toHaveLength(97)
    expect([...plain20().stateDict().keys()]).toEqual([...resnet20().stateDict().keys()])
  })

  test('differ from the plain ones by the shortcut alone', () => {
    // With every residual branch silenced, a residual network is its stem, strided and padded; a plain one is constant.
    const [residual, plain] = [resnet20({ seed: 1 }), plain20({ seed: 1 })]
    for (const model of [residual, plain]) {
      model.eval()
      for (const [path, module] of model.namedModules()) {
        if (path.endsWith('.bn2') && module instanceof BatchNorm2d)
          module.weight?.assign_(new Float32Array(module.numFeatures))
      }
    }
    tidy(() => {
      const x = randn([1, 3, 8, 8])
      const stem = residual.features(x, ['layer1']).get('layer1') as Tensor
      const last = residual.forwardFeatures(x)
      expect(last.shape).toEqual([1, 64, 2, 2])
      // 16 channels become 8 + 16 + 8 and then 16 + 32 + 16: the stem's are in the middle of the 64.
      const middle = last.narrow(1, 24, 16).dataSync()
      const strided = stem.slice([undefined, undefined, [0, undefined, 4], [0, undefined, 4]]).dataSync()
      expect(Array.from(middle)).toEqual(Array.from(strided))
      expect(Math.max(...strided)).toBeGreaterThan(0)
      expect(last.sum().item()).toBeCloseTo(
        Array.from(strided).reduce((a, b) => a + b, 0),
        3,
      )
      expect(Math.max(...plain.forwardFeatures(x).dataSync())).toBe(0)
    })
  })

  test('learn a batch by heart, every parameter getting a gradient', () => {
    const before = memory().tensors
    const model = resnet20({ seed: 3, numClasses: 4, inChannels: 1 })
    const x = seeded(5, () => randn([8, 1, 12, 12])).keep()
    const target = tensor(Int32Array.of(0, 1, 2, 3, 0, 1, 2, 3)).keep()
    const step = (): number =>
      tidy(() => {
        model.zeroGrad()
        const loss = crossEntropy(model.forward(x), target)
        loss.backward()
        noGrad(() => {
          for (const p of model.parameters()) p.assign_(p.sub((p.grad as Tensor).mul(0.1)))
        })
        return loss.item()
      })
    const first = step()
    for (const [key, p] of model.namedParameters()) {
      expect(
        p.grad?.dataSync().some((g) => g !== 0),
        key,
      ).toBe(true)
    }
    let last = first
    for (let i = 0; i < 30; i++) last = step()
    expect(first).toBeGreaterThan(1)
    expect(last).toBeLessThan(0.1)
    model.dispose()
    x.dispose()
    target.dispose()
    expect(memory().tensors).toBe(before)
  })
})

describe('initial weights', () => {
  const statistics = (t: Tensor): { mean: number; std: number } =>
    tidy(() => ({ mean: t.mean().item(), std: t.std().item() }))

  test('of convolutions are normal with the variance of He, by the outputs as in torchvision', () => {
    const model = resnet18({ seed: 1 })
    for (const module of model.namedModules().values()) {
      if (!(module instanceof Conv2d)) continue
      const fanOut = module.outChannels * module.kernel[0] * module.kernel[1]
      const { mean, std } = statistics(module.weight)
      const expected = Math.sqrt(2 / fanOut)
      // Standard error of a standard deviation of n normal numbers is 1 / sqrt(2 n).
      expect(Math.abs(std / expected - 1)).toBeLessThan(5 / Math.sqrt(2 * module.weight.size))
      expect(Math.abs(mean / expected)).toBeLessThan(5 / Math.sqrt(module.weight.size))
    }
  })

  test('of DenseNet are by the inputs, of SENets by the outputs, of ShuffleNet PyTorch’s default', () => {
    const [dense, gated, shuffled] = [densenet121, legacy_seresnet18, shufflenet_v2_x1_0].map((entry) =>
      (entry as ModelEntry)({ seed: 1 }).stateDict(),
    ) as [Map<string, Tensor>, Map<string, Tensor>, Map<string, Tensor>]
    const std = (dict: Map<string, Tensor>, key: string): number => statistics(dict.get(key) as Tensor).std
    const denseKey = 'features.denseblock1.denselayer2.conv1.weight' // (128, 96, 1, 1)
    expect(std(dense, denseKey) / Math.sqrt(2 / 96)).toBeCloseTo(1, 1)
    expect(dense.get('classifier.bias')?.abs().amax().item()).toBe(0)
    expect(std(gated, 'layer2.0.downsample.0.weight') / Math.sqrt(2 / 128)).toBeCloseTo(1, 1)
    expect(std(gated, 'layer4.1.se_module.fc1.weight') / Math.sqrt(2 / 32)).toBeCloseTo(1, 1)
    const bound = 1 / Math.sqrt(464)
    expect(std(shuffled, 'conv5.0.weight') / (bound / Math.sqrt(3))).toBeCloseTo(1, 1)
    expect(shuffled.get('conv5.0.weight')?.abs().amax().item()).toBeLessThanOrEqual(bound * (1 + 1e-6))
  })

  test('of SqueezeNet, RegNet and ConvNeXt are torchvision’s', () => {
    const squeeze = squeezenet1_1({ seed: 1 })
    const fire = squeeze.stateDict().get('features.9.expand3x3.weight') as Tensor
    const bound = Math.sqrt(6 / (48 * 9)) // kaiming_uniform_, whose gain is sqrt(2)
    expect(fire.abs().amax().item()).toBeLessThanOrEqual(bound)
    expect(statistics(fire).std / (bound / Math.sqrt(3))).toBeCloseTo(1, 1)
    expect(statistics(squeeze.stateDict().get('classifier.1.weight') as Tensor).std).toBeCloseTo(0.01, 3)
    expect(squeeze.stateDict().get('features.0.bias')?.abs().amax().item()).toBe(0)
    const fresh = squeeze.resetClassifier(40, { seed: 3 }).stateDict().get('classifier.1.weight') as Tensor
    expect(statistics(fresh).std).toBeCloseTo(0.01, 3)

    const regnet = regnet_y_400mf({ seed: 1 }).stateDict()
    // fan out counts the outputs of all groups.
    const grouped = statistics(regnet.get('trunk_output.block4.block4-1.f.b.0.weight') as Tensor).std
    expect(grouped / Math.sqrt(2 / (440 * 9))).toBeCloseTo(1, 1)
    expect(statistics(regnet.get('fc.weight') as Tensor).std).toBeCloseTo(0.01, 3)

    const convnext = convnext_tiny({ seed: 1 }).stateDict()
    for (const key of ['features.0.0.weight', 'features.7.2.block.3.weight', 'classifier.2.weight']) {
      expect(statistics(convnext.get(key) as Tensor).std, key).toBeCloseTo(0.02, 3)
    }
    expect(convnext.get('features.5.0.layer_scale')?.amax().item()).toBe(Math.fround(1e-6))
    expect(convnext.get('features.7.2.block.3.bias')?.abs().amax().item()).toBe(0)
  })

  test('of zeroInitResidual make every block its shortcut', () => {
    const model = resnet50({ seed: 1, zeroInitResidual: true })
    const scales = [...model.namedParameters()].filter(([key]) => key.endsWith('.bn3.weight'))
    expect(scales).toHaveLength(16)
    for (const [, scale] of scales) expect(Math.max(...scale.dataSync())).toBe(0)
    expect(Math.min(...(model.stateDict().get('layer1.0.bn2.weight')?.dataSync() ?? [0]))).toBe(1)
  })

  test('are a function of the seed', () => {
    const weights = (seed: number): number[] => Array.from(resnet20({ seed }).linear.weight.dataSync())
    expect(weights(1)).toEqual(weights(1))
    expect(weights(1)).not.toEqual(weights(2))
    const model = resnet20({ seed: 1 })
    const reset = (seed: number): number[] => Array.from(model.resetClassifier(10, { seed }).linear.weight.dataSync())
    expect(reset(4)).toEqual(reset(4))
    expect(reset(4)).not.toEqual(reset(5))
  })
})

describe('options of single networks', () => {
  const backend = defaultBackend()
  beforeEach(() => setDefaultBackend(hollow))
  afterEach(() => setDefaultBackend(backend))

  test('strideIn makes a ResNet v1 of v1.5, with the same parameters and the work of Caffe’s', () => {
    const model = resnet101({ strideIn: 'conv1' })
    expect(model.parameterCount()).toBe(resnet101.params)
    expect(countMacs(model, [224, 224], 3)).toBe(7_570_194_432) // cafferesnet101 of pretrained-models.pytorch
    expect(model.forward(randn([1, 3, 64, 64])).shape).toEqual([1, 1000])
    expect(() => resnet18({ strideIn: 'conv1' })).toThrow(
      'resnet18: strideIn expects a network of bottlenecks, which this one is not',
    )
  })

  test('zeroInitResidual asks for shortcuts', () => {
    expect(() => plain20({ zeroInitResidual: true })).toThrow(
      'plain20: zeroInitResidual expects shortcuts, without which nothing would be left',
    )
  })

  test.each([
    ['resnet20', 9, (o: WithAttention) => resnet20(o)],
    ['plain20', 9, (o: WithAttention) => plain20(o)],
    ['resnet50', 16, (o: WithAttention) => resnet50(o)],
    ['squeezenet1_1', 8, (o: WithAttention) => squeezenet1_1(o)],
    ['shufflenet_v2_x1_0', 16, (o: WithAttention) => shufflenet_v2_x1_0(o)],
    ['convnext_tiny', 18, (o: WithAttention) => convnext_tiny(o)],
  ] as const)('attention goes into every block of %s', (_, blocks, make) => {
    const model = make({ attention: (channels) => new SqueezeExcitation(channels) })
    let passed = 0
    for (const module of model.namedModules().values()) {
      if (module instanceof SqueezeExcitation) module.registerForwardHook(() => void passed++)
    }
    model.eval().forward(randn([1, 3, 64, 64]))
    expect(passed).toBe(blocks)
  })

  test('regnetStages gives the published widths and depths', () => {
    const stages = (
      depth: number,
      firstWidth: number,
      slope: number,
      multiplier: number,
      groupWidth: number,
    ): number[][] =>
      regnetStages({ depth, firstWidth, slope, multiplier, groupWidth }).map((stage) => [stage.width, stage.depth])
    // RegNetY-400MF, RegNetX-3.2GF and RegNetY-8GF of torchvision.
    expect(stages(16, 48, 27.89, 2.09, 8)).toEqual([
      [48, 1],
      [104, 3],
      [208, 6],
      [440, 6],
    ])
    expect(stages(25, 88, 26.31, 2.25, 48)).toEqual([
      [96, 2],
      [192, 6],
      [432, 15],
      [1008, 2],
    ])
    expect(stages(17, 192, 76.82, 2.19, 56)).toEqual([
      [224, 2],
      [448, 4],
      [896, 10],
      [2016, 1],
    ])
    expect(() => stages(16, 48, 27.89, 1, 8)).toThrow('regnetStages: multiplier expects a number above 1, got 1')
  })
})

/** Kinds of networks, each by its smallest; the wide and the grouped ones are ResNets. */
const families = [
  resnet18,
  resnet20,
  plain20,
  densenet_bc_40_12,
  legacy_seresnet18,
  seresnet50,
  squeezenet1_1,
  shufflenet_v2_x1_0,
  regnet_y_400mf,
  convnext_tiny,
]

test.each(families.map((entry) => [entry.name, entry as ModelEntry] as const))(
  '%s built twice with one seed is the same to the bit, whatever was drawn between',
  (_, entry) => {
    const same = (a: ImageModel, b: ImageModel): boolean => {
      const other = b.stateDict()
      return [...a.stateDict()].every(([key, t]) => Buffer.compare(bytes(t), bytes(other.get(key) as Tensor)) === 0)
    }
    const bytes = (t: Tensor): Buffer => {
      const { buffer, byteOffset, byteLength } = t.dataSync()
      return Buffer.from(buffer, byteOffset, byteLength)
    }
    const first = entry({ seed: 5, numClasses: 3 })
    randn([7]).dispose()
    const second = entry({ seed: 5, numClasses: 3 })
    expect(same(first, second)).toBe(true)
    const third = entry({ seed: 6, numClasses: 3 })
    expect(same(first, third)).toBe(false)
    for (const model of [first, second, third]) model.dispose()
  },
)

describe('models by name', () => {
  test('are created with options', () => {
    const model = createModel('resnet20', { from: [modern], numClasses: 3, seed: 1 })
    expect(model.stateDict().get('linear.weight')?.shape).toEqual([3, 64])
  })

  test('a wrong name is answered with the nearest ones', () => {
    expect(() => createModel('ResNet-5O', { from: [modern] })).toThrow(
      `findModel: name expects one of ${modern.length} models, got 'ResNet-5O'; nearest: resnet50, `,
    )
  })

  test('are listed by pattern', () => {
    expect(listModels('resnet1*', { from: [modern] })).toEqual(['resnet18', 'resnet101', 'resnet152', 'resnet110'])
    expect(listModels('plain?0', { from: [modern] })).toEqual(['plain20'])

    expect(listModels('resnet', { from: [modern] })).toEqual([])
  })

  test('say where published weights are and how their images are prepared', () => {
    expect(resnet50.weights.IMAGENET1K_V2).toMatchObject({
      top1: 80.858,
      resize: 232,
      crop: 224,
      labels: 'imagenet-1k',
    })
    for (const entry of modern) {
      for (const [name, weights] of Object.entries(entry.weights)) {
        expect(weights.name).toBe(name)
        expect(weights.crop).toBe(weights.inputSize[0])
        expect(weights.resize).toBeGreaterThanOrEqual(weights.crop)
        expect(weights.top1).toBeLessThan(weights.top5 ?? 100)
        if (weights.url.startsWith('https://huggingface.co/timm/')) continue // publishes no checksum
        const digest = weights.sha256 ?? weights.sha256Prefix ?? ''
        expect(digest).toMatch(/^([0-9a-f]{8}|[0-9a-f]{10}|[0-9a-f]{64})$/)
        expect(weights.url).toContain(digest.slice(0, 8))
      }
    }
  })

  test('an entry carries its name as a function does', () => {
    expect(resnet50.name).toBe('resnet50')
    expect(new Set(modern.map(({ name }) => name)).size).toBe(modern.length)
  })
})

test('features names what it does not know, and what lies off the way', () => {
  const model = resnet20({ seed: 1 }).eval()
  const x = randn([1, 3, 8, 8])
  expect(() => model.features(x, ['layr2'])).toThrow(
    "features: names expects paths of modules, got 'layr2'; nearest: layer2",
  )
  expect(() => model.features(x, ['linear'])).toThrow(
    "features: names expects modules on the way to the last feature maps, got 'linear'",
  )
  expect([...model.features(x, ['layer2.1.conv1', 'conv1'])].map(([name, { shape }]) => [name, shape])).toEqual([
    ['layer2.1.conv1', [1, 32, 4, 4]],
    ['conv1', [1, 16, 8, 8]],
  ])
})

describe('options that do not exist', () => {
  test.each(modern.map((entry) => [entry.name, entry] as const))(
    '%s refuses them, and nothing is left',
    (name, entry) => {
      const before = memory()
      expect(() => entry({ numclasses: 10 } as ModelOptions)).toThrow(
        new RegExp(`^${name}: options expects one of .*, got numclasses \\(did you mean numClasses\\?\\)$`),
      )
      expect(() => entry(10 as ModelOptions)).toThrow(`${name}: options expects an object, got 10`)
      expect(memory()).toMatchObject({ tensors: before.tensors, bytes: before.bytes })
    },
  )
})
