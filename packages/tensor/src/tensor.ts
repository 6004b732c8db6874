/** The tensor as users meet it: the core plus fluent methods. Each method is one of the ops under the same name. */
import { type BackwardOptions, backward } from './autograd.ts'
import type { Backend } from './backends/backend.ts'
import { Storage, TensorCore } from './core.ts'
import { type DType, dtypes, isDType, type TypedArray } from './dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from './errors.ts'
import { toLogical, toMemory, viewOf } from './layout.ts'
import { expand } from './ops/broadcast.ts'
import { copyCells } from './ops/copy.ts'
import * as e from './ops/elementwise.ts'
import type { Operand } from './ops/formula-op.ts'
import { gather, indexSelect } from './ops/gather.ts'
import { matmul } from './ops/matmul.ts'
import * as r from './ops/reduce.ts'
import * as s from './ops/reshape.ts'
import * as c from './ops/slice.ts'
import { logSoftmax, type SoftmaxOptions, softmax } from './ops/softmax.ts'
import { at, type Shape, show, sizeOf } from './shape.ts'

/** Numbers nested as deeply as the tensor has axes. */
export type NestedArray = number | boolean | readonly NestedArray[]

/** A tensor on a backend. Made by `tensor`, `zeros` and the like, and by ops; never by `new`. */
export class Tensor extends TensorCore {
  // --- reading ---

  /** The elements in logical (row-major) order, in an array of the caller's. */
  async data(): Promise<TypedArray> {
    return toLogical(await this.backend.read(this.storage.buffer), this.shape, this.dtype)
  }

  /** As `data`, at once. @throws BackendError where the backend's memory is not the host's. */
  dataSync(): TypedArray {
    return toLogical(this.backend.readSync(this.storage.buffer), this.shape, this.dtype)
  }

  /** The only element. @throws ShapeError for tensors with more or fewer. */
  item(): number {
    if (this.size !== 1) throw new ShapeError(`item: expects one element, got ${show(this.shape)}`)
    return this.backend.readSync(this.storage.buffer)[0] as number
  }

  /** The elements as nested arrays; a number for a scalar. bool elements come as 0 and 1. */
  async array(): Promise<NestedArray> {
    return nest(await this.data(), this.shape)
  }

  /** Shape, dtype and, for small tensors on host memory, the place in the graph; no elements. */
  override toString(): string {
    return this.disposed ? `Tensor #${this.id} (freed)` : this.describe()
  }

  // --- conversions ---

  /** On another dtype or backend; itself (another handle) where nothing changes. Gradients flow through a dtype change. */
  to(target: DType | Backend): Tensor {
    if (isDType(target)) return target === this.dtype ? s.reshape(this, this.shape) : e.cast(this, target)
    if (typeof target !== 'object' || target === null || typeof target.upload !== 'function') {
      throw new ArgumentError(`to: target expects a dtype or a backend, got ${String(target)}`)
    }
    if (target === this.backend) return s.reshape(this, this.shape)
    const buffer = target.upload(this.dtype, this.backend.readSync(this.storage.buffer))
    return this.make(new Storage(target, buffer), this.shape, this.dtype)
  }

  /**
   * A copy on another backend, outside the gradient graph, also where the memory of this one cannot be read at once (a
   * GPU), as `to` needs it.
   */
  async moved(target: Backend): Promise<Tensor> {
    const { shape, dtype } = this
    const data = await this.backend.read(this.storage.buffer)
    return this.make(new Storage(target, target.upload(dtype, data)), shape, dtype)
  }

  /** Another handle on the same elements, outside the gradient graph. */
  detach(): Tensor {
    return this.alias()
  }

  /** A copy with memory of its own, inside the graph. */
  clone(): Tensor {
    return this.dtype === 'bool' ? e.logicalNot(e.logicalNot(this)) : e.mul(this, 1)
  }

  /**
   * Overwrites the elements in place with those of a tensor or array of this shape, in logical order. Not recorded:
   * for parameters and statistics between steps.
   */
  assign_(source: Tensor | ArrayLike<number>): this {
    if (source instanceof Tensor) {
      if (sizeOf(source.shape) !== this.size || String(source.shape) !== String(this.shape)) {
        throw new ShapeError(`assign_: source expects ${show(this.shape)}, got ${show(source.shape)}`)
      }
      if (source.dtype !== this.dtype)
        throw new DTypeError(`assign_: source expects ${this.dtype}, got ${source.dtype}`)
      if (source.backend === this.backend) {
        if (source.storage !== this.storage) {
          const from = viewOf(source.storage.buffer, this.shape)
          copyCells(this.backend, this.shape, from, viewOf(this.storage.overwritten, this.shape))
        }
        this.storage.buffer.version++
      } else {
        const values = source.backend.readSync(source.storage.buffer)
        this.backend.write(this.storage.overwritten, values)
      }
      return this
    }
    if (source.length !== this.size)
      throw new ShapeError(`assign_: source expects ${this.size} elements, got ${source.length}`)
    const { array } = dtypes[this.dtype]
    const truth = (): TypedArray => Uint8Array.from(source, (v) => (v === 0 ? 0 : 1))
    const values = this.dtype === 'bool' ? truth() : source instanceof array ? source : new array(source)
    this.backend.write(this.storage.overwritten, values, toMemory(this.shape))
    return this
  }

  // --- gradients ---

  /** Adds the gradient of this tensor by every leaf that requires one to the leaf's `grad`; see `backward`. */
  backward(gradient?: Tensor, options?: BackwardOptions): void {
    backward(this, gradient, options)
  }

  // --- shape ---

  /** The same elements in logical order under another shape; one extent may be -1. */
  reshape(shape: Shape): Tensor {
    return s.reshape(this, shape)
  }
  /** Joins the axes from `startDim` to `endDim`. */
  flatten(startDim = 0, endDim = -1): Tensor {
    return s.flatten(this, startDim, endDim)
  }
  /** Removes axes of extent 1. */
  squeeze(dim?: number): Tensor {
    return s.squeeze(this, dim)
  }
  /** Adds an axis of extent 1. */
  unsqueeze(dim: number): Tensor {
    return s.unsqueeze(this, dim)
  }
  /** Axes in another order. */
  permute(dims: readonly number[]): Tensor {
    return s.permute(this, dims)
  }
  /** Swaps two axes. */
  transpose(dim0: number, dim1: number): Tensor {
    return s.transpose(this, dim0, dim1)
  }
  /** Repeats axes of extent 1. */
  expand(shape: Shape): Tensor {
    return expand(this, shape)
  }
  /** A part, by [start, end, step] along each axis. */
  slice(ranges: readonly (c.Range | undefined)[]): Tensor {
    return c.slice(this, ranges)
  }
  /** The part from `start`, `length` long, along one axis. */
  narrow(dim: number, start: number, length: number): Tensor {
    return c.narrow(this, dim, start, length)
  }
  /** Position `index` of an axis, without that axis. */
  select(dim: number, index: number): Tensor {
    return c.select(this, dim, index)
  }
  /** Pieces along an axis. */
  split(sizes: number | readonly number[], dim = 0): Tensor[] {
    return c.split(this, sizes, dim)
  }
  /** Equal pieces along an axis. */
  chunk(chunks: number, dim = 0): Tensor[] {
    return c.chunk(this, chunks, dim)
  }
  /** Elements picked along an axis. */
  gather(dim: number, index: Tensor): Tensor {
    return gather(this, dim, index)
  }
  /** Slices picked along an axis. */
  indexSelect(dim: number, index: Tensor): Tensor {
    return indexSelect(this, dim, index)
  }

  // --- arithmetic ---

  add(other: Operand): Tensor {
    return e.add(this, other)
  }
  sub(other: Operand): Tensor {
    return e.sub(this, other)
  }
  mul(other: Operand): Tensor {
    return e.mul(this, other)
  }
  div(other: Operand): Tensor {
    return e.div(this, other)
  }
  pow(exponent: Operand): Tensor {
    return e.pow(this, exponent)
  }
  maximum(other: Operand): Tensor {
    return e.maximum(this, other)
  }
  minimum(other: Operand): Tensor {
    return e.minimum(this, other)
  }
  matmul(other: Tensor): Tensor {
    return matmul(this, other)
  }
  neg(): Tensor {
    return e.neg(this)
  }
  abs(): Tensor {
    return e.abs(this)
  }
  square(): Tensor {
    return e.square(this)
  }
  sqrt(): Tensor {
    return e.sqrt(this)
  }
  exp(): Tensor {
    return e.exp(this)
  }
  log(): Tensor {
    return e.log(this)
  }
  clamp(bounds: { readonly min?: number; readonly max?: number }): Tensor {
    return e.clamp(this, bounds)
  }
  relu(): Tensor {
    return e.relu(this)
  }
  sigmoid(): Tensor {
    return e.sigmoid(this)
  }
  tanh(): Tensor {
    return e.tanh(this)
  }
  softmax(options?: SoftmaxOptions): Tensor {
    return softmax(this, options)
  }
  logSoftmax(options?: SoftmaxOptions): Tensor {
    return logSoftmax(this, options)
  }

  // --- comparisons ---

  lt(other: Operand): Tensor {
    return e.lt(this, other)
  }
  le(other: Operand): Tensor {
    return e.le(this, other)
  }
  gt(other: Operand): Tensor {
    return e.gt(this, other)
  }
  ge(other: Operand): Tensor {
    return e.ge(this, other)
  }
  eq(other: Operand): Tensor {
    return e.eq(this, other)
  }
  ne(other: Operand): Tensor {
    return e.ne(this, other)
  }

  // --- reductions ---

  sum(options?: r.ReduceOptions): Tensor {
    return r.sum(this, options)
  }
  mean(options?: r.ReduceOptions): Tensor {
    return r.mean(this, options)
  }
  variance(options?: r.VarianceOptions): Tensor {
    return r.variance(this, options)
  }
  std(options?: r.VarianceOptions): Tensor {
    return r.std(this, options)
  }
  amax(options?: r.ReduceOptions): Tensor {
    return r.amax(this, options)
  }
  amin(options?: r.ReduceOptions): Tensor {
    return r.amin(this, options)
  }
  max(dim: number, options?: { readonly keepdim?: boolean }): r.ValuesAndIndices {
    return r.max(this, dim, options)
  }
  min(dim: number, options?: { readonly keepdim?: boolean }): r.ValuesAndIndices {
    return r.min(this, dim, options)
  }
  argmax(options?: r.ArgOptions): Tensor {
    return r.argmax(this, options)
  }
  argmin(options?: r.ArgOptions): Tensor {
    return r.argmin(this, options)
  }
  topk(k: number, options?: r.TopkOptions): r.ValuesAndIndices {
    return r.topk(this, k, options)
  }
  norm(options?: r.NormOptions): Tensor {
    return r.norm(this, options)
  }
}

function nest(data: TypedArray, shape: Shape): NestedArray {
  let level: NestedArray[] = Array.from(data)
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const extent = at(shape, axis)
    const rows = sizeOf(shape.slice(0, axis))
    const next: NestedArray[] = []
    for (let i = 0; i < rows; i++) next.push(level.slice(i * extent, (i + 1) * extent))
    level = next
  }
  return level[0] as NestedArray
}
