/** Blocks of SqueezeNet, ShuffleNet, RegNet and ConvNeXt outside of any model. */
import {
  type Block,
  ConvNeXtBlock,
  channelShuffle,
  Fire,
  LayerNorm2d,
  RegNetBlock,
  type RegNetBlockOptions,
  ShuffleUnit,
  SqueezeExcitation,
  stage,
} from '@convnets/blocks'
import { Conv2d, type Layer, Sequential } from '@convnets/nn'
import { arange, cat, conv2d, memory, reference, relu, type Tensor, tensor, tidy, variance } from '@convnets/tensor'
import { checkGradient, fill, fillModel, relativeError } from '@convnets/testkit'
import { describe, expect, test } from 'vitest'

const values = (t: Tensor): number[] => Array.from(t.dataSync())
const filled = (shape: readonly number[], name = 'x'): Tensor => tensor(Float32Array.from(fill(name, shape)), { shape })
const exact = (shape: readonly number[], name = 'x'): Tensor =>
  tensor(fill(name, shape), { shape, dtype: 'float64', backend: reference })
const exactly = <L extends Layer>(layer: L): L => fillModel(layer.to('float64').to(reference))

test.each<[string, () => Block, number[], string[]]>([
  [
    'Fire',
    () => new Fire(8, [2, 3, 4]),
    [2, 7, 6, 5],
    ['squeeze.weight', 'squeeze.bias', 'expand1x1.weight', 'expand1x1.bias', 'expand3x3.weight', 'expand3x3.bias'],
  ],
  [
    'ShuffleUnit',
    () => new ShuffleUnit(8, 8),
    [2, 8, 6, 5],
    ['branch2.0', 'branch2.3', 'branch2.5'].map((k) => `${k}.weight`),
  ],
  [
    'ShuffleUnit / 2',
    () => new ShuffleUnit(8, 12, { stride: 2 }),
    [2, 12, 3, 3],
    ['branch1.0', 'branch1.2', 'branch2.0', 'branch2.3', 'branch2.5'].map((key) => `${key}.weight`),
  ],
  [
    'RegNetBlock',
    () => new RegNetBlock(8, 8, { groupWidth: 4 }),
    [2, 8, 6, 5],
    ['f.a.0', 'f.b.0', 'f.c.0'].map((k) => `${k}.weight`),
  ],
  [
    'RegNetBlock / 2',
    () => new RegNetBlock(8, 12, { stride: 2 }),
    [2, 12, 3, 3],
    ['proj.0', 'f.a.0', 'f.b.0', 'f.c.0'].map((key) => `${key}.weight`),
  ],
  [
    'ConvNeXtBlock',
    () => new ConvNeXtBlock(8),
    [2, 8, 6, 5],
    ['layer_scale', ...[0, 2, 3, 5].flatMap((i) => [`block.${i}.weight`, `block.${i}.bias`])],
  ],
  ['LayerNorm2d', () => new LayerNorm2d(8), [2, 8, 6, 5], ['weight', 'bias']],
])('%s keeps to its shape, keys and channels, and every parameter gets a gradient', (_, make, shape, keys) => {
  const block = make()
  expect([block.inChannels, block.outChannels]).toEqual([8, shape[1]])
  const x = filled([2, 8, 6, 5])
  const y = block.forward(x)
  expect(y.shape).toEqual(shape)
  expect([...block.stateDict()].flatMap(([key, t]) => (isNorm(key, t, keys) ? [] : [key]))).toEqual(keys)
  y.mul(filled(shape, 'weights')).sum().backward()
  for (const [key, parameter] of block.namedParameters()) expect(parameter.grad, key).toBeDefined()
  const chain = new Sequential(make(), (channels) => new Conv2d(channels, 2, { kernel: 1 }))
  expect(chain.forward(x).shape.slice(0, 2)).toEqual([2, 2])
})

/** Entries of batch norms, which lie between the convolutions. */
function isNorm(key: string, { rank }: Tensor, keys: readonly string[]): boolean {
  return !keys.includes(key) && rank < 2
}

describe('Fire', () => {
  test('is two expansions of one squeeze, side by side', () => {
    const block = exactly(new Fire(3, [2, 3, 4]))
    const x = exact([2, 3, 4, 5])
    const few = relu(conv2d(x, block.squeeze.weight, block.squeeze.bias))
    const one = relu(conv2d(few, block.expand1x1.weight, block.expand1x1.bias))
    const three = relu(conv2d(few, block.expand3x3.weight, block.expand3x3.bias, { padding: 1 }))
    expect(values(block.forward(x))).toEqual(values(cat([one, three], 1)))
  })
})

describe('channelShuffle', () => {
  test('deals the channels of all groups out in turn', () => {
    const x = arange(0, 6).reshape([1, 6, 1, 1])
    expect(values(channelShuffle(x, 2))).toEqual([0, 3, 1, 4, 2, 5])
    expect(values(channelShuffle(x, 3))).toEqual([0, 2, 4, 1, 3, 5])
  })

  test('by g and then by C / g is the identity, whatever the pixels', () => {
    const x = filled([2, 12, 3, 2])
    expect(values(channelShuffle(channelShuffle(x, 3), 4))).toEqual(values(x))
    expect(values(channelShuffle(x, 1))).toEqual(values(x))
  })

  test('has its own inverse as gradient', () => {
    const { errors } = checkGradient((x) => channelShuffle(x as Tensor, 2).square(), [exact([2, 4, 2, 3])])
    for (const error of errors) expect(error).toBeLessThan(1e-6)
  })
})

describe('ShuffleUnit', () => {
  test('without stride lets every second channel of its output be one of the first half of its input', () => {
    const block = exactly(new ShuffleUnit(6, 6)).eval()
    const x = exact([2, 6, 4, 3])
    const y = block.forward(x)
    for (const i of [0, 1, 2]) expect(values(y.narrow(1, 2 * i, 1))).toEqual(values(x.narrow(1, i, 1)))
    expect(values(y.narrow(1, 1, 1))).toEqual(values(block.branch2.forward(x.narrow(1, 3, 3)).narrow(1, 0, 1)))
  })

  test('goes into a stage', () => {
    const units = stage(ShuffleUnit, { inChannels: 8, width: 12, depth: 3, stride: 2 })
    expect(units.forward(filled([1, 8, 8, 8])).shape).toEqual([1, 12, 4, 4])
  })
})

describe('RegNetBlock', () => {
  test('has groups of one width, and gates behind its 3x3 convolution by the channels of its input', () => {
    const asked: number[][] = []
    const attention = (channels: number, inChannels: number): Layer => {
      asked.push([channels, inChannels])
      return new SqueezeExcitation(channels, { squeeze: inChannels / 4 })
    }
    const blocks = stage<RegNetBlockOptions>(RegNetBlock, {
      inChannels: 8,
      width: 24,
      depth: 2,
      stride: 2,
      groupWidth: 8,
      attention,
    })
    expect(asked).toEqual([
      [24, 8],
      [24, 24],
    ])
    const dict = blocks.stateDict()
    expect(dict.get('0.f.b.0.weight')?.shape).toEqual([24, 8, 3, 3])
    expect([dict.get('0.f.se.fc1.weight')?.shape, dict.get('1.f.se.fc1.weight')?.shape]).toEqual([
      [2, 24, 1, 1],
      [6, 24, 1, 1],
    ])
  })

  test('with zeroInit is its shortcut', () => {
    const x = filled([2, 8, 4, 4])
    expect(values(new RegNetBlock(8, 8, { zeroInit: true }).forward(x))).toEqual(values(relu(x)))
  })
})

describe('ConvNeXtBlock', () => {
  test('normalises the channels of every pixel', () => {
    const x = filled([2, 16, 3, 4])
    const y = new LayerNorm2d(16).forward(x)
    expect(y.shape).toEqual(x.shape)
    const spread = values(variance(y, { dim: 1, unbiased: false }))
    for (const v of spread) expect(v).toBeCloseTo(1, 3)
    for (const mean of values(y.mean({ dim: 1 }))) expect(Math.abs(mean)).toBeLessThan(1e-5)
  })

  test('adds its branch times the factors of LayerScale', () => {
    const x = exact([2, 4, 5, 3])
    const branch = (layerScale: number): number[] => {
      const block = exactly(new ConvNeXtBlock(4, { layerScale }))
      block.layer_scale.assign_(new Float64Array(4).fill(layerScale))
      return values(block.forward(x).sub(x))
    }
    expect(
      relativeError(
        branch(0.5),
        branch(1).map((v) => v / 2),
      ),
    ).toBeLessThan(1e-12)
    expect(Math.max(...branch(0).map(Math.abs))).toBe(0)
    expect(values(new ConvNeXtBlock(4).layer_scale)).toEqual(Array(4).fill(Math.fround(1e-6)))
  })

  test('has the gradients of central differences', () => {
    const block = exactly(new ConvNeXtBlock(2))
    const { errors } = checkGradient((x) => block.forward(x as Tensor), [exact([2, 2, 3, 3])])
    for (const error of errors) expect(error).toBeLessThan(1e-6)
  })

  test('a step leaves no tensor behind', () => {
    const block = new ConvNeXtBlock(4, { dropPath: 0.5 })
    const x = filled([2, 4, 6, 6])
    const step = (): void => tidy(() => void block.forward(x).sum().backward())
    step()
    const before = memory().tensors
    step()
    expect(memory().tensors).toBe(before)
  })
})

test.each<[() => unknown, string]>([
  [() => new Fire(0, [1, 1, 1]), 'Fire: inChannels expects an integer of at least 1, got 0'],
  [() => new Fire(8, [0, 1, 1]), 'Fire: squeeze expects an integer of at least 1, got 0'],
  [() => new ShuffleUnit(8, 9, { stride: 2 }), 'ShuffleUnit: width expects an even number, got 9'],
  [
    () => new ShuffleUnit(8, 10),
    'ShuffleUnit: width expects 8 as inChannels, since without stride half of them pass, got 10',
  ],
  [
    () => channelShuffle(filled([1, 5, 2, 2]), 2),
    'channelShuffle: x expects (N, C, H, W) with a multiple of 2 channels, got (1, 5, 2, 2)',
  ],
  [() => new RegNetBlock(8, 12, { groupWidth: 8 }), 'RegNetBlock: groupWidth expects a divisor of width 12, got 8'],
  [() => new ConvNeXtBlock(1.5), 'ConvNeXtBlock: channels expects an integer of at least 1, got 1.5'],
  [() => new ConvNeXtBlock(4, { layerScale: Number.NaN }), 'ConvNeXtBlock: layerScale expects a number'],
])('bad arguments, case %#', (call, message) => {
  expect(call).toThrow(message)
})
