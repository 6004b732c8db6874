/**
 * Where element (n, c, h, w) lies. Shapes are logical everywhere else; this is the only file that knows the order in
 * memory: rank-4 tensors are channels-last, all others row-major. It turns logical shapes and strides into the loop
 * extents and strides that backends take.
 */
import type { Buffer, Rows, View } from './backends/backend.ts'
import { at, type Shape, sizeOf, stridesOf } from './shape.ts'

const channelsLast: readonly number[] = [0, 2, 3, 1]

/** Logical axis at each place in memory, outermost first. */
export function memoryOrder(rank: number): readonly number[] {
  return rank === 4 ? channelsLast : Array.from({ length: rank }, (_, i) => i)
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

/** A walk over several strided operands at once, merged into as few loops as possible. */
export interface Walk {
  readonly extents: number[]
  /** Strides of each operand, by loop. */
  readonly strides: number[][]
}

/**
 * Loops over a logical shape in the memory order of a dense tensor of that shape. Loops that every operand walks
 * as one (stride of the outer = extent * stride of the inner) are merged, extents of 1 dropped.
 */
export function walk(shape: Shape, strides: readonly (readonly number[])[]): Walk {
  const extents: number[] = []
  const merged: number[][] = strides.map(() => [])
  for (const axis of memoryOrder(shape.length)) {
    const extent = at(shape, axis)
    if (extent === 1) continue
    const last = extents.length - 1
    const joins = last >= 0 && strides.every((s, k) => at(at2(merged, k), last) === extent * at(s, axis))
    if (joins) extents[last] = at(extents, last) * extent
    else extents.push(extent)
    strides.forEach((s, k) => {
      const list = at2(merged, k)
      if (joins) list[last] = at(s, axis)
      else list.push(at(s, axis))
    })
  }
  if (extents.length === 0) {
    extents.push(1)
    for (const list of merged) list.push(1)
  }
  return { extents, strides: merged }
}

function at2(lists: number[][], i: number): number[] {
  return lists[i] as number[]
}

/** Whether a dense tensor of `from` read in logical order lies in memory as one of `to` does: reshaping is free. */
export function reshapesFreely(from: Shape, to: Shape): boolean {
  return rowMajorInMemory(from) && rowMajorInMemory(to)
    ? true
    : from.length === 4 && to.length === 4 && from.every((extent, i) => extent === to[i])
}

/** Whether memory order and logical order of the elements agree. */
export function rowMajorInMemory(shape: Shape): boolean {
  if (shape.length !== 4) return true
  const [, channels, height, width] = shape as [number, number, number, number]
  return channels === 1 || height * width === 1 || sizeOf(shape) === 0
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
 * one step, the outermost run first; every step leaves a dense buffer.
 */
export function reductionSteps(shape: Shape, axes: readonly number[]): Rows[] {
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
  return steps
}
