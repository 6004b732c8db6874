/** Strided copies, of which reshaping, repeating, cutting and joining are made. */
import type { Backend, Buffer, View } from '../backends/backend.ts'
import { viewOf, walk } from '../layout.ts'
import type { Meta } from '../op.ts'
import { type Shape, sizeOf } from '../shape.ts'
import type { Tensor } from '../tensor.ts'

/** Copies cell by cell of `extents`; the strides of both views are by logical axis. */
export function copyCells(backend: Backend, extents: Shape, from: View, to: View): void {
  if (sizeOf(extents) === 0) return
  const loops = walk(extents, [from.strides, to.strides])
  const [read = [], write = []] = loops.strides
  backend.copy({ ...from, strides: read }, { ...to, strides: write }, loops.extents)
}

/** Which cells a copy reads and writes; by default all of both tensors in logical order. */
interface Cells {
  /** Extents of the cells, in logical order. Default: the result's shape. */
  readonly extents?: Shape
  /** Where the cells lie in x and in the result. */
  readonly from?: Partial<View>
  readonly to?: Partial<View>
  /** What fills the rest, where the cells are not all of the result. */
  readonly value?: number
}

/** A new buffer with cells of x. */
export function copyOf(x: Tensor, { shape, dtype }: Meta, backend: Backend, cells: Cells = {}): Buffer {
  const size = sizeOf(shape)
  const out = cells.value === undefined ? backend.alloc(dtype, size) : backend.fill(dtype, size, cells.value)
  copyCells(
    backend,
    cells.extents ?? shape,
    { ...viewOf(x.storage.buffer, x.shape), ...cells.from },
    { ...viewOf(out, shape), ...cells.to },
  )
  return out
}
