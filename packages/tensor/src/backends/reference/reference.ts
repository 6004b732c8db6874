/**
 * The reference backend: the contract of `backend.ts` in plain loops, in float32 or float64. Read it to learn what a
 * kernel means; measure other backends against it. Sums are taken in float64 and rounded once. The kernels are
 * functions over typed arrays that allocate nothing to speak of, so other backends use them where they have none.
 */
import { type DType, type TypedArray, zeroArray } from '../../dtype.ts'
import { BackendError, DisposedError } from '../../errors.ts'
import type { Backend, BackendMemory, Buffer, PoolSpec, View } from '../backend.ts'
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

class ReferenceBuffer implements Buffer {
  readonly dtype: DType
  readonly length: number
  version = 0
  /** Null once freed. */
  data: TypedArray | null

  constructor(dtype: DType, data: TypedArray) {
    this.dtype = dtype
    this.length = data.length
    this.data = data
  }
}

function createReferenceBackend(): Backend {
  let bytes = 0
  let buffers = 0
  let peakBytes = 0

  /** Takes `data` over. Called last, so that a kernel that throws leaves nothing behind. */
  function store(dtype: DType, data: TypedArray): Buffer {
    bytes += data.byteLength
    buffers++
    peakBytes = Math.max(peakBytes, bytes)
    return new ReferenceBuffer(dtype, data)
  }

  function open(buffer: Buffer): TypedArray {
    if (!(buffer instanceof ReferenceBuffer)) {
      throw new BackendError('reference: buffer expects one made by this backend, got that of another')
    }
    if (buffer.data === null) throw new DisposedError('reference: buffer expects live memory, got a freed one')
    return buffer.data
  }

  function openOptional(buffer: Buffer | null): TypedArray | null {
    return buffer === null ? null : open(buffer)
  }

  function openView(view: View): Strided {
    return { data: open(view.buffer), offset: view.offset, strides: view.strides }
  }

  /** A new buffer of `length` elements that `kernel` fills. */
  function make(dtype: DType, length: number, kernel: (out: TypedArray) => void): Buffer {
    const out = zeroArray(dtype, length)
    kernel(out)
    return store(dtype, out)
  }

  function readSync(buffer: Buffer): TypedArray {
    return open(buffer).slice()
  }

  return {
    name: 'reference',

    fill: (dtype, length, value) => make(dtype, length, (out) => out.fill(value)),
    upload: (dtype, data) => store(dtype, data.slice()),
    read: async (buffer) => readSync(buffer),
    readSync,
    write(buffer, data) {
      open(buffer).set(data)
      buffer.version++
    },
    free(buffer) {
      bytes -= open(buffer).byteLength
      buffers--
      ;(buffer as ReferenceBuffer).data = null
    },
    memory: (): BackendMemory => ({ bytes, buffers, peakBytes, reservedBytes: bytes }),
    resetPeak() {
      peakBytes = bytes
    },

    map: (formula, operands, params, extents, dtype) =>
      make(dtype, count(extents), (out) =>
        map(formula, operands.map(openView), params, extents, out, dtype === 'bool'),
      ),
    update(formulas, targets, others, params) {
      update(formulas, targets.map(open), others.map(open), params)
      for (const target of targets) target.version++
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
    random: (kind, dtype, length, seed, offset) => make(dtype, length, (out) => random(kind, seed, offset, out)),

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
    maxPool(x, spec) {
      const indices = new Int32Array(pooledLength(spec))
      const output = make(x.dtype, indices.length, (out) => maxPool(open(x), spec, out, indices))
      return { output, indices: store('int32', indices) }
    },
    maxPoolGrad: (g, indices, spec) =>
      make(g.dtype, inputLength(spec), (out) => maxPoolGrad(open(g), open(indices), spec, out)),
    interpolate: (x, spec) =>
      make(x.dtype, spec.batch * spec.rows.low.length * spec.columns.low.length * spec.channels, (out) =>
        interpolate(open(x), spec, out),
      ),
    interpolateGrad: (g, spec) => make(g.dtype, inputLength(spec), (out) => interpolateGrad(open(g), spec, out)),

    normalize(x, weight, bias, extents, eps) {
      const mean = zeroArray(x.dtype, extents[0] * extents[2])
      const variance = zeroArray(x.dtype, mean.length)
      const output = make(x.dtype, x.length, (out) =>
        normalize(open(x), openOptional(weight), openOptional(bias), extents, eps, out, mean, variance),
      )
      return { output, mean: store(x.dtype, mean), variance: store(x.dtype, variance) }
    },
    normalizeGrad(g, x, weight, mean, variance, extents, eps) {
      const byWeight = zeroArray(x.dtype, extents[2] * extents[3])
      const byBias = zeroArray(x.dtype, byWeight.length)
      const byX = make(x.dtype, x.length, (out) =>
        normalizeGrad(
          open(g),
          open(x),
          openOptional(weight),
          open(mean),
          open(variance),
          extents,
          eps,
          out,
          byWeight,
          byBias,
        ),
      )
      return { x: byX, weight: store(x.dtype, byWeight), bias: store(x.dtype, byBias) }
    },
    softmax: (x, rows, log) => make(x.dtype, x.length, (out) => softmax(open(x), rows, log, out)),
    softmaxGrad: (g, y, rows, log) => make(y.dtype, y.length, (out) => softmaxGrad(open(g), open(y), rows, log, out)),
    crossEntropy(logits, target, weight, spec) {
      const rowWeight = zeroArray(logits.dtype, spec.rows)
      const loss = make(logits.dtype, spec.rows, (out) =>
        crossEntropy(open(logits), open(target), openOptional(weight), spec, out, rowWeight),
      )
      return { loss, rowWeight: store(logits.dtype, rowWeight) }
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

/** The living definition of every kernel: plain loops in float32, float64 and, where it makes sense, integers. */
export const reference: Backend = /* @__PURE__ */ createReferenceBackend()
