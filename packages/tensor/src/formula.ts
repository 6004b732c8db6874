/**
 * Scalar formulas: what an elementwise kernel computes for one element, written once and shared by all backends.
 *
 * A formula is a small expression tree. The reference backend evaluates it step by step, the wasm backend emits SIMD
 * code from it, the gpu backend prints it as shader source, and `derive` differentiates it, so an elementwise op is
 * one line here or in `ops/elementwise.ts` and nothing anywhere else.
 */

/** Functions of one argument. `not` takes and gives a truth value; `erf` is the error function. */
export type UnaryFunction =
  | 'neg'
  | 'abs'
  | 'sqrt'
  | 'exp'
  | 'log'
  | 'sin'
  | 'cos'
  | 'tanh'
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

function unary(fn: UnaryFunction): (a: Term) => Expr {
  return (a) => ({ kind: 'unary', fn, a: expr(a) })
}

function binary(fn: BinaryFunction): (a: Term, b: Term) => Expr {
  return (a, b) => ({ kind: 'binary', fn, a: expr(a), b: expr(b) })
}

const plain = { add: binary('add'), sub: binary('sub'), mul: binary('mul'), div: binary('div'), neg: unary('neg') }

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
  pow: binary('pow'),
  min: binary('min'),
  max: binary('max'),
  lt: binary('lt'),
  le: binary('le'),
  gt: binary('gt'),
  ge: binary('ge'),
  eq: binary('eq'),
  ne: binary('ne'),
  and: binary('and'),
  or: binary('or'),
  not: unary('not'),
  abs: unary('abs'),
  sqrt: unary('sqrt'),
  exp: unary('exp'),
  log: unary('log'),
  sin: unary('sin'),
  cos: unary('cos'),
  tanh: unary('tanh'),
  erf: unary('erf'),
  floor: unary('floor'),
  ceil: unary('ceil'),
  round: unary('round'),
  trunc: unary('trunc'),
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
export function sameExpr(a: Expr, b: Expr): boolean {
  return a === b || formulaKey(a) === formulaKey(b)
}

/** A text that identifies a formula: kernels compiled from it are cached under this key. */
export function formulaKey(e: Expr): string {
  switch (e.kind) {
    case 'input':
      return `x${e.index}`
    case 'param':
      return `p${e.index}`
    case 'const':
      return Object.is(e.value, -0) ? '-0' : String(e.value)
    case 'unary':
      return `${e.fn}(${formulaKey(e.a)})`
    case 'binary':
      return `${e.fn}(${formulaKey(e.a)},${formulaKey(e.b)})`
    case 'select':
      return `select(${formulaKey(e.condition)},${formulaKey(e.a)},${formulaKey(e.b)})`
  }
}

/** Which operands a formula reads. */
export function inputsOf(e: Expr, found: Set<number> = new Set()): Set<number> {
  switch (e.kind) {
    case 'input':
      found.add(e.index)
      break
    case 'unary':
      inputsOf(e.a, found)
      break
    case 'binary':
      inputsOf(e.a, found)
      inputsOf(e.b, found)
      break
    case 'select':
      inputsOf(e.condition, found)
      inputsOf(e.a, found)
      inputsOf(e.b, found)
      break
  }
  return found
}

/** The formula with operand `i` replaced by `replace(i)`. */
export function substitute(e: Expr, replace: (index: number) => Expr): Expr {
  switch (e.kind) {
    case 'input':
      return replace(e.index)
    case 'unary':
      return { ...e, a: substitute(e.a, replace) }
    case 'binary':
      return { ...e, a: substitute(e.a, replace), b: substitute(e.b, replace) }
    case 'select':
      return {
        ...e,
        condition: substitute(e.condition, replace),
        a: substitute(e.a, replace),
        b: substitute(e.b, replace),
      }
    default:
      return e
  }
}

const sqrtPi = Math.sqrt(Math.PI)

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
      if (isConst(da, 0)) return zero
      return f.mul(da, unaryDerivative(e.fn, e.a, e))
    }
    case 'binary':
      return binaryDerivative(e.fn, e.a, e.b, derive(e.a, index), derive(e.b, index), e)
  }
}

function unaryDerivative(fn: UnaryFunction, a: Expr, y: Expr): Expr {
  switch (fn) {
    case 'neg':
      return f.const(-1)
    case 'abs':
      return f.sub(f.gt(a, 0), f.lt(a, 0))
    case 'sqrt':
      return f.div(0.5, y)
    case 'exp':
      return y
    case 'log':
      return f.div(1, a)
    case 'sin':
      return f.cos(a)
    case 'cos':
      return f.neg(f.sin(a))
    case 'tanh':
      return f.sub(1, f.square(y))
    case 'erf':
      return f.mul(2 / sqrtPi, f.exp(f.neg(f.square(a))))
    case 'floor':
    case 'ceil':
    case 'round':
    case 'trunc':
    case 'not':
      return zero
  }
}

function binaryDerivative(fn: BinaryFunction, a: Expr, b: Expr, da: Expr, db: Expr, y: Expr): Expr {
  switch (fn) {
    case 'add':
      return f.add(da, db)
    case 'sub':
      return f.sub(da, db)
    case 'mul':
      return f.add(f.mul(da, b), f.mul(a, db))
    case 'div':
      return f.div(f.sub(da, f.mul(y, db)), b)
    case 'pow': {
      const byBase = isConst(da, 0) ? zero : f.mul(da, f.mul(b, f.pow(a, f.sub(b, 1))))
      const byExponent = isConst(db, 0) ? zero : f.mul(db, f.select(f.eq(a, 0), 0, f.mul(y, f.log(a))))
      return f.add(byBase, byExponent)
    }
    case 'min':
      return f.select(f.lt(b, a), db, da)
    case 'max':
      return f.select(f.lt(a, b), db, da)
    case 'lt':
    case 'le':
    case 'gt':
    case 'ge':
    case 'eq':
    case 'ne':
    case 'and':
    case 'or':
      return zero
  }
}
