/**
 * Elementwise ops: one row each, a scalar formula and perhaps its derivative; see `formula-op.ts`.
 */

import type { DType } from '../dtype.ts'
import { ArgumentError, DTypeError } from '../errors.ts'
import { type Expr, f, type Term } from '../formula.ts'
import { apply, checkTensors, type Op, required } from '../op.ts'
import { checkOptionNames } from '../options.ts'
import { checkNumber } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { type Derivative, elementwise, forward, type Operand, operation, type Unary, unary } from './formula-op.ts'

// --- one operand ---

const normalCdf = (x: Expr): Expr => f.mul(0.5, f.add(1, f.erf(f.mul(x, Math.SQRT1_2))))
const clampTo = (x: Expr, low: Term, high: Term): Expr => f.min(f.max(x, low), high)
/** log(1 + e^(beta x)), or beta x itself beyond the threshold, where they are equal. */
const softplusOf = (x: Expr, threshold: Term): Expr => f.select(f.gt(x, threshold), x, f.log1p(f.exp(x)))

/** -x */
export const neg: Unary = unary('neg', 'number', f.neg)
/** |x|; gradient 0 at 0. */
export const abs: Unary = unary('abs', 'number', f.abs)
/** -1, 0 or 1. */
export const sign: Unary = unary('sign', 'number', (x) => f.sub(f.gt(x, 0), f.lt(x, 0)))
/** x * x */
export const square: Unary = unary('square', 'number', f.square, (_, x) => f.mul(2, x))
/** 1 / x */
export const reciprocal: Unary = unary(
  'reciprocal',
  'float',
  (x) => f.div(1, x),
  (y) => f.neg(f.square(y)),
)
/** Square root; NaN below 0. */
export const sqrt: Unary = unary('sqrt', 'float', f.sqrt, (y) => f.div(0.5, y))
/** 1 / sqrt(x) */
export const rsqrt: Unary = unary(
  'rsqrt',
  'float',
  (x) => f.div(1, f.sqrt(x)),
  (y) => f.mul(-0.5, f.mul(y, f.square(y))),
)
/** e^x */
export const exp: Unary = unary('exp', 'float', f.exp, (y) => y)
/** e^x - 1, exact near 0. */
export const expm1: Unary = unary('expm1', 'float', f.expm1, (y) => f.add(y, 1))
/** Natural logarithm. */
export const log: Unary = unary('log', 'float', f.log)
/** log(1 + x), exact near 0. */
export const log1p: Unary = unary('log1p', 'float', f.log1p, (_, x) => f.div(1, f.add(1, x)))
/** Sine of x in radians. */
export const sin: Unary = unary('sin', 'float', f.sin)
/** Cosine of x in radians. */
export const cos: Unary = unary('cos', 'float', f.cos)
/** Error function. */
export const erf: Unary = unary('erf', 'float', f.erf)
/** Largest integer not above x; gradient 0. */
export const floor: Unary = unary('floor', 'float', f.floor)
/** Smallest integer not below x; gradient 0. */
export const ceil: Unary = unary('ceil', 'float', f.ceil)
/** Nearest integer, halves to even; gradient 0. */
export const round: Unary = unary('round', 'float', f.round)
/** Integer part; gradient 0. */
export const trunc: Unary = unary('trunc', 'float', f.trunc)
/** Hyperbolic tangent. */
export const tanh: Unary = unary('tanh', 'float', f.tanh, (y) => f.sub(1, f.square(y)))
/** 1 / (1 + e^-x) */
export const sigmoid: Unary = unary('sigmoid', 'float', f.sigmoid)
/** max(x, 0); gradient 0 at 0. */
export const relu: Unary = unary(
  'relu',
  'number',
  (x) => f.max(x, 0),
  (y) => f.gt(y, 0),
)
/** min(max(x, 0), 6) */
export const relu6: Unary = unary(
  'relu6',
  'number',
  (x) => clampTo(x, 0, 6),
  (y) => f.and(f.gt(y, 0), f.lt(y, 6)),
)
/** x sigmoid(x), also called swish. Elfwing et al. 2017; Ramachandran et al. 2017. */
export const silu: Unary = unary(
  'silu',
  'float',
  (x) => f.mul(x, f.sigmoid(x)),
  (_, x) => f.mul(f.sigmoid(x), f.add(1, f.mul(x, f.sub(1, f.sigmoid(x))))),
)
/** x tanh(softplus(x)). Misra 2019. */
export const mish: Unary = unary('mish', 'float', (x) => f.mul(x, f.tanh(softplusOf(x, 20))))
/** max(0, min(1, x / 6 + 1 / 2)). Howard et al., MobileNetV3, 2019. */
export const hardsigmoid: Unary = unary(
  'hardsigmoid',
  'float',
  (x) => f.div(clampTo(f.add(x, 3), 0, 6), 6),
  // PyTorch's gradient takes 1/6 in float32 whatever the dtype; so does this one, to give the same numbers.
  (_, x) => f.select(f.and(f.gt(x, -3), f.lt(x, 3)), Math.fround(1 / 6), 0),
)
/** x hardsigmoid(x). Howard et al., MobileNetV3, 2019. */
export const hardswish: Unary = unary(
  'hardswish',
  'float',
  (x) => f.div(f.mul(x, clampTo(f.add(x, 3), 0, 6)), 6),
  (_, x) => f.select(f.lt(x, -3), 0, f.select(f.le(x, 3), f.add(f.div(x, 3), 0.5), 1)),
)
/** Truth value negated; takes and gives bool. */
export const logicalNot: Unary = unary('logicalNot', 'logical', f.not)
/** true where x is NaN. */
export const isnan: Unary = unary('isnan', 'comparison', (x) => f.ne(x, x))

const geluErf = unary(
  'gelu',
  'float',
  (x) => f.mul(x, normalCdf(x)),
  (_, x) => f.add(normalCdf(x), f.mul(x, f.mul(1 / Math.sqrt(2 * Math.PI), f.exp(f.mul(-0.5, f.square(x)))))),
)
const geluTanh = unary('gelu', 'float', (x) => {
  const inner = f.mul(Math.sqrt(2 / Math.PI), f.add(x, f.mul(0.044715, f.mul(x, f.square(x)))))
  return f.mul(f.mul(0.5, x), f.add(1, f.tanh(inner)))
})

/**
 * x Phi(x) with the normal distribution function Phi; `approximate: 'tanh'` uses the tanh formula instead of erf.
 * Hendrycks and Gimpel 2016.
 */
export function gelu(x: Tensor, options: { readonly approximate?: 'none' | 'tanh' } = {}): Tensor {
  checkOptionNames('gelu', options, ['approximate'])
  const approximate = options.approximate ?? 'none'
  if (approximate !== 'none' && approximate !== 'tanh') {
    throw new ArgumentError(`gelu: approximate expects 'none' or 'tanh', got ${String(approximate)}`)
  }
  return approximate === 'tanh' ? geluTanh(x) : geluErf(x)
}

const leakyReluOp = unary<[slope: number]>('leakyRelu', 'float', (x, slope) => f.select(f.gt(x, 0), x, f.mul(x, slope)))

/** x where positive, else slope * x. `negativeSlope` 0.01 by default. */
export function leakyRelu(x: Tensor, negativeSlope = 0.01): Tensor {
  return leakyReluOp(x, checkNumber('leakyRelu', 'negativeSlope', negativeSlope, -Infinity))
}

const eluOp = unary<[alpha: number]>(
  'elu',
  'float',
  (x, alpha) => f.select(f.gt(x, 0), x, f.mul(alpha, f.expm1(x))),
  (y, x, alpha) => f.select(f.gt(x, 0), 1, f.add(y, alpha)),
)

/** x where positive, else alpha * (e^x - 1). `alpha` 1 by default. Clevert et al. 2015. */
export function elu(x: Tensor, alpha = 1): Tensor {
  return eluOp(x, checkNumber('elu', 'alpha', alpha, -Infinity))
}

const softplusOp = unary<[beta: number, threshold: number]>(
  'softplus',
  'float',
  (x, beta, threshold) => f.div(softplusOf(f.mul(x, beta), threshold), beta),
  (_, x, beta, threshold) => f.select(f.gt(f.mul(x, beta), threshold), 1, f.sigmoid(f.mul(x, beta))),
)

/** log(1 + e^(beta x)) / beta; x itself where beta x exceeds `threshold`. */
export function softplus(x: Tensor, options: { readonly beta?: number; readonly threshold?: number } = {}): Tensor {
  checkOptionNames('softplus', options, ['beta', 'threshold'])
  const beta = checkNumber('softplus', 'beta', options.beta ?? 1, Number.MIN_VALUE)
  return softplusOp(x, beta, checkNumber('softplus', 'threshold', options.threshold ?? 20, -Infinity))
}

const clampOp = unary<[low: number, high: number]>('clamp', 'number', clampTo, (_, x, low, high) =>
  f.and(f.ge(x, low), f.le(x, high)),
)

/** x limited to [min, max]; either may be missing. The gradient is 1 within, bounds included, and 0 outside. */
export function clamp(x: Tensor, bounds: { readonly min?: number; readonly max?: number }): Tensor {
  const { min, max } = bounds ?? {}
  if (min === undefined && max === undefined) {
    throw new ArgumentError('clamp: bounds expects min, max or both, got neither')
  }
  const bound = (argument: string, value: number): number => checkNumber('clamp', argument, value, -Infinity)
  return clampOp(x, bound('min', min ?? -Infinity), bound('max', max ?? Infinity))
}

const castOp: Op<DType> = {
  name: 'to',
  infer: (inputs, dtype) => ({ shape: required('to', inputs, 0).shape, dtype }),
  forward: (inputs, _, meta, backend) => forward(f.input(0))(inputs, [], meta, backend),
  backward: (g, { metas }) => [apply(castOp, [g], metas[0]?.dtype ?? 'float32')],
}

/** The elements converted to `dtype`: towards zero for integers, `!= 0` for bool. Gradients flow between float dtypes. */
export function cast(x: Tensor, dtype: DType): Tensor {
  checkTensors('cast', { x })
  return apply(castOp, [x], dtype)
}

// --- two operands ---

type Binary = (a: Operand, b: Operand) => Tensor

/** The larger or smaller one passes the whole gradient, equal ones half each, as in PyTorch. */
const share =
  (wins: typeof f.gt): Derivative =>
  (i, operands) => {
    const [self, other] = [operands[i] as Expr, operands[1 - i] as Expr]
    return f.select(wins(self, other), 1, f.select(f.eq(self, other), 0.5, 0))
  }

const orNaN = (b: Expr, value: Expr): Expr => f.select(f.ne(b, b), b, value)

/** a + b with broadcasting. */
export const add: Binary = operation('add', 'number', f.add)
/** a - b with broadcasting. */
export const sub: Binary = operation('sub', 'number', f.sub)
/** a * b with broadcasting. */
export const mul: Binary = operation('mul', 'number', f.mul)
/** a / b with broadcasting; float tensors only. */
export const div: Binary = operation('div', 'float', f.div)
/** The larger of each pair; NaN where either is NaN. */
export const maximum: Binary = operation('maximum', 'number', (a, b) => orNaN(b, f.max(a, b)), share(f.gt))
/** The smaller of each pair; NaN where either is NaN. */
export const minimum: Binary = operation('minimum', 'number', (a, b) => orNaN(b, f.min(a, b)), share(f.lt))
/** max(a + b, 0), the end of a residual block, in one pass over memory; the gradient is kept by the output alone. */
export const addRelu: (a: Tensor, b: Tensor) => Tensor = elementwise('addRelu', (a, b) => f.max(f.add(a, b), 0), {
  derivative: (_, __, y) => f.gt(y, 0),
})
/** a < b, as bool. */
export const lt: Binary = operation('lt', 'comparison', f.lt)
/** a <= b, as bool. */
export const le: Binary = operation('le', 'comparison', f.le)
/** a > b, as bool. */
export const gt: Binary = operation('gt', 'comparison', f.gt)
/** a >= b, as bool. */
export const ge: Binary = operation('ge', 'comparison', f.ge)
/** a == b, as bool. */
export const eq: Binary = operation('eq', 'comparison', f.eq)
/** a != b, as bool. */
export const ne: Binary = operation('ne', 'comparison', f.ne)
/** a and b, of bool tensors. */
export const logicalAnd: (a: Tensor, b: Tensor) => Tensor = operation('logicalAnd', 'logical', f.and)
/** a or b, of bool tensors. */
export const logicalOr: (a: Tensor, b: Tensor) => Tensor = operation('logicalOr', 'logical', f.or)

const powOp: Binary = operation('pow', 'float', f.pow)

/** a to the power b with broadcasting; float tensors only. Powers 2, 0.5, -1 and -0.5 have kernels of their own. */
export function pow(a: Operand, b: Operand): Tensor {
  if (typeof a !== 'number') {
    if (b === 2) return square(a)
    if (b === 0.5) return sqrt(a)
    if (b === -1) return reciprocal(a)
    if (b === -0.5) return rsqrt(a)
  }
  return powOp(a, b)
}

// --- three operands ---

const select = operation('where', 'number', (c, a, b) => f.select(f.ne(c, 0), a, b), undefined, 1)

/** a where `condition` (bool) is true, else b, with broadcasting. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  checkTensors('where', { condition })
  if (condition.dtype !== 'bool') throw new DTypeError(`where: condition expects bool, got ${condition.dtype}`)
  if (typeof a === 'number' && typeof b === 'number') {
    throw new ArgumentError('where: expects at least one tensor beside the condition, got two numbers')
  }
  return select(condition, a, b)
}
