/**
 * Code of formulas on vectors of four elements, each subexpression computed once.
 */
import { type BinaryFunction, type Expr, formulaKey, partsOf, type UnaryFunction } from '../../formula.ts'
import { type FunctionBuilder, f32x4, i32x4, type Value, v128 } from './asm.ts'
import { cos, erf, exp, log, pow, sigmoid, sin, tanh } from './math.ts'

type Vector = Value<'v128'>

/** A value of four lanes: as floats, as integers (before they are converted) or as a mask of ones and zeros. */
export interface Lanes {
  float?: Vector
  ints?: Vector
  mask?: Vector
}

type Code = (b: FunctionBuilder, ...args: Vector[]) => Vector

/** An instruction as the code of a function. */
const of =
  (instruction: (...args: Vector[]) => Vector): Code =>
  (_, ...args) =>
    instruction(...args)

const codes: Record<Exclude<UnaryFunction | BinaryFunction, 'not' | 'and' | 'or' | Comparison>, Code> = {
  neg: of(f32x4.neg),
  abs: of(f32x4.abs),
  sqrt: of(f32x4.sqrt),
  floor: of(f32x4.floor),
  ceil: of(f32x4.ceil),
  round: of(f32x4.nearest),
  trunc: of(f32x4.trunc),
  add: of(f32x4.add),
  sub: of(f32x4.sub),
  mul: of(f32x4.mul),
  div: of(f32x4.div),
  min: of(f32x4.pmin),
  max: of(f32x4.pmax),
  exp,
  log,
  sin,
  cos,
  tanh,
  sigmoid,
  erf,
  pow,
}

type Comparison = 'lt' | 'le' | 'gt' | 'ge' | 'eq' | 'ne'

/** Rough cost of a function in instructions. */
const costs: Partial<Record<UnaryFunction | BinaryFunction, number>> = {
  exp: 25,
  log: 35,
  tanh: 45,
  sigmoid: 20,
  erf: 60,
  sin: 60,
  cos: 60,
  pow: 130,
  div: 4,
  sqrt: 5,
}

/** Rough cost of four elements of a formula in instructions. */
export function costOf(e: Expr): number {
  if (e.kind === 'input') return 2
  const own = 'fn' in e ? (costs[e.fn] ?? 1) : e.kind === 'select' ? 1 : 0
  return partsOf(e).reduce((sum, part) => sum + costOf(part), own)
}

/** What formulas are computed from. */
export interface FormulaInputs {
  input(index: number): Lanes
  param(index: number): Vector
  /** Whether a value stays the same where code runs more than once: it is converted for good at once. Default: none. */
  lasts?(e: Expr): boolean
}

/** The value of a formula without parameters. */
export function formulaOf(b: FunctionBuilder, e: Expr, ...operands: readonly Vector[]): Vector {
  const values = new FormulaValues(b, {
    input: (index) => ({ float: b.let(operands[index]!) }),
    param: () => f32x4.const(Number.NaN),
  })
  return values.float(values.evaluate(e))
}

/** Values of formulas as they are needed. */
export class FormulaValues {
  readonly #b: FunctionBuilder
  readonly #inputs: FormulaInputs
  readonly #known: Map<string, { readonly e: Expr; readonly lanes: Lanes }> = new Map()

  constructor(b: FunctionBuilder, inputs: FormulaInputs) {
    this.#b = b
    this.#inputs = inputs
  }

  float(lanes: Lanes): Vector {
    const whole = () => (lanes.ints ? f32x4.fromI32(lanes.ints) : v128.and(lanes.mask as Vector, f32x4.const(1)))
    lanes.float ??= this.#b.let(whole())
    return lanes.float
  }

  mask(lanes: Lanes): Vector {
    const set = () => (lanes.ints ? i32x4.ne(lanes.ints, 0) : f32x4.ne(lanes.float as Vector, 0))
    lanes.mask ??= this.#b.let(set())
    return lanes.mask
  }

  evaluate(e: Expr): Lanes {
    if (e.kind === 'const') return { float: f32x4.const(e.value) }
    const key = formulaKey(e)
    const found = this.#known.get(key)
    if (found) return found.lanes
    const lanes = this.#compute(e)
    if (this.#inputs.lasts?.(e)) {
      // Converted here for good, as a later place might be one that is not always reached.
      this.float(lanes)
      this.mask(lanes)
    }
    this.#known.set(key, { e, lanes })
    return lanes
  }

  /** Lets values be computed anew. */
  forget(which: (e: Expr) => boolean): void {
    for (const [key, { e }] of this.#known) if (which(e)) this.#known.delete(key)
  }

  #compute(e: Exclude<Expr, { kind: 'const' }>): Lanes {
    const b = this.#b
    switch (e.kind) {
      case 'input':
        return this.#inputs.input(e.index)
      case 'param':
        return { float: b.let(this.#inputs.param(e.index)) }
      case 'unary': {
        const a = this.evaluate(e.a)
        return e.fn === 'not'
          ? { mask: b.let(v128.not(this.mask(a))) }
          : { float: b.let(codes[e.fn](b, this.float(a))) }
      }
      case 'binary':
        return this.#binary(e.fn, e.b, this.evaluate(e.a), this.evaluate(e.b))
      case 'select': {
        const condition = this.mask(this.evaluate(e.condition))
        const x = this.evaluate(e.a)
        const y = this.evaluate(e.b)
        return { float: b.let(v128.bitselect(this.float(x), this.float(y), condition)) }
      }
    }
  }

  #binary(fn: BinaryFunction, second: Expr, x: Lanes, y: Lanes): Lanes {
    const b = this.#b
    switch (fn) {
      case 'and':
      case 'or':
        return { mask: b.let(v128[fn](this.mask(x), this.mask(y))) }
      case 'lt':
      case 'le':
      case 'gt':
      case 'ge':
      case 'eq':
      case 'ne':
        return { mask: b.let(f32x4[fn satisfies Comparison](this.float(x), this.float(y))) }
      case 'pow': {
        const a = this.float(x)
        const power = second.kind === 'const' ? second.value : undefined
        if (power === 2) return { float: b.let(f32x4.mul(a, a)) }
        if (power === 3) return { float: b.let(f32x4.mul(f32x4.mul(a, a), a)) }
        if (power === -1) return { float: b.let(f32x4.div(1, a)) }
        return { float: b.let(pow(b, a, this.float(y))) }
      }
      default:
        return { float: b.let(codes[fn](b, this.float(x), this.float(y))) }
    }
  }
}
