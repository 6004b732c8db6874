/**
 * Matrix products. With C = A B: dA = g B^T and dB = A^T g, summed over the batch axes that broadcasting repeated. The
 * transposes are flags of the kernel, no copies.
 */
import type { MatmulSpec } from '../backends/backend.ts'
import { ShapeError } from '../errors.ts'
import { apply, checkDType, checkFloat, checkOptionalTensor, checkTensors, type Op } from '../op.ts'
import { local } from '../scope.ts'
import { at, broadcastShapes, type Shape, show, sizeOf, stridesOf } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { sumAxes, sumTo } from './broadcast.ts'
import { reshape } from './reshape.ts'

interface MatmulAttrs {
  readonly transA: boolean
  readonly transB: boolean
}

/** Batch extents of A and B, their broadcast shape, and m, n, k. */
function matmulShape(a: Shape, b: Shape, { transA, transB }: MatmulAttrs): { batch: number[]; spec: MatmulSpec } {
  const [m, k] = transA ? [at(a, a.length - 1), at(a, a.length - 2)] : [at(a, a.length - 2), at(a, a.length - 1)]
  const [k2, n] = transB ? [at(b, b.length - 1), at(b, b.length - 2)] : [at(b, b.length - 2), at(b, b.length - 1)]
  if (k !== k2) {
    throw new ShapeError(`matmul: b expects ${k} rows, as a of shape ${show(a)} has columns, got ${k2} in ${show(b)}`)
  }
  const batchA = a.slice(0, -2)
  const batchB = b.slice(0, -2)
  const batch = broadcastShapes('matmul', [batchA, batchB])
  const offsets = (own: Shape, matrix: number): number[] => {
    const lead = batch.length - own.length
    const strides = stridesOf(own).map((stride, i) => (own[i] === 1 ? 0 : stride * matrix))
    const steps = stridesOf(batch)
    return Array.from({ length: sizeOf(batch) }, (_, index) =>
      strides.reduce((sum, stride, i) => {
        const extent = at(batch, lead + i)
        return sum + (Math.floor(index / at(steps, lead + i)) % extent) * stride
      }, 0),
    )
  }
  return {
    batch,
    spec: { m, n, k, transA, transB, offsetsA: offsets(batchA, m * k), offsetsB: offsets(batchB, k * n) },
  }
}

/** Operands are row-major in memory: rank 4 must have been reshaped. */
const matmulOp: Op<MatmulAttrs> = {
  name: 'matmul',
  infer([a, b], attrs) {
    const [x, y] = [a as Tensor, b as Tensor]
    checkFloat('matmul', 'a', x)
    checkDType('matmul', 'b', y, x.dtype)
    const { batch, spec } = matmulShape(x.shape, y.shape, attrs)
    return { shape: [...batch, spec.m, spec.n], dtype: x.dtype }
  },
  forward([a, b], attrs, _, backend) {
    const [x, y] = [a as Tensor, b as Tensor]
    return backend.matmul(x.storage.buffer, y.storage.buffer, null, matmulShape(x.shape, y.shape, attrs).spec)
  },
  saves: (_, [needA, needB]) => ({ inputs: [...(needA === true ? [1] : []), ...(needB === true ? [0] : [])] }),
  backward(g, saved) {
    const { transA, transB } = saved.attrs
    const gradient = (left: Tensor, right: Tensor, ta: boolean, tb: boolean, i: number): Tensor =>
      sumTo(apply(matmulOp, [left, right], { transA: ta, transB: tb }), saved.metas[i]?.shape ?? [])
    return [
      saved.needs[0] !== true
        ? undefined
        : transA
          ? gradient(saved.input(1), g, transB, true, 0)
          : gradient(g, saved.input(1), false, !transB, 0),
      saved.needs[1] !== true
        ? undefined
        : transB
          ? gradient(g, saved.input(0), true, transA, 1)
          : gradient(saved.input(0), g, !transA, false, 1),
    ]
  },
}

/** Rank-4 operands as rank 3 or 5, whose memory order is the logical one. */
function rowMajor(x: Tensor): Tensor {
  return x.rank === 4 ? reshape(x, [1, ...x.shape]) : x
}

/**
 * Matrix product of the last two axes, (..., m, k) by (..., k, n), with broadcasting of the axes before them. A vector
 * (k) counts as one row on the left and one column on the right, and its axis is dropped from the result.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  return local(() => {
    checkTensors('matmul', { a, b })
    if (a.rank === 0 || b.rank === 0) {
      throw new ShapeError(`matmul: expects at least rank 1, got ${show(a.shape)} and ${show(b.shape)}`)
    }
    const left = a.rank === 1 ? reshape(a, [1, a.size]) : a
    const right = b.rank === 1 ? reshape(b, [b.size, 1]) : b
    const product = apply(matmulOp, [rowMajor(left), rowMajor(right)], { transA: false, transB: false })
    const rank = Math.max(left.rank, right.rank)
    const shape = product.shape.slice(product.rank - rank)
    const kept = shape.filter((_, i) => !(a.rank === 1 && i === rank - 2) && !(b.rank === 1 && i === rank - 1))
    return kept.length === product.rank ? product : reshape(product, kept)
  })
}

const linearOp: Op<null> = {
  name: 'linear',
  infer([x, weight, bias]) {
    const [input, w] = [x as Tensor, weight as Tensor]
    checkFloat('linear', 'x', input)
    checkDType('linear', 'weight', w, input.dtype)
    const [out, features] = [at(w.shape, 0), at(w.shape, 1)]
    if (input.shape[1] !== features) {
      throw new ShapeError(
        `linear: x expects ${features} features, as weight ${show(w.shape)} has, got ${input.shape[1]}`,
      )
    }
    if (bias !== undefined) {
      checkDType('linear', 'bias', bias, input.dtype)
      if (bias.rank !== 1 || bias.size !== out)
        throw new ShapeError(`linear: bias expects (${out}), got ${show(bias.shape)}`)
    }
    return { shape: [at(input.shape, 0), out], dtype: input.dtype }
  },
  forward([x, weight, bias], _, meta, backend) {
    const [input, w] = [x as Tensor, weight as Tensor]
    const spec = {
      m: at(meta.shape, 0),
      n: at(meta.shape, 1),
      k: at(w.shape, 1),
      transA: false,
      transB: true,
      offsetsA: [0],
      offsetsB: [0],
    }
    return backend.matmul(input.storage.buffer, w.storage.buffer, bias?.storage.buffer ?? null, spec)
  },
  saves: (_, [needX, needW]) => ({ inputs: [...(needX === true ? [1] : []), ...(needW === true ? [0] : [])] }),
  backward: (g, saved) => [
    saved.needs[0] === true ? apply(matmulOp, [g, saved.input(1)], { transA: false, transB: false }) : undefined,
    saved.needs[1] === true ? apply(matmulOp, [g, saved.input(0)], { transA: true, transB: false }) : undefined,
    saved.needs[2] === true ? reshape(sumAxes(g, [0]), [-1]) : undefined,
  ],
}

/** x weight^T + bias: x (..., in), weight (out, in), bias (out) to (..., out). */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  return local(() => {
    checkTensors('linear', { x, weight })
    checkOptionalTensor('linear', 'bias', bias)
    if (weight.rank !== 2) throw new ShapeError(`linear: weight expects rank 2 (out, in), got ${show(weight.shape)}`)
    if (x.rank === 0) throw new ShapeError('linear: x expects at least rank 1 (..., in), got a scalar')
    const features = at(x.shape, x.rank - 1)
    const rows = x.rank === 2 ? x : reshape(x, [sizeOf(x.shape.slice(0, -1)), features])
    const y = apply(linearOp, [rows, weight, bias], null)
    return x.rank === 2 ? y : reshape(y, [...x.shape.slice(0, -1), at(weight.shape, 0)])
  })
}
