/**
 * Elementwise ops: one row each. A row is a scalar formula and, where the derivative by symbolic rules would be slow or
 * would have to save more, that derivative written by hand in terms of the operands and the output `y`.
 *
 * The gradient of y = formula(x_0, x_1, ...) by x_i is g * d_i summed over the axes along which x_i was repeated. The
 * derivative is a formula itself, so it runs as one kernel with the product, and it can be differentiated again.
 * What a derivative does not read is not saved: relu keeps only its output, add keeps nothing.
 */
import { type DType, isFloat } from '../dtype.ts'
import { ArgumentError, DTypeError } from '../errors.ts'
import { derive, type Expr, f, inputsOf, substitute } from '../formula.ts'
import { broadcastStrides, walk } from '../layout.ts'
import { apply, checkTensors, type Inputs, type Op, required, type Saved } from '../op.ts'
import { broadcastShapes, checkNumber } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { sumTo } from './broadcast.ts'

/** What dtypes a rule takes and gives. */
type Kind =
  /** Numbers of one dtype to the same dtype. */
  | 'number'
  /** float32 or float64 only. */
  | 'float'
  /** Numbers of one dtype to bool. */
  | 'comparison'
  /** Truth values to bool. */
  | 'logical'

/** An elementwise op. */
export interface Rule {
  readonly name: string
  readonly kind: Kind
  readonly arity: number
  readonly formula: Expr
  /** Derivative by operand i; operand number `arity` stands for the output. By symbolic differentiation if missing. */
  readonly derivative?: ((i: number) => Expr) | undefined
  /** By operand, made when first needed. */
  readonly gradients: GradientRule[]
}

interface MapAttrs {
  readonly rule: Rule
  readonly params: readonly number[]
  /** Dtype of the result where the kind leaves it open (casts). */
  readonly out?: DType
}

/** The product of the incoming gradient and one derivative, as an op of its own. */
interface GradientRule {
  /** undefined: the gradient passes unchanged. */
  readonly rule: Rule | undefined
  /** Operands of the rule after the gradient; number `arity` is the output. */
  readonly reads: readonly number[]
}

const truthValues: ReadonlySet<string> = new Set(['lt', 'le', 'gt', 'ge', 'eq', 'ne', 'and', 'or'])

function gradientRule(rule: Rule, i: number): GradientRule {
  rule.gradients[i] ??= makeGradientRule(rule, i)
  return rule.gradients[i]
}

function makeGradientRule(rule: Rule, i: number): GradientRule {
  const d = rule.derivative?.(i) ?? derive(rule.formula, i)
  if (d.kind === 'const' && d.value === 1) return { rule: undefined, reads: [] }
  const reads = [...inputsOf(d)].sort((a, b) => a - b)
  const formula = passGradient(substitute(d, (index) => f.input(1 + reads.indexOf(index))))
  return {
    rule: { name: `${rule.name} gradient`, kind: 'number', arity: 1 + reads.length, formula, gradients: [] },
    reads,
  }
}

/**
 * g (operand 0) times a derivative. Branches and masks select, they do not multiply: where the gradient is infinite or
 * NaN, a masked cell still gets 0.
 */
function passGradient(d: Expr): Expr {
  const g = f.input(0)
  if (d.kind === 'select') return f.select(d.condition, passGradient(d.a), passGradient(d.b))
  if (d.kind === 'binary' && truthValues.has(d.fn)) return f.select(d, g, 0)
  return f.mul(g, d)
}

function inferDType(rule: Rule, inputs: readonly Tensor[], out: DType | undefined): DType {
  const { name, kind } = rule
  let dtype: DType | undefined
  inputs.forEach((x, i) => {
    const position = inputs.length === 1 ? 'x' : `input ${i}`
    if (kind === 'logical') {
      if (x.dtype !== 'bool') throw new DTypeError(`${name}: ${position} expects bool, got ${x.dtype}`)
    } else if (kind === 'float' && !isFloat(x.dtype)) {
      throw new DTypeError(`${name}: ${position} expects float32 or float64, got ${x.dtype}`)
    }
    if (x.dtype === 'bool') return
    if (dtype !== undefined && x.dtype !== dtype) {
      throw new DTypeError(
        `${name}: ${position} expects ${dtype} as the input before, got ${x.dtype}; convert one with to()`,
      )
    }
    dtype = x.dtype
  })
  if (out !== undefined) return out
  if (kind === 'comparison' || kind === 'logical') return 'bool'
  if (dtype === undefined) throw new DTypeError(`${name}: expects numbers, got only bool; convert with to()`)
  return dtype
}

const mapOp = (rule: Rule): Op<MapAttrs> => ({
  name: rule.name,
  infer(inputs, { out }) {
    const list = inputs.map((_, i) => required(rule.name, inputs, i))
    return {
      dtype: inferDType(rule, list, out),
      shape:
        list.length === 1
          ? (list[0] as Tensor).shape
          : broadcastShapes(
              rule.name,
              list.map((x) => x.shape),
            ),
    }
  },
  forward(inputs, { params }, meta, backend) {
    const list = inputs as readonly Tensor[]
    const { extents, strides } = walk(
      meta.shape,
      list.map((x) => broadcastStrides(x.shape, meta.shape)),
    )
    const views = list.map((x, i) => ({ buffer: x.storage.buffer, offset: 0, strides: strides[i] ?? [] }))
    return backend.map(rule.formula, views, params, extents, meta.dtype)
  },
  saves(_, needs) {
    const reads = new Set(needs.flatMap((need, i) => (need ? gradientRule(rule, i).reads : [])))
    const output = reads.delete(rule.arity)
    return { inputs: [...reads], output }
  },
  backward: (g, saved) => mapGradient(rule, g, saved),
})

function mapGradient(rule: Rule, g: Tensor, saved: Saved<MapAttrs>): (Tensor | undefined)[] {
  const done: Map<string, Tensor> = new Map()
  return saved.needs.map((need, i) => {
    const meta = saved.metas[i]
    if (!need || meta === undefined) return undefined
    const { rule: step, reads } = gradientRule(rule, i)
    const operands = reads.map((k) => (k === rule.arity ? saved.output : saved.input(k)))
    const whole = step === undefined ? g : map(step, [g, ...operands], saved.attrs.params)
    const key = String(meta.shape)
    const former = step === undefined ? done.get(key) : undefined
    const result = former ?? sumTo(whole, meta.shape)
    if (step === undefined) done.set(key, result)
    return result
  })
}

const ops: WeakMap<Rule, Op<MapAttrs>> = new WeakMap()

/** Runs an elementwise rule. */
function map(rule: Rule, inputs: Inputs, params: readonly number[], out?: DType): Tensor {
  let op = ops.get(rule)
  if (op === undefined) {
    op = mapOp(rule)
    ops.set(rule, op)
  }
  return apply(op, inputs, out === undefined ? { rule, params } : { rule, params, out })
}

/** What makes up an elementwise op of one's own; see `elementwise`. */
export interface ElementwiseOptions {
  /**
   * Derivative by operand i, given the operands and the output, where the one found by symbolic differentiation is not
   * the best: `(i, [x], y) => y * (1 - y)` for a sigmoid.
   */
  readonly derivative?: (i: number, inputs: readonly Expr[], y: Expr) => Expr
}

/**
 * Makes an elementwise op from a scalar formula: broadcasting, gradients of any order and one kernel on every backend.
 *
 * ```ts
 * const swish = elementwise('swish', (x) => f.div(x, f.add(1, f.exp(f.neg(x)))))
 * const y = swish(x)
 * ```
 *
 * @param build gives the formula for as many operands as it has parameters. Operands are float tensors.
 */
export function elementwise(
  name: string,
  build: (...inputs: Expr[]) => Expr,
  options: ElementwiseOptions = {},
): (...inputs: Tensor[]) => Tensor {
  const rule = makeRule(name, 'float', build, options.derivative)
  return (...inputs) => {
    if (inputs.length !== rule.arity) {
      throw new ArgumentError(`${name}: expects ${rule.arity} tensors, got ${inputs.length}`)
    }
    return map(rule, inputs, [])
  }
}

function makeRule(
  name: string,
  kind: Kind,
  build: (...inputs: Expr[]) => Expr,
  derivative?: (i: number, inputs: readonly Expr[], y: Expr) => Expr,
): Rule {
  const arity = build.length
  const inputs = Array.from({ length: arity }, (_, i) => f.input(i))
  return {
    name,
    kind,
    arity,
    formula: build(...inputs),
    derivative: derivative && ((i) => derivative(i, inputs, f.input(arity))),
    gradients: [],
  }
}

// --- one operand ---

const p0: Expr = f.param(0)
const p1: Expr = f.param(1)

const logistic = (x: Expr): Expr => f.div(1, f.add(1, f.exp(f.neg(x))))
const softplusOf = (x: Expr): Expr => f.select(f.gt(x, 20), x, f.log1p(f.exp(x)))
const normalCdf = (x: Expr): Expr => f.mul(0.5, f.add(1, f.erf(f.mul(x, Math.SQRT1_2))))
const clampTo = (x: Expr, low: number, high: number): Expr => f.min(f.max(x, low), high)

function unaryRule(name: string, kind: Kind, build: (x: Expr) => Expr, derivative?: (x: Expr, y: Expr) => Expr): Rule {
  return makeRule(name, kind, (x) => build(x), derivative && ((_, [x], y) => derivative(x as Expr, y)))
}

const geluTanhInner = (x: Expr): Expr =>
  f.tanh(f.mul(Math.sqrt(2 / Math.PI), f.add(x, f.mul(0.044715, f.mul(x, f.square(x))))))

/** Rows of one operand. Functions of the same name below say what they are. */
const unaryRules = {
  neg: unaryRule('neg', 'number', f.neg),
  abs: unaryRule('abs', 'number', f.abs),
  sign: unaryRule('sign', 'number', (x) => f.sub(f.gt(x, 0), f.lt(x, 0))),
  square: unaryRule('square', 'number', f.square, (x) => f.mul(2, x)),
  reciprocal: unaryRule(
    'reciprocal',
    'float',
    (x) => f.div(1, x),
    (_, y) => f.neg(f.square(y)),
  ),
  sqrt: unaryRule('sqrt', 'float', f.sqrt, (_, y) => f.div(0.5, y)),
  rsqrt: unaryRule(
    'rsqrt',
    'float',
    (x) => f.div(1, f.sqrt(x)),
    (_, y) => f.mul(-0.5, f.mul(y, f.square(y))),
  ),
  exp: unaryRule('exp', 'float', f.exp, (_, y) => y),
  expm1: unaryRule('expm1', 'float', f.expm1, (_, y) => f.add(y, 1)),
  log: unaryRule('log', 'float', f.log),
  log1p: unaryRule('log1p', 'float', f.log1p, (x) => f.div(1, f.add(1, x))),
  sin: unaryRule('sin', 'float', f.sin),
  cos: unaryRule('cos', 'float', f.cos),
  erf: unaryRule('erf', 'float', f.erf),
  floor: unaryRule('floor', 'float', f.floor),
  ceil: unaryRule('ceil', 'float', f.ceil),
  round: unaryRule('round', 'float', f.round),
  trunc: unaryRule('trunc', 'float', f.trunc),
  tanh: unaryRule('tanh', 'float', f.tanh, (_, y) => f.sub(1, f.square(y))),
  sigmoid: unaryRule('sigmoid', 'float', logistic, (_, y) => f.mul(y, f.sub(1, y))),
  relu: unaryRule(
    'relu',
    'number',
    (x) => f.max(x, 0),
    (_, y) => f.gt(y, 0),
  ),
  relu6: unaryRule(
    'relu6',
    'number',
    (x) => clampTo(x, 0, 6),
    (_, y) => f.and(f.gt(y, 0), f.lt(y, 6)),
  ),
  silu: unaryRule(
    'silu',
    'float',
    (x) => f.div(x, f.add(1, f.exp(f.neg(x)))),
    (x) => f.mul(logistic(x), f.add(1, f.mul(x, f.sub(1, logistic(x))))),
  ),
  mish: unaryRule('mish', 'float', (x) => f.mul(x, f.tanh(softplusOf(x)))),
  gelu: unaryRule(
    'gelu',
    'float',
    (x) => f.mul(x, normalCdf(x)),
    (x) => f.add(normalCdf(x), f.mul(x, f.mul(1 / Math.sqrt(2 * Math.PI), f.exp(f.mul(-0.5, f.square(x)))))),
  ),
  geluTanh: unaryRule('gelu', 'float', (x) => f.mul(f.mul(0.5, x), f.add(1, geluTanhInner(x)))),
  hardsigmoid: unaryRule(
    'hardsigmoid',
    'float',
    (x) => f.div(clampTo(f.add(x, 3), 0, 6), 6),
    // PyTorch's gradient takes 1/6 in float32 whatever the dtype; so does this one, to give the same numbers.
    (x) => f.select(f.and(f.gt(x, -3), f.lt(x, 3)), Math.fround(1 / 6), 0),
  ),
  hardswish: unaryRule(
    'hardswish',
    'float',
    (x) => f.div(f.mul(x, clampTo(f.add(x, 3), 0, 6)), 6),
    (x) => f.select(f.lt(x, -3), 0, f.select(f.le(x, 3), f.add(f.div(x, 3), 0.5), 1)),
  ),
  leakyRelu: unaryRule('leakyRelu', 'float', (x) => f.select(f.gt(x, 0), x, f.mul(x, p0))),
  elu: unaryRule(
    'elu',
    'float',
    (x) => f.select(f.gt(x, 0), x, f.mul(p0, f.expm1(x))),
    (x, y) => f.select(f.gt(x, 0), 1, f.add(y, p0)),
  ),
  softplus: unaryRule(
    'softplus',
    'float',
    (x) => f.div(f.select(f.gt(f.mul(x, p0), p1), f.mul(x, p0), f.log1p(f.exp(f.mul(x, p0)))), p0),
    (x) => f.select(f.gt(f.mul(x, p0), p1), 1, logistic(f.mul(x, p0))),
  ),
  logicalNot: unaryRule('logicalNot', 'logical', f.not),
  isnan: unaryRule('isnan', 'comparison', (x) => f.ne(x, x)),
  clampMin: unaryRule(
    'clamp',
    'number',
    (x) => f.max(x, p0),
    (x) => f.ge(x, p0),
  ),
  clampMax: unaryRule(
    'clamp',
    'number',
    (x) => f.min(x, p0),
    (x) => f.le(x, p0),
  ),
  clampBoth: unaryRule(
    'clamp',
    'number',
    (x) => f.min(f.max(x, p0), p1),
    (x) => f.and(f.ge(x, p0), f.le(x, p1)),
  ),
  cast: unaryRule('to', 'number', (x) => x),
} as const

/** -x */
export const neg = (x: Tensor): Tensor => map(unaryRules.neg, [x], [])
/** |x|; gradient 0 at 0. */
export const abs = (x: Tensor): Tensor => map(unaryRules.abs, [x], [])
/** -1, 0 or 1. */
export const sign = (x: Tensor): Tensor => map(unaryRules.sign, [x], [])
/** x * x */
export const square = (x: Tensor): Tensor => map(unaryRules.square, [x], [])
/** 1 / x */
export const reciprocal = (x: Tensor): Tensor => map(unaryRules.reciprocal, [x], [])
/** Square root; NaN below 0. */
export const sqrt = (x: Tensor): Tensor => map(unaryRules.sqrt, [x], [])
/** 1 / sqrt(x) */
export const rsqrt = (x: Tensor): Tensor => map(unaryRules.rsqrt, [x], [])
/** e^x */
export const exp = (x: Tensor): Tensor => map(unaryRules.exp, [x], [])
/** e^x - 1, exact near 0. */
export const expm1 = (x: Tensor): Tensor => map(unaryRules.expm1, [x], [])
/** Natural logarithm. */
export const log = (x: Tensor): Tensor => map(unaryRules.log, [x], [])
/** log(1 + x), exact near 0. */
export const log1p = (x: Tensor): Tensor => map(unaryRules.log1p, [x], [])
/** Sine of x in radians. */
export const sin = (x: Tensor): Tensor => map(unaryRules.sin, [x], [])
/** Cosine of x in radians. */
export const cos = (x: Tensor): Tensor => map(unaryRules.cos, [x], [])
/** Error function. */
export const erf = (x: Tensor): Tensor => map(unaryRules.erf, [x], [])
/** Largest integer not above x; gradient 0. */
export const floor = (x: Tensor): Tensor => map(unaryRules.floor, [x], [])
/** Smallest integer not below x; gradient 0. */
export const ceil = (x: Tensor): Tensor => map(unaryRules.ceil, [x], [])
/** Nearest integer, halves to even; gradient 0. */
export const round = (x: Tensor): Tensor => map(unaryRules.round, [x], [])
/** Integer part; gradient 0. */
export const trunc = (x: Tensor): Tensor => map(unaryRules.trunc, [x], [])
/** Hyperbolic tangent. */
export const tanh = (x: Tensor): Tensor => map(unaryRules.tanh, [x], [])
/** 1 / (1 + e^-x) */
export const sigmoid = (x: Tensor): Tensor => map(unaryRules.sigmoid, [x], [])
/** max(x, 0); gradient 0 at 0. */
export const relu = (x: Tensor): Tensor => map(unaryRules.relu, [x], [])
/** min(max(x, 0), 6) */
export const relu6 = (x: Tensor): Tensor => map(unaryRules.relu6, [x], [])
/** x sigmoid(x), also called swish. Elfwing et al. 2017; Ramachandran et al. 2017. */
export const silu = (x: Tensor): Tensor => map(unaryRules.silu, [x], [])
/** x tanh(softplus(x)). Misra 2019. */
export const mish = (x: Tensor): Tensor => map(unaryRules.mish, [x], [])
/** max(0, min(1, x / 6 + 1 / 2)). Howard et al., MobileNetV3, 2019. */
export const hardsigmoid = (x: Tensor): Tensor => map(unaryRules.hardsigmoid, [x], [])
/** x hardsigmoid(x). Howard et al., MobileNetV3, 2019. */
export const hardswish = (x: Tensor): Tensor => map(unaryRules.hardswish, [x], [])
/** Truth value negated; takes and gives bool. */
export const logicalNot = (x: Tensor): Tensor => map(unaryRules.logicalNot, [x], [])
/** true where x is NaN. */
export const isnan = (x: Tensor): Tensor => map(unaryRules.isnan, [x], [])

/**
 * x Phi(x) with the normal distribution function Phi; `approximate: 'tanh'` uses the tanh formula instead of erf.
 * Hendrycks and Gimpel 2016.
 */
export function gelu(x: Tensor, options: { readonly approximate?: 'none' | 'tanh' } = {}): Tensor {
  const approximate = options.approximate ?? 'none'
  if (approximate !== 'none' && approximate !== 'tanh') {
    throw new ArgumentError(`gelu: approximate expects 'none' or 'tanh', got ${String(approximate)}`)
  }
  return map(approximate === 'tanh' ? unaryRules.geluTanh : unaryRules.gelu, [x], [])
}

/** x where positive, else slope * x. `negativeSlope` 0.01 by default. */
export function leakyRelu(x: Tensor, negativeSlope = 0.01): Tensor {
  return map(unaryRules.leakyRelu, [x], [checkNumber('leakyRelu', 'negativeSlope', negativeSlope, -Infinity)])
}

/** x where positive, else alpha * (e^x - 1). `alpha` 1 by default. Clevert et al. 2015. */
export function elu(x: Tensor, alpha = 1): Tensor {
  return map(unaryRules.elu, [x], [checkNumber('elu', 'alpha', alpha, -Infinity)])
}

/** log(1 + e^(beta x)) / beta; x itself where beta x exceeds `threshold`. */
export function softplus(x: Tensor, options: { readonly beta?: number; readonly threshold?: number } = {}): Tensor {
  const beta = checkNumber('softplus', 'beta', options.beta ?? 1, Number.MIN_VALUE)
  return map(unaryRules.softplus, [x], [beta, checkNumber('softplus', 'threshold', options.threshold ?? 20, -Infinity)])
}

/** x limited to [min, max]; either may be missing. The gradient is 1 within, bounds included, and 0 outside. */
export function clamp(x: Tensor, bounds: { readonly min?: number; readonly max?: number }): Tensor {
  const { min, max } = bounds ?? {}
  if (min !== undefined) checkNumber('clamp', 'min', min, -Infinity)
  if (max !== undefined) checkNumber('clamp', 'max', max, -Infinity)
  if (min !== undefined && max !== undefined) return map(unaryRules.clampBoth, [x], [min, max])
  if (min !== undefined) return map(unaryRules.clampMin, [x], [min])
  if (max !== undefined) return map(unaryRules.clampMax, [x], [max])
  throw new ArgumentError('clamp: bounds expects min, max or both, got neither')
}

const castOp: Op<DType> = {
  name: 'to',
  infer: (inputs, dtype) => ({ shape: required('to', inputs, 0).shape, dtype }),
  forward: ([x], dtype, meta, backend) => {
    const source = x as Tensor
    const { extents, strides } = walk(meta.shape, [broadcastStrides(meta.shape, meta.shape)])
    const view = { buffer: source.storage.buffer, offset: 0, strides: strides[0] ?? [] }
    return backend.map(unaryRules.cast.formula, [view], [], extents, dtype)
  },
  backward: (g, { metas }) => [apply(castOp, [g], metas[0]?.dtype ?? 'float32')],
}

/** The elements converted to `dtype`: towards zero for integers, `!= 0` for bool. Gradients flow between float dtypes. */
export function cast(x: Tensor, dtype: DType): Tensor {
  checkTensors('cast', { x })
  return apply(castOp, [x], dtype)
}

// --- two operands ---

interface BinaryRows {
  /** Tensor with tensor. */
  readonly both: Rule
  /** Tensor with number on the right, and on the left. */
  readonly right: Rule
  readonly left: Rule
}

function binaryRows(
  name: string,
  kind: Kind,
  build: (a: Expr, b: Expr) => Expr,
  derivative?: (i: number, inputs: readonly Expr[], y: Expr) => Expr,
): BinaryRows {
  return {
    both: makeRule(name, kind, (a, b) => build(a, b), derivative),
    right: makeRule(name, kind, (a) => build(a, p0), derivative && ((i, [a], y) => derivative(i, [a as Expr, p0], y))),
    left: makeRule(
      name,
      kind,
      (b) => build(p0, b),
      derivative && ((i, [b], y) => derivative(i + 1, [p0, b as Expr], y)),
    ),
  }
}

/** The larger or smaller one passes the whole gradient, equal ones half each, as in PyTorch. */
const share =
  (wins: typeof f.gt) =>
  (i: number, [a, b]: readonly Expr[]): Expr => {
    const [self, other] = i === 0 ? [a as Expr, b as Expr] : [b as Expr, a as Expr]
    return f.select(wins(self, other), 1, f.select(f.eq(self, other), 0.5, 0))
  }

const orNaN = (b: Expr, value: Expr): Expr => f.select(f.ne(b, b), b, value)

const binaryRules = {
  add: binaryRows('add', 'number', f.add),
  sub: binaryRows('sub', 'number', f.sub),
  mul: binaryRows('mul', 'number', f.mul),
  div: binaryRows('div', 'float', f.div),
  pow: binaryRows('pow', 'float', f.pow),
  maximum: binaryRows('maximum', 'number', (a, b) => orNaN(b, f.max(a, b)), share(f.gt)),
  minimum: binaryRows('minimum', 'number', (a, b) => orNaN(b, f.min(a, b)), share(f.lt)),
  lt: binaryRows('lt', 'comparison', f.lt),
  le: binaryRows('le', 'comparison', f.le),
  gt: binaryRows('gt', 'comparison', f.gt),
  ge: binaryRows('ge', 'comparison', f.ge),
  eq: binaryRows('eq', 'comparison', f.eq),
  ne: binaryRows('ne', 'comparison', f.ne),
  logicalAnd: binaryRows('logicalAnd', 'logical', f.and),
  logicalOr: binaryRows('logicalOr', 'logical', f.or),
} as const

/** An operand: a tensor, or a number of the other operand's dtype. At least one must be a tensor. */
export type Operand = Tensor | number

function binary(rows: BinaryRows, a: Operand, b: Operand): Tensor {
  if (typeof a === 'number') {
    if (typeof b === 'number')
      throw new ArgumentError(`${rows.both.name}: expects at least one tensor, got two numbers`)
    return map(rows.left, [b], [a])
  }
  return typeof b === 'number' ? map(rows.right, [a], [b]) : map(rows.both, [a, b], [])
}

/** a + b with broadcasting. */
export const add = (a: Operand, b: Operand): Tensor => binary(binaryRules.add, a, b)
/** a - b with broadcasting. */
export const sub = (a: Operand, b: Operand): Tensor => binary(binaryRules.sub, a, b)
/** a * b with broadcasting. */
export const mul = (a: Operand, b: Operand): Tensor => binary(binaryRules.mul, a, b)
/** a / b with broadcasting; float tensors only. */
export const div = (a: Operand, b: Operand): Tensor => binary(binaryRules.div, a, b)
/** The larger of each pair; NaN where either is NaN. */
export const maximum = (a: Operand, b: Operand): Tensor => binary(binaryRules.maximum, a, b)
/** The smaller of each pair; NaN where either is NaN. */
export const minimum = (a: Operand, b: Operand): Tensor => binary(binaryRules.minimum, a, b)
/** a < b, as bool. */
export const lt = (a: Operand, b: Operand): Tensor => binary(binaryRules.lt, a, b)
/** a <= b, as bool. */
export const le = (a: Operand, b: Operand): Tensor => binary(binaryRules.le, a, b)
/** a > b, as bool. */
export const gt = (a: Operand, b: Operand): Tensor => binary(binaryRules.gt, a, b)
/** a >= b, as bool. */
export const ge = (a: Operand, b: Operand): Tensor => binary(binaryRules.ge, a, b)
/** a == b, as bool. */
export const eq = (a: Operand, b: Operand): Tensor => binary(binaryRules.eq, a, b)
/** a != b, as bool. */
export const ne = (a: Operand, b: Operand): Tensor => binary(binaryRules.ne, a, b)
/** a and b, of bool tensors. */
export const logicalAnd = (a: Tensor, b: Tensor): Tensor => binary(binaryRules.logicalAnd, a, b)
/** a or b, of bool tensors. */
export const logicalOr = (a: Tensor, b: Tensor): Tensor => binary(binaryRules.logicalOr, a, b)

/** a to the power b with broadcasting; float tensors only. Powers 2, 0.5, -1 and -0.5 have kernels of their own. */
export function pow(a: Operand, b: Operand): Tensor {
  if (typeof a !== 'number') {
    if (b === 2) return square(a)
    if (b === 0.5) return sqrt(a)
    if (b === -1) return reciprocal(a)
    if (b === -0.5) return rsqrt(a)
  }
  return binary(binaryRules.pow, a, b)
}

// --- three operands ---

const selects = {
  both: makeRule('where', 'number', (c, a, b) => f.select(f.ne(c, 0), a, b)),
  right: makeRule('where', 'number', (c, a) => f.select(f.ne(c, 0), a, p0)),
  left: makeRule('where', 'number', (c, b) => f.select(f.ne(c, 0), p0, b)),
} as const

/** a where `condition` (bool) is true, else b, with broadcasting. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  checkTensors('where', { condition })
  if (condition.dtype !== 'bool') throw new DTypeError(`where: condition expects bool, got ${condition.dtype}`)
  if (typeof a === 'number') {
    if (typeof b === 'number')
      throw new ArgumentError('where: expects at least one tensor beside the condition, got two numbers')
    return map(selects.left, [condition, b], [a])
  }
  return typeof b === 'number' ? map(selects.right, [condition, a], [b]) : map(selects.both, [condition, a, b], [])
}
