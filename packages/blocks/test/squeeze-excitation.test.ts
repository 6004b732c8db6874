/** Squeeze-and-excitation alone, and plugged into blocks of other papers. */
import {
  BasicBlock,
  type Block,
  Bottleneck,
  ConcatBottleneck,
  ConvNeXtBlock,
  DenseBlock,
  Fire,
  InceptionResNetA,
  InceptionResNetB,
  InceptionResNetC,
  InceptionResNetMixed,
  InceptionResNetReductionB,
  InceptionV1,
  InceptionV2,
  InceptionV3A,
  InceptionV3B,
  InceptionV3C,
  InceptionV3D,
  InceptionV3E,
  InceptionV4A,
  InceptionV4B,
  InceptionV4C,
  InceptionV4ReductionB,
  PlainBlock,
  ReductionA,
  RegNetBlock,
  ShuffleUnit,
  SqueezeExcitation,
  SummedBottleneck,
  wideProjectionShortcut,
} from '@convnets/blocks'
import { Hardsigmoid, init, type Layer, SiLU } from '@convnets/nn'
import { reference, type Tensor, tensor } from '@convnets/tensor'
import { checkGradient, fill, fillModel, relativeError } from '@convnets/testkit'
import { describe, expect, test } from 'vitest'

const values = (t: Tensor): number[] => Array.from(t.dataSync())
const exact = (shape: readonly number[], name = 'x'): Tensor =>
  tensor(fill(name, shape), { shape, dtype: 'float64', backend: reference })

describe('the gates', () => {
  test('are the sigmoid of two linear layers on the means, and scale whole channels', () => {
    const block = fillModel(new SqueezeExcitation(4, { reduction: 2 }).to('float64').to(reference))
    const x = exact([2, 4, 3, 5])
    const [w1, b1, w2, b2] = [block.fc1.weight, block.fc1.bias, block.fc2.weight, block.fc2.bias].map((t) =>
      values(t as Tensor),
    ) as [number[], number[], number[], number[]]
    const pixels = values(x)
    const expected = pixels.slice()
    for (let n = 0; n < 2; n++) {
      const mean = [0, 1, 2, 3].map(
        (c) => pixels.slice((n * 4 + c) * 15, (n * 4 + c + 1) * 15).reduce((a, b) => a + b) / 15,
      )
      const dot = (w: number[], row: number, v: number[]): number =>
        v.reduce((sum, value, i) => sum + value * (w[row * v.length + i] ?? 0), 0)
      const hidden = [0, 1].map((i) => Math.max(0, dot(w1, i, mean) + (b1[i] ?? 0)))
      for (let c = 0; c < 4; c++) {
        const gate = 1 / (1 + Math.exp(-dot(w2, c, hidden) - (b2[c] ?? 0)))
        for (let i = 0; i < 15; i++) expected[(n * 4 + c) * 15 + i] = gate * (pixels[(n * 4 + c) * 15 + i] ?? 0)
      }
    }
    expect(relativeError(values(block.forward(x)), expected)).toBeLessThan(1e-12)
    expect(block.gates(x).shape).toEqual([2, 4, 1, 1])
  })

  test('have the gradients of central differences', () => {
    const block = fillModel(new SqueezeExcitation(3, { squeeze: 2, act: () => new SiLU() }).to('float64').to(reference))
    const { errors } = checkGradient((x) => block.forward(x as Tensor), [exact([2, 3, 3, 2])])
    for (const error of errors) expect(error).toBeLessThan(1e-6)
  })

  test('squeeze to a sixteenth by default, never to nothing', () => {
    const middle = (block: SqueezeExcitation): number => block.fc1.outChannels
    expect([256, 64, 40, 4].map((channels) => middle(new SqueezeExcitation(channels)))).toEqual([16, 4, 2, 1])
    expect(middle(new SqueezeExcitation(64, { reduction: 4 }))).toBe(16)
  })

  test('take other functions and keys', () => {
    const block = new SqueezeExcitation(8, { gate: () => new Hardsigmoid(), keys: ['conv_reduce', 'conv_expand'] })
    expect([...block.stateDict().keys()]).toEqual([
      'conv_reduce.weight',
      'conv_reduce.bias',
      'conv_expand.weight',
      'conv_expand.bias',
    ])
    expect([block.inChannels, block.outChannels]).toEqual([8, 8])
  })
})

type Attention = (channels: number) => Layer

/** Every kind of block by the same option, with the channels that its attention sees. All take maps (1, 8, 7, 7). */
const plugged: readonly (readonly [string, (options: { attention?: Attention }) => Block, number])[] = [
  ['BasicBlock', (options) => new BasicBlock(8, 8, options), 8],
  ['Bottleneck', (options) => new Bottleneck(8, 4, options), 16],
  ['SummedBottleneck', (options) => new SummedBottleneck(8, 4, { groups: 2, ...options }), 16],
  ['ConcatBottleneck', (options) => new ConcatBottleneck(8, 4, { groups: 2, ...options }), 16],
  ['PlainBlock', (options) => new PlainBlock(8, 8, options), 8],
  ['DenseBlock', (options) => new DenseBlock(8, 4, 1, options), 4],
  ['Fire', (options) => new Fire(8, [2, 3, 5], options), 8],
  ['ShuffleUnit', (options) => new ShuffleUnit(8, 8, options), 4],
  ['RegNetBlock', (options) => new RegNetBlock(8, 12, options), 12],
  ['ConvNeXtBlock', (options) => new ConvNeXtBlock(8, { layerScale: 1, ...options }), 8],
  ['InceptionV1', (options) => new InceptionV1(8, [4, 4, 8, 2, 4, 4], options), 20],
  ['InceptionV2', (options) => new InceptionV2(8, { one: 4, three: [4, 8], double: [4, 8], pool: 4 }, options), 24],
  ['InceptionV3A', (options) => new InceptionV3A(8, 32, options), 256],
  ['InceptionV3B', (options) => new InceptionV3B(8, options), 488],
  ['InceptionV3C', (options) => new InceptionV3C(8, 16, options), 768],
  ['InceptionV3D', (options) => new InceptionV3D(8, options), 520],
  ['InceptionV3E', (options) => new InceptionV3E(8, options), 2048],
  ['InceptionV4A', (options) => new InceptionV4A(8, options), 384],
  ['InceptionV4B', (options) => new InceptionV4B(8, options), 1024],
  ['InceptionV4C', (options) => new InceptionV4C(8, options), 1536],
  ['ReductionA', (options) => new ReductionA(8, { k: 4, l: 4, m: 8, n: 8 }, options), 24],
  ['InceptionV4ReductionB', (options) => new InceptionV4ReductionB(8, options), 520],
  ['InceptionResNetA', (options) => new InceptionResNetA(8, [4, 4, 8], options), 8],
  ['InceptionResNetB', (options) => new InceptionResNetB(8, [4, 4, 4, 8], options), 8],
  ['InceptionResNetC', (options) => new InceptionResNetC(8, [4, 4, 4, 8], options), 8],
  ['InceptionResNetMixed', (options) => new InceptionResNetMixed(8, options), 320],
  ['InceptionResNetReductionB', (options) => new InceptionResNetReductionB(8, [8, 8, 8], options), 408],
]

test.each(plugged)('goes into %s by one option, and changes nothing where its gates are open', (_, make, channels) => {
  const made: SqueezeExcitation[] = []
  const gated = make({
    attention: (c) => {
      const gates = new SqueezeExcitation(c)
      made.push(gates)
      return gates
    },
  })
  expect(made.map(({ inChannels }) => inChannels)).toEqual([channels])
  const plain = make({})
  for (const block of [gated, plain]) fillModel(block).eval()
  const [gates] = made as [SqueezeExcitation]
  init.constant_(gates.fc2.weight, 0)
  const x = tensor(Float32Array.from(fill('x', [1, 8, 7, 7])), { shape: [1, 8, 7, 7] })
  const outputWith = (bias: number): Tensor => {
    init.constant_(gates.fc2.bias as Tensor, bias)
    return gated.forward(x)
  }
  const [y, expected] = [outputWith(100), plain.forward(x)]
  expect(y.shape).toEqual(expected.shape)
  expect(values(y)).toEqual(values(expected)) // the sigmoid of 100 is 1
  expect(values(outputWith(0))).not.toEqual(values(expected))
})

test('stands on the residual branch of Inception-ResNet before it is scaled: half-open gates are half the scale', () => {
  const half = new InceptionResNetA(8, [4, 4, 8], { scale: 0.5, attention: (c) => new SqueezeExcitation(c) })
  const plain = fillModel(new InceptionResNetA(8, [4, 4, 8], { scale: 0.25 })).eval()
  const gates = fillModel(half).eval().attention as SqueezeExcitation
  for (const t of [gates.fc2.weight, gates.fc2.bias as Tensor]) init.constant_(t, 0)
  const x = tensor(Float32Array.from(fill('x', [1, 8, 7, 7])), { shape: [1, 8, 7, 7] })
  expect(relativeError(values(half.forward(x)), values(plain.forward(x)))).toBeLessThan(1e-6)
})

test('the key of the attention in checkpoints is open, the order is that of the published ones', () => {
  const attention = (channels: number): Layer => new SqueezeExcitation(channels)
  for (const block of [
    new BasicBlock(4, 8, { attention, attentionKey: 'se_module' }),
    new Bottleneck(4, 2, { attention, attentionKey: 'se_module' }),
  ]) {
    const children = [...block.namedChildren().keys()].filter((key) => key !== 'dropPath')
    expect(children.slice(-2)).toEqual(['se_module', 'downsample'])
  }
})

test('the bottleneck of SENet-154: half the width first, a 3x3 shortcut', () => {
  const block = new Bottleneck(32, 32, {
    reduced: 16,
    outChannels: 64,
    groups: 8,
    shortcut: wideProjectionShortcut,
    stride: 2,
  })
  const shapes = Object.fromEntries([...block.stateDict()].map(([key, { shape }]) => [key, shape]))
  expect(shapes).toMatchObject({
    'conv1.weight': [16, 32, 1, 1],
    'bn1.weight': [16],
    'conv2.weight': [32, 2, 3, 3],
    'conv3.weight': [64, 32, 1, 1],
    'downsample.0.weight': [64, 32, 3, 3],
  })
  const x = tensor(Float32Array.from(fill('x', [1, 32, 5, 4])), { shape: [1, 32, 5, 4] })
  expect(block.forward(x).shape).toEqual([1, 64, 3, 2])
})

test.each<[() => unknown, string]>([
  [() => new SqueezeExcitation(0), 'SqueezeExcitation: channels expects an integer of at least 1, got 0'],
  [
    () => new SqueezeExcitation(8, { reduction: 0 }),
    'SqueezeExcitation: reduction expects an integer of at least 1, got 0',
  ],
  [
    () => new SqueezeExcitation(8, { squeeze: 1.5 }),
    'SqueezeExcitation: squeeze expects an integer of at least 1, got 1.5',
  ],
  [
    () => new SqueezeExcitation(8, { reducton: 4 } as object),
    'SqueezeExcitation: options expects one of squeeze, reduction, act, gate, keys, got reducton (did you mean reduction?)',
  ],
  [() => new Bottleneck(8, 8, { reduced: 0 }), 'Bottleneck: reduced expects an integer of at least 1, got 0'],
])('bad arguments, case %#', (call, message) => {
  expect(call).toThrow(message)
})
