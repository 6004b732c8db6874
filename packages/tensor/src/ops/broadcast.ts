/** Repeating axes and its transpose, summing over them: what broadcasting does, forward and in the gradient. */
import { DTypeError, ShapeError } from '../errors.ts'
import { broadcastStrides, reductionSteps } from '../layout.ts'
import { apply, checkTensors, type Op } from '../op.ts'
import { checkShape, type Shape, sameShape, show } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { copyOf } from './copy.ts'
import { reshape } from './reshape.ts'

export interface ReduceAttrs {
  readonly kind: 'sum' | 'max' | 'min'
  readonly axes: readonly number[]
}

/** A reduction over axes, which stay with extent 1. */
export const reduceOp = (name: string): Op<ReduceAttrs> => ({
  name,
  infer: ([x], { axes, kind }) => {
    const input = x as Tensor
    if (input.dtype === 'bool') throw new DTypeError(`${name}: x expects numbers, got bool; convert with to()`)
    if (kind !== 'sum' && axes.some((axis) => input.shape[axis] === 0)) {
      throw new ShapeError(`${name}: x of shape ${show(input.shape)} has nothing to choose from`)
    }
    return { shape: input.shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent)), dtype: input.dtype }
  },
  forward([x], { kind, axes }, _, backend) {
    const input = x as Tensor
    const [first, ...more] = reductionSteps(input.shape, axes)
    let buffer = backend.reduce(kind, input.storage.buffer, first)
    for (const rows of more) {
      const next = backend.reduce(kind, buffer, rows)
      backend.free(buffer)
      buffer = next
    }
    return buffer
  },
  backward: (g, { metas }) => [expand(g, metas[0]?.shape ?? [])],
})

const sumOp = reduceOp('sum')

/** Sum over `axes` (checked, sorted), which stay with extent 1. */
export function sumAxes(x: Tensor, axes: readonly number[]): Tensor {
  return apply(sumOp, [x], { kind: 'sum', axes })
}

/** Sums `x` over the axes that broadcasting repeated, so that the result has `shape`. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x
  const lead = x.rank - shape.length
  const axes = x.shape.flatMap((extent, axis) =>
    axis < lead || (shape[axis - lead] === 1 && extent !== 1) ? [axis] : [],
  )
  return reshape(sumAxes(x, axes), shape)
}

const expandOp: Op<Shape> = {
  name: 'expand',
  infer: ([x], shape) => {
    const input = x as Tensor
    const lead = shape.length - input.rank
    if (lead < 0 || input.shape.some((extent, i) => extent !== 1 && extent !== shape[lead + i])) {
      throw new ShapeError(`expand: x of shape ${show(input.shape)} does not repeat to ${show(shape)}`)
    }
    return { shape, dtype: input.dtype }
  },
  forward: ([x], shape, meta, backend) =>
    copyOf(x as Tensor, meta, backend, { from: { strides: broadcastStrides((x as Tensor).shape, shape) } }),
  backward: (g, { metas }) => [sumTo(g, metas[0]?.shape ?? [])],
}

/** x repeated along axes of extent 1 to `shape`, by the rules of broadcasting. The repetition is a copy. */
export function expand(x: Tensor, shape: Shape): Tensor {
  checkTensors('expand', { x })
  checkShape('expand', shape)
  return sameShape(x.shape, shape) ? reshape(x, shape) : apply(expandOp, [x], shape)
}
