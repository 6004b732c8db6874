/**
 * Where element (n, c, h, w) lies. Shapes are logical everywhere else; this is the only file that knows the order in
 * memory: rank-4 tensors are channels-last, all others row-major. It turns logical shapes and strides into the loop
 * extents and strides that backends take.
 */
import type { Buffer, Matrices, Rows, View } from './backends/backend.ts'
import { bring } from './backends/matrices.ts'
import { type DType, type TypedArray, zeroArray } from './dtype.ts'
import { mergeLoops, type Walk } from './loops.ts'
import { at, type Shape, sameShape, sizeOf, stridesOf } from './shape.ts'

/** Orders by rank, as far as they have been asked for: channels-last at rank 4, row-major else. */
const orders: (readonly number[])[] = []
orders[4] = [0, 2, 3, 1]

/** Logical axis at each place in memory, outermost first. */
export function memoryOrder(rank: number): readonly number[] {
  const order = orders[rank] ?? Array.from({ length: rank }, (_, i) => i)
  orders[rank] = order
  return order
}

/** Extents in memory order. */
function memoryExtents(shape: Shape): number[] {
  return memoryOrder(shape.length).map((axis) => at(shape, axis))
}

/** Place in memory order (0 = outermost) of a logical axis. */
function memoryPlace(rank: number, axis: number): number {
  return memoryOrder(rank).indexOf(axis)
}

/** Strides of a dense tensor by logical axis, in elements. */
export function logicalStrides(shape: Shape): number[] {
  const dense = stridesOf(memoryExtents(shape))
  const strides = new Array<number>(shape.length)
  memoryOrder(shape.length).forEach((axis, place) => {
    strides[axis] = at(dense, place)
  })
  return strides
}

/** Logical strides of `shape` repeated to `target`: 0 where it is repeated. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const strides = logicalStrides(shape)
  const lead = target.length - shape.length
  return target.map((_, i) => (i < lead || at(shape, i - lead) === 1 ? 0 : at(strides, i - lead)))
}

/**
 * Loops over a logical shape in the memory order of a dense tensor of that shape, merged into as few as possible:
 * extents and strides, outermost first.
 */
export function walk(
  shape: Shape,
  strides: readonly (readonly number[])[],
): { extents: number[]; strides: number[][] } {
  const loops = mergeLoops(shape, strides, memoryOrder(shape.length))
  if (loops.extents.length === 0) return { extents: [1], strides: strides.map(() => [1]) }
  for (const list of loops.strides) list.reverse()
  return { extents: loops.extents.reverse(), strides: loops.strides }
}

/** Loops over tensors of `shapes`, repeated to `target`. */
export function broadcastWalk(shapes: readonly Shape[], target: Shape): Walk {
  if (shapes.every((shape) => shape === target || sameShape(shape, target))) {
    return { extents: [sizeOf(target)], strides: shapes.map(() => [1]) }
  }
  return walk(
    target,
    shapes.map((shape) => broadcastStrides(shape, target)),
  )
}

/** Whether a dense tensor of `from` read in logical order lies in memory as one of `to` does: reshaping is free. */
export function reshapesFreely(from: Shape, to: Shape): boolean {
  return rowMajorInMemory(from) && rowMajorInMemory(to)
    ? true
    : from.length === 4 && to.length === 4 && from.every((extent, i) => extent === to[i])
}

/** Whether memory order and logical order of the elements agree. */
function rowMajorInMemory(shape: Shape): boolean {
  if (shape.length !== 4) return true
  const [, channels, height, width] = shape as [number, number, number, number]
  return channels === 1 || height * width === 1 || sizeOf(shape) === 0
}

/** The matrices whose transposes are a dense tensor's elements in memory order; undefined where it is the logical one. */
export function toMemory(shape: Shape): Matrices | undefined {
  if (rowMajorInMemory(shape)) return undefined
  const [, channels, height, width] = shape as [number, number, number, number]
  return { rows: channels, columns: height * width }
}

/** Elements in memory order as logical order, or the array itself where they agree. */
export function toLogical(data: TypedArray, shape: Shape, dtype: DType): TypedArray {
  const matrices = toMemory(shape)
  if (matrices === undefined) return data
  const out = zeroArray(dtype, data.length)
  bring(data, out, { rows: matrices.columns, columns: matrices.rows })
  return out
}

/** A buffer read in the logical order of `shape`, whatever its place in memory. */
export function viewOf(buffer: Buffer, shape: Shape): View {
  return { buffer, offset: 0, strides: logicalStrides(shape) }
}

/** The loops [outer, size, inner] around one axis of a dense tensor. */
export function rowsAround(shape: Shape, axis: number): Rows {
  const extents = memoryExtents(shape)
  const place = memoryPlace(shape.length, axis)
  return [sizeOf(extents.slice(0, place)), at(extents, place), sizeOf(extents.slice(place + 1))]
}

/**
 * Splits the reduction of several axes into steps of the form [outer, size, inner]. Neighbouring axes in memory go in
 * one step, the outermost run first; every step leaves a dense buffer. Where there is nothing to reduce, it is one step of
 * single elements.
 */
export function reductionSteps(shape: Shape, axes: readonly number[]): readonly [Rows, ...Rows[]] {
  const order = memoryOrder(shape.length)
  const runs: { extent: number; reduced: boolean }[] = []
  for (const axis of order) {
    const extent = at(shape, axis)
    const reduced = axes.includes(axis)
    const last = runs[runs.length - 1]
    if (extent === 1) continue
    if (last !== undefined && last.reduced === reduced) last.extent *= extent
    else runs.push({ extent, reduced })
  }
  const steps: Rows[] = []
  for (let i = runs.length - 1; i >= 0; i--) {
    const run = runs[i]
    if (run === undefined || !run.reduced) continue
    const outer = sizeOf(runs.slice(0, i).map((r) => r.extent))
    const inner = sizeOf(runs.slice(i + 1).map((r) => (r.reduced ? 1 : r.extent)))
    steps.push([outer, run.extent, inner])
  }
  const [first = [1, 1, sizeOf(shape)], ...more] = steps
  return [first, ...more]
}
