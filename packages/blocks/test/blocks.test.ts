/** Blocks outside of any model: shapes, keys, arithmetic, gradients. */
import {
  addRelu,
  BasicBlock,
  Bottleneck,
  ConvNormAct,
  dropPathRates,
  PadShortcut,
  PlainBlock,
  padShortcut,
  projectionShortcut,
  stage,
} from '@convnets/blocks'
import { BatchNorm2d, GroupNorm, type Layer, Linear, Module, Sequential, SiLU } from '@convnets/nn'
import {
  add,
  globalAvgPool2d,
  memory,
  randn,
  reference,
  relu,
  seeded,
  type Tensor,
  tensor,
  tidy,
  variance,
} from '@convnets/tensor'
import { checkGradient, checkSecondGradient, fill, fillModel } from '@convnets/testkit'
import { describe, expect, test } from 'vitest'

const values = (t: Tensor): number[] => Array.from(t.dataSync())
const filled = (shape: readonly number[], name = 'x'): Tensor => tensor(Float32Array.from(fill(name, shape)), { shape })
const exact = (shape: readonly number[], name: string): Tensor =>
  tensor(fill(name, shape), { shape, dtype: 'float64', backend: reference })

describe('addRelu', () => {
  test('is relu of the sum, with its gradients to both operands', () => {
    const [a, b] = [filled([2, 3, 4, 4], 'a'), filled([2, 3, 4, 4], 'b')]
    expect(values(addRelu(a, b))).toEqual(values(relu(add(a, b))))
    expect(
      checkGradient((x, y) => addRelu(x as Tensor, y as Tensor), [exact([3, 4], 'a'), exact([3, 4], 'b')]).passed,
    ).toBe(true)
    expect(
      checkSecondGradient((x, y) => addRelu(x as Tensor, y as Tensor).square(), [exact([3], 'a'), exact([3], 'b')])
        .passed,
    ).toBe(true)
  })

  test('passes NaN on', () => {
    expect(values(addRelu(tensor([Number.NaN, 1]), tensor([1, -3])))).toEqual([Number.NaN, 0])
  })
})

describe('shapes and keys', () => {
  const bn = (i: string): string[] =>
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'].map((leaf) => `${i}.${leaf}`)
  const conv = (i: number): string[] => [`conv${i}.weight`, ...bn(`bn${i}`)]
  const down = ['downsample.0.weight', ...bn('downsample.1')]

  test.each<
    [string, () => Module & { inChannels: number; outChannels: number; forward(x: Tensor): Tensor }, number[], string[]]
  >([
    ['BasicBlock', () => new BasicBlock(8, 8), [2, 8, 6, 5], [...conv(1), ...conv(2)]],
    ['BasicBlock / 2', () => new BasicBlock(8, 12, { stride: 2 }), [2, 12, 3, 3], [...conv(1), ...conv(2), ...down]],
    [
      'BasicBlock / 2, option A',
      () => new BasicBlock(8, 12, { stride: 2, shortcut: padShortcut }),
      [2, 12, 3, 3],
      [...conv(1), ...conv(2)],
    ],
    ['PlainBlock / 2', () => new PlainBlock(8, 12, { stride: 2 }), [2, 12, 3, 3], [...conv(1), ...conv(2)]],
    ['Bottleneck', () => new Bottleneck(8, 2), [2, 8, 6, 5], [...conv(1), ...conv(2), ...conv(3)]],
    [
      'Bottleneck / 2',
      () => new Bottleneck(8, 4, { stride: 2 }),
      [2, 16, 3, 3],
      [...conv(1), ...conv(2), ...conv(3), ...down],
    ],
    [
      'Bottleneck v1 / 2',
      () => new Bottleneck(8, 4, { stride: 2, strideIn: 'conv1' }),
      [2, 16, 3, 3],
      [...conv(1), ...conv(2), ...conv(3), ...down],
    ],
    [
      'Bottleneck of ResNeXt',
      () => new Bottleneck(8, 4, { groups: 2, outChannels: 8 }),
      [2, 8, 6, 5],
      [...conv(1), ...conv(2), ...conv(3)],
    ],
  ])('%s', (_, make, shape, keys) => {
    const block = make()
    expect(block.forward(filled([2, 8, 6, 5])).shape).toEqual(shape)
    expect([...block.stateDict().keys()]).toEqual(keys)
    expect([block.inChannels, block.outChannels]).toEqual([8, shape[1]])
  })

  test('v1 and v1.5 step in different convolutions', () => {
    const strides = (strideIn: 'conv1' | 'conv2'): unknown[] => {
      const block = new Bottleneck(4, 2, { stride: 2, strideIn })
      return [block.conv1, block.conv2, block.conv3].map(({ stride }) => stride[0])
    }
    expect([strides('conv1'), strides('conv2')]).toEqual([
      [2, 1, 1],
      [1, 2, 1],
    ])
  })

  test('groups and widths are those of ResNeXt: (width, width / groups, 3, 3)', () => {
    expect(new Bottleneck(256, 128, { groups: 32, outChannels: 256 }).conv2.weight.shape).toEqual([128, 4, 3, 3])
  })

  test.each([
    [{}, [2, 6, 6, 5], ['conv.weight', ...bn('bn')]],
    [{ kernel: 1, norm: null, act: null }, [2, 6, 6, 5], ['conv.weight', 'conv.bias']],
    [{ kernel: [1, 5] as const, dilation: 2 }, [2, 6, 6, 5], ['conv.weight', ...bn('bn')]],
    [
      { stride: 2, norm: (c: number) => new GroupNorm(2, c), act: () => new SiLU() },
      [2, 6, 3, 3],
      ['conv.weight', 'bn.weight', 'bn.bias'],
    ],
    [{ padding: 0, groups: 2 }, [2, 6, 4, 3], ['conv.weight', ...bn('bn')]],
  ])('ConvNormAct %j', (options, shape, keys) => {
    const block = new ConvNormAct(8, 6, options)
    expect(block.forward(filled([2, 8, 6, 5])).shape).toEqual(shape)
    expect([...block.stateDict().keys()]).toEqual(keys)
  })
})

describe('shortcuts', () => {
  test('option A takes every second pixel and puts the channels in the middle', () => {
    const x = filled([2, 2, 3, 5])
    const y = new PadShortcut(2, 5, 2).forward(x)
    expect(y.shape).toEqual([2, 5, 2, 3])
    // 3 more channels: 1 before, 2 behind.
    expect(values(y.narrow(1, 1, 2))).toEqual(
      values(x.slice([undefined, undefined, [0, undefined, 2], [0, undefined, 2]])),
    )
    expect(
      values(y.narrow(1, 0, 1))
        .concat(values(y.narrow(1, 3, 2)))
        .every((v) => v === 0),
    ).toBe(true)
    expect(checkGradient((t) => new PadShortcut(2, 5, 2).forward(t as Tensor), [exact([1, 2, 3, 5], 'x')]).passed).toBe(
      true,
    )
    expect(new PadShortcut(2, 2).forward(x)).toBe(x)
  })

  test('option B is a 1x1 convolution with batch norm', () => {
    expect(projectionShortcut(4, 6, 2).forward(filled([2, 4, 5, 5])).shape).toEqual([2, 6, 3, 3])
  })
})

describe('arithmetic', () => {
  /** relu(x + branch(x)), spelled out. */
  const spelled = (block: BasicBlock, x: Tensor): Tensor => {
    const y = relu(block.bn1.forward(block.conv1.forward(x)))
    const branch = block.bn2.forward(block.conv2.forward(y))
    return relu(add(branch, block.downsample === undefined ? x : block.downsample.forward(x)))
  }

  test.each([new BasicBlock(4, 4), new BasicBlock(4, 6, { stride: 2 })])(
    'a basic block adds branch and shortcut',
    (block) => {
      fillModel(block).eval()
      const x = filled([1, 4, 6, 6])
      expect(values(block.forward(x))).toEqual(values(spelled(block, x)))
    },
  )

  test.each<[string, () => Layer]>([
    ['BasicBlock', () => new BasicBlock(2, 4, { stride: 2 })],
    ['Bottleneck', () => new Bottleneck(2, 2, { outChannels: 4, groups: 2 })],
    ['PlainBlock', () => new PlainBlock(2, 2)],
  ])('%s has the gradients of central differences', (_, make) => {
    const block = fillModel(make().to('float64').to(reference)).eval()
    const { errors } = checkGradient((x) => block.forward(x as Tensor), [exact([1, 2, 4, 4], 'gradient.block')])
    for (const error of errors) expect(error).toBeLessThan(1e-6)
  })

  test('zeroInit makes a block its shortcut', () => {
    const x = filled([2, 8, 5, 5])
    for (const block of [new BasicBlock(8, 8, { zeroInit: true }), new Bottleneck(8, 2, { zeroInit: true })]) {
      expect(values(block.forward(x))).toEqual(values(relu(x)))
    }
  })

  test('dropPath leaves out whole branches in training, and scales the others', () => {
    const block = fillModel(new BasicBlock(2, 2, { dropPath: 0.5 }))
    const x = filled([32, 2, 4, 4])
    const same = (mode: boolean): number =>
      tidy(() => {
        block.train(mode)
        const y = seeded(1, () => block.forward(x))
        const skipped = relu(x)
        let count = 0
        for (let i = 0; i < 32; i++)
          count += String(values(y.select(0, i))) === String(values(skipped.select(0, i))) ? 1 : 0
        return count
      })
    expect(same(false)).toBe(0)
    expect(same(true)).toBeGreaterThan(6)
    expect(same(true)).toBeLessThan(26)
  })

  test('attention stands at the end of the branch, inside of the sum', () => {
    class Mute extends Module {
      readonly channels: number
      constructor(channels: number) {
        super()
        this.channels = channels
      }
      forward(x: Tensor): Tensor {
        return x.mul(0)
      }
    }
    const made: Mute[] = []
    const attention = (channels: number): Mute => {
      const gate = new Mute(channels)
      made.push(gate)
      return gate
    }
    const x = filled([2, 8, 5, 5])
    for (const block of [new BasicBlock(8, 8, { attention }), new Bottleneck(8, 2, { attention })]) {
      expect(values(block.forward(x))).toEqual(values(relu(x)))
    }
    expect(made.map(({ channels }) => channels)).toEqual([8, 8])
  })

  test('every parameter gets a gradient, and a step leaves no tensor behind', () => {
    const before = memory().tensors
    const net = new Sequential(
      stage(BasicBlock, { inChannels: 3, width: 4, depth: 2 }),
      stage(Bottleneck, { width: 2, depth: 2, stride: 2 }),
    )
    tidy(() =>
      net
        .forward(randn([2, 3, 8, 8]))
        .square()
        .sum()
        .backward(),
    )
    for (const [key, p] of net.namedParameters())
      expect(
        p.grad?.dataSync().some((g) => g !== 0),
        key,
      ).toBe(true)
    net.dispose()
    expect(memory().tensors).toBe(before)
  })
})

describe('stages', () => {
  test('have one step, and channels that fit', () => {
    const body = stage(Bottleneck, { inChannels: 8, width: 4, depth: 3, stride: 2, groups: 2 })
    expect([body.length, body.inChannels, body.outChannels]).toEqual([3, 8, 16])
    expect([...body].map((block) => (block as Bottleneck).conv2.stride[0])).toEqual([2, 1, 1])
    expect([...body].map((block) => (block as Bottleneck).conv2.groups)).toEqual([2, 2, 2])
    expect(body.forward(filled([1, 8, 8, 8])).shape).toEqual([1, 16, 4, 4])
  })

  test('take their input channels from the stage before', () => {
    class Net extends Module {
      stem = new ConvNormAct(3, 8, { stride: 2 })
      body = new Sequential(
        stage(Bottleneck, { inChannels: this.stem.outChannels, width: 4, depth: 1 }),
        stage(Bottleneck, { width: 8, depth: 2, stride: 2 }),
        stage(BasicBlock, { width: 10, depth: 1, norm: (channels) => new BatchNorm2d(channels, { eps: 1e-3 }) }),
      )
      head = new Linear(this.body.outChannels, 5)
      forward(x: Tensor): Tensor {
        return this.head.forward(globalAvgPool2d(this.body.forward(this.stem.forward(x))))
      }
    }
    const net = new Net()
    expect(net.forward(filled([2, 3, 16, 16])).shape).toEqual([2, 5])
    expect(net.stateDict().get('body.1.0.conv1.weight')?.shape).toEqual([8, 16, 1, 1])
    expect(net.stateDict().get('body.2.0.conv1.weight')?.shape).toEqual([10, 32, 3, 3])
  })

  test('take one dropPath for all blocks or one each', () => {
    const rates = (dropPath: number | number[]): number[] =>
      [...stage(BasicBlock, { inChannels: 2, width: 2, depth: 3, dropPath })].map(
        (block) => (block as BasicBlock).dropPath.p,
      )
    expect(rates(0.2)).toEqual([0.2, 0.2, 0.2])
    expect(rates([0, 0.1, 0.3])).toEqual([0, 0.1, 0.3])
  })

  test('dropPathRates rise linearly over all stages', () => {
    const rates = dropPathRates(0.4, [2, 3])
    expect(rates.map((stage) => stage.length)).toEqual([2, 3])
    rates.flat().forEach((p, i) => void expect(p).toBeCloseTo(i / 10, 12))
    expect(dropPathRates(0.5, [1])).toEqual([[0.5]])
  })
})

test('a seed makes a block', () => {
  const weights = (seed: number): number[] => values(seeded(seed, () => new BasicBlock(2, 2)).conv2.weight)
  expect(weights(1)).toEqual(weights(1))
  expect(weights(1)).not.toEqual(weights(2))
  // PyTorch's default for a convolution: uniform in +- 1 / sqrt(18), of variance 1 / 54.
  expect(variance(seeded(1, () => new BasicBlock(32, 2)).conv1.weight).item() * 3 * 288).toBeCloseTo(1, 0)
})

test.each<[() => unknown, string]>([
  [() => new BasicBlock(0, 4), 'BasicBlock: inChannels expects an integer of at least 1, got 0'],
  [() => new BasicBlock(4, 0), 'BasicBlock: width expects an integer of at least 1, got 0'],
  [() => new BasicBlock(4, 4, { stride: 0 }), 'BasicBlock: stride expects an integer of at least 1, got 0'],
  [() => new BasicBlock(4, 4, { dropPath: 2 }), 'DropPath: p expects a number from 0 to 1, got 2'],
  [() => new PlainBlock(4, 4, { stride: 1.5 }), 'PlainBlock: stride expects an integer of at least 1, got 1.5'],
  [() => new PlainBlock(-1, 4), 'PlainBlock: inChannels expects an integer of at least 1, got -1'],
  [() => new Bottleneck(4, 4, { outChannels: 0 }), 'Bottleneck: outChannels expects an integer of at least 1, got 0'],
  [() => new Bottleneck(4, 4, { groups: 3 }), 'Conv2d: groups expects a divisor of 4 channels, got 3'],
  [
    () => new Bottleneck(4, 4, { strideIn: 'conv3' as never }),
    "Bottleneck: strideIn expects 'conv1' or 'conv2', got conv3",
  ],
  [() => new PadShortcut(4, 2), 'PadShortcut: outChannels expects at least 4 as inChannels, got 2'],
  [() => new PadShortcut(4, 4, 0), 'PadShortcut: stride expects an integer of at least 1, got 0'],
  [() => new ConvNormAct(3, 4, { kernel: 0 }), 'ConvNormAct: kernel expects an integer of at least 1, got 0'],
  [
    () => stage(BasicBlock, { inChannels: 2, width: 2, depth: 0 }),
    'stage: depth expects an integer of at least 1, got 0',
  ],
  [
    () => stage(BasicBlock, { inChannels: 2, width: 2, depth: 2, dropPath: [0.1] }),
    'stage: dropPath expects 2 probabilities, one for each block, got 1',
  ],
  [() => new BasicBlock(4, 4).forward(filled([2, 3, 4, 4])), 'conv2d: weight expects 3 input channels, got 4'],
])('bad arguments, case %#', (call, message) => {
  expect(call).toThrow(message)
})
