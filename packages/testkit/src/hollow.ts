/** A backend that keeps lengths and computes nothing. */
import type { Backend, Buffer, ConvSpec, DType, InterpolateSpec, PoolSpec } from '@convnets/tensor'
import { BackendError } from '@convnets/tensor'

const make = (dtype: DType, length: number): Buffer => ({ dtype, length, version: 0 })
const like = (x: Buffer, length = x.length): Buffer => make(x.dtype, length)
const product = (extents: readonly number[]): number => extents.reduce((n, extent) => n * extent, 1)
const x = (s: ConvSpec): number => s.batch * s.inHeight * s.inWidth * s.inChannels
const y = (s: ConvSpec): number => s.batch * s.outHeight * s.outWidth * s.outChannels
const w = (s: ConvSpec): number => (s.outChannels * s.kernelHeight * s.kernelWidth * s.inChannels) / s.groups
const full = (s: PoolSpec | InterpolateSpec): number => s.batch * s.height * s.width * s.channels
const pooled = (s: PoolSpec): number => s.batch * s.rows.starts.length * s.columns.starts.length * s.channels
const sampled = (s: InterpolateSpec): number => s.batch * s.rows.low.length * s.columns.low.length * s.channels
const nothing = (): never => {
  throw new BackendError('hollow: has no numbers to read')
}

/**
 * A backend without numbers: every result has its shape and dtype and no memory, so that a network of any size is built and
 * run in no time, for its parameters, shapes and multiply-accumulates. Reading values is a `BackendError`.
 */
export const hollow: Backend = {
  name: 'hollow',
  fill: make,
  upload: (dtype, data) => make(dtype, data.length),
  read: async () => nothing(),
  readSync: nothing,
  write: () => undefined,
  free: () => undefined,
  memory: () => ({ bytes: 0, buffers: 0, peakBytes: 0, reservedBytes: 0 }),
  resetPeak: () => undefined,
  map: (_, __, ___, extents, out) => make(out, product(extents)),
  update: () => undefined,
  copy: () => undefined,
  gather: (source, _, __, ___, extents) => like(source.buffer, product(extents)),
  scatterAdd: (values, _, __, ___, ____, _____, length) => like(values, length),
  random: (_, dtype, length) => make(dtype, length),
  reduce: (_, a, [outer, , inner]) => like(a, outer * inner),
  argReduce: (_, __, [outer, , inner]) => make('int32', outer * inner),
  topk: (_, [outer, , inner], k) => make('int32', outer * k * inner),
  matmul: (a, _, __, spec) => like(a, spec.m * spec.n * spec.offsetsA.length),
  conv2d: (a, _, __, spec) => like(a, y(spec)),
  conv2dInputGrad: (g, _, spec) => like(g, x(spec)),
  conv2dWeightGrad: (_, g, spec) => like(g, w(spec)),
  avgPool: (a, spec) => like(a, pooled(spec)),
  avgPoolGrad: (g, spec) => like(g, full(spec)),
  maxPool: (a, spec) => ({ output: like(a, pooled(spec)), indices: make('int32', pooled(spec)) }),
  maxPoolGrad: (g, _, spec) => like(g, full(spec)),
  interpolate: (a, spec) => like(a, sampled(spec)),
  interpolateGrad: (g, spec) => like(g, full(spec)),
  normalize: (a, _, __, [outer, , inner]) => ({
    output: like(a),
    mean: like(a, outer * inner),
    variance: like(a, outer * inner),
  }),
  normalizeGrad: (_, a, __, ___, ____, [, , c, d]) => ({ x: like(a), weight: like(a, c * d), bias: like(a, c * d) }),
  softmax: (a) => like(a),
  softmaxGrad: (g) => like(g),
  crossEntropy: (a, _, __, { rows }) => ({ loss: like(a, rows), rowWeight: like(a, rows) }),
  crossEntropyGrad: (_, logits) => like(logits),
}
