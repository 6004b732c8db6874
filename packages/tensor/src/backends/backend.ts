/**
 * The contract between the ops and a backend: storage and a handful of kernel families.
 *
 * A backend knows nothing of logical shapes, gradients or lifetimes. Every kernel is described in physical terms: a
 * dense buffer, loop extents and strides in elements, outermost first. Rank-4 tensors lie channels-last (N, H, W, C;
 * convolution weights O, kh, kw, I), everything else row-major; `layout.ts` makes the descriptions.
 *
 * Kernels are issued synchronously and give a new buffer, which the caller frees. Arguments have been checked by the
 * ops: only index values (which live on the device) are checked by the kernels that use them. A kernel that fails
 * leaves no buffer behind. A backend that lacks a kernel throws a `BackendError` that names it.
 */
import type { DType, TypedArray } from '../dtype.ts'
import type { Expr } from '../formula.ts'
import type { GeneratorState } from '../random.ts'

/** Device memory of `length` elements. Opaque: only the backend that made it looks inside. */
export interface Buffer {
  readonly dtype: DType
  readonly length: number
  /** Counts the in-place changes, so that what was derived from the contents (packed weights) can be cached. */
  version: number
  /** Writes what was put off to be written, see `Storage`; undefined again once that is done. */
  pending?: (() => void) | undefined
}

/** Matrices that follow each other. */
export interface Matrices {
  readonly rows: number
  readonly columns: number
}

/** A strided way through a buffer; stride 0 repeats an element (broadcasting). Strides count elements. */
export interface View {
  readonly buffer: Buffer
  /** Element at which the walk starts. */
  readonly offset: number
  readonly strides: readonly number[]
}

/** Memory of a backend, in bytes. */
export interface BackendMemory {
  /** Bytes of live buffers. */
  readonly bytes: number
  readonly buffers: number
  /** Largest value of `bytes` since the start or the last `resetPeak`. */
  readonly peakBytes: number
  /** All bytes in use: live buffers with what rounding adds, what kernels derived from weights, and workspace. */
  readonly heldBytes: number
  /** Largest value of `heldBytes` since the start or the last `resetPeak`. */
  readonly peakHeldBytes: number
  /** Bytes of packed and transformed weights, which live as long as the weights do. */
  readonly derivedBytes: number
  /** Bytes of the workspace that kernels share: the most that one of them needed. */
  readonly workspaceBytes: number
  /** Bytes taken from the system: those in use and free blocks. */
  readonly reservedBytes: number
}

/** Loop extents [outer, size, inner]: the middle axis is reduced, normalised or searched. */
export type Rows = readonly [outer: number, size: number, inner: number]

export interface MatmulSpec {
  /** Rows of the result. */
  readonly m: number
  /** Columns of the result. */
  readonly n: number
  /** Length of the dot products. */
  readonly k: number
  /** false: A is stored (m, k); true: (k, m). */
  readonly transA: boolean
  /** false: B is stored (k, n); true: (n, k). */
  readonly transB: boolean
  /** Element offsets of A and of B for each product of the batch; results follow each other. */
  readonly offsetsA: readonly number[]
  readonly offsetsB: readonly number[]
}

/** (x - mean) / sqrt(variance + eps) weight + bias, by channel. */
export interface GivenNorm {
  readonly mean: Buffer
  readonly variance: Buffer
  readonly weight: Buffer | null
  readonly bias: Buffer | null
  readonly eps: number
}

/** Running statistics of a batch norm, by channel, and how they take in a batch. */
export interface RunningNorm {
  readonly mean: Buffer
  readonly variance: Buffer
  /** One int32: how many batches they have seen. */
  readonly count: Buffer
  /** Weight of the newest batch; null: of n batches each has 1 / n. */
  readonly momentum: number | null
}

/** A 2-D convolution in numbers. `padding` at the bottom and right may be less than what the output needs (cropping). */
export interface ConvSpec {
  readonly batch: number
  readonly inHeight: number
  readonly inWidth: number
  readonly inChannels: number
  readonly outHeight: number
  readonly outWidth: number
  readonly outChannels: number
  readonly kernelHeight: number
  readonly kernelWidth: number
  readonly strideHeight: number
  readonly strideWidth: number
  readonly padTop: number
  readonly padLeft: number
  readonly dilationHeight: number
  readonly dilationWidth: number
  readonly groups: number
}

/** Windows along one axis: output cell i covers input cells starts[i] to ends[i] - 1; `counts` divides averages. */
export interface Windows {
  readonly starts: Int32Array
  readonly ends: Int32Array
  /** Cells that an average divides by along this axis; counts padding or not, as the op decided. */
  readonly counts: Int32Array
}

/** Pooling of (batch, height, width, channels) by separable windows: plain, ceil-mode and adaptive pooling alike. */
export interface PoolSpec {
  readonly batch: number
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly rows: Windows
  readonly columns: Windows
}

/** Sampling along one axis: output i is (1 - fraction[i]) * input[low[i]] + fraction[i] * input[high[i]]. */
export interface Samples {
  readonly low: Int32Array
  readonly high: Int32Array
  readonly fraction: Float64Array
}

export interface InterpolateSpec {
  readonly batch: number
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly rows: Samples
  readonly columns: Samples
}

/**
 * Extents [a, b, c, d] of a normalisation: statistics are taken over b and d, one pair for each (a, c).
 * Batch norm: [1, N*H*W, C, 1]; instance norm: [N, H*W, C, 1]; group norm: [N, H*W, groups, C/groups];
 * layer norm over trailing axes: [rows, 1, 1, size]. Weight and bias have c * d elements.
 */
export type NormExtents = readonly [a: number, b: number, c: number, d: number]

export interface CrossEntropySpec {
  readonly rows: number
  readonly classes: number
  /** Share e of the target spread evenly over all classes: (1 - e) onehot + e / classes. */
  readonly labelSmoothing: number
  /** Class index whose rows give no loss and no gradient (class targets only). */
  readonly ignoreIndex: number
}

/** Buffers that change together: dense, and of one length and float dtype. */
export interface UpdateSet {
  readonly targets: readonly Buffer[]
  readonly others: readonly Buffer[]
}

/** What a function of buffers did. */
export interface Passage {
  /** What it gave when it was recorded. */
  readonly outputs: readonly Buffer[]
  /** Whether to do it again would give what the function would give. */
  isGood(): boolean
  /** Does the same with other inputs of the same dtypes and lengths. */
  replay(inputs: readonly Buffer[]): readonly Buffer[]
}

/** What functions of buffers did on a backend, to be done again: one, or several that use each other's buffers. */
export interface Recording {
  /**
   * Runs `fn` on copies of the inputs, which it frees, and remembers what it does here, to do it again without it. `fn` reads
   * nothing; what it changes in place from outside is changed each time. The outputs are copies or, if the passage `lends`,
   * for which it must be the last one, memory that is used again: nothing is copied unless they live until the next replay.
   */
  passage(
    inputs: readonly Buffer[],
    fn: (inputs: readonly Buffer[]) => readonly Buffer[],
    options?: { readonly lends?: boolean },
  ): Passage
  /** Whether a passage made this buffer. */
  owns(buffer: Buffer): boolean
  /** Bytes of buffers that passages made and that have not been freed, without these. */
  heldBeside(buffers: Iterable<Buffer>): number
  /** Frees what the recording holds, once nothing that it gave out is in use. */
  dispose(): void
}

export interface Backend {
  /** Short name for messages: `wasm`, `reference`, `gpu`. */
  readonly name: string

  // --- storage ---
  /** A buffer of `length` elements, all `value`. */
  fill(dtype: DType, length: number, value: number): Buffer
  /** A buffer of `length` elements that may be anything, for who then writes all of them. */
  alloc(dtype: DType, length: number): Buffer
  /** A buffer holding a copy of `data`, whose array type must be that of `dtype`; of matrices, their transposes. */
  upload(dtype: DType, data: TypedArray, matrices?: Matrices): Buffer
  /**
   * Resolves when all these buffers hold what was uploaded to them, and rejects if one of them does not. For backends
   * whose `upload` may fail after it has returned.
   */
  arrived?(buffers: readonly Buffer[]): Promise<void>
  /** A copy of the contents, in memory of its own. */
  read(buffer: Buffer): Promise<TypedArray>
  /** As `read`, at once; a backend whose memory is not the host's throws a `BackendError`. */
  readSync(buffer: Buffer): TypedArray
  /** Overwrites the contents in place and raises `version`; as `upload`. */
  write(buffer: Buffer, data: TypedArray, matrices?: Matrices): void
  free(buffer: Buffer): void
  /**
   * A recording, still empty. `changing` says that tensors from outside are other ones in each pass, as weights in training
   * are; `isBusy`, that what is in its memory is needed, and not to be freed when memory runs out. Undefined where there may be
   * too little memory to hold on to what was needed so far. For backends that gain by it.
   */
  record?(options: { readonly changing: boolean; readonly isBusy: () => boolean }): Recording | undefined
  memory(): BackendMemory
  resetPeak(): void

  // --- elementwise and data movement ---
  /**
   * out[i] = formula(operands[0][i], ..., params), dense over `extents`, of dtype `out`.
   * Arithmetic is in the operands' float type (float64 where only integers take part); a float result stored as
   * int32 or uint8 is truncated towards zero, as bool it is `!= 0`.
   */
  map(
    formula: Expr,
    operands: readonly View[],
    params: readonly number[],
    extents: readonly number[],
    out: DType,
  ): Buffer
  /**
   * For each of `sets`, targets[t][i] = formulas[t](targets..., others..., params) in place, all formulas reading the values
   * from before. Sets are alike but for their lengths and share no target. Raises the targets' `version`.
   */
  update(formulas: readonly Expr[], sets: readonly UpdateSet[], params: readonly number[]): void
  /** Copies `source` to `target` element by element over `extents`; same dtype, no overlap. Does not raise `version`. */
  copy(source: View, target: View, extents: readonly number[]): void
  /**
   * out[i] = source[offset + sum(i_d * strides_d) + index[i] * axisStride], dense over `extents`.
   * `index` is int32; a value outside 0..axisSize - 1 is an `ArgumentError`.
   */
  gather(source: View, index: View, axisStride: number, axisSize: number, extents: readonly number[]): Buffer
  /** The transpose of `gather`: adds the dense `values` into a zero buffer of `length` elements, in order. */
  scatterAdd(
    values: Buffer,
    index: View,
    strides: readonly number[],
    axisStride: number,
    axisSize: number,
    extents: readonly number[],
    length: number,
  ): Buffer
  /**
   * Philox 4x32-10: element i comes from word i % 4 of block `offset + floor(i / 4)`; see `random.ts`. Recordings look at the
   * position each time.
   */
  random(kind: 'uniform' | 'normal', dtype: 'float32' | 'float64', length: number, position: GeneratorState): Buffer

  // --- reductions ---
  reduce(kind: 'sum' | 'max' | 'min', x: Buffer, rows: Rows): Buffer
  /** int32 positions along the middle axis; the first one wins among equals, NaN wins over numbers. */
  argReduce(kind: 'max' | 'min', x: Buffer, rows: Rows): Buffer
  /** int32 positions (outer, k, inner) of the k largest (or smallest), in order; the first wins among equals. */
  topk(x: Buffer, rows: Rows, k: number, largest: boolean): Buffer

  // --- linear algebra ---
  /** C = A B (+ bias of n elements added to every row). */
  matmul(a: Buffer, b: Buffer, bias: Buffer | null, spec: MatmulSpec): Buffer
  conv2d(x: Buffer, weight: Buffer, bias: Buffer | null, spec: ConvSpec): Buffer
  /**
   * conv2d, then batch norm by given statistics if there are any, then the sum with a tensor of the same shape if there is one,
   * then `act`, a formula of one operand, in one pass. A backend without it, or one that gives undefined, has them called one
   * after the other.
   */
  conv2dFused?(
    x: Buffer,
    weight: Buffer,
    bias: Buffer | null,
    norm: GivenNorm | null,
    residual: Buffer | null,
    act: Expr | null,
    spec: ConvSpec,
  ): Buffer | undefined
  /** Gradient by the input, given the gradient `g` of the output; also the forward pass of a transposed convolution. */
  conv2dInputGrad(g: Buffer, weight: Buffer, spec: ConvSpec): Buffer
  conv2dWeightGrad(x: Buffer, g: Buffer, spec: ConvSpec): Buffer

  // --- pooling and resampling ---
  avgPool(x: Buffer, spec: PoolSpec): Buffer
  avgPoolGrad(g: Buffer, spec: PoolSpec): Buffer
  /**
   * `indices`, if asked for: int32 row * width + column of each maximum, first in row-major order among equals; NaN wins.
   */
  maxPool(x: Buffer, spec: PoolSpec, indexed: boolean): { output: Buffer; indices: Buffer | null }
  maxPoolGrad(g: Buffer, indices: Buffer, spec: PoolSpec): Buffer
  interpolate(x: Buffer, spec: InterpolateSpec): Buffer
  interpolateGrad(g: Buffer, spec: InterpolateSpec): Buffer

  // --- normalisation and losses ---
  /** y = (x - mean) / sqrt(variance + eps) * weight + bias; `mean` and biased `variance` have a * c elements. */
  normalize(
    x: Buffer,
    weight: Buffer | null,
    bias: Buffer | null,
    extents: NormExtents,
    eps: number,
  ): { output: Buffer; mean: Buffer; variance: Buffer }
  /** Gradients by x and, as c * d elements, by weight and bias, for the statistics that `normalize` gave. */
  normalizeGrad(
    g: Buffer,
    x: Buffer,
    weight: Buffer | null,
    mean: Buffer,
    variance: Buffer,
    extents: NormExtents,
    eps: number,
  ): { x: Buffer; weight: Buffer; bias: Buffer }
  /**
   * `normalize` of float32 with extents [1, rows, channels, 1], then `act`, a formula of one operand. The statistics move
   * `running` on, if it is given: its mean, its variance by the unbiased one of the batch, its count. `affine` is what
   * `normalizeBatchGrad` takes. A backend without the two has all this done by other kernels.
   */
  normalizeBatch?(
    x: Buffer,
    weight: Buffer | null,
    bias: Buffer | null,
    channels: number,
    eps: number,
    act: Expr | null,
    running: RunningNorm | null,
  ): { output: Buffer; mean: Buffer; variance: Buffer; affine: Buffer }
  /** Gradients of that; `act` is the gradient of its activation, a formula of the gradient and of the activation's operand. */
  normalizeBatchGrad?(
    g: Buffer,
    x: Buffer,
    weight: Buffer | null,
    statistics: { readonly mean: Buffer; readonly variance: Buffer; readonly affine: Buffer },
    eps: number,
    act: Expr | null,
  ): { x: Buffer; weight: Buffer; bias: Buffer }
  /**
   * The norm of x by given statistics, where channels are innermost, then the sum with a tensor of the same shape if there is
   * one, then `act`, a formula of one operand. A backend without it, or one that gives undefined, is asked for a `map`.
   */
  normalizeGiven?(x: Buffer, norm: GivenNorm, residual: Buffer | null, act: Expr | null): Buffer | undefined
  softmax(x: Buffer, rows: Rows, log: boolean): Buffer
  /** `y` is what `softmax` gave. */
  softmaxGrad(g: Buffer, y: Buffer, rows: Rows, log: boolean): Buffer
  /**
   * Per row i: loss = -sum_c q_c log softmax(logits)_c. With int32 `target` t: q_c = weight_c ((1 - e) [c = t] + e / K),
   * `rowWeight` = weight_t; ignored rows have both 0. With float targets (rows, classes):
   * q_c = weight_c ((1 - e) target_c + e / K), `rowWeight` = 1. A class index out of range is an `ArgumentError`.
   */
  crossEntropy(
    logits: Buffer,
    target: Buffer,
    weight: Buffer | null,
    spec: CrossEntropySpec,
  ): { loss: Buffer; rowWeight: Buffer }
  /** Gradient by the logits for the gradient `g` of each row's loss: g_i (softmax_c sum(q) - q_c). */
  crossEntropyGrad(g: Buffer, logits: Buffer, target: Buffer, weight: Buffer | null, spec: CrossEntropySpec): Buffer
}
