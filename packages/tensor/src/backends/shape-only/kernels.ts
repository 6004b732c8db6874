/** The kernels of the contract without their arithmetic: each gives buffers of the right dtype and length. */
import type { DType } from '../../dtype.ts'
import type { Backend, Buffer, ConvSpec, InterpolateSpec, PoolSpec } from '../backend.ts'
import type { StorageMethod } from '../reference/loops.ts'

/** Makes a buffer for a result; `kernel` is what gives it. */
export type Allocate = (dtype: DType, length: number, kernel: string) => Buffer

const product = (extents: readonly number[]): number => extents.reduce((n, extent) => n * extent, 1)
const inputOf = (s: ConvSpec): number => s.batch * s.inHeight * s.inWidth * s.inChannels
const outputOf = (s: ConvSpec): number => s.batch * s.outHeight * s.outWidth * s.outChannels
const weightOf = (s: ConvSpec): number => (s.outChannels * s.kernelHeight * s.kernelWidth * s.inChannels) / s.groups
const image = (s: PoolSpec | InterpolateSpec): number => s.batch * s.height * s.width * s.channels
const pooled = (s: PoolSpec): number => s.batch * s.rows.starts.length * s.columns.starts.length * s.channels
const sampled = (s: InterpolateSpec): number => s.batch * s.rows.low.length * s.columns.low.length * s.channels

/** All kernels, over whatever memory `make` keeps the books of. */
export function shapes(make: Allocate): Omit<Backend, 'name' | StorageMethod> {
  return {
    map: (_, __, ___, extents, out) => make(out, product(extents), 'an elementwise op'),
    update(_, sets) {
      for (const { targets } of sets) for (const target of targets) target.version++
    },
    copy: () => undefined,
    gather: (source, _, __, ___, extents) => make(source.buffer.dtype, product(extents), 'gather'),
    scatterAdd: (values, _, __, ___, ____, _____, length) => make(values.dtype, length, 'scatterAdd'),
    random: (_, dtype, length) => make(dtype, length, 'random'),
    reduce: (kind, x, [outer, , inner]) => make(x.dtype, outer * inner, kind),
    argReduce: (kind, _, [outer, , inner]) => make('int32', outer * inner, `arg${kind}`),
    topk: (_, [outer, , inner], k) => make('int32', outer * k * inner, 'topk'),
    matmul: (a, _, __, { m, n, offsetsA }) => make(a.dtype, m * n * offsetsA.length, 'matmul'),
    conv2d: (x, _, __, spec) => make(x.dtype, outputOf(spec), 'conv2d'),
    conv2dInputGrad: (g, _, spec) => make(g.dtype, inputOf(spec), 'conv2d input gradient'),
    conv2dWeightGrad: (_, g, spec) => make(g.dtype, weightOf(spec), 'conv2d weight gradient'),
    avgPool: (x, spec) => make(x.dtype, pooled(spec), 'avgPool2d'),
    avgPoolGrad: (g, spec) => make(g.dtype, image(spec), 'avgPool2d gradient'),
    maxPool: (x, spec, indexed) => ({
      output: make(x.dtype, pooled(spec), 'maxPool2d'),
      indices: indexed ? make('int32', pooled(spec), 'maxPool2d') : null,
    }),
    maxPoolGrad: (g, _, spec) => make(g.dtype, image(spec), 'maxPool2d gradient'),
    interpolate: (x, spec) => make(x.dtype, sampled(spec), 'interpolate'),
    interpolateGrad: (g, spec) => make(g.dtype, image(spec), 'interpolate gradient'),
    normalize: (x, _, __, [a, , c]) => ({
      output: make(x.dtype, x.length, 'normalisation'),
      mean: make(x.dtype, a * c, 'normalisation'),
      variance: make(x.dtype, a * c, 'normalisation'),
    }),
    normalizeGrad: (_, x, __, ___, ____, [, , c, d]) => ({
      x: make(x.dtype, x.length, 'normalisation gradient'),
      weight: make(x.dtype, c * d, 'normalisation gradient'),
      bias: make(x.dtype, c * d, 'normalisation gradient'),
    }),
    softmax: (x, _, log) => make(x.dtype, x.length, log ? 'logSoftmax' : 'softmax'),
    softmaxGrad: (g) => make(g.dtype, g.length, 'softmax gradient'),
    crossEntropy: (logits, _, __, { rows }) => ({
      loss: make(logits.dtype, rows, 'crossEntropy'),
      rowWeight: make(logits.dtype, rows, 'crossEntropy'),
    }),
    crossEntropyGrad: (_, logits) => make(logits.dtype, logits.length, 'crossEntropy gradient'),
  }
}
