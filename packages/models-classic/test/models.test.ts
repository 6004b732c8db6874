/** What every model of the package promises, read off its entry and checked on a built network. */
import type { ImageModel, ImageOutput, ModelOptions } from '@convnets/blocks'
import {
  alexnet,
  alexnet_2012,
  bninception,
  classic,
  createModel,
  findModel,
  googlenet,
  googlenet_2014,
  headLoss,
  inception_resnet_v1,
  inception_resnet_v1_2016,
  inception_resnet_v2,
  inception_v2,
  inception_v3,
  inception_v4,
  inceptionV3Recipe,
  listModels,
  mainLogits,
  vgg11,
  vgg11_bn,
} from '@convnets/models-classic'
import { BatchNorm2d, Conv2d, crossEntropy, Dropout, DropPath, GlobalAvgPool2d, Linear, Module } from '@convnets/nn'
import { memory, noGrad, randn, seeded, setDefaultBackend, type Tensor, tensor, tidy, wasm } from '@convnets/tensor'
import { hollow } from '@convnets/testkit'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

/** Smallest height and width that the convolutions and poolings of each network take. */
const smallest: Readonly<Record<string, number>> = {
  alexnet: 63,
  alexnet_2012: 67,
  googlenet: 15,
  googlenet_2014: 31,
  bninception: 31,
  inception_v2: 31,
}
const smallestOf = (name: string): number => smallest[name] ?? (name.startsWith('vgg') ? 32 : 75)

/** Multiply-accumulates of convolutions and linear layers, counted by hooks. */
function countMacs(model: ImageModel<ImageOutput>, [height, width]: readonly [number, number]): number {
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
  noGrad(() => model.eval().forward(randn([1, 3, height, width])))
  return macs
}

const shapeOf = (output: ImageOutput): readonly number[] => mainLogits(output).shape

function onHollow(): void {
  beforeEach(() => setDefaultBackend(hollow))
  afterEach(() => setDefaultBackend(wasm))
}

describe.each(classic.map((entry) => [entry.name, entry] as const))('%s, without numbers', (name, entry) => {
  onHollow()
  const small = smallestOf(name)

  test('has the parameters and multiply-accumulates of its row', () => {
    const model = entry()
    expect(model.parameterCount()).toBe(entry.params)
    expect(countMacs(model, entry.inputSize)).toBe(entry.macs)
  })

  test('takes numClasses, inChannels and resetClassifier, on the smallest image too', () => {
    const model = entry({ numClasses: 7, inChannels: 5 }).eval()
    const x = randn([2, 5, small, small])
    expect(shapeOf(model.forward(x))).toEqual([2, 7])
    model.resetClassifier(3)
    expect(shapeOf(model.forward(x))).toEqual([2, 3])
    expect(() => model.resetClassifier(0)).toThrow('Linear: outFeatures expects an integer of at least 1, got 0')
  })

  test('takes images that are not square', () => {
    expect(
      shapeOf(
        entry()
          .eval()
          .forward(randn([1, 3, small, small + 64])),
      ),
    ).toEqual([1, 1000])
  })

  test('refuses images smaller than it can take, in a sentence that says which it can', () => {
    const model = entry().eval()
    const expected = `${name}: x expects (N, 3, H, W) with H and W of at least ${small}, got`
    const side = small - 1
    expect(() => model.forward(randn([1, 3, side, 300]))).toThrow(`${expected} (1, 3, ${side}, 300)`)
    expect(() => model.forward(randn([1, 3, 300, side]))).toThrow(`${expected} (1, 3, 300, ${side})`)
    expect(() => model.forward(randn([1, 4, 300, 300]))).toThrow(`${expected} (1, 4, 300, 300)`)
    expect(() => model.forward(randn([3, 300, 300]))).toThrow(`${expected} (3, 300, 300)`)
  })

  test('gives a pyramid whose levels are as featureInfo says', () => {
    const model = entry().eval()
    const [size] = entry.inputSize
    const x = randn([1, 3, size, size])
    const maps = model.features(x)
    expect([...maps.keys()]).toEqual(model.featureInfo.map((level) => level.name))
    for (const { name, channels, stride } of model.featureInfo) {
      const shape = maps.get(name)?.shape ?? []
      expect(shape.slice(0, 2), name).toEqual([1, channels])
      // Without padding a map loses cells at its edges: 299 pixels at stride 32 are 8 cells, and at stride 8, 35.
      const cells = shape[2] ?? 0
      expect(cells, name).toBeGreaterThanOrEqual(size / stride - 4)
      expect(cells, name).toBeLessThanOrEqual(Math.ceil(size / stride))
    }
    const last = model.featureInfo.at(-1)
    expect(model.forwardFeatures(x).shape).toEqual(maps.get(last?.name ?? '')?.shape)
  })

  test('puts dropout in front of its classifiers', () => {
    const found = [...entry({ dropout: 0.3 }).namedModules()].filter(
      ([path, module]) => module instanceof Dropout && !path.startsWith('aux'),
    )
    expect(found.map(([, module]) => (module as Dropout).p)).toEqual(/alexnet|vgg/.test(name) ? [0.3, 0.3] : [0.3])
  })

  test('freezes what lies under a path', () => {
    const model = entry()
    const [first] = [...model.namedParameters().keys()]
    const path = first?.slice(0, first.lastIndexOf('.')) ?? ''
    model.freeze(path)
    const frozen = [...model.namedParameters()].filter(([, parameter]) => !parameter.requiresGrad)
    expect(frozen.length).toBeGreaterThan(0)
    expect(frozen.every(([key]) => key.startsWith(`${path}.`))).toBe(true)
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

describe('auxiliary heads', () => {
  onHollow()

  test.each([
    ['googlenet', googlenet, 2, 0.3],
    ['googlenet_2014', googlenet_2014, 2, 0.3],
    ['inception_v3', inception_v3, 1, 0.4],
  ] as const)('of %s give logits in training and none in evaluation', (_, entry, heads, auxWeight) => {
    const model = entry({ numClasses: 7 })
    const [size] = entry.inputSize
    const x = randn([2, 3, size, size])
    expect(model.forward(x)).toMatchObject({ logits: { shape: [2, 7] }, auxWeight })
    const output = model.forward(x)
    expect('aux' in output ? output.aux.map(({ shape }) => shape) : []).toEqual(Array(heads).fill([2, 7]))
    model.resetClassifier(4)
    expect(model.forward(x)).toMatchObject({ logits: { shape: [2, 4] }, aux: Array(heads).fill({ shape: [2, 4] }) })
    expect(shapeOf(model.eval().forward(x))).toEqual([2, 4])
    expect('aux' in model.forward(x)).toBe(false)
    expect('aux' in entry({ auxLogits: false }).forward(x)).toBe(false)
    expect('aux' in model.train().forwardFeatures(x)).toBe(false)
  })

  test('may be left out: 6,624,904 and 23,834,568 parameters remain', () => {
    expect(googlenet({ auxLogits: false }).parameterCount()).toBe(6_624_904)
    expect(googlenet({ auxLogits: false }).stateDict().size).toBe(344)
    expect(googlenet_2014({ auxLogits: false }).parameterCount()).toBe(6_998_552)
    expect(inception_v3({ auxLogits: false }).parameterCount()).toBe(23_834_568)
    expect(inception_v3({ auxLogits: false }).stateDict().size).toBe(566)
  })

  test('ask for images that they can see, and say so', () => {
    expect(() => inception_v3().forward(randn([2, 3, 298, 299]))).toThrow(
      'inception_v3: x expects (N, 3, H, W) with H and W of at least 299, got (2, 3, 298, 299)',
    )
    expect(shapeOf(inception_v3({ auxLogits: false }).forward(randn([2, 3, 139, 139])))).toEqual([2, 1000])
    expect(() => googlenet_2014().forward(randn([2, 3, 160, 160]))).toThrow(
      'InceptionV1Aux: x expects maps of 14 to 16 cells each way, got (2, 512, 10, 10)',
    )
    expect(googlenet().forward(randn([2, 3, 160, 160]))).toMatchObject({ aux: [{ shape: [2, 1000] }, {}] })
  })

  test('weigh what the recipe of Inception v3 says', () => {
    expect(inceptionV3Recipe.auxWeight).toBe(inception_v3().auxWeight)
  })

  test('take flags and three channels', () => {
    expect(() => googlenet({ auxLogits: 1 as unknown as boolean })).toThrow(
      'googlenet: auxLogits expects true or false, got 1',
    )
    expect(() => inception_v3({ transformInput: true, inChannels: 1 })).toThrow(
      'inception_v3: transformInput expects images of 3 channels, got inChannels 1',
    )
  })
})

describe('on numbers', () => {
  test('auxiliary heads may be absent in a checkpoint, or in the network', () => {
    const [full, bare] = [
      googlenet({ seed: 1, numClasses: 2 }),
      googlenet({ seed: 2, numClasses: 2, auxLogits: false }),
    ]
    const kept = Array.from(full.aux1?.fc2.weight.dataSync() ?? [])
    const dict = bare.stateDict()
    const report = full.loadStateDict(dict)
    expect(report.unexpected).toEqual([])
    expect(report.missing.length).toBeGreaterThan(0)
    expect(report.missing.every((key) => /^aux[12]\./.test(key))).toBe(true)
    expect(Array.from(full.fc.weight.dataSync())).toEqual(Array.from(bare.fc.weight.dataSync()))
    expect(Array.from(full.aux1?.fc2.weight.dataSync() ?? [])).toEqual(kept)
    const back = bare.loadStateDict(full.stateDict())
    expect(back.missing).toEqual([])
    expect(back.unexpected).toEqual([...full.stateDict().keys()].filter((key) => key.startsWith('aux')))
    // Half a head is a mistake, and so is another network.
    const half = new Map([...full.stateDict()].filter(([key]) => key !== 'aux2.fc1.weight'))
    expect(() => full.loadStateDict(half)).toThrow(
      'loadStateDict: the state dict does not fit googlenet, first aux2.fc1.weight, nothing was changed: missing aux2.fc1.weight',
    )
    expect(() => bare.loadStateDict(new Map([...dict].filter(([key]) => key !== 'fc.bias')))).toThrow('missing fc.bias')
    for (const model of [full, bare]) model.dispose()
  })

  test('the loss of all heads is the main one plus the weighted others', () => {
    tidy(() => {
      const [logits, a, b] = [1, 2, 3].map((seed) => seeded(seed, () => randn([2, 3]))) as [Tensor, Tensor, Tensor]
      const target = tensor(Int32Array.of(0, 2))
      const loss = (head: Tensor): Tensor => crossEntropy(head, target)
      const [main, first, second] = [logits, a, b].map((head) => loss(head).item()) as [number, number, number]
      const output = { logits, aux: [a, b], auxWeight: 0.3 }
      expect(headLoss(output, loss).item()).toBeCloseTo(main + 0.3 * (first + second), 5)
      expect(headLoss(output, loss, { auxWeight: 1 }).item()).toBeCloseTo(main + first + second, 5)
      expect(headLoss(logits, loss).item()).toBe(main)
      expect(mainLogits(output)).toBe(logits)
      expect(() => headLoss(output, loss, { auxWeight: -1 })).toThrow('headLoss: auxWeight expects')
    })
  })

  test('transformInput makes images normalised by ImageNet what images normalised by 0.5 are', () => {
    const plain = googlenet({ seed: 1, numClasses: 3, auxLogits: false }).eval()
    const transformed = googlenet({ seed: 1, numClasses: 3, auxLogits: false, transformInput: true }).eval()
    tidy(() => {
      const column = (values: number[]): Tensor => tensor(values).reshape([1, 3, 1, 1])
      const pixels = seeded(7, () => randn([1, 3, 32, 32]))
        .mul(0.2)
        .add(0.5)
      const centred = pixels.sub(0.5).div(0.5)
      const imagenet = pixels.sub(column([0.485, 0.456, 0.406])).div(column([0.229, 0.224, 0.225]))
      const expected = plain.forwardFeatures(centred)
      const difference = transformed.forwardFeatures(imagenet).sub(expected).abs().amax().item()
      expect(difference).toBeLessThan(1e-4 * expected.abs().amax().item())
    })
    for (const model of [plain, transformed]) model.dispose()
  })

  test('the last block of an Inception-ResNet ends without ReLU, the others with', () => {
    const model = inception_resnet_v1({ seed: 1, numClasses: 2 }).eval()
    tidy(() => {
      const maps = noGrad(() => model.features(randn([1, 3, 80, 80]), ['repeat_1', 'repeat_2', 'repeat_3', 'block8']))
      const least = [...maps.values()].map((map) => map.amin().item())
      expect(least.map((value) => Math.sign(value))).toEqual([0, 0, 0, -1])
      const embedded = noGrad(() => model.embed(randn([2, 3, 80, 80])))
      expect(embedded.shape).toEqual([2, 512])
      for (const length of embedded.square().sum({ dim: 1 }).dataSync()) expect(length).toBeCloseTo(1, 5)
    })
    model.dispose()
  })

  test('a batch is learnt by heart, every parameter of every head getting a gradient', () => {
    const model = googlenet({ seed: 3, numClasses: 2, inChannels: 1, dropout: 0 })
    for (const module of model.namedModules().values()) if (module instanceof Dropout) module.eval()
    const x = seeded(5, () => randn([4, 1, 32, 32])).keep()
    const target = tensor(Int32Array.of(0, 1, 0, 1)).keep()
    const step = (): number =>
      tidy(() => {
        model.zeroGrad()
        const loss = headLoss(model.forward(x), (logits) => crossEntropy(logits, target))
        loss.backward()
        noGrad(() => {
          for (const p of model.parameters()) p.assign_(p.sub((p.grad as Tensor).mul(0.05)))
        })
        return loss.item()
      })
    const first = step()
    for (const [key, p] of model.namedParameters())
      expect(
        p.grad?.dataSync().some((g) => g !== 0),
        key,
      ).toBe(true)
    let last = first
    for (let i = 0; i < 20; i++) last = step()
    expect(last).toBeLessThan(0.3 * first)
    model.dispose()
    x.dispose()
    target.dispose()
  })
})

describe('initial weights', () => {
  const deviation = (t: Tensor): number => tidy(() => t.std().item())
  /** Within five standard errors of a standard deviation of n normal numbers. */
  const near = (t: Tensor, std: number): void =>
    void expect(Math.abs(deviation(t) / std - 1)).toBeLessThan(5 / Math.sqrt(2 * t.size))

  test('of Inception v3 and GoogLeNet are normal with torchvision’s deviations', () => {
    const model = inception_v3({ seed: 1, numClasses: 10 })
    near(model.Conv2d_2b_3x3.conv.weight, 0.1)
    near(model.Mixed_6c.branch7x7_2.conv.weight, 0.1)
    near(model.fc.weight, 0.1)
    near(model.AuxLogits?.conv1.conv.weight as Tensor, 0.01)
    near(model.AuxLogits?.fc.weight as Tensor, 0.001)
    model.dispose()
    const google = googlenet({ seed: 1, numClasses: 10 })
    near(google.conv3.conv.weight, 0.01)
    near(google.fc.weight, 0.01)
    google.dispose()
  })

  test('of a network without any of its own are PyTorch’s default, uniform within 1 / sqrt(fan in)', () => {
    const model = bninception({ seed: 1, numClasses: 10 })
    for (const module of model.namedModules().values()) {
      if (!(module instanceof Conv2d || module instanceof Linear)) continue
      const bound = 1 / Math.sqrt(module.weight.size / (module.weight.shape[0] ?? 1))
      for (const t of [module.weight, module.bias]) {
        const largest = t?.abs().amax().item() ?? 0
        expect(largest).toBeLessThanOrEqual(bound * (1 + 1e-6))
        expect(largest).toBeGreaterThan(bound * (1 - 10 / (t?.size ?? 1)))
      }
    }
    model.dispose()
  })

  test('of the AlexNet of 2012 are those of section 5', () => {
    const model = alexnet_2012({ seed: 1, numClasses: 10 })
    const layers = [...model.namedModules().values()].filter((m) => m instanceof Conv2d || m instanceof Linear)
    for (const { weight } of layers) near(weight, 0.01)
    expect(layers.map(({ bias }) => bias?.amax().item())).toEqual([0, 1, 0, 1, 1, 1, 1, 0])
    model.dispose()
  })

  test('are a function of the seed', () => {
    const weights = (seed: number): number[] => {
      const model = bninception({ seed, numClasses: 2 })
      const values = Array.from(model.last_linear.weight.dataSync())
      model.dispose()
      return values
    }
    expect(weights(1)).toEqual(weights(1))
    expect(weights(1)).not.toEqual(weights(2))
  })
})

describe('options of single networks', () => {
  onHollow()

  test('attention goes to the end of every Inception module', () => {
    class Gate extends Module {
      readonly channels: number
      constructor(channels: number) {
        super()
        this.channels = channels
      }
      forward(x: Tensor): Tensor {
        expect(x.shape[1]).toBe(this.channels)
        return x
      }
    }
    const count = (model: ImageModel<ImageOutput>): number => {
      let passed = 0
      for (const module of model.namedModules().values()) {
        if (module instanceof Gate) module.registerForwardHook(() => void passed++)
      }
      model.eval().forward(randn([1, 3, 96, 96]))
      return passed
    }
    const attention = (channels: number): Gate => new Gate(channels)
    expect(count(googlenet({ attention }))).toBe(9)
    expect(count(bninception({ attention }))).toBe(10)
    expect(count(inception_v3({ attention }))).toBe(11)
    expect(count(inception_v4({ attention }))).toBe(16)
    expect(count(inception_resnet_v1({ attention }))).toBe(5 + 10 + 6 + 2)
    expect(count(inception_resnet_v2({ attention }))).toBe(10 + 20 + 10 + 3)
  })

  test('a state dict of another network is refused by the names of both and the first key that differs', () => {
    const [plain, normal] = [vgg11({ numClasses: 2 }), vgg11_bn({ numClasses: 2 })]
    expect(() => plain.loadStateDict(normal.stateDict())).toThrow(
      // Both begin with a convolution of 64 channels; the second entry of the plain network is a bias in both, too.
      'loadStateDict: the state dict of vgg11_bn does not fit vgg11, first features.3.weight, nothing was changed: missing features.3.weight',
    )
    const google = googlenet({ numClasses: 2 })
    expect(() => google.loadStateDict(normal.stateDict())).toThrow(
      'loadStateDict: the state dict of vgg11_bn does not fit googlenet, first conv1.conv.weight, nothing was changed: ',
    )
  })

  test('dropPath rises to the last block of an Inception-ResNet, and asks for shortcuts elsewhere', () => {
    const rates = [...inception_resnet_v2({ dropPath: 0.39 }).namedModules().values()]
      .filter((module) => module instanceof DropPath)
      .map(({ p }) => p)
    expect(rates).toHaveLength(40)
    rates.forEach((p, i) => void expect(p).toBeCloseTo(i / 100, 12))
    expect(() => alexnet({ dropPath: 0.1 })).toThrow(
      'alexnet: dropPath expects 0, since without shortcuts no block can be left out, got 0.1',
    )
  })

  test('a network without embedding says so', () => {
    expect(() => inception_resnet_v1_2016().embed(randn([1, 3, 96, 96]))).toThrow(
      'inception_resnet_v1_2016: embed expects a network with an embedding, got one without',
    )
  })

  test('BN-Inception has its modules by name, and their modes follow its own', () => {
    const model = inception_v2()
    const modules = [...model.namedModules().keys()].filter((path) => /^inception_\d.$/.test(path))
    expect(modules).toHaveLength(10)
    model.eval()
    const training = [...model.namedModules().values()].filter((module) => module.training)
    expect(training).toEqual([])
  })

  test('averages of Inception v3 count padding, those of v4 and Inception-ResNet do not', () => {
    const counts = (model: Module): boolean[] =>
      [...model.namedModules().values()].flatMap((m) => ('countIncludePad' in m ? [m.countIncludePad as boolean] : []))
    expect(new Set(counts(inception_v4()))).toEqual(new Set([false]))
    expect(new Set(counts(inception_resnet_v2()))).toEqual(new Set([false]))
    expect(new Set(counts(bninception()))).toEqual(new Set([true]))
    expect([...inception_v4().namedModules().values()].some((module) => module instanceof GlobalAvgPool2d)).toBe(true)
  })

  test('batch norm has eps 1e-3 in the Inception line and 1e-5 in VGG and BN-Inception', () => {
    const eps = (name: string): number[] => [
      ...new Set(
        [
          ...createModel<ImageOutput>(name, { from: [classic] })
            .namedModules()
            .values(),
        ].flatMap((module) => (module instanceof BatchNorm2d ? [module.eps] : [])),
      ),
    ]
    for (const name of ['googlenet', 'inception_v3', 'inception_v4', 'inception_resnet_v1', 'inception_resnet_v2']) {
      expect(eps(name), name).toEqual([1e-3])
    }
    for (const name of ['vgg16_bn', 'bninception', 'inception_v2']) expect(eps(name), name).toEqual([1e-5])
    for (const name of ['vgg16', 'alexnet', 'alexnet_2012', 'googlenet_2014']) expect(eps(name), name).toEqual([])
  })
})

describe('models by name', () => {
  test('a wrong name is answered with the nearest ones', () => {
    expect(() => findModel<ImageOutput>('VGG-l6', { from: [classic] })).toThrow(
      /findModel: name expects one of \d+ models, got 'VGG-l6'; nearest: vgg16, /,
    )
  })

  test('are listed by pattern', () => {
    expect(listModels('vgg*_bn', { from: [classic] })).toEqual(['vgg11_bn', 'vgg13_bn', 'vgg16_bn', 'vgg19_bn'])
    expect(listModels('inception_v?', { from: [classic] })).toEqual(['inception_v2', 'inception_v3', 'inception_v4'])
  })

  test('say where published weights are and how their images are prepared', () => {
    expect(inception_v3.weights.IMAGENET1K_V1).toMatchObject({ resize: 342, crop: 299, mean: [0.5, 0.5, 0.5] })
    expect(bninception.weights.IMAGENET).toMatchObject({ channelOrder: 'bgr', resize: 256, top1: 73.524 })
    expect(inception_resnet_v2.weights.tf_in1k).toMatchObject({ resize: 333, interpolation: 'bicubic' })
    expect(new Set(classic.map(({ name }) => name)).size).toBe(classic.length)
    for (const entry of classic) {
      for (const [name, weights] of Object.entries(entry.weights)) {
        expect(weights.name).toBe(name)
        expect(weights.url).toMatch(/^https?:\/\//)
        expect(weights.license).not.toBe('')
        expect(weights.top1 ?? Number.NaN, name).toSatisfy(
          (top1: number) => name === 'IMAGENET1K_FEATURES' || top1 > 50,
        )
        if (weights.url.endsWith('.pth')) expect(weights.url).toContain(`-${weights.sha256Prefix}.pth`)
      }
    }
  })
})

describe('options that do not exist', () => {
  test.each(classic.map((entry) => [entry.name, entry] as const))(
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
