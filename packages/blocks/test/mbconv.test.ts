/** Inverted bottlenecks outside of any model: shapes, keys, arithmetic, gradients, memory. */
import {
  FusedMBConv,
  type FusedMBConvOptions,
  MBConv,
  type MBConvKeys,
  type MBConvOptions,
  roundChannels,
  SqueezeExcitation,
  stage,
} from '@convnets/blocks'
import {
  BatchNorm2d,
  Conv2d,
  GroupNorm,
  Hardswish,
  Identity,
  type Layer,
  type Module,
  ReLU6,
  Sequential,
} from '@convnets/nn'
import { add, memory, noGrad, reference, seeded, sigmoid, silu, type Tensor, tensor, tidy } from '@convnets/tensor'
import { checkGradient, fill, fillModel, relativeError } from '@convnets/testkit'
import { describe, expect, test } from 'vitest'

const values = (t: Tensor): number[] => Array.from(t.dataSync())
const filled = (shape: readonly number[], name = 'x'): Tensor => tensor(Float32Array.from(fill(name, shape)), { shape })
const exact = (shape: readonly number[], name = 'x'): Tensor =>
  tensor(fill(name, shape), { shape, dtype: 'float64', backend: reference })
const onReference = <M extends Module>(module: M): M => fillModel(module.to('float64').to(reference))
/** Keys of what is learned. */
const learned = (module: Module): string[] =>
  [...module.namedParameters().keys()].filter((key) => key.endsWith('weight'))

describe('shapes', () => {
  test.each<[string, Layer & { inChannels: number; outChannels: number }, number[]]>([
    ['MBConv', new MBConv(8, 8), [2, 8, 6, 5]],
    ['MBConv / 2, 5x5', new MBConv(8, 12, { stride: 2, kernel: 5 }), [2, 12, 3, 3]],
    ['MBConv / 2 as TensorFlow', new MBConv(8, 12, { stride: 2, padding: 'same' }), [2, 12, 3, 3]],
    ['MBConv without expansion', new MBConv(8, 12, { expand: 1 }), [2, 12, 6, 5]],
    ['FusedMBConv', new FusedMBConv(8, 8), [2, 8, 6, 5]],
    ['FusedMBConv / 2', new FusedMBConv(8, 12, { stride: 2 }), [2, 12, 3, 3]],
    ['FusedMBConv without expansion', new FusedMBConv(8, 12, { expand: 1 }), [2, 12, 6, 5]],
  ])('%s', (_, block, shape) => {
    expect(block.forward(filled([2, 8, 6, 5])).shape).toEqual(shape)
    expect([block.inChannels, block.outChannels]).toEqual([8, shape[1]])
  })

  test('channels inside are a multiple of the input or given, gates a quarter of the input', () => {
    const block = new MBConv(40, 48, { expand: 6 })
    expect(block.depthwise.conv.weight.shape).toEqual([240, 1, 3, 3])
    expect(block.attention).toBeInstanceOf(SqueezeExcitation)
    expect((block.attention as SqueezeExcitation).fc1.weight.shape).toEqual([10, 240, 1, 1])
    expect(new MBConv(16, 24, { expandedChannels: 72 }).depthwise.conv.outChannels).toBe(72)
    expect((new MBConv(2, 2).attention as SqueezeExcitation).fc1.outChannels).toBe(1)
  })

  test('blocks chain in a stage, which knows its channels', () => {
    const body = new Sequential(
      stage<FusedMBConvOptions>(FusedMBConv, { inChannels: 4, width: 8, depth: 2, stride: 2 }),
      stage<MBConvOptions>(MBConv, { width: 16, depth: 2, stride: 2, kernel: 5, dropPath: [0, 0.5] }),
    )
    expect([body.inChannels, body.outChannels]).toEqual([4, 16])
    expect(body.forward(filled([1, 4, 8, 8])).shape).toEqual([1, 16, 2, 2])
    const blocks = [...(body.at(1) as Sequential)] as MBConv[]
    expect(blocks.map(({ residual, dropPath }) => [residual, dropPath.p])).toEqual([
      [false, 0],
      [true, 0.5],
    ])
  })
})

describe('keys', () => {
  // Beginnings of the state dicts of torchvision's EfficientNet, MobileNetV2 and MNASNet, and of timm's EfficientNet.
  test.each<[MBConvKeys, MBConvOptions, string[]]>([
    [
      'torchvision',
      {},
      [
        'block.0.0.weight',
        'block.0.1.weight',
        'block.1.0.weight',
        'block.1.1.weight',
        'block.2.fc1.weight',
        'block.2.fc2.weight',
        'block.3.0.weight',
        'block.3.1.weight',
      ],
    ],
    [
      'mobilenet_v2',
      { attention: null },
      ['conv.0.0.weight', 'conv.0.1.weight', 'conv.1.0.weight', 'conv.1.1.weight', 'conv.2.weight', 'conv.3.weight'],
    ],
    [
      'mnasnet',
      { attention: null },
      [
        'layers.0.weight',
        'layers.1.weight',
        'layers.3.weight',
        'layers.4.weight',
        'layers.6.weight',
        'layers.7.weight',
      ],
    ],
    [
      'timm',
      {},
      [
        'conv_pw.weight',
        'bn1.weight',
        'conv_dw.weight',
        'bn2.weight',
        'se.conv_reduce.weight',
        'se.conv_expand.weight',
        'conv_pwl.weight',
        'bn3.weight',
      ],
    ],
  ])('of %s', (keys, options, expected) => {
    const block = new MBConv(4, 8, { ...options, keys })
    expect(learned(block)).toEqual(expected)
    const copy = new MBConv(4, 8, { ...options, keys })
    expect(copy.loadStateDict(block.stateDict())).toEqual({ missing: [], unexpected: [], mismatched: [] })
    const x = filled([1, 4, 5, 5])
    expect(values(copy.eval().forward(x))).toEqual(values(block.eval().forward(x)))
  })

  test('without expansion move up, and timm calls the last convolution conv_pw', () => {
    expect(learned(new MBConv(4, 8, { expand: 1, keys: 'timm' }))).toEqual([
      'conv_dw.weight',
      'bn1.weight',
      'se.conv_reduce.weight',
      'se.conv_expand.weight',
      'conv_pw.weight',
      'bn2.weight',
    ])
    expect(learned(new MBConv(4, 8, { expand: 1, keys: 'mobilenet_v2', attention: null }))).toEqual([
      'conv.0.0.weight',
      'conv.0.1.weight',
      'conv.1.weight',
      'conv.2.weight',
    ])
  })

  test('of the fused block', () => {
    const two = ['block.0.0.weight', 'block.0.1.weight', 'block.1.0.weight', 'block.1.1.weight']
    expect(learned(new FusedMBConv(4, 8))).toEqual(two)
    expect(learned(new FusedMBConv(4, 8, { expand: 1 }))).toEqual(two.slice(0, 2))
    expect(learned(new FusedMBConv(4, 8, { attention: (c) => new SqueezeExcitation(c) }))).toEqual([
      ...two.slice(0, 2),
      'block.1.fc1.weight',
      'block.1.fc2.weight',
      'block.2.0.weight',
      'block.2.1.weight',
    ])
  })
})

describe('arithmetic', () => {
  const x = exact([2, 4, 5, 6])
  /** Batch norm in evaluation mode, written out. */
  const normalized = (bn: Layer, t: Tensor): Tensor => {
    const { weight, bias, running_mean: mean, running_var: variance, eps } = bn as BatchNorm2d
    const c = (v: Tensor | undefined): Tensor => (v as Tensor).reshape([1, -1, 1, 1])
    return t.sub(c(mean)).mul(c(weight)).div(c(variance).add(eps).sqrt()).add(c(bias))
  }

  test('of MBConv is that of its layers in the order of the paper, with nothing behind the sum', () => {
    const block = onReference(new MBConv(4, 4, { kernel: 5 })).eval()
    const { expand, depthwise, attention, project } = block
    const wide = silu(normalized(expand!.bn, expand!.conv.forward(x)))
    const mixed = silu(normalized(depthwise.bn, depthwise.conv.forward(wide)))
    const { fc1, fc2 } = attention as SqueezeExcitation
    const gates = sigmoid(fc2.forward(silu(fc1.forward(mixed.mean({ dim: [2, 3], keepdim: true })))))
    const y = normalized(project.bn, project.conv.forward(mixed.mul(gates)))
    expect(relativeError(values(block.forward(x)), values(add(x, y)))).toBeLessThan(1e-12)
    expect(Math.min(...values(block.forward(x)))).toBeLessThan(-0.3)
  })

  test('of FusedMBConv likewise', () => {
    const block = onReference(new FusedMBConv(4, 4)).eval()
    const { fused, project } = block
    const wide = silu(normalized(fused.bn, fused.conv.forward(x)))
    const y = add(x, normalized(project!.bn, project!.conv.forward(wide)))
    expect(relativeError(values(block.forward(x)), values(y))).toBeLessThan(1e-12)
    const thin = onReference(new FusedMBConv(4, 4, { expand: 1 })).eval()
    const single = add(x, silu(normalized(thin.fused.bn, thin.fused.conv.forward(x))))
    expect(relativeError(values(thin.forward(x)), values(single))).toBeLessThan(1e-12)
  })

  test("padding 'same' looks one pixel further down and right where a size is even", () => {
    // A window that is 1 at its centre picks the pixels it is laid on: 0, 2, 4 with PyTorch's padding, 1, 3, 5 with this.
    const picked = (padding: 'same' | 'symmetric'): number[] => {
      const block = new MBConv(1, 1, {
        stride: 2,
        expand: 1,
        padding,
        attention: null,
        norm: () => new Identity(),
        act: () => new Identity(),
      })
      const centre = new Float32Array(9)
      centre[4] = 1
      block.depthwise.conv.weight.assign_(centre)
      block.project.conv.weight.assign_(Float32Array.of(1))
      const ramp = Float32Array.from({ length: 36 }, (_, i) => i)
      return values(block.forward(tensor(ramp, { shape: [1, 1, 6, 6] })))
    }
    expect(picked('symmetric')).toEqual([0, 2, 4, 12, 14, 16, 24, 26, 28])
    expect(picked('same')).toEqual([7, 9, 11, 19, 21, 23, 31, 33, 35])
  })

  test('gradients are those of central differences', () => {
    for (const block of [
      onReference(new MBConv(2, 2, { expand: 2 })),
      onReference(new MBConv(2, 3, { expand: 2, stride: 2, padding: 'same' })),
      onReference(new FusedMBConv(2, 2, { expand: 2 })),
    ]) {
      const { errors } = checkGradient((t) => block.forward(t as Tensor), [exact([2, 2, 4, 4])])
      for (const error of errors) expect(error).toBeLessThan(1e-6)
    }
  })

  test('norm, activation and gates are open', () => {
    const block = new MBConv(4, 4, { norm: (c) => new GroupNorm(2, c), act: () => new Hardswish(), attention: null })
    expect([...block.namedModules().values()].some((module) => module instanceof BatchNorm2d)).toBe(false)
    expect(block.act).toBeInstanceOf(Hardswish)
    const asked: number[][] = []
    const attention = (...channels: number[]): Layer => {
      asked.push(channels)
      return new ReLU6()
    }
    new MBConv(4, 4, { expand: 3, attention })
    expect(asked).toEqual([[12, 4]])
  })
})

describe('drop-connect', () => {
  test.each([
    ['MBConv', (dropPath: number) => new MBConv(4, 4, { expand: 2, dropPath })],
    ['FusedMBConv', (dropPath: number) => new FusedMBConv(4, 4, { expand: 2, dropPath })],
  ])('of %s leaves whole samples out in training and makes the others up for it', (_, make) => {
    const [block, whole] = [fillModel(make(0.5)), fillModel(make(0))]
    const x = filled([16, 4, 3, 3])
    // Batch norm sees the same batch with and without, as samples are dropped behind it.
    const branch = values(whole.forward(x).sub(x))
    const dropped = values(seeded(1, () => block.forward(x).sub(x)))
    const kept = Array.from({ length: 16 }, (_, n) => {
      const [own, full] = [dropped, branch].map((list) => list.slice(n * 36, (n + 1) * 36)) as [number[], number[]]
      if (own.every((v) => Math.abs(v) < 1e-6)) return false
      expect(
        relativeError(
          own,
          full.map((v) => 2 * v),
        ),
      ).toBeLessThan(1e-5)
      return true
    })
    expect(new Set(kept)).toEqual(new Set([true, false]))
    block.eval()
    whole.loadStateDict(block.stateDict())
    expect(values(block.forward(x))).toEqual(values(whole.eval().forward(x)))
  })
})

test('without gradients a block leaves nothing behind but its result', () => {
  for (const block of [new MBConv(4, 4), new FusedMBConv(4, 4)]) {
    const x = filled([1, 4, 8, 8])
    const before = memory().tensors
    const y = noGrad(() => block.eval().forward(x))
    expect(memory().tensors).toBe(before + 1)
    tidy(() => void values(y))
    y.dispose()
    x.dispose()
    block.dispose()
  }
})

describe('roundChannels', () => {
  test('goes to the nearest multiple of 8, but not below 90 %', () => {
    // EfficientNet-B1 to L2: 24 * 1.1, 40 * 1.1, 80 * 1.1, 112 * 1.1, 320 * 1.1, 32 * 1.4, 16 * 1.2, 32 * 4.3
    const scaled = [26.4, 44, 88, 123.2, 352, 44.8, 19.2, 137.6].map((channels) => roundChannels(channels))
    expect(scaled).toEqual([24, 48, 88, 120, 352, 48, 24, 136])
    expect(roundChannels(3)).toBe(8)
    expect(roundChannels(11)).toBe(16)
    expect(roundChannels(10, 4)).toBe(12)
  })

  test('refuses what is no number of channels', () => {
    expect(() => roundChannels(0)).toThrow(/^roundChannels: channels expects/)
    expect(() => roundChannels(8, 0)).toThrow('roundChannels: divisor expects an integer of at least 1, got 0')
  })
})

test.each<[() => unknown, string]>([
  [() => new MBConv(0, 8), 'MBConv: inChannels expects an integer of at least 1, got 0'],
  [() => new MBConv(8, 1.5), 'MBConv: outChannels expects an integer of at least 1, got 1.5'],
  [() => new MBConv(8, 8, { stride: 0 }), 'MBConv: stride expects an integer of at least 1, got 0'],
  [() => new MBConv(8, 8, { kernel: 4 }), 'MBConv: kernel expects an odd number where padding is symmetric, got 4'],
  [() => new MBConv(8, 8, { kernel: 0, padding: 'same' }), 'MBConv: kernel expects an integer of at least 1, got 0'],
  [() => new MBConv(3, 8, { expand: 2.5 }), 'MBConv: channels inside expects an integer of at least 1, got 7.5'],
  [() => new MBConv(8, 8, { padding: 'valid' as 'same' }), "MBConv: padding expects 'same' or 'symmetric', got valid"],
  [
    () => new MBConv(8, 8, { keys: 'keras' as 'timm' }),
    'MBConv: keys expects torchvision, mobilenet_v2, mnasnet or timm, got keras',
  ],
  [() => new MBConv(8, 8, { dropPath: 2 }), 'DropPath: p expects a number from 0 to 1, got 2'],
  [() => new FusedMBConv(8, 8, { stride: -1 }), 'FusedMBConv: stride expects an integer of at least 1, got -1'],
  [() => new FusedMBConv(8, 0), 'FusedMBConv: outChannels expects an integer of at least 1, got 0'],
  [() => new MBConv(8, 8).forward(filled([1, 4, 6, 6])), 'conv2d: '],
])('bad arguments, case %#', (call, message) => {
  expect(call).toThrow(message)
})

test('convolutions have no bias, as norms follow', () => {
  for (const block of [new MBConv(4, 8, { attention: null }), new FusedMBConv(4, 8)]) {
    const convs = [...block.namedModules().values()].filter((module) => module instanceof Conv2d)
    expect(convs.every(({ bias }) => bias === undefined)).toBe(true)
  }
})
