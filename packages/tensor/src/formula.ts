/**
 * Scalar formulas: what an elementwise kernel computes for one element, written once and shared by all backends.
 *
 * A formula is a small expression tree. The reference backend evaluates it step by step, the wasm backend emits SIMD
 * code from it, the gpu backend prints it as shader source, and `derive` differentiates it, so an elementwise op is
 * one line here or in `ops/elementwise.ts` and nothing anywhere else.
 */

/** Functions of one argument. `not` takes and gives a truth value; `sigmoid` is 1 / (1 + e^-x), `erf` the error function. */
export type UnaryFunction =
  | 'neg'
  | 'abs'
  | 'sqrt'
  | 'exp'
  | 'log'
  | 'sin'
  | 'cos'
  | 'tanh'
  | 'sigmoid'
  | 'erf'
  | 'floor'
  | 'ceil'
  | 'round'
  | 'trunc'
  | 'not'

/**
 * Functions of two arguments. `min(a, b)` is `b < a ? b : a` and `max(a, b)` is `a < b ? b : a`: a NaN in `a` stays,
 * as in WebAssembly's pmin and pmax. Comparisons, `and` and `or` give truth values: 1 or 0 when used as numbers.
 */
export type BinaryFunction =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'pow'
  | 'min'
  | 'max'
  | 'lt'
  | 'le'
  | 'gt'
  | 'ge'
  | 'eq'
  | 'ne'
  | 'and'
  | 'or'

/** A node of a formula. `input` is an operand's element, `param` a number given at the call, `const` one baked in. */
export type Expr =
  | { readonly kind: 'input'; readonly index: number }
  | { readonly kind: 'param'; readonly index: number }
  | { readonly kind: 'const'; readonly value: number }
  | { readonly kind: 'unary'; readonly fn: UnaryFunction; readonly a: Expr }
  | { readonly kind: 'binary'; readonly fn: BinaryFunction; readonly a: Expr; readonly b: Expr }
  | { readonly kind: 'select'; readonly condition: Expr; readonly a: Expr; readonly b: Expr }

/** What formula builders take: an expression or a plain number. */
export type Term = Expr | number

const zero: Expr = { kind: 'const', value: 0 }
const one: Expr = { kind: 'const', value: 1 }

function expr(term: Term): Expr {
  return typeof term === 'number' ? { kind: 'const', value: term } : term
}

function isConst(e: Expr, value: number): boolean {
  return e.kind === 'const' && e.value === value
}

const unary =
  (fn: UnaryFunction) =>
  (a: Term): Expr => ({ kind: 'unary', fn, a: expr(a) })
const binary =
  (fn: BinaryFunction) =>
  (a: Term, b: Term): Expr => ({ kind: 'binary', fn, a: expr(a), b: expr(b) })

const plain = { add: binary('add'), sub: binary('sub'), mul: binary('mul'), div: binary('div'), neg: unary('neg') }

function byName<N extends string, B>(names: readonly N[], builder: (name: N) => B): Record<N, B> {
  return Object.fromEntries(names.map((name) => [name, builder(name)])) as Record<N, B>
}

/** A builder for every function, and a few shorthands. */
type Builders = { readonly [K in UnaryFunction]: (a: Term) => Expr } & {
  readonly [K in BinaryFunction]: (a: Term, b: Term) => Expr
} & {
  /** The element of operand `index`. */
  readonly input: (index: number) => Expr
  /** The number given at the call as parameter `index`. */
  readonly param: (index: number) => Expr
  readonly const: (value: number) => Expr
  /** a where the condition holds, else b. */
  readonly select: (condition: Expr, a: Term, b: Term) => Expr
  readonly square: (a: Expr) => Expr
  /** log(1 + a) without cancellation near 0 (Kahan). */
  readonly log1p: (a: Expr) => Expr
  /** exp(a) - 1 without cancellation near 0 (Kahan). */
  readonly expm1: (a: Expr) => Expr
}

/** Builders of formulas. Sums and products with 0 and 1 are dropped, so that derivatives stay short. */
export const f: Builders = {
  input: (index: number): Expr => ({ kind: 'input', index }),
  param: (index: number): Expr => ({ kind: 'param', index }),
  const: (value: number): Expr => ({ kind: 'const', value }),
  add(a: Term, b: Term): Expr {
    const x = expr(a)
    const y = expr(b)
    return isConst(x, 0) ? y : isConst(y, 0) ? x : plain.add(x, y)
  },
  sub(a: Term, b: Term): Expr {
    const x = expr(a)
    const y = expr(b)
    return isConst(y, 0) ? x : isConst(x, 0) ? f.neg(y) : plain.sub(x, y)
  },
  mul(a: Term, b: Term): Expr {
    const x = expr(a)
    const y = expr(b)
    if (isConst(x, 0) || isConst(y, 0)) return zero
    return isConst(x, 1) ? y : isConst(y, 1) ? x : plain.mul(x, y)
  },
  div(a: Term, b: Term): Expr {
    const x = expr(a)
    const y = expr(b)
    return isConst(x, 0) ? zero : isConst(y, 1) ? x : plain.div(x, y)
  },
  neg(a: Term): Expr {
    const x = expr(a)
    return x.kind === 'const' ? { kind: 'const', value: -x.value } : plain.neg(x)
  },
  ...byName(['pow', 'min', 'max', 'lt', 'le', 'gt', 'ge', 'eq', 'ne', 'and', 'or'], binary),
  ...byName(
    ['not', 'abs', 'sqrt', 'exp', 'log', 'sin', 'cos', 'tanh', 'sigmoid', 'erf', 'floor', 'ceil', 'round', 'trunc'],
    unary,
  ),
  select(condition: Expr, a: Term, b: Term): Expr {
    const x = expr(a)
    const y = expr(b)
    return sameExpr(x, y) ? x : { kind: 'select', condition, a: x, b: y }
  },
  square: (a: Expr): Expr => plain.mul(a, a),
  log1p(a: Expr): Expr {
    const u = plain.add(1, a)
    return f.select(f.eq(u, 1), a, plain.div(plain.mul(f.log(u), a), plain.sub(u, 1)))
  },
  expm1(a: Expr): Expr {
    const u = f.exp(a)
    const v = plain.sub(u, 1)
    return f.select(f.eq(u, 1), a, f.select(f.eq(v, -1), -1, plain.div(plain.mul(v, a), f.log(u))))
  },
}

/** Whether two formulas are the same tree. */
function sameExpr(a: Expr, b: Expr): boolean {
  return a === b || formulaKey(a) === formulaKey(b)
}

/** The formulas that a node is made of. */
export function partsOf(e: Expr): readonly Expr[] {
  switch (e.kind) {
    case 'unary':
      return [e.a]
    case 'binary':
      return [e.a, e.b]
    case 'select':
      return [e.condition, e.a, e.b]
    default:
      return []
  }
}

/** A text that identifies a formula: kernels compiled from it are cached under this key. */
export function formulaKey(e: Expr): string {
  const key = keys.get(e) ?? keyOf(e)
  keys.set(e, key)
  return key
}

const keys = new WeakMap<Expr, string>()

function keyOf(e: Expr): string {
  switch (e.kind) {
    case 'input':
      return `x${e.index}`
    case 'param':
      return `p${e.index}`
    case 'const':
      return Object.is(e.value, -0) ? '-0' : String(e.value)
    default:
      return `${e.kind === 'select' ? e.kind : e.fn}(${partsOf(e).map(formulaKey)})`
  }
}

/** Which operands a formula reads. */
export function inputsOf(e: Expr, found: Set<number> = new Set()): Set<number> {
  if (e.kind === 'input') found.add(e.index)
  for (const part of partsOf(e)) inputsOf(part, found)
  return found
}

/** The formula with operand `i` replaced by `replace(i)`. */
export function substitute(e: Expr, replace: (index: number) => Expr): Expr {
  const within = (part: Expr): Expr => substitute(part, replace)
  switch (e.kind) {
    case 'input':
      return replace(e.index)
    case 'unary':
      return { ...e, a: within(e.a) }
    case 'binary':
      return { ...e, a: within(e.a), b: within(e.b) }
    case 'select':
      return { ...e, condition: within(e.condition), a: within(e.a), b: within(e.b) }
    default:
      return e
  }
}

/**
 * The partial derivative of a formula by operand `index`. Where a function has a kink, the subgradient is the one of
 * the branch that `min`, `max` or `select` takes; steps (comparisons, floor, round) have derivative 0.
 */
export function derive(e: Expr, index: number): Expr {
  switch (e.kind) {
    case 'input':
      return e.index === index ? one : zero
    case 'param':
    case 'const':
      return zero
    case 'select':
      return f.select(e.condition, derive(e.a, index), derive(e.b, index))
    case 'unary': {
      const da = derive(e.a, index)
      return isConst(da, 0) || isStep(e.fn) ? zero : f.mul(da, unaryDerivatives[e.fn](e.a, e))
    }
    case 'binary':
      return isStep(e.fn) ? zero : binaryDerivatives[e.fn](e.a, e.b, derive(e.a, index), derive(e.b, index), e)
  }
}

const steps = ['floor', 'ceil', 'round', 'trunc', 'not', 'lt', 'le', 'gt', 'ge', 'eq', 'ne', 'and', 'or'] as const
type Step = (typeof steps)[number]

function isStep(fn: UnaryFunction | BinaryFunction): fn is Step {
  return (steps as readonly string[]).includes(fn)
}

/** Derivative by the argument a, given the value y. */
const unaryDerivatives: Record<Exclude<UnaryFunction, Step>, (a: Expr, y: Expr) => Expr> = {
  neg: () => f.const(-1),
  abs: (a) => f.sub(f.gt(a, 0), f.lt(a, 0)),
  sqrt: (_, y) => f.div(0.5, y),
  exp: (_, y) => y,
  log: (a) => f.div(1, a),
  sin: (a) => f.cos(a),
  cos: (a) => f.neg(f.sin(a)),
  tanh: (_, y) => f.sub(1, f.square(y)),
  sigmoid: (_, y) => f.mul(y, f.sub(1, y)),
  erf: (a) => f.mul(2 / Math.sqrt(Math.PI), f.exp(f.neg(f.square(a)))),
}

/** Derivative given the arguments, their derivatives and the value y. */
const binaryDerivatives: Record<
  Exclude<BinaryFunction, Step>,
  (a: Expr, b: Expr, da: Expr, db: Expr, y: Expr) => Expr
> = {
  add: (_, __, da, db) => f.add(da, db),
  sub: (_, __, da, db) => f.sub(da, db),
  mul: (a, b, da, db) => f.add(f.mul(da, b), f.mul(a, db)),
  div: (_, b, da, db, y) => f.div(f.sub(da, f.mul(y, db)), b),
  pow(a, b, da, db, y) {
    const byBase = isConst(da, 0) ? zero : f.mul(da, f.mul(b, f.pow(a, f.sub(b, 1))))
    const byExponent = isConst(db, 0) ? zero : f.mul(db, f.select(f.eq(a, 0), 0, f.mul(y, f.log(a))))
    return f.add(byBase, byExponent)
  },
  min: (a, b, da, db) => f.select(f.lt(b, a), db, da),
  max: (a, b, da, db) => f.select(f.lt(a, b), db, da),
}
