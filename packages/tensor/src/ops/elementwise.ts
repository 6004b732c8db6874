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
import { derive, type Expr, f, formulaKey, inputsOf, substitute, type Term } from '../formula.ts'
import { broadcastWalk } from '../layout.ts'
import { apply, checkTensors, type Op, required, type Saves } from '../op.ts'
import { broadcastShapes, checkNumber, type Shape, sameShape } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { sumTo } from './broadcast.ts'

/** What dtypes an op takes and gives. */
type Kind =
  /** Numbers of one dtype to the same dtype. */
  | 'number'
  /** float32 or float64 only. */
  | 'float'
  /** Numbers of one dtype to bool. */
  | 'comparison'
  /** Truth values to bool. */
  | 'logical'

/** A formula of tensors as an op; its attributes are the numbers that the formula takes beside them. */
type Rule = Op<readonly number[]>

/** The product of the incoming gradient and one derivative, as an op of its own. */
interface GradientRule {
  /** undefined: the gradient passes unchanged. */
  readonly rule: Rule | undefined
  /** Operands of the rule after the gradient; the number after the last operand is the output. */
  readonly reads: readonly number[]
}

const truthValues: ReadonlySet<string> = new Set(['lt', 'le', 'gt', 'ge', 'eq', 'ne', 'and', 'or'])

function gradientRule(name: string, d: Expr): GradientRule {
  if (d.kind === 'const' && d.value === 1) return { rule: undefined, reads: [] }
  const reads = [...inputsOf(d)].sort((a, b) => a - b)
  const formula = passGradient(substitute(d, (index) => f.input(1 + reads.indexOf(index))))
  return { rule: makeRule(`${name} gradient`, 'number', formula), reads }
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

function inferDType(name: string, kind: Kind, inputs: readonly Tensor[]): DType {
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
  if (kind === 'comparison' || kind === 'logical') return 'bool'
  if (dtype === undefined) throw new DTypeError(`${name}: expects numbers, got only bool; convert with to()`)
  return dtype
}

/** Forward pass of a formula over tensors that are repeated to the shape of the result. */
const forward =
  (formula: Expr): Rule['forward'] =>
  (inputs, params, { shape, dtype }, backend) => {
    const list = inputs as readonly Tensor[]
    const { extents, strides } = broadcastWalk(
      list.map((x) => x.shape),
      shape,
    )
    const views = list.map((x, i) => ({ buffer: x.storage.buffer, offset: 0, strides: strides[i] ?? [] }))
    return backend.map(formula, views, params, extents, dtype)
  }

/** `derivative` gives the derivative by operand i; operand number `arity` in it stands for the output. */
function makeRule(
  name: string,
  kind: Kind,
  formula: Expr,
  arity: number = Math.max(-1, ...inputsOf(formula)) + 1,
  derivative: (i: number) => Expr = (i) => derive(formula, i),
): Rule {
  const gradients: { readonly key: string; readonly by: GradientRule }[] = []
  const gradient = (i: number): GradientRule => {
    if (gradients[i] === undefined) {
      const d = derivative(i)
      const key = formulaKey(d)
      gradients[i] = { key, by: gradients.find((other) => other?.key === key)?.by ?? gradientRule(name, d) }
    }
    return gradients[i].by
  }
  const savesFor = (needs: readonly boolean[]): Saves => {
    const reads = new Set(needs.flatMap((need, i) => (need ? gradient(i).reads : [])))
    const output = reads.delete(arity)
    return { inputs: [...reads], output }
  }
  /** By the operands whose gradients are wanted, as bits. */
  const saves: Saves[] = []
  return {
    name,
    infer(inputs, params) {
      const list = inputs.map((_, i) => required(name, inputs, i))
      const shapes = list.map((x) => x.shape)
      const dtype = inferDType(name, kind, list)
      const fraction = params.find((value) => !Number.isInteger(value))
      if (kind === 'number' && !isFloat(dtype) && fraction !== undefined) {
        throw new DTypeError(`${name}: expects whole numbers with ${dtype}, got ${fraction}; convert with to()`)
      }
      return {
        dtype,
        shape: shapes.length === 1 ? (shapes[0] as Shape) : broadcastShapes(name, shapes),
      }
    },
    forward: forward(formula),
    saves(_, needs) {
      const wish = needs.reduce((bits, need, i) => (need ? bits | (1 << i) : bits), 0)
      saves[wish] ??= savesFor(needs)
      return saves[wish]
    },
    backward(g, { attrs, needs, metas, input, ...saved }) {
      // Operands of one shape and one derivative, as those of relu(a + b), share its product with the gradient.
      const done: { readonly by: GradientRule; readonly shape: Shape; readonly result: Tensor }[] = []
      return metas.map((meta, i) => {
        if (needs[i] !== true || meta === undefined) return undefined
        const by = gradient(i)
        const same = done.find(({ by: other, shape }) => other === by && sameShape(shape, meta.shape))
        if (same !== undefined) return same.result
        const operands = by.reads.map((k) => (k === arity ? saved.output : input(k)))
        const whole = by.rule === undefined ? g : apply(by.rule, [g, ...operands], attrs)
        const result = sumTo(whole, meta.shape)
        done.push({ by, shape: meta.shape, result })
        return result
      })
    },
  }
}

/** An operand: a tensor, or a number of the other operand's dtype. At least one must be a tensor. */
export type Operand = Tensor | number

type Build = (...operands: Expr[]) => Expr
type Derivative = (i: number, operands: readonly Expr[], y: Expr) => Expr

/**
 * An op from the formula of its operands. Those from number `tensors` on may be numbers, which become parameters of the
 * formula; each way of mixing the two has a rule, made when it is first used.
 */
function operation(
  name: string,
  kind: Kind,
  build: Build,
  derivative?: Derivative,
  tensors = 0,
): (...operands: Operand[]) => Tensor {
  const rules: Rule[] = []
  const make = (numbers: number): Rule => {
    const positions: number[] = []
    let params = 0
    const operands = Array.from({ length: build.length }, (_, i) =>
      numbers & (1 << i) ? f.param(params++) : f.input(positions.push(i) - 1),
    )
    const y = f.input(positions.length)
    return makeRule(
      name,
      kind,
      build(...operands),
      positions.length,
      derivative && ((i) => derivative(positions[i] as number, operands, y)),
    )
  }
  return (...operands) => {
    const inputs: Tensor[] = []
    const params: number[] = []
    let numbers = 0
    for (let i = 0; i < build.length; i++) {
      const operand = operands[i] as Operand
      if (typeof operand === 'number' && i >= tensors) {
        params.push(operand)
        numbers |= 1 << i
      } else inputs.push(operand as Tensor)
    }
    if (inputs.length === 0) throw new ArgumentError(`${name}: expects at least one tensor, got two numbers`)
    const rule = rules[numbers] ?? make(numbers)
    rules[numbers] = rule
    return apply(rule, inputs, params)
  }
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
  const run = operation(name, 'float', build, options.derivative, build.length)
  return (...inputs) => {
    if (inputs.length !== build.length) {
      throw new ArgumentError(`${name}: expects ${build.length} tensors, got ${inputs.length}`)
    }
    return run(...inputs)
  }
}

// --- one operand ---

type Unary = (x: Tensor) => Tensor

/** Of ops of one tensor and nothing else, such as `relu`. */
const formulas = new WeakMap<Unary, Expr>()

/** The formula of an argument `activation`, undefined for a function that is no op of one tensor. */
export function activationFormula(op: string, activation: Unary): Expr | undefined {
  if (typeof activation !== 'function') {
    throw new ArgumentError(`${op}: activation expects a function such as relu, got ${String(activation)}`)
  }
  return formulas.get(activation)
}

/** An op of one tensor and, after it, numbers. `derivative` is by the tensor. */
function unary<N extends number[]>(
  name: string,
  kind: Kind,
  build: Build,
  derivative?: (y: Expr, ...operands: Expr[]) => Expr,
): (x: Tensor, ...numbers: N) => Tensor {
  const op = operation(name, kind, build, derivative && ((_, operands, y) => derivative(y, ...operands)), 1)
  if (build.length === 1) formulas.set(op, build(f.input(0)))
  return op
}

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
