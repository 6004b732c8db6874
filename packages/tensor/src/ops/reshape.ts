/**
 * Ops that only change the shape. They cost nothing where the elements already lie in the right order, and are a copy
 * where they do not (rank-4 tensors are channels-last in memory).
 */
import { ShapeError } from '../errors.ts'
import { logicalStrides, memoryOrder, reshapesFreely } from '../layout.ts'
import { apply, applyView, checkTensors, type Op } from '../op.ts'
import { local } from '../scope.ts'
import {
  at,
  checkAxis,
  checkShape,
  checkShapeKind,
  resolveShape,
  type Shape,
  sameShape,
  show,
  sizeOf,
  stridesOf,
} from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { copyOf } from './copy.ts'

/**
 * Copies between two memory orders of the same elements in logical order: one side is row-major by `shape`, the other
 * the memory order of rank 4.
 */
const reshapeOp: Op<Shape> = {
  name: 'reshape',
  infer: ([x], shape) => ({ shape, dtype: (x as Tensor).dtype }),
  forward([x], shape, meta, backend) {
    const input = x as Tensor
    // At most one side is rank 4 here (see `reshape`): its shape gives the loops, the other side is row-major.
    const extents = input.rank === 4 ? input.shape : shape
    const rowMajor = { strides: stridesOf(extents) }
    return copyOf(input, meta, backend, { extents, [input.rank === 4 ? 'to' : 'from']: rowMajor })
  },
  backward: (g, { metas }) => [reshape(g, metas[0]?.shape ?? [])],
}

/** The same elements in logical (row-major) order under another shape; one extent may be -1. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return local(() => {
    checkTensors('reshape', { x })
    const target = resolveShape('reshape', x.shape, shape)
    if (reshapesFreely(x.shape, target)) return applyView(reshapeOp, x, target, target)
    // Between two rank-4 shapes: by way of the row-major order.
    if (x.rank === 4 && target.length === 4) return reshape(apply(reshapeOp, [x], [x.size]), target)
    return apply(reshapeOp, [x], target)
  })
}

/** Joins the axes from `startDim` (default 0) to `endDim` (default -1) into one; `flatten(x, 1)` keeps the batch. */
export function flatten(x: Tensor, startDim = 0, endDim = -1): Tensor {
  checkTensors('flatten', { x })
  if (x.rank === 0) return reshape(x, [1])
  const start = checkAxis('flatten', startDim, x.rank, 'startDim')
  const end = checkAxis('flatten', endDim, x.rank, 'endDim')
  if (start > end) throw new ShapeError(`flatten: startDim expects at most endDim ${end}, got ${start}`)
  const joined = x.shape.slice(start, end + 1).reduce((n, extent) => n * extent, 1)
  return reshape(x, [...x.shape.slice(0, start), joined, ...x.shape.slice(end + 1)])
}

/** Adds an axis of extent 1 at `dim`. */
export function unsqueeze(x: Tensor, dim: number): Tensor {
  checkTensors('unsqueeze', { x })
  const axis = checkAxis('unsqueeze', dim, x.rank + 1)
  return reshape(x, [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)])
}

/** Removes axes of extent 1: the one at `dim` (kept when its extent is not 1), or all of them. */
export function squeeze(x: Tensor, dim?: number): Tensor {
  checkTensors('squeeze', { x })
  const axis = dim === undefined ? undefined : checkAxis('squeeze', dim, x.rank)
  return reshape(
    x,
    x.shape.filter((extent, i) => extent !== 1 || (axis !== undefined && i !== axis)),
  )
}

const permuteOp: Op<readonly number[]> = {
  name: 'permute',
  infer: ([x], dims) => ({ shape: dims.map((axis) => at((x as Tensor).shape, axis)), dtype: (x as Tensor).dtype }),
  forward([x], dims, meta, backend) {
    const strides = logicalStrides((x as Tensor).shape)
    return copyOf(x as Tensor, meta, backend, { from: { strides: dims.map((axis) => at(strides, axis)) } })
  },
  backward: (g, { attrs }) => {
    const inverse = new Array<number>(attrs.length)
    attrs.forEach((axis, i) => {
      inverse[axis] = i
    })
    return [permute(g, inverse)]
  },
}

/** Axes in another order: axis i of the result is axis dims[i] of x. */
export function permute(x: Tensor, dims: readonly number[]): Tensor {
  checkTensors('permute', { x })
  checkShapeKind('permute', 'dims', dims)
  const axes = dims.map((axis) => checkAxis('permute', axis, x.rank, 'dims'))
  if (axes.length !== x.rank || new Set(axes).size !== x.rank) {
    throw new ShapeError(`permute: dims expects every one of ${x.rank} axes once, got [${dims.join(', ')}]`)
  }
  if (axes.every((axis, i) => axis === i)) return reshape(x, x.shape)
  const shape = axes.map((axis) => at(x.shape, axis))
  const moved = memoryOrder(x.rank)
  const after = memoryOrder(x.rank).map((axis) => at(axes, axis))
  const keepsOrder = sameShape(
    moved.filter((axis) => x.shape[axis] !== 1),
    after.filter((axis) => x.shape[axis] !== 1),
  )
  return keepsOrder ? applyView(permuteOp, x, axes, shape) : apply(permuteOp, [x], axes)
}

const pixelRowsOp: Op<null> = {
  name: 'pixelRows',
  infer: ([x]) => ({ shape: (x as Tensor).shape, dtype: (x as Tensor).dtype }),
  forward: () => unreachable('pixelRows'),
  backward: (g, { metas }) => [fromPixelRows(g, metas[0]?.shape ?? [])],
}

const fromPixelRowsOp: Op<null> = { ...pixelRowsOp, name: 'fromPixelRows', backward: (g) => [pixelRows(g)] }

function unreachable(op: string): never {
  throw new ShapeError(`internal: ${op} is a view and runs no kernel`)
}

/** (N, C, H, W) as the rows (N * H * W, C) of its pixels, in memory order: free. */
export function pixelRows(x: Tensor): Tensor {
  checkTensors('pixelRows', { x })
  if (x.rank !== 4) throw new ShapeError(`pixelRows: x expects rank 4 (N, C, H, W), got ${show(x.shape)}`)
  return applyView(pixelRowsOp, x, null, [at(x.shape, 0) * at(x.shape, 2) * at(x.shape, 3), at(x.shape, 1)])
}

/** The inverse of `pixelRows`: rows of pixels as an image batch of `shape` (N, C, H, W), free. */
export function fromPixelRows(x: Tensor, shape: Shape): Tensor {
  checkTensors('fromPixelRows', { x })
  checkShape('fromPixelRows', shape)
  const fits = shape.length === 4 && x.rank === 2 && x.size === sizeOf(shape) && x.shape[1] === shape[1]
  if (!fits) throw new ShapeError(`fromPixelRows: x expects (N * H * W, C) for ${show(shape)}, got ${show(x.shape)}`)
  return applyView(fromPixelRowsOp, x, null, shape)
}

/** Swaps two axes. */
export function transpose(x: Tensor, dim0: number, dim1: number): Tensor {
  checkTensors('transpose', { x })
  const a = checkAxis('transpose', dim0, x.rank, 'dim0')
  const b = checkAxis('transpose', dim1, x.rank, 'dim1')
  return permute(
    x,
    x.shape.map((_, axis) => (axis === a ? b : axis === b ? a : axis)),
  )
}
