/** Cutting and joining: slice, pad, cat, stack, split, flip. Each is one strided copy, and so is its gradient. */

import type { Buffer } from '../backends/backend.ts'
import { ArgumentError, ShapeError } from '../errors.ts'
import { logicalStrides, viewOf } from '../layout.ts'
import { apply, checkDType, checkTensors, type Op } from '../op.ts'
import { checkOptionNames } from '../options.ts'
import { local } from '../scope.ts'
import { at, checkAxes, checkAxis, checkInteger, type Shape, sameShape, show, sizeOf } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { copyCells, copyOf } from './copy.ts'
import { reshape, unsqueeze } from './reshape.ts'

/** A box inside a tensor: element i along an axis is start + i * step. */
interface Box {
  readonly starts: readonly number[]
  readonly steps: readonly number[]
  /** Extents of the box. */
  readonly extents: Shape
}

/** Where a box lies in a buffer of `shape`. */
function boxStrides(shape: Shape, { starts, steps }: Box): { offset: number; strides: number[] } {
  const strides = logicalStrides(shape)
  return {
    offset: starts.reduce((sum, start, axis) => sum + start * at(strides, axis), 0),
    strides: strides.map((stride, axis) => stride * at(steps, axis)),
  }
}

const sliceOp: Op<Box> = {
  name: 'slice',
  infer: ([x], { extents }) => ({ shape: extents, dtype: (x as Tensor).dtype }),
  forward: ([x], box, meta, backend) =>
    copyOf(x as Tensor, meta, backend, { from: boxStrides((x as Tensor).shape, box) }),
  backward: (g, { attrs, metas }) => [apply(placeOp, [g], { box: attrs, shape: metas[0]?.shape ?? [], value: 0 })],
}

interface Place {
  readonly box: Box
  /** Shape of the result. */
  readonly shape: Shape
  /** What fills the rest. */
  readonly value: number
}

/** A tensor of one value with x copied into a box of it: padding, and the transpose of slicing. */
const placeOp: Op<Place> = {
  name: 'pad',
  infer: ([x], { shape }) => ({ shape, dtype: (x as Tensor).dtype }),
  forward: ([x], { box, shape, value }, meta, backend) =>
    copyOf(x as Tensor, meta, backend, { extents: box.extents, to: boxStrides(shape, box), value }),
  backward: (g, { attrs }) => [apply(sliceOp, [g], attrs.box)],
}

/** [start, end, step] by axis; missing parts mean the whole axis. */
export type Range = readonly [start?: number | undefined, end?: number | undefined, step?: number | undefined]

/**
 * A part of x: `ranges[i]` is [start, end, step] along axis i, as Python's start:end:step with a positive step; negative
 * positions count from the end, positions beyond it are cut to it. Axes without a range are taken whole.
 */
export function slice(x: Tensor, ranges: readonly (Range | undefined)[]): Tensor {
  checkTensors('slice', { x })
  if (!Array.isArray(ranges)) throw new ArgumentError(`slice: ranges expects an array of ranges, got ${typeof ranges}`)
  if (ranges.length > x.rank) {
    throw new ShapeError(
      `slice: ranges expects at most ${x.rank} for x of shape ${show(x.shape)}, got ${ranges.length}`,
    )
  }
  const starts: number[] = []
  const steps: number[] = []
  const extents = x.shape.map((extent, axis) => {
    const range = ranges[axis] ?? []
    if (!Array.isArray(range)) {
      throw new ArgumentError(`slice: range of axis ${axis} expects [start, end, step], got ${String(range)}`)
    }
    const [start = 0, end = extent, step = 1] = range
    for (const value of [start, end]) {
      if (!Number.isInteger(value))
        throw new ArgumentError(`slice: range of axis ${axis} expects integers, got ${value}`)
    }
    checkInteger('slice', `step of axis ${axis}`, step, 1)
    const cut = (position: number): number => Math.min(extent, Math.max(0, position < 0 ? position + extent : position))
    const from = cut(start)
    starts.push(from)
    steps.push(step)
    return Math.max(0, Math.ceil((cut(end) - from) / step))
  })
  return apply(sliceOp, [x], { starts, steps, extents })
}

/** The part of x from `start`, `length` long, along one axis. */
export function narrow(x: Tensor, dim: number, start: number, length: number): Tensor {
  checkTensors('narrow', { x })
  const axis = checkAxis('narrow', dim, x.rank)
  const extent = at(x.shape, axis)
  checkInteger('narrow', 'start', start, 0)
  checkInteger('narrow', 'length', length, 0)
  if (start + length > extent) {
    throw new ShapeError(
      `narrow: start + length expects at most ${extent} along axis ${axis}, got ${start} + ${length}`,
    )
  }
  return slice(
    x,
    x.shape.map((_, i) => (i === axis ? [start, start + length] : undefined)),
  )
}

/** x at position `index` of an axis, without that axis. */
export function select(x: Tensor, dim: number, index: number): Tensor {
  return local(() => {
    checkTensors('select', { x })
    const axis = checkAxis('select', dim, x.rank)
    const extent = at(x.shape, axis)
    if (!Number.isInteger(index) || index < -extent || index >= extent) {
      throw new ShapeError(`select: index expects an integer from ${-extent} to ${extent - 1}, got ${index}`)
    }
    const start = index < 0 ? index + extent : index
    return reshape(
      narrow(x, axis, start, 1),
      x.shape.filter((_, i) => i !== axis),
    )
  })
}

/**
 * x with cells of `value` around it. `padding` counts cells before and after, the last axis first, as PyTorch's `pad`:
 * [left, right, top, bottom] for images. Negative numbers crop.
 */
export function pad(x: Tensor, padding: readonly number[], options: { readonly value?: number } = {}): Tensor {
  return local(() => {
    checkTensors('pad', { x })
    checkOptionNames('pad', options, ['value'])
    if (!Array.isArray(padding))
      throw new ArgumentError(`pad: padding expects an array of pairs, got ${typeof padding}`)
    if (padding.length % 2 !== 0 || padding.length > 2 * x.rank) {
      throw new ArgumentError(`pad: padding expects pairs for at most ${x.rank} axes, got ${padding.length} numbers`)
    }
    const before = x.shape.map(() => 0)
    const after = x.shape.map(() => 0)
    padding.forEach((cells, i) => {
      if (!Number.isInteger(cells)) throw new ArgumentError(`pad: padding expects integers, got ${cells}`)
      const list = i % 2 === 0 ? before : after
      list[x.rank - 1 - (i >> 1)] = cells
    })
    const shape = x.shape.map((extent, axis) => extent + at(before, axis) + at(after, axis))
    const left = x.shape.map((extent, axis) => extent + Math.min(0, at(before, axis)) + Math.min(0, at(after, axis)))
    if (left.some((extent) => extent < 0)) {
      throw new ShapeError(`pad: padding [${padding.join(', ')}] crops more than x of shape ${show(x.shape)} has`)
    }
    const cropped =
      before.some((cells) => cells < 0) || after.some((cells) => cells < 0)
        ? slice(
            x,
            x.shape.map((extent, i) => [Math.max(0, -at(before, i)), extent + Math.min(0, at(after, i))] as const),
          )
        : x
    const starts = before.map((cells) => Math.max(0, cells))
    const box = { starts, steps: starts.map(() => 1), extents: cropped.shape }
    return apply(placeOp, [cropped], { box, shape, value: options.value ?? 0 })
  })
}

const catOp: Op<number> = {
  name: 'cat',
  infer(inputs, axis) {
    const list = inputs as readonly Tensor[]
    const [first] = list as [Tensor]
    let total = 0
    list.forEach((x, i) => {
      checkDType('cat', `input ${i}`, x, first.dtype)
      if (x.rank !== first.rank || x.shape.some((extent, k) => k !== axis && extent !== first.shape[k])) {
        throw new ShapeError(
          `cat: input ${i} expects the shape ${show(first.shape)} outside axis ${axis}, got ${show(x.shape)}`,
        )
      }
      total += at(x.shape, axis)
    })
    return { shape: first.shape.map((extent, k) => (k === axis ? total : extent)), dtype: first.dtype }
  },
  forward(inputs, axis, meta, backend) {
    const out: Buffer = backend.alloc(meta.dtype, sizeOf(meta.shape))
    const strides = logicalStrides(meta.shape)
    let start = 0
    for (const x of inputs as readonly Tensor[]) {
      const to = { buffer: out, offset: start * at(strides, axis), strides }
      copyCells(backend, x.shape, viewOf(x.storage.buffer, x.shape), to)
      start += at(x.shape, axis)
    }
    return out
  },
  backward(g, { attrs: axis, metas, needs }) {
    let start = 0
    return metas.map((meta, i) => {
      const length = at(meta?.shape ?? [], axis)
      const from = start
      start += length
      return needs[i] === true ? narrow(g, axis, from, length) : undefined
    })
  },
}

/** The first of several tensors, all of which must be tensors. */
function firstOf(op: string, tensors: readonly Tensor[]): Tensor {
  if (!Array.isArray(tensors) || tensors.length === 0) {
    throw new ArgumentError(
      `${op}: tensors expects at least one tensor, got ${Array.isArray(tensors) ? 'none' : typeof tensors}`,
    )
  }
  checkTensors(op, Object.fromEntries(tensors.map((x, i) => [`tensor ${i}`, x])))
  return tensors[0] as Tensor
}

/** Joins tensors of equal shape outside axis `dim` along it. */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  const first = firstOf('cat', tensors)
  return apply(catOp, tensors, checkAxis('cat', dim, first.rank))
}

/** Joins tensors of equal shape along a new axis `dim`. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  return local(() => {
    const first = firstOf('stack', tensors)
    const axis = checkAxis('stack', dim, first.rank + 1)
    tensors.forEach((x, i) => {
      if (!sameShape(x.shape, first.shape)) {
        throw new ShapeError(`stack: tensor ${i} expects the shape ${show(first.shape)}, got ${show(x.shape)}`)
      }
    })
    return cat(
      tensors.map((x) => unsqueeze(x, axis)),
      axis,
    )
  })
}

/** Cuts x along `dim` into pieces of `sizes`, or of one size with a smaller last piece. */
export function split(x: Tensor, sizes: number | readonly number[], dim = 0): Tensor[] {
  return local(() => {
    checkTensors('split', { x })
    const axis = checkAxis('split', dim, x.rank)
    const extent = at(x.shape, axis)
    if (typeof sizes === 'number') {
      checkInteger('split', 'sizes', sizes, 1)
      const pieces = Math.max(1, Math.ceil(extent / sizes))
      return Array.from({ length: pieces }, (_, i) => narrow(x, axis, i * sizes, Math.min(sizes, extent - i * sizes)))
    }
    const total = sizes.reduce((sum, size) => sum + checkInteger('split', 'sizes', size, 0), 0)
    if (total !== extent)
      throw new ShapeError(`split: sizes expects a sum of ${extent}, the extent of axis ${axis}, got ${total}`)
    let start = 0
    return sizes.map((size) => {
      const piece = narrow(x, axis, start, size)
      start += size
      return piece
    })
  })
}

/** Cuts x along `dim` into `chunks` pieces of (nearly) equal size, as PyTorch's `chunk`. */
export function chunk(x: Tensor, chunks: number, dim = 0): Tensor[] {
  checkTensors('chunk', { x })
  const axis = checkAxis('chunk', dim, x.rank)
  checkInteger('chunk', 'chunks', chunks, 1)
  return split(x, Math.max(1, Math.ceil(at(x.shape, axis) / chunks)), axis)
}

const flipOp: Op<readonly number[]> = {
  name: 'flip',
  infer: ([x]) => ({ shape: (x as Tensor).shape, dtype: (x as Tensor).dtype }),
  forward([x], axes, meta, backend) {
    const { shape } = x as Tensor
    const from = boxStrides(shape, {
      starts: shape.map((extent, axis) => (axes.includes(axis) ? extent - 1 : 0)),
      steps: shape.map((_, axis) => (axes.includes(axis) ? -1 : 1)),
      extents: shape,
    })
    return copyOf(x as Tensor, meta, backend, { from })
  },
  backward: (g, { attrs }) => [apply(flipOp, [g], attrs)],
}

/** x with the order along `dims` reversed. */
export function flip(x: Tensor, dims: number | readonly number[]): Tensor {
  checkTensors('flip', { x })
  return apply(flipOp, [x], checkAxes('flip', dims, x.rank))
}
