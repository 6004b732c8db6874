import {
  AdaptiveAvgPool2d,
  AvgPool2d,
  BatchNorm2d,
  Conv2d,
  ConvTranspose2d,
  Flatten,
  GELU,
  Hardsigmoid,
  Hardswish,
  type Layer,
  LayerNorm,
  Linear,
  MaxPool2d,
  Module,
  ReLU,
  Sigmoid,
  SiLU,
  Softmax,
  Tanh,
  Upsample,
} from '@convnets/nn'
import { profile } from '@convnets/profile'
import { cat, l2Normalize, matmul, norm, type Shape, type Tensor } from '@convnets/tensor'
import { expect, test } from 'vitest'

class Fn extends Module {
  readonly fn: (x: Tensor) => Tensor
  constructor(fn: (x: Tensor) => Tensor) {
    super()
    this.fn = fn
  }
  forward(x: Tensor): Tensor {
    return this.fn(x)
  }
}

type Numbers = { parameters: number; macs: number; flops: number; activations: number }

// Expected by hand, from the definitions.
const cases: readonly [name: string, model: () => Layer, input: Shape, expected: Partial<Numbers>][] = [
  [
    'fully connected: n_in n_out + n_out parameters, n_in n_out MACs, 2 n_in n_out FLOPs with its bias',
    () => new Linear(30, 20),
    [30],
    { parameters: 620, macs: 600, flops: 1200, activations: 20 },
  ],
  [
    'fully connected without bias: a dot product of n is 2 n - 1 FLOPs',
    () => new Linear(30, 20, { bias: false }),
    [30],
    { parameters: 600, macs: 600, flops: 20 * 59, activations: 20 },
  ],
  [
    'convolution: k_h k_w n_in n_out + bias parameters, times output height and width MACs',
    () => new Conv2d(6, 8, { kernel: [3, 5], stride: 2, padding: [1, 2] }),
    [6, 16, 12],
    { parameters: 728, macs: 720 * 8 * 6, flops: 2 * 720 * 8 * 6, activations: 8 * 8 * 6 },
  ],
  [
    'grouped and depthwise convolutions: n_in / groups',
    () => new Conv2d(12, 24, { kernel: 3, padding: 1, groups: 12, bias: false }),
    [12, 10, 10],
    { parameters: 216, macs: 216 * 100, flops: 24 * 100 * 17, activations: 2400 },
  ],
  [
    'transposed convolution: every input cell meets the whole kernel',
    () => new ConvTranspose2d(4, 6, { kernel: 2, stride: 2, bias: false }),
    [4, 5, 5],
    { parameters: 96, macs: 96 * 25, flops: 2 * 96 * 25, activations: 600 },
  ],
  ['matrix product', () => new Fn((x) => matmul(x, x.transpose(1, 2))), [4, 7], { macs: 4 * 4 * 7, flops: 16 * 13 }],
  ['L2 norm: n squares, n - 1 sums and a root, n MACs of work', () => new Fn((x) => norm(x)), [50], { flops: 100 }],
  ['sigmoid: 4 per output', () => new Sigmoid(), [3, 4, 5], { macs: 0, flops: 240, activations: 0 }],
  ['relu: 1', () => new ReLU(), [3, 4, 5], { flops: 60 }],
  ['silu: a sigmoid and a product', () => new SiLU(), [10], { flops: 50 }],
  ['tanh', () => new Tanh(), [10], { flops: 50 }],
  ['gelu', () => new GELU(), [10], { flops: 50 }],
  ['hard sigmoid and swish', () => new Hardsigmoid(), [10], { flops: 40 }],
  ['hard swish', () => new Hardswish(), [10], { flops: 50 }],
  ['softmax: maximum, difference, exponential, sum, quotient', () => new Softmax({ dim: 1 }), [10], { flops: 50 }],
  ['max pooling: k - 1 comparisons', () => new MaxPool2d(2), [3, 8, 8], { flops: 48 * 3, macs: 0 }],
  ['average pooling: k - 1 sums and a division', () => new AvgPool2d(2), [3, 8, 8], { flops: 48 * 4 }],
  ['adaptive pooling to one cell', () => new AdaptiveAvgPool2d(1), [3, 8, 8], { flops: 192 }],
  ['layer norm: statistics 4, normalisation 2, scale and shift 2', () => new LayerNorm([20]), [20], { flops: 160 }],
  [
    'bilinear sampling: 4 products, 3 sums',
    () => new Upsample({ scale: 2, mode: 'bilinear' }),
    [1, 4, 4],
    { flops: 448 },
  ],
  ['what only moves elements is free', () => new Fn((x) => cat([x, x], 1)), [4, 4, 4], { flops: 0, macs: 0 }],
  ['views are free', () => new Flatten(), [4, 4, 4], { flops: 0 }],
]

test.each(cases)('%s', (_, make, input, expected) => {
  for (const batch of [1, 3]) {
    const p = profile(make(), input, { batch })
    const scaled = Object.fromEntries(
      Object.entries(expected).map(([key, value]) => [key, key === 'parameters' ? value : value * batch]),
    )
    const once = _.startsWith('L2 norm')
    expect({ parameters: p.parameters, macs: p.macs, flops: p.flops, activations: p.activations }).toMatchObject(
      once && batch > 1 ? { flops: 2 * 50 * batch } : scaled,
    )
  }
})

test('batch norm is 3 per element in evaluation, beside what its channels cost, and 8 with batch statistics', () => {
  const model = new BatchNorm2d(4)
  const of = (side: number, training: boolean): number => profile(model, [4, side, side], { batch: 2, training }).flops
  // What depends on the channels alone falls out of the difference.
  expect(of(8, false) - of(4, false)).toBe(3 * 2 * 4 * (64 - 16))
  expect(of(8, true) - of(4, true)).toBe(8 * 2 * 4 * (64 - 16))
})

test('an L2 normalisation reads n numbers and gives n', () => {
  const p = profile(new Fn((x) => l2Normalize(x, { dim: 1 })), [64])
  expect(p.flops).toBeGreaterThanOrEqual(3 * 64)
  expect(p.flops).toBeLessThan(3 * 64 + 8)
})
