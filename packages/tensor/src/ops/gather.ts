/**
 * Picking by index and its transpose, adding by index. Indices are int32 and carry no gradient. The gradient of a
 * gather is a scatter-add at the same places and the other way round, so second order is free.
 */
import type { View } from '../backends/backend.ts'
import { DTypeError, ShapeError } from '../errors.ts'
import { logicalStrides, memoryOrder } from '../layout.ts'
import { apply, checkTensors, type Op } from '../op.ts'
import { local } from '../scope.ts'
import { at, checkAxis, checkInteger, checkShape, type Shape, show, sizeOf } from '../shape.ts'
import type { Tensor } from '../tensor.ts'

interface Pick {
  readonly axis: number
  /** Shape of the tensor that is picked from or added into. */
  readonly shape: Shape
  /** Shape of the picked elements. */
  readonly picked: Shape
  /** Whether `index` has the picked shape, or one axis that counts along `axis`. */
  readonly elementwise: boolean
}

/** The loops of a pick, in the memory order of the picked tensor. */
function loops(pick: Pick, index: Tensor): { extents: number[]; strides: number[]; index: View; axisStride: number } {
  const { axis, shape, picked, elementwise } = pick
  const source = logicalStrides(shape)
  const order = memoryOrder(picked.length)
  const own = elementwise ? logicalStrides(index.shape) : picked.map((_, i) => (i === axis ? 1 : 0))
  return {
    extents: order.map((i) => at(picked, i)),
    strides: order.map((i) => (i === axis ? 0 : at(source, i))),
    index: { buffer: index.storage.buffer, offset: 0, strides: order.map((i) => at(own, i)) },
    axisStride: at(source, axis),
  }
}

function checkIndex(op: string, index: Tensor): void {
  if (index.dtype !== 'int32') throw new DTypeError(`${op}: index expects int32, got ${index.dtype}`)
}

const gatherOp = (name: string): Op<Pick> => ({
  name,
  infer: ([x, index], { picked }) => {
    checkIndex(name, index as Tensor)
    return { shape: picked, dtype: (x as Tensor).dtype }
  },
  forward([x, index], pick, _, backend) {
    const input = x as Tensor
    const l = loops(pick, index as Tensor)
    const source = { buffer: input.storage.buffer, offset: 0, strides: l.strides }
    return backend.gather(source, l.index, l.axisStride, at(pick.shape, pick.axis), l.extents)
  },
  saves: () => ({ inputs: [1] }),
  backward: (g, saved) => [apply(scatterOp, [g, saved.input(1)], saved.attrs), undefined],
})

const scatterOp: Op<Pick> = {
  name: 'scatterAdd',
  infer: ([values, index], { shape }) => {
    checkIndex('scatterAdd', index as Tensor)
    return { shape, dtype: (values as Tensor).dtype }
  },
  forward([values, index], pick, _, backend) {
    const l = loops(pick, index as Tensor)
    const { buffer } = (values as Tensor).storage
    return backend.scatterAdd(
      buffer,
      l.index,
      l.strides,
      l.axisStride,
      at(pick.shape, pick.axis),
      l.extents,
      sizeOf(pick.shape),
    )
  },
  saves: () => ({ inputs: [1] }),
  backward: (g, saved) => [apply(gatherAny, [g, saved.input(1)], saved.attrs), undefined],
}

const gatherAny = gatherOp('gather')
const indexSelectOp = gatherOp('indexSelect')

/**
 * out[i][j][k] = x[i][index[i][j][k]][k] for `dim` 1, and alike for other axes. `index` is int32 of x's rank and in no
 * other axis longer than x.
 */
export function gather(x: Tensor, dim: number, index: Tensor): Tensor {
  checkTensors('gather', { x, index })
  const axis = checkAxis('gather', dim, x.rank)
  if (index.rank !== x.rank || index.shape.some((extent, i) => i !== axis && extent > at(x.shape, i))) {
    throw new ShapeError(
      `gather: index expects rank ${x.rank} and at most the extents of x ${show(x.shape)} outside axis ${axis}, got ${show(index.shape)}`,
    )
  }
  return apply(gatherAny, [x, index], { axis, shape: x.shape, picked: index.shape, elementwise: true })
}

/** The slices of x at positions `index` (int32, rank 1) along `dim`, in that order. */
export function indexSelect(x: Tensor, dim: number, index: Tensor): Tensor {
  checkTensors('indexSelect', { x, index })
  const axis = checkAxis('indexSelect', dim, x.rank)
  if (index.rank !== 1) throw new ShapeError(`indexSelect: index expects rank 1, got ${show(index.shape)}`)
  const picked = x.shape.map((extent, i) => (i === axis ? at(index.shape, 0) : extent))
  return apply(indexSelectOp, [x, index], { axis, shape: x.shape, picked, elementwise: false })
}

/** Zeros of `shape` with `values` added at positions `index` (int32, of values' shape) along `dim`, in order. */
export function scatterAdd(shape: Shape, dim: number, index: Tensor, values: Tensor): Tensor {
  checkTensors('scatterAdd', { index, values })
  checkShape('scatterAdd', shape)
  const axis = checkAxis('scatterAdd', dim, shape.length)
  if (
    index.rank !== shape.length ||
    values.rank !== shape.length ||
    index.shape.some((extent, i) => extent !== values.shape[i] || (i !== axis && extent > at(shape, i)))
  ) {
    throw new ShapeError(
      `scatterAdd: index and values expect one shape that fits ${show(shape)} outside axis ${axis}, ` +
        `got ${show(index.shape)} and ${show(values.shape)}`,
    )
  }
  return apply(scatterOp, [values, index], { axis, shape, picked: values.shape, elementwise: true })
}

const embeddingOp = gatherOp('embedding')

/** Rows of `weight` (V, D) at the int32 positions `index` of any shape: (..., D). */
export function embedding(index: Tensor, weight: Tensor): Tensor {
  return local(() => {
    checkTensors('embedding', { index, weight })
    if (weight.rank !== 2) throw new ShapeError(`embedding: weight expects rank 2 (V, D), got ${show(weight.shape)}`)
    const flat = index.reshape([-1])
    const picked = [flat.size, at(weight.shape, 1)]
    const rows = apply(embeddingOp, [weight, flat], { axis: 0, shape: weight.shape, picked, elementwise: false })
    return rows.reshape([...index.shape, at(weight.shape, 1)])
  })
}

/** float32 tensor (..., classes) with 1 at each int32 position of `index` and 0 elsewhere. */
export function oneHot(index: Tensor, classes: number): Tensor {
  return local(() => {
    checkTensors('oneHot', { index })
    checkInteger('oneHot', 'classes', classes, 1)
    checkIndex('oneHot', index)
    const flat = index.reshape([-1])
    const ones = flat.makeFrom(flat.backend.fill('float32', flat.size, 1), [flat.size, 1])
    const shape = [flat.size, classes]
    return scatterAdd(shape, 1, flat.reshape([-1, 1]), ones).reshape([...index.shape, classes])
  })
}
