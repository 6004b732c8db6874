/**
 * The kernels of the contract as plain loops over any memory that the host can see: all of the reference backend, and
 * what other backends use for the dtypes that they have no code for.
 */
import type { DType, TypedArray } from '../../dtype.ts'
import type { Backend, Buffer, PoolSpec, View } from '../backend.ts'
import { convForward, convInputGrad, convWeightGrad } from './conv.ts'
import { copy, gather, scatterAdd } from './copy.ts'
import { map, update } from './elementwise.ts'
import { interpolate, interpolateGrad } from './interpolate.ts'
import { matmul } from './matmul.ts'
import { normalize, normalizeGrad } from './norm.ts'
import { avgPool, avgPoolGrad, maxPool, maxPoolGrad } from './pool.ts'
import { random } from './random.ts'
import { argReduce, reduce, topk } from './reduce.ts'
import { crossEntropy, crossEntropyGrad, softmax, softmaxGrad } from './softmax.ts'
import { count, type Strided } from './strided.ts'

/** Where buffers lie. */
export interface Host {
  /** A new buffer; its contents may be anything. */
  alloc(dtype: DType, length: number): Buffer
  /** The contents, not copied; may be void after the next `alloc`. */
  array(buffer: Buffer): TypedArray
}

/** The methods of the contract that are storage. */
export type StorageMethod =
  | 'fill'
  | 'alloc'
  | 'upload'
  | 'read'
  | 'readSync'
  | 'write'
  | 'free'
  | 'memory'
  | 'resetPeak'

/** All kernels. One that throws leaves the buffers it allocated to the host. */
export function loops(host: Host): Omit<Backend, 'name' | StorageMethod> {
  const open = (buffer: Buffer): TypedArray => host.array(buffer)
  const openOptional = (buffer: Buffer | null): TypedArray | null => buffer && host.array(buffer)
  const openView = ({ buffer, offset, strides }: View): Strided => ({ data: host.array(buffer), offset, strides })
  const openInts = (buffer: Buffer): Int32Array => host.array(buffer) as Int32Array

  /** A new buffer that `fill` fills. */
  function make(dtype: DType, length: number, fill: (out: TypedArray) => void): Buffer {
    const out = host.alloc(dtype, length)
    fill(host.array(out))
    return out
  }

  return {
    map: (formula, operands, params, extents, out) =>
      make(out, count(extents), (to) => map(formula, operands.map(openView), params, extents, to, out === 'bool')),
    update(formulas, sets, params) {
      for (const { targets, others } of sets) {
        update(formulas, targets.map(open), others.map(open), params)
        for (const target of targets) target.version++
      }
    },
    copy: (source, target, extents) => copy(openView(source), openView(target), extents),
    gather: (source, index, axisStride, axisSize, extents) =>
      make(source.buffer.dtype, count(extents), (out) =>
        gather(openView(source), openView(index), axisStride, axisSize, extents, out),
      ),
    scatterAdd: (values, index, strides, axisStride, axisSize, extents, length) =>
      make(values.dtype, length, (out) =>
        scatterAdd(open(values), openView(index), strides, axisStride, axisSize, extents, out),
      ),
    random: (kind, dtype, length, { seed, offset }) => make(dtype, length, (out) => random(kind, seed, offset, out)),

    reduce: (kind, x, rows) => make(x.dtype, rows[0] * rows[2], (out) => reduce(kind, open(x), rows, out)),
    argReduce: (kind, x, rows) => make('int32', rows[0] * rows[2], (out) => argReduce(kind, open(x), rows, out)),
    topk: (x, rows, k, largest) => make('int32', rows[0] * k * rows[2], (out) => topk(open(x), rows, k, largest, out)),

    matmul: (a, b, bias, spec) =>
      make(a.dtype, spec.offsetsA.length * spec.m * spec.n, (out) =>
        matmul(open(a), open(b), openOptional(bias), spec, out),
      ),
    conv2d: (x, weight, bias, spec) =>
      make(x.dtype, spec.batch * spec.outHeight * spec.outWidth * spec.outChannels, (out) =>
        convForward(open(x), open(weight), openOptional(bias), spec, out),
      ),
    conv2dInputGrad: (g, weight, spec) =>
      make(g.dtype, spec.batch * spec.inHeight * spec.inWidth * spec.inChannels, (out) =>
        convInputGrad(open(g), open(weight), spec, out),
      ),
    conv2dWeightGrad: (x, g, spec) =>
      make(x.dtype, (spec.outChannels * spec.kernelHeight * spec.kernelWidth * spec.inChannels) / spec.groups, (out) =>
        convWeightGrad(open(x), open(g), spec, out),
      ),

    avgPool: (x, spec) => make(x.dtype, pooledLength(spec), (out) => avgPool(open(x), spec, out)),
    avgPoolGrad: (g, spec) => make(g.dtype, inputLength(spec), (out) => avgPoolGrad(open(g), spec, out)),
    maxPool(x, spec, indexed) {
      const length = pooledLength(spec)
      const output = host.alloc(x.dtype, length)
      const indices = indexed ? host.alloc('int32', length) : null
      maxPool(open(x), spec, open(output), indices && openInts(indices))
      return { output, indices }
    },
    maxPoolGrad: (g, indices, spec) =>
      make(g.dtype, inputLength(spec), (out) => maxPoolGrad(open(g), openInts(indices), spec, out)),
    interpolate: (x, spec) =>
      make(x.dtype, spec.batch * spec.rows.low.length * spec.columns.low.length * spec.channels, (out) =>
        interpolate(open(x), spec, out),
      ),
    interpolateGrad: (g, spec) => make(g.dtype, inputLength(spec), (out) => interpolateGrad(open(g), spec, out)),

    normalize(x, weight, bias, extents, eps) {
      const output = host.alloc(x.dtype, x.length)
      const mean = host.alloc(x.dtype, extents[0] * extents[2])
      const variance = host.alloc(x.dtype, extents[0] * extents[2])
      normalize(
        open(x),
        openOptional(weight),
        openOptional(bias),
        extents,
        eps,
        open(output),
        open(mean),
        open(variance),
      )
      return { output, mean, variance }
    },
    normalizeGrad(g, x, weight, mean, variance, extents, eps) {
      const size = extents[2] * extents[3]
      const grads = {
        x: host.alloc(x.dtype, x.length),
        weight: host.alloc(x.dtype, size),
        bias: host.alloc(x.dtype, size),
      }
      const to = [open(grads.x), open(grads.weight), open(grads.bias)] as const
      normalizeGrad(open(g), open(x), openOptional(weight), open(mean), open(variance), extents, eps, ...to)
      return grads
    },
    softmax: (x, rows, log) => make(x.dtype, x.length, (out) => softmax(open(x), rows, log, out)),
    softmaxGrad: (g, y, rows, log) => make(g.dtype, g.length, (out) => softmaxGrad(open(g), open(y), rows, log, out)),
    crossEntropy(logits, target, weight, spec) {
      const loss = host.alloc(logits.dtype, spec.rows)
      const rowWeight = host.alloc(logits.dtype, spec.rows)
      crossEntropy(open(logits), open(target), openOptional(weight), spec, open(loss), open(rowWeight))
      return { loss, rowWeight }
    },
    crossEntropyGrad: (g, logits, target, weight, spec) =>
      make(logits.dtype, logits.length, (out) =>
        crossEntropyGrad(open(g), open(logits), open(target), openOptional(weight), spec, out),
      ),
  }
}

interface Image {
  readonly batch: number
  readonly height: number
  readonly width: number
  readonly channels: number
}

function inputLength({ batch, height, width, channels }: Image): number {
  return batch * height * width * channels
}

function pooledLength({ batch, channels, rows, columns }: PoolSpec): number {
  return batch * rows.starts.length * columns.starts.length * channels
}
