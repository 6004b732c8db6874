/** Cases of convolution: every combination of stride, padding, dilation, groups and channel counts that has code of its own. */
import {
  type Conv2dBatchNormOptions,
  type Conv2dOptions,
  type ConvTranspose2dOptions,
  conv2d,
  conv2dBatchNorm,
  convTranspose2d,
  hardswish,
  relu,
  type Shape,
  silu,
} from '@convnets/tensor'
import { type Cases, type OpCase, row } from './case.ts'
import { scale } from './norm.ts'

function conv(x: Shape, weight: Shape, options: Conv2dOptions = {}, bias = false): OpCase {
  const id = `(${x.join(', ')}) by (${weight.join(', ')})${bias ? ' + bias' : ''} ${JSON.stringify(options)}`
  const inputs = bias ? [x, weight, [weight[0] ?? 0]] : [x, weight]
  return row(id, inputs, (image, kernel, b) => conv2d(image, kernel, b, options))
}

function transpose(x: Shape, weight: Shape, options: ConvTranspose2dOptions = {}, bias = false): OpCase {
  const out = (weight[1] ?? 0) * (options.groups ?? 1)
  const id = `(${x.join(', ')}) by (${weight.join(', ')})${bias ? ' + bias' : ''} ${JSON.stringify(options)}`
  return row(id, bias ? [x, weight, [out]] : [x, weight], (image, kernel, b) =>
    convTranspose2d(image, kernel, b, options),
  )
}

const activations = { relu, silu, hardswish }

/** Options, with the name of an activation for the op. */
type Normalised = Omit<Conv2dBatchNormOptions, 'activation'> & { readonly act?: keyof typeof activations }

const named = ({ act, ...options }: Normalised): Conv2dBatchNormOptions => ({
  ...options,
  activation: act && activations[act],
})

/** By statistics of its own, one of them without a scale and a shift. */
function normalised(x: Shape, weight: Shape, options: Normalised = {}, affine = true): OpCase {
  const id = `(${x.join(', ')}) by (${weight.join(', ')}) ${JSON.stringify(options)}`
  const channels = [weight[0] ?? 0]
  const [mean, variance] = [channels, scale(weight[0] ?? 0)]
  return affine
    ? row(id, [x, weight, channels, mean, variance, variance, channels], (image, kernel, bias, m, v, w, b) =>
        conv2dBatchNorm(image, kernel, bias, { mean: m, variance: v, weight: w, bias: b }, named(options)),
      )
    : row(id, [x, weight, mean, variance], (image, kernel, m, v) =>
        conv2dBatchNorm(image, kernel, undefined, { mean: m, variance: v, eps: 1e-3 }, named(options)),
      )
}

/** With a residual. */
function added(x: Shape, weight: Shape, y: Shape, options: Normalised = {}): OpCase {
  const id = `(${x.join(', ')}) by (${weight.join(', ')}) + (${y.join(', ')}) ${JSON.stringify(options)}`
  const [mean, variance] = [[weight[0] ?? 0], scale(weight[0] ?? 0)]
  return row(id, [x, weight, mean, variance, y], (image, kernel, m, v, residual) =>
    conv2dBatchNorm(image, kernel, undefined, { mean: m, variance: v }, { ...named(options), residual }),
  )
}

/** Cases by op. */
export const convolutionCases: Cases<'conv2d' | 'conv2dBatchNorm' | 'convTranspose2d'> = {
  conv2d: [
    conv([1, 1, 1, 1], [1, 1, 1, 1], {}, true),
    conv([2, 3, 4, 5], [2, 3, 2, 3], {}, true),
    conv([1, 2, 5, 4], [3, 2, 3, 3], { padding: 1 }, true),
    conv([2, 2, 5, 5], [2, 2, 3, 3], { stride: 2, padding: 1 }, true),
    conv([1, 2, 6, 6], [2, 2, 3, 3], { dilation: 2, padding: [2, 1] }),
    conv([1, 2, 5, 6], [2, 2, 3, 2], { padding: [0, 2, 1, 3], stride: [2, 1] }),
    conv([1, 2, 5, 6], [3, 2, 3, 3], { padding: 'same', stride: 2 }, true),
    conv([1, 2, 4, 7], [2, 2, 2, 4], { padding: 'same', dilation: [1, 2] }),
    conv([1, 4, 4, 4], [4, 2, 3, 3], { groups: 2, padding: 1 }, true),
    conv([1, 3, 5, 5], [3, 1, 3, 3], { groups: 3, padding: 1, stride: 2 }, true),
    conv([2, 2, 4, 4], [6, 1, 3, 3], { groups: 2 }, true),
    conv([1, 2, 3, 3], [2, 2, 3, 3], { stride: 4 }, true),
    conv([1, 1, 7, 7], [1, 1, 1, 1], { stride: 3 }),
    conv([1, 2, 2, 2], [2, 2, 5, 5], { padding: 2 }),
    // Channel counts around the widths of vectors and tiles.
    ...[3, 4, 5, 8, 16, 17, 33].flatMap((channels) => [
      conv([2, channels, 6, 7], [channels + 1, channels, 3, 3], { padding: 1 }, true),
      conv([1, channels, 5, 5], [2 * channels, channels, 1, 1], {}, true),
      conv([1, channels, 7, 6], [channels, 1, 3, 3], { groups: channels, padding: 1 }, true),
      conv([2, channels, 7, 7], [channels, 1, 5, 5], { groups: channels, padding: 2, stride: 2 }),
    ]),
    conv([1, 3, 23, 21], [8, 3, 7, 7], { stride: 2, padding: 3 }),
    conv([3, 16, 9, 9], [32, 16, 3, 3], { stride: 2, padding: 1 }),
    conv([2, 16, 14, 14], [16, 16, 3, 3], { padding: 1 }, true),
    conv([1, 64, 8, 8], [64, 64, 3, 3], { padding: 1 }, true),
    conv([1, 24, 9, 10], [12, 24, 1, 1], { stride: 2 }),
    conv([1, 32, 8, 8], [32, 4, 3, 3], { groups: 8, padding: 1 }, true),
    conv([1, 12, 8, 8], [18, 4, 3, 3], { groups: 3, padding: [1, 0], stride: [1, 2] }, true),
    conv([1, 8, 6, 11], [8, 8, 1, 7], { padding: [0, 3] }, true),
    conv([1, 8, 11, 6], [8, 8, 7, 1], { padding: [3, 0] }, true),
    conv([1, 20, 12, 12], [20, 1, 3, 3], { groups: 20, padding: 2, dilation: 2 }, true),
    conv([1, 6, 13, 17], [10, 6, 3, 3], { padding: 4, dilation: 4 }),
    conv([5, 7, 4, 4], [9, 7, 4, 4], {}, true),
  ],
  conv2dBatchNorm: [
    normalised([1, 2, 4, 3], [3, 2, 2, 2]),
    normalised([1, 2, 3, 3], [2, 2, 2, 2], { act: 'relu' }, false),
    normalised([1, 3, 9, 7], [5, 3, 3, 3], { padding: 1 }),
    normalised([1, 3, 9, 7], [5, 3, 3, 3], { padding: 1, stride: 2, act: 'relu' }, false),
    normalised([2, 8, 5, 6], [12, 8, 1, 1], { act: 'relu' }),
    normalised([2, 8, 5, 6], [13, 8, 1, 1], { act: 'silu' }),
    normalised([1, 8, 6, 6], [9, 8, 3, 3], { act: 'hardswish' }),
    normalised([1, 40, 3, 3], [7, 40, 1, 1], { stride: 2 }),
    added([1, 2, 3, 3], [3, 2, 1, 1], [1, 3, 3, 3]),
    added([2, 8, 5, 6], [12, 8, 1, 1], [2, 12, 5, 6], { act: 'relu' }),
    added([2, 8, 5, 6], [12, 8, 1, 1], [2, 12, 5, 6], { act: 'silu' }),
    added([2, 16, 11, 10], [20, 16, 3, 3], [2, 20, 11, 10], { padding: 1, act: 'relu' }),
    added([1, 5, 9, 7], [6, 5, 3, 3], [1, 6, 9, 7], { padding: 1, act: 'relu' }),
    // Longer than the products of a block.
    normalised([1, 520, 3, 3], [6, 520, 1, 1], { act: 'relu' }),
    normalised([1, 6, 7, 6], [6, 1, 3, 3], { groups: 6, padding: 1, act: 'relu' }),
    normalised([1, 7, 7, 6], [7, 1, 5, 5], { groups: 7, padding: 2, act: 'silu' }),
    normalised([1, 8, 6, 6], [12, 4, 3, 3], { groups: 2, padding: 1, act: 'relu' }),
    // Winograd's, with tiles of 2 x 2 and of 4 x 4.
    normalised([1, 16, 7, 7], [20, 16, 3, 3], { padding: 1, act: 'relu' }),
    normalised([1, 16, 7, 7], [20, 16, 3, 3], { padding: 1, act: 'silu' }),
    normalised([2, 16, 11, 10], [20, 16, 3, 3], { padding: 1, act: 'relu' }),
    // Many images with few pixels.
    normalised([9, 16, 4, 4], [16, 16, 3, 3], { padding: 1, stride: 2, act: 'relu' }),
  ],
  convTranspose2d: [
    transpose([1, 1, 1, 1], [1, 1, 1, 1], {}, true),
    transpose([1, 2, 3, 4], [2, 3, 3, 3], {}, true),
    transpose([1, 2, 3, 3], [2, 2, 3, 3], { stride: 2, padding: 1, outputPadding: 1 }, true),
    transpose([2, 4, 3, 3], [4, 2, 2, 2], { stride: 2, groups: 2 }, true),
    transpose([1, 2, 4, 3], [2, 1, 3, 2], { stride: [1, 3], dilation: [2, 1], padding: [1, 0] }),
    transpose([1, 17, 5, 6], [17, 9, 4, 4], { stride: 2, padding: 1 }, true),
    transpose([2, 8, 6, 6], [8, 1, 3, 3], { stride: 2, padding: 1, groups: 8 }),
  ],
}
