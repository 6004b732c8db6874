/** Layers against the formulas of their papers and values of PyTorch; the ops behind them have tests of their own. */
import { readFileSync } from 'node:fs'
import * as nn from '@convnets/nn'
import * as t from '@convnets/tensor'
import { checkGradient, fill, fillModel, parseTrainingGoldens, relativeError, tolerances } from '@convnets/testkit'
import { describe, expect, test } from 'vitest'
import { expectValues, values } from './values.ts'

/** Filled tensors: the same numbers in every run, without a generator. */
const filled = (shape: readonly number[], name = 'x'): t.Tensor =>
  t.tensor(Float32Array.from(fill(name, shape)), { shape })

describe('batch norm', () => {
  const batch = (): t.Tensor => t.tensor([[1], [2], [3], [4]])

  test('of 1, 2, 3, 4 has the running statistics of PyTorch: 0.25 and 0.9 + 0.1 * 5 / 3', () => {
    const layer = new nn.BatchNorm1d(1)
    const y = layer.forward(batch())
    const scale = 1 / Math.sqrt(1.25 + 1e-5)
    expectValues(y, [-1.5 * scale, -0.5 * scale, 0.5 * scale, 1.5 * scale])
    expectValues(layer.running_mean, [0.25])
    expectValues(layer.running_var, [0.9 + 0.5 / 3])
    expect(layer.num_batches_tracked?.item()).toBe(1)
  })

  test('evaluates by the running statistics, and leaves them', () => {
    const layer = new nn.BatchNorm2d(2, { eps: 0.5 }).eval()
    layer.running_mean?.assign_([1, 2])
    layer.running_var?.assign_([3.5, 8.5])
    layer.weight?.assign_([2, 3])
    layer.bias?.assign_([10, 20])
    const y = layer.forward(t.tensor([[[[1, 3]], [[2, 5]]]]))
    expectValues(y, [10, 12, 20, 23], 1e-5)
    expect([values(layer.running_mean), layer.num_batches_tracked?.item()]).toEqual([[1, 2], 0])
  })

  test('averages over all batches alike where momentum is null', () => {
    const layer = new nn.BatchNorm1d(1, { momentum: null })
    const means = [2.5, 7, -4]
    for (const mean of means) layer.forward(batch().sub(2.5).add(mean))
    expectValues(layer.running_mean, [(2.5 + 7 - 4) / 3], 1e-6)
    expectValues(layer.running_var, [5 / 3], 1e-6)
  })

  test('averages so on backends whose numbers cannot be read at once, in float64 too', async () => {
    const apart: t.Backend = {
      ...t.reference,
      readSync() {
        throw new t.BackendError('cannot be read at once')
      },
    }
    for (const dtype of ['float32', 'float64'] as const) {
      const layer = new nn.BatchNorm1d(2, { momentum: null }).to(dtype)
      layer.to(apart)
      const before = t.memory().tensors
      for (const mean of [2.5, 7, -4]) {
        t.tidy(
          () =>
            void layer.forward(
              t
                .tensor(
                  [
                    [0, 1],
                    [1, 5],
                    [2, 0],
                  ],
                  { dtype, backend: apart },
                )
                .add(mean),
            ),
        )
      }
      expect(t.memory().tensors).toBe(before)
      const digits = dtype === 'float64' ? 12 : 5
      const [mean, variance] = [await layer.running_mean?.data(), await layer.running_var?.data()]
      expect([mean?.[0], mean?.[1]]).toEqual([expect.closeTo(1 + 5.5 / 3, digits), expect.closeTo(2 + 5.5 / 3, digits)])
      expect([variance?.[0], variance?.[1]]).toEqual([expect.closeTo(1, digits), expect.closeTo(7, digits)])
      expect(await layer.num_batches_tracked?.data()).toEqual(Int32Array.of(3))
    }
  })

  test('goes on from a loaded count where momentum is null', () => {
    const layer = new nn.BatchNorm1d(1, { momentum: null })
    layer.loadStateDict(
      new Map(
        [...layer.stateDict()].map(([key, v]) => [
          key,
          key === 'num_batches_tracked' ? t.tensor(3, { dtype: 'int32' }) : v,
        ]),
      ),
    )
    layer.forward(batch())
    expectValues(layer.running_mean, [2.5 / 4])
  })

  test('without tracking uses the batch in evaluation mode too', () => {
    const layer = new nn.BatchNorm1d(1, { trackRunningStats: false, affine: false }).eval()
    expect([...layer.stateDict().keys()]).toEqual([])
    expectValues(layer.forward(batch()).mean(), [0])
  })

  test('has one statistic per channel for (N, C, L) and (N, C, H, W) alike', () => {
    const [line, image] = [new nn.BatchNorm1d(3), new nn.BatchNorm2d(3)]
    const x = filled([2, 3, 20])
    expectValues(line.forward(x), values(image.forward(x.reshape([2, 3, 4, 5]))))
    expectValues(line.running_var, values(image.running_var))
    const data = values(x.select(1, 1))
    const mean = data.reduce((a, b) => a + b, 0) / 40
    const variance = data.reduce((a, b) => a + (b - mean) ** 2, 0) / 39
    expect(values(line.running_mean)[1]).toBeCloseTo(0.1 * mean, 6)
    expect(values(line.running_var)[1]).toBeCloseTo(0.9 + 0.1 * variance, 6)
  })

  test('under checkpoint updates its statistics once and has the same gradients', () => {
    const [plain, recomputed] = [new nn.BatchNorm2d(2), new nn.BatchNorm2d(2)]
    t.tidy(() => {
      const x = filled([2, 2, 3, 3])
      const g = filled([2, 2, 3, 3], 'g')
      plain.forward(x).backward(g)
      t.checkpoint((input) => recomputed.forward(input), x).backward(g)
    })
    expect(recomputed.num_batches_tracked?.item()).toBe(1)
    expect(values(recomputed.running_var)).toEqual(values(plain.running_var))
    expect(values(recomputed.weight?.grad)).toEqual(values(plain.weight?.grad))
  })

  test('refuses one value per channel in training, and takes it in evaluation', () => {
    const layer = new nn.BatchNorm2d(2)
    const x = t.ones([1, 2, 1, 1])
    expect(() => layer.forward(x)).toThrow(
      'batchNorm: x expects more than one value per channel in training, got (1, 2, 1, 1)',
    )
    expect([values(layer.running_mean), layer.num_batches_tracked?.item()]).toEqual([[0, 0], 0])
    expect(layer.eval().forward(x).shape).toEqual([1, 2, 1, 1])
  })

  test('leaves no tensor behind', () => {
    const layer = new nn.BatchNorm2d(2)
    const x = filled([2, 2, 3, 3]).keep()
    const before = t.memory().tensors
    t.tidy(() => layer.forward(x).sum().backward())
    layer.zeroGrad()
    expect(t.memory().tensors).toBe(before)
    x.dispose()
  })
})

describe('other normalisations', () => {
  const moments = (x: t.Tensor, dim: number[]): [number[], number[]] => [
    values(x.mean({ dim })),
    values(x.variance({ dim, unbiased: false })),
  ]

  test.each<[string, nn.Module & { forward(x: t.Tensor): t.Tensor }, number[], readonly number[]]>([
    ['LayerNorm over the last axis', new nn.LayerNorm(5, { affine: false }), [3], [2, 4, 3, 5]],
    ['LayerNorm over three axes', new nn.LayerNorm([4, 3, 5], { affine: false }), [1, 2, 3], [2, 4, 3, 5]],
    ['InstanceNorm2d', new nn.InstanceNorm2d(4), [2, 3], [2, 4, 3, 5]],
  ])('%s makes mean 0 and variance 1', (_, layer, dim, shape) => {
    const [mean, variance] = moments(layer.forward(filled(shape).mul(3).add(2)), dim)
    for (const value of mean) expect(value).toBeCloseTo(0, 5)
    for (const value of variance) expect(value).toBeCloseTo(1, 4)
  })

  test('GroupNorm makes mean 0 and variance 1 in each group, then scales and shifts by channel', () => {
    const layer = new nn.GroupNorm(2, 4)
    const x = filled([2, 4, 3, 3]).mul(2)
    const [mean, variance] = moments(layer.forward(x).reshape([2, 2, 18]), [2])
    for (const value of mean) expect(value).toBeCloseTo(0, 5)
    for (const value of variance) expect(value).toBeCloseTo(1, 4)
    const plain = values(layer.forward(x))
    layer.weight?.assign_([1, 2, 3, 4])
    layer.bias?.assign_([0, 10, 0, 0])
    expectValues(
      layer.forward(x),
      plain.map((value, i) => value * ((Math.floor(i / 9) % 4) + 1) + (Math.floor(i / 9) % 4 === 1 ? 10 : 0)),
      1e-4,
    )
  })

  test('LocalResponseNorm is the formula of AlexNet, alpha divided by size', () => {
    const layer = new nn.LocalResponseNorm(3, { alpha: 0.6, beta: 0.5, k: 2 })
    const x = t.tensor([[[[1]], [[2]], [[3]], [[4]]]])
    const squares = [1 + 4, 1 + 4 + 9, 4 + 9 + 16, 9 + 16]
    expectValues(
      layer.forward(x),
      squares.map((s, i) => (i + 1) / Math.sqrt(2 + 0.2 * s)),
    )
  })
})

describe('linear layers and convolutions', () => {
  test('Linear is x weight^T + bias over the last axis', () => {
    const layer = new nn.Linear(2, 3)
    layer.weight.assign_([1, 2, 3, 4, 5, 6])
    layer.bias?.assign_([10, 20, 30])
    expectValues(layer.forward(t.tensor([[[1, -1]]])), [9, 19, 29])
    expect(layer.forward(filled([4, 5, 2])).shape).toEqual([4, 5, 3])
    expect(new nn.Linear(2, 3, { bias: false }).bias).toBeUndefined()
  })

  test.each<[nn.Conv2dOptions, readonly number[], readonly number[]]>([
    [{ kernel: 3 }, [2, 4, 9, 8], [2, 6, 7, 6]],
    [{ kernel: [3, 1], stride: [2, 1], padding: [1, 0] }, [2, 4, 9, 8], [2, 6, 5, 8]],
    [{ kernel: 3, dilation: 2, groups: 2 }, [1, 4, 9, 8], [1, 6, 5, 4]],
    [{ kernel: 2, padding: [1, 0, 0, 2] }, [1, 4, 4, 4], [1, 6, 4, 5]],
    [{ kernel: 3, stride: 2, padding: 'same' }, [1, 4, 9, 8], [1, 6, 5, 4]],
  ])('Conv2d %j gives %j to %j', (options, shape, expected) => {
    const layer = new nn.Conv2d(4, 6, options)
    const x = filled(shape)
    const y = layer.forward(x)
    expect(y.shape).toEqual(expected)
    const { kernel: _, ...given } = options
    expect(values(y)).toEqual(values(t.conv2d(x, layer.weight, layer.bias, given)))
  })

  test('ConvTranspose2d is the adjoint of Conv2d with the same weight', () => {
    const options = { kernel: 3, stride: 2, padding: 1, groups: 2, bias: false }
    const [conv, transposed] = [
      new nn.Conv2d(4, 6, options),
      new nn.ConvTranspose2d(6, 4, { ...options, outputPadding: 1 }),
    ]
    transposed.weight.assign_(conv.weight)
    const [x, y] = [filled([2, 4, 8, 8]), filled([2, 6, 4, 4], 'y')]
    const [left, right] = [conv.forward(x).mul(y).sum().item(), transposed.forward(y).mul(x).sum().item()]
    expect(left).toBeCloseTo(right, 4)
    expect(transposed.weight.shape).toEqual([6, 2, 3, 3])
  })

  test.each<[string, () => { weight: t.Tensor; bias: t.Tensor | undefined }, number]>([
    ['Linear', () => new nn.Linear(50, 80), 50],
    ['Conv2d', () => new nn.Conv2d(16, 24, { kernel: [3, 5], groups: 2 }), 8 * 15],
    // fanIn of (in, out / groups, kh, kw) by PyTorch's rule counts axis 1, the outputs.
    ['ConvTranspose2d', () => new nn.ConvTranspose2d(24, 16, { kernel: 3 }), 16 * 9],
  ])('%s starts uniform in +- 1 / sqrt(fanIn), bias alike', (_, make, fanIn) => {
    const { weight, bias } = t.seeded(3, make)
    const bound = 1 / Math.sqrt(fanIn)
    for (const tensor of [weight, bias]) {
      const numbers = values(tensor)
      const largest = Math.max(...numbers.map(Math.abs))
      expect(largest).toBeLessThanOrEqual(bound * (1 + 1e-6))
      expect(largest).toBeGreaterThan(bound * 0.8)
    }
    // The variance of a uniform distribution is bound^2 / 3.
    expect(weight.variance().item() / (bound ** 2 / 3)).toBeCloseTo(1, 1)
  })
})

describe('dropping at random', () => {
  test.each([
    ['Dropout', new nn.Dropout(0.25), 1],
    ['Dropout2d', new nn.Dropout2d(0.25), 16],
    ['DropPath', new nn.DropPath(0.25), 64],
  ] as const)('%s zeros units with probability p and scales the others', (_, layer, unit) => {
    const y = values(t.seeded(1, () => layer.forward(t.ones([256, 4, 4, 4]))))
    const firsts = y.filter((__, i) => i % unit === 0)
    expect(new Set(y.map((v) => Math.round(v * 1e5)))).toEqual(new Set([0, 133333]))
    firsts.forEach((first, i) => void expect(new Set(y.slice(i * unit, (i + 1) * unit))).toEqual(new Set([first])))
    const dropped = firsts.filter((v) => v === 0).length / firsts.length
    expect(Math.abs(dropped - 0.25)).toBeLessThan(5 * Math.sqrt((0.25 * 0.75) / firsts.length))
  })

  test.each([new nn.Dropout(0.9), new nn.Dropout2d(0.9), new nn.DropPath(0.9)])(
    '%s does nothing in evaluation mode',
    (layer) => {
      const x = t.ones([2, 3, 4, 4])
      expect(layer.eval().forward(x)).toBe(x)
    },
  )

  test('draws from its own generator where it has one', () => {
    const draw = (): number[] => values(new nn.Dropout(0.5, { generator: new t.Generator(9) }).forward(t.ones([64])))
    expect(draw()).toEqual(draw())
  })

  test('p = 1 drops everything, p = 0 nothing', () => {
    const x = t.ones([5])
    expectValues(new nn.Dropout(1).forward(x), [0, 0, 0, 0, 0])
    expect(new nn.Dropout(0).forward(x)).toBe(x)
  })
})

describe('activations', () => {
  const at = [-4, -1, -0.5, 0, 0.5, 1, 3.5, 8]
  const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
  const softplus = (x: number): number => Math.log1p(Math.exp(x))
  // Values of the error function at x / sqrt(2), to nine digits.
  const erf = new Map([
    [-4, -0.999936658],
    [-1, -0.682689492],
    [-0.5, -0.382924923],
    [0, 0],
    [0.5, 0.382924923],
    [1, 0.682689492],
    [3.5, 0.999534742],
    [8, 1],
  ])

  test.each<[nn.Layer, (x: number) => number]>([
    [new nn.ReLU(), (x) => Math.max(x, 0)],
    [new nn.ReLU6(), (x) => Math.min(Math.max(x, 0), 6)],
    [new nn.Sigmoid(), sigmoid],
    [new nn.Tanh(), Math.tanh],
    [new nn.SiLU(), (x) => x * sigmoid(x)],
    [new nn.Mish(), (x) => x * Math.tanh(softplus(x))],
    [new nn.GELU(), (x) => (x / 2) * (1 + (erf.get(x) ?? Number.NaN))],
    [
      new nn.GELU({ approximate: 'tanh' }),
      (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    ],
    [new nn.Hardswish(), (x) => x * Math.min(Math.max(x / 6 + 0.5, 0), 1)],
    [new nn.Hardsigmoid(), (x) => Math.min(Math.max(x / 6 + 0.5, 0), 1)],
    [new nn.LeakyReLU(), (x) => (x > 0 ? x : 0.01 * x)],
    [new nn.LeakyReLU(0.3), (x) => (x > 0 ? x : 0.3 * x)],
    [new nn.ELU(), (x) => (x > 0 ? x : Math.expm1(x))],
    [new nn.ELU(2), (x) => (x > 0 ? x : 2 * Math.expm1(x))],
    [new nn.Softplus(), softplus],
    [new nn.Softplus({ beta: 2, threshold: 6 }), (x) => (2 * x > 6 ? x : softplus(2 * x) / 2)],
  ])('%s is its formula', (layer, formula) => {
    expectValues(layer.forward(t.tensor(at)), at.map(formula), 4e-6)
  })

  test('Softmax and LogSoftmax run along their axis', () => {
    const x = t.tensor([
      [1, 2],
      [3, 5],
    ])
    expectValues(
      new nn.Softmax().forward(x),
      [1, 2].flatMap((d) => [1 / (1 + Math.exp(d)), 1 / (1 + Math.exp(-d))]),
    )
    expectValues(new nn.Softmax({ dim: 0 }).forward(x), [sigmoid(-2), sigmoid(-3), sigmoid(2), sigmoid(3)])
    expectValues(
      new nn.LogSoftmax({ dim: 0 }).forward(x),
      [-2, -3, 2, 3].map((d) => Math.log(sigmoid(d))),
    )
  })
})

describe('pooling and shapes', () => {
  const image = (): t.Tensor => t.arange(0, 16, 1, { dtype: 'float32' }).reshape([1, 1, 4, 4])

  test.each<[nn.Layer, readonly number[], readonly number[]]>([
    [new nn.MaxPool2d(2), [1, 1, 2, 2], [5, 7, 13, 15]],
    [new nn.MaxPool2d(3, { stride: 2, ceilMode: true }), [1, 1, 2, 2], [10, 11, 14, 15]],
    [new nn.MaxPool2d([1, 4], { stride: 2 }), [1, 1, 2, 1], [3, 11]],
    [new nn.AvgPool2d(2), [1, 1, 2, 2], [2.5, 4.5, 10.5, 12.5]],
    [new nn.AvgPool2d(2, { padding: 1, stride: 4 }), [1, 1, 2, 2], [0, 0.75, 3, 3.75]],
    [new nn.AvgPool2d(2, { padding: 1, stride: 4, countIncludePad: false }), [1, 1, 2, 2], [0, 3, 12, 15]],
    [new nn.AdaptiveAvgPool2d([1, 2]), [1, 1, 1, 2], [6.5, 8.5]],
    [new nn.AdaptiveMaxPool2d(3), [1, 1, 3, 3], [5, 6, 7, 9, 10, 11, 13, 14, 15]],
    [new nn.GlobalAvgPool2d(), [1, 1], [7.5]],
    [new nn.Flatten(), [1, 16], Array.from({ length: 16 }, (_, i) => i)],
    [new nn.Flatten(0, 2), [4, 4], Array.from({ length: 16 }, (_, i) => i)],
    [new nn.Upsample({ size: 2 }), [1, 1, 2, 2], [0, 2, 8, 10]],
    [new nn.Upsample({ scale: 0.5, mode: 'bilinear' }), [1, 1, 2, 2], [2.5, 4.5, 10.5, 12.5]],
    [new nn.Upsample({ size: [1, 4], mode: 'bilinear', alignCorners: true }), [1, 1, 1, 4], [0, 1, 2, 3]],
  ])('%s', (layer, shape, expected) => {
    const y = layer.forward(image())
    expect(y.shape).toEqual(shape)
    expectValues(y, expected)
  })

  test('Flatten keeps the logical order of channels', () => {
    const x = filled([2, 3, 2, 2])
    expect(values(new nn.Flatten().forward(x))).toEqual(values(x))
    expect(new nn.Identity().forward(x)).toBe(x)
  })
})

describe('losses', () => {
  test('CrossEntropyLoss takes the options of the op, its weight as a buffer', () => {
    const weight = t.tensor([1, 2, 3])
    const loss = new nn.CrossEntropyLoss({ weight, labelSmoothing: 0.2, reduction: 'sum', ignoreIndex: 2 })
    const [logits, target] = [filled([4, 3]), t.tensor(Int32Array.of(0, 1, 2, 1))]
    const options = { weight, labelSmoothing: 0.2, reduction: 'sum', ignoreIndex: 2 } as const
    expect(loss.forward(logits, target).item()).toBe(t.crossEntropy(logits, target, options).item())
    expect([...loss.stateDict().keys()]).toEqual(['weight'])
    expectValues(new nn.CrossEntropyLoss().forward(t.zeros([2, 5]), t.tensor(Int32Array.of(0, 4))), [Math.log(5)])
  })

  test('MSELoss averages, adds or keeps squares', () => {
    const [x, y] = [t.tensor([1, 2, 4]), t.tensor([0, 0, 1])]
    expectValues(new nn.MSELoss().forward(x, y), [14 / 3])
    expectValues(new nn.MSELoss({ reduction: 'sum' }).forward(x, y), [14])
    expectValues(new nn.MSELoss({ reduction: 'none' }).forward(x, y), [1, 4, 9])
  })
})

/** The small network of the training goldens. */
class TinyNet extends nn.Module {
  conv1 = new nn.Conv2d(3, 8, { kernel: 3, padding: 1, bias: false })
  bn1 = new nn.BatchNorm2d(8)
  conv2 = new nn.Conv2d(8, 8, { kernel: 3, padding: 1, groups: 2, bias: false })
  bn2 = new nn.BatchNorm2d(8)
  fc = new nn.Linear(8, 5)

  forward(x: t.Tensor): t.Tensor {
    const y = this.bn1.forward(this.conv1.forward(x)).relu()
    const z = y.add(this.bn2.forward(this.conv2.forward(y))).relu()
    return this.fc.forward(t.globalAvgPool2d(t.maxPool2d(z, 2)))
  }
}

test.each([
  ['reference', t.reference, 'float64'],
  ['wasm', t.wasm, 'float32'],
] as const)('a small network trains as in PyTorch, on %s', (_, backend, dtype) => {
  const text = readFileSync(new URL('../../../fixtures/goldens/training.json', import.meta.url), 'utf8')
  const { salt, batch, target, input, labelSmoothing, runs } = parseTrainingGoldens(text)
  const golden = runs.get('sgd')
  if (golden === undefined) throw new Error('training.json holds no run of sgd')
  const net = fillModel(new TinyNet().to(dtype).to(backend), { salt })
  const shape = [batch, 3, 10, 10]
  const x = t.tensor(fill(salt + input, shape), { shape, dtype, backend })
  const labels = t.tensor(Int32Array.from(target), { backend })
  const losses = golden.losses.map(() =>
    t.tidy(() => {
      net.zeroGrad()
      const loss = nn.crossEntropy(net.forward(x), labels, { labelSmoothing })
      loss.backward()
      for (const p of net.parameters()) p.assign_(p.detach().sub((p.grad as t.Tensor).mul(0.1)))
      return loss.item()
    }),
  )
  const tolerance = tolerances[dtype].trainingLoss
  expect(relativeError(losses, golden.losses)).toBeLessThanOrEqual(tolerance)
  expect(relativeError(values(net.eval().forward(x)), golden.evalLogits)).toBeLessThanOrEqual(10 * tolerance)
  expect(relativeError(values(net.fc.weight), golden.fcWeight)).toBeLessThanOrEqual(10 * tolerance)
  expect(relativeError(values(net.bn1.running_var), golden.bn1RunningVar)).toBeLessThanOrEqual(10 * tolerance)
})

test.each<[string, () => nn.Layer, readonly number[]]>([
  ['BatchNorm2d', () => new nn.BatchNorm2d(3), [2, 3, 2, 2]],
  ['BatchNorm2d in evaluation mode', () => new nn.BatchNorm2d(3).eval(), [2, 3, 2, 2]],
  ['GroupNorm', () => new nn.GroupNorm(2, 4), [2, 4, 2, 2]],
  ['LayerNorm', () => new nn.LayerNorm([2, 3]), [2, 2, 3]],
  ['Conv2d', () => new nn.Conv2d(2, 3, { kernel: 2, stride: 2, padding: 1 }), [1, 2, 3, 3]],
  ['ConvTranspose2d', () => new nn.ConvTranspose2d(2, 3, { kernel: 2, stride: 2 }), [1, 2, 2, 2]],
  ['Linear', () => new nn.Linear(3, 2), [2, 3]],
])('%s has the gradients of central differences, by input and parameters', (_, make, shape) => {
  const layer = fillModel(make().to('float64').to(t.reference))
  const names = [...layer.namedParameters().keys()]
  const holder = layer as unknown as Record<string, t.Tensor>
  const points = [
    t.tensor(fill('gradient.x', shape), { shape, dtype: 'float64', backend: t.reference }),
    ...layer.parameters().map((p) => p.detach()),
  ]
  const { errors } = checkGradient((x, ...parameters) => {
    parameters.forEach((p, i) => {
      holder[names[i] as string] = p
    })
    return layer.forward(x as t.Tensor)
  }, points)
  for (const error of errors) expect(error).toBeLessThan(1e-6)
})
