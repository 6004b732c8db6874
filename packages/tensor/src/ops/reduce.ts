/**
 * Reductions. The gradient of a sum repeats g along the axes that were summed over; everything else here is made of
 * sums, elementwise ops and gathering, so gradients of any order follow.
 */
import { DTypeError, ShapeError } from '../errors.ts'
import { f } from '../formula.ts'
import { rowsAround } from '../layout.ts'
import { apply, checkFloat, checkTensors, type Op } from '../op.ts'
import { checkOptionNames, optionNames } from '../options.ts'
import { local } from '../scope.ts'
import { at, checkAxes, checkAxis, checkInteger, checkNumber } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { type ReduceAttrs, reduceOp, sumAxes } from './broadcast.ts'
import { abs, cast, clamp, div, eq, mul, pow, sqrt, square, sub } from './elementwise.ts'
import { elementwise } from './formula-op.ts'
import { gather } from './gather.ts'
import { reshape } from './reshape.ts'

/** Which axes to reduce and whether they stay, with extent 1. */
export interface ReduceOptions {
  /** Axis or axes; all of them by default. */
  readonly dim?: number | readonly number[]
  /** Keeps reduced axes with extent 1. Default false. */
  readonly keepdim?: boolean
}

const reduceOptions = optionNames<ReduceOptions>({ dim: true, keepdim: true })

function finish(x: Tensor, reduced: Tensor, axes: readonly number[], keepdim: boolean | undefined): Tensor {
  if (keepdim === true || axes.length === 0) return reduced
  return reshape(
    reduced,
    x.shape.filter((_, axis) => !axes.includes(axis)),
  )
}

/** Sum over `dim`; of bool the int32 count of true. */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return local(() => {
    checkTensors('sum', { x })
    checkOptionNames('sum', options, reduceOptions)
    const axes = checkAxes('sum', options.dim, x.rank)
    const numbers = x.dtype === 'bool' ? cast(x, 'int32') : x
    return finish(x, sumAxes(numbers, axes), axes, options.keepdim)
  })
}

/** Mean over `dim`, of float tensors. Of nothing it is NaN. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  return local(() => {
    checkTensors('mean', { x })
    checkOptionNames('mean', options, reduceOptions)
    checkFloat('mean', 'x', x)
    const axes = checkAxes('mean', options.dim, x.rank)
    const count = axes.reduce((n, axis) => n * at(x.shape, axis), 1)
    return finish(x, div(sumAxes(x, axes), count), axes, options.keepdim)
  })
}

export interface VarianceOptions extends ReduceOptions {
  /** Divides by n - 1 instead of n. Default true, as in PyTorch. */
  readonly unbiased?: boolean
}

const varianceOptions = optionNames<VarianceOptions>({ dim: true, keepdim: true, unbiased: true })

/** Variance over `dim`, of float tensors. PyTorch's `var`. */
export function variance(x: Tensor, options: VarianceOptions = {}): Tensor {
  return local(() => {
    checkTensors('variance', { x })
    checkOptionNames('variance', options, varianceOptions)
    checkFloat('variance', 'x', x)
    const axes = checkAxes('variance', options.dim, x.rank)
    const count = axes.reduce((n, axis) => n * at(x.shape, axis), 1)
    const centred = sub(x, mean(x, { dim: axes, keepdim: true }))
    const total = sumAxes(square(centred), axes)
    return finish(x, div(total, Math.max(0, count - (options.unbiased === false ? 0 : 1))), axes, options.keepdim)
  })
}

/** Standard deviation over `dim`, of float tensors. */
export function std(x: Tensor, options: VarianceOptions = {}): Tensor {
  checkTensors('std', { x })
  checkOptionNames('std', options, varianceOptions)
  return local(() => sqrt(variance(x, options)))
}

/** The largest or smallest over axes; the gradient is shared evenly among equal extremes (PyTorch's amax, amin). */
const extremeOp = (kind: 'max' | 'min'): Op<ReduceAttrs> => ({
  ...reduceOp(`a${kind}`),
  saves: () => ({ inputs: [0], output: true }),
  backward(g, saved) {
    const x = saved.input(0)
    const mask = cast(eq(x, saved.output), x.dtype)
    const count = sumAxes(mask, saved.attrs.axes)
    return [mul(mask, div(g, count))]
  },
})

const amaxOp = extremeOp('max')
const aminOp = extremeOp('min')

/** Largest value over `dim`; equal ones share the gradient evenly. */
export function amax(x: Tensor, options: ReduceOptions = {}): Tensor {
  return local(() => {
    checkTensors('amax', { x })
    checkOptionNames('amax', options, reduceOptions)
    const axes = checkAxes('amax', options.dim, x.rank)
    return finish(x, apply(amaxOp, [x], { kind: 'max', axes }), axes, options.keepdim)
  })
}

/** Smallest value over `dim`; equal ones share the gradient evenly. */
export function amin(x: Tensor, options: ReduceOptions = {}): Tensor {
  return local(() => {
    checkTensors('amin', { x })
    checkOptionNames('amin', options, reduceOptions)
    const axes = checkAxes('amin', options.dim, x.rank)
    return finish(x, apply(aminOp, [x], { kind: 'min', axes }), axes, options.keepdim)
  })
}

interface ArgAttrs {
  readonly kind: 'max' | 'min' | 'topk' | 'bottomk'
  readonly axis: number
  readonly k: number
}

const argOp = (name: string): Op<ArgAttrs> => ({
  name,
  infer: ([x], { axis, k }) => {
    const input = x as Tensor
    if (input.dtype === 'bool') throw new DTypeError(`${name}: x expects numbers, got bool; convert with to()`)
    const extent = at(input.shape, axis)
    if (k > extent || extent === 0) {
      throw new ShapeError(
        `${name}: ${extent === 0 ? 'x' : 'k'} expects at most the ${extent} elements along axis ${axis}, got ${k}`,
      )
    }
    return { shape: input.shape.map((e, i) => (i === axis ? k : e)), dtype: 'int32' }
  },
  forward([x], { kind, axis, k }, _, backend) {
    const input = x as Tensor
    const rows = rowsAround(input.shape, axis)
    return kind === 'max' || kind === 'min'
      ? backend.argReduce(kind, input.storage.buffer, rows)
      : backend.topk(input.storage.buffer, rows, k, kind === 'topk')
  },
})

export interface ArgOptions {
  /** Axis to search along; over the flattened tensor by default. */
  readonly dim?: number
  /** Keeps the axis with extent 1. Default false. */
  readonly keepdim?: boolean
}

const argOptions = optionNames<ArgOptions>({ dim: true, keepdim: true })

const argmaxOp = argOp('argmax')
const argminOp = argOp('argmin')
const topkOp = argOp('topk')

function argExtreme(op: Op<ArgAttrs>, kind: 'max' | 'min', x: Tensor, options: ArgOptions): Tensor {
  return local(() => {
    checkTensors(op.name, { x })
    checkOptionNames(op.name, options, argOptions)
    if (options.dim === undefined) {
      const flat = reshape(x, [-1])
      const index = apply(op, [flat], { kind, axis: 0, k: 1 })
      return reshape(index, options.keepdim === true ? x.shape.map(() => 1) : [])
    }
    const axis = checkAxis(op.name, options.dim, x.rank)
    return finish(x, apply(op, [x], { kind, axis, k: 1 }), [axis], options.keepdim)
  })
}

/** int32 position of the largest element along `dim`; the first among equals. */
export function argmax(x: Tensor, options: ArgOptions = {}): Tensor {
  return argExtreme(argmaxOp, 'max', x, options)
}

/** int32 position of the smallest element along `dim`; the first among equals. */
export function argmin(x: Tensor, options: ArgOptions = {}): Tensor {
  return argExtreme(argminOp, 'min', x, options)
}

/** Values and their int32 positions along an axis. */
export interface ValuesAndIndices {
  readonly values: Tensor
  readonly indices: Tensor
}

function extremeAlong(
  name: string,
  op: Op<ArgAttrs>,
  kind: 'max' | 'min',
  x: Tensor,
  dim: number,
  options: { readonly keepdim?: boolean },
): ValuesAndIndices {
  return local(() => {
    checkTensors(name, { x })
    checkOptionNames(name, options, ['keepdim'])
    const { keepdim = false } = options
    const axis = checkAxis(name, dim, x.rank)
    const indices = apply(op, [x], { kind, axis, k: 1 })
    const values = gather(x, axis, indices)
    return keepdim
      ? { values, indices }
      : { values: finish(x, values, [axis], false), indices: finish(x, indices, [axis], false) }
  })
}

/** Largest value and its position along `dim`; the gradient goes to that position. */
export function max(x: Tensor, dim: number, options: { readonly keepdim?: boolean } = {}): ValuesAndIndices {
  return extremeAlong('max', argmaxOp, 'max', x, dim, options)
}

/** Smallest value and its position along `dim`; the gradient goes to that position. */
export function min(x: Tensor, dim: number, options: { readonly keepdim?: boolean } = {}): ValuesAndIndices {
  return extremeAlong('min', argminOp, 'min', x, dim, options)
}

export interface TopkOptions {
  /** Axis to search along. Default -1. */
  readonly dim?: number
  /** The k largest (default) or the k smallest. */
  readonly largest?: boolean
}

const topkOptions = optionNames<TopkOptions>({ dim: true, largest: true })

/** The k largest values along `dim` with their positions, in falling order (rising with `largest: false`). */
export function topk(x: Tensor, k: number, options: TopkOptions = {}): ValuesAndIndices {
  return local(() => {
    checkTensors('topk', { x })
    checkOptionNames('topk', options, topkOptions)
    checkInteger('topk', 'k', k, 1)
    const axis = checkAxis('topk', options.dim ?? -1, x.rank)
    const indices = apply(topkOp, [x], { kind: options.largest === false ? 'bottomk' : 'topk', axis, k })
    return { values: gather(x, axis, indices), indices }
  })
}

/** Square root whose gradient at 0 is 0, so that the norm of a zero vector has one. */
const rootOfSquares = elementwise('norm', (x) => f.sqrt(x), {
  derivative: (_, __, y) => f.select(f.gt(y, 0), f.div(0.5, y), 0),
})

export interface NormOptions extends ReduceOptions {
  /** Order: 1, 2 (default), any positive number, or Infinity for the largest magnitude. */
  readonly p?: number
}

const normOptions = optionNames<NormOptions>({ dim: true, keepdim: true, p: true })

/** Vector norm (sum |x|^p)^(1/p) over `dim`, of float tensors. */
export function norm(x: Tensor, options: NormOptions = {}): Tensor {
  return local(() => {
    checkTensors('norm', { x })
    checkOptionNames('norm', options, normOptions)
    checkFloat('norm', 'x', x)
    const { p: order = 2, ...over } = options
    const p = checkNumber('norm', 'p', order, Number.MIN_VALUE)
    if (p === 1) return sum(abs(x), over)
    if (p === 2) return rootOfSquares(sum(square(x), over))
    if (p === Infinity) return amax(abs(x), over)
    return pow(sum(pow(abs(x), p), over), 1 / p)
  })
}

export interface L2NormalizeOptions {
  /** Axis whose vectors get length 1. Default 1. */
  readonly dim?: number
  /** Smallest length to divide by. Default 1e-12. */
  readonly eps?: number
}

const l2NormalizeOptions = optionNames<L2NormalizeOptions>({ dim: true, eps: true })

/** x divided by its Euclidean length along `dim`, as `torch.nn.functional.normalize`. */
export function l2Normalize(x: Tensor, options: L2NormalizeOptions = {}): Tensor {
  return local(() => {
    checkTensors('l2Normalize', { x })
    checkOptionNames('l2Normalize', options, l2NormalizeOptions)
    checkFloat('l2Normalize', 'x', x)
    const eps = checkNumber('l2Normalize', 'eps', options.eps ?? 1e-12, 0)
    const axis = checkAxis('l2Normalize', options.dim ?? 1, x.rank)
    const length = norm(x, { dim: axis, keepdim: true })
    return div(x, clamp(length, { min: eps }))
  })
}
