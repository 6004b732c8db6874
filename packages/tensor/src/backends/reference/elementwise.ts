import type { TypedArray } from '../../dtype.ts'
import type { BinaryFunction, Expr, UnaryFunction } from '../../formula.ts'
import { erf, pow, roundHalfEven } from './functions.ts'
import { blockSize, count, inBlocks, type Strided } from './strided.ts'

const unaryFunctions: Record<UnaryFunction, (a: number) => number> = {
  neg: (a) => -a,
  abs: Math.abs,
  sqrt: Math.sqrt,
  exp: Math.exp,
  log: Math.log,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  erf,
  floor: Math.floor,
  ceil: Math.ceil,
  round: roundHalfEven,
  trunc: Math.trunc,
  not: (a) => (a !== 0 ? 0 : 1),
}

const binaryFunctions: Record<BinaryFunction, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  pow,
  // biome-ignore lint/complexity/useMathMinMax: differs where b is NaN, and on zeros of two signs
  min: (a, b) => (b < a ? b : a),
  // biome-ignore lint/complexity/useMathMinMax: as above
  max: (a, b) => (a < b ? b : a),
  lt: (a, b) => (a < b ? 1 : 0),
  le: (a, b) => (a <= b ? 1 : 0),
  gt: (a, b) => (a > b ? 1 : 0),
  ge: (a, b) => (a >= b ? 1 : 0),
  eq: (a, b) => (a === b ? 1 : 0),
  ne: (a, b) => (a !== b ? 1 : 0),
  and: (a, b) => (a !== 0 && b !== 0 ? 1 : 0),
  or: (a, b) => (a !== 0 || b !== 0 ? 1 : 0),
}

type Register = Float32Array | Float64Array
type Step = (length: number) => void

/** Formulas as straight-line code over registers that hold a block of elements each. */
interface Program {
  /** One register per operand; unused ones are never read. */
  readonly inputs: readonly Register[]
  readonly steps: readonly Step[]
  readonly results: readonly Register[]
}

/**
 * Compiles formulas for blocks of `length` elements. Equal subformulas share a register. Registers are of the type that
 * arithmetic is to be in, so each step rounds as that type does.
 */
function compile(
  formulas: readonly Expr[],
  operands: readonly TypedArray[],
  params: readonly number[],
  length: number,
): Program {
  const inFloat32 =
    operands.some((data) => data instanceof Float32Array) && !operands.some((data) => data instanceof Float64Array)
  const register = (): Register => (inFloat32 ? new Float32Array(length) : new Float64Array(length))
  const inputs = operands.map(register)
  const steps: Step[] = []
  const numbers = new Map<Register, number>()
  const known = new Map<string, Register>()

  function define(key: string, make: (out: Register) => Step | undefined): Register {
    let out = known.get(key)
    if (out === undefined) {
      out = register()
      numbers.set(out, numbers.size)
      known.set(key, out)
      const step = make(out)
      if (step !== undefined) steps.push(step)
    }
    return out
  }

  function constant(value: number): Register {
    return define(Object.is(value, -0) ? '-0' : String(value), (out) => void out.fill(value))
  }

  function visit(e: Expr): Register {
    switch (e.kind) {
      case 'input':
        return inputs[e.index]!
      case 'param':
        return constant(params[e.index]!)
      case 'const':
        return constant(e.value)
      case 'unary': {
        const a = visit(e.a)
        const fn = unaryFunctions[e.fn]
        return define(`${e.fn} ${numbers.get(a)}`, (out) => (n) => {
          for (let i = 0; i < n; i++) out[i] = fn(a[i]!)
        })
      }
      case 'binary': {
        const a = visit(e.a)
        const b = visit(e.b)
        const fn = binaryFunctions[e.fn]
        return define(`${e.fn} ${numbers.get(a)} ${numbers.get(b)}`, (out) => (n) => {
          for (let i = 0; i < n; i++) out[i] = fn(a[i]!, b[i]!)
        })
      }
      case 'select': {
        const condition = visit(e.condition)
        const a = visit(e.a)
        const b = visit(e.b)
        const key = `select ${numbers.get(condition)} ${numbers.get(a)} ${numbers.get(b)}`
        return define(key, (out) => (n) => {
          for (let i = 0; i < n; i++) out[i] = condition[i] !== 0 ? a[i]! : b[i]!
        })
      }
    }
  }

  for (const input of inputs) numbers.set(input, numbers.size)
  return { inputs, results: formulas.map(visit), steps }
}

/**
 * out[i] = formula(operands[0][i], ..., params), dense over `extents`. `truth`: store 1 where the value is not 0.
 * Arithmetic rounds to float32 if a float32 operand and no float64 one takes part.
 */
export function map(
  formula: Expr,
  operands: readonly Strided[],
  params: readonly number[],
  extents: readonly number[],
  out: TypedArray,
  truth: boolean,
): void {
  const { inputs, steps, results } = compile(
    [formula],
    operands.map((operand) => operand.data),
    params,
    Math.min(count(extents), blockSize),
  )
  const result = results[0]!
  inBlocks(extents, operands, (from, length, places) => {
    for (const [k, { data }] of operands.entries()) {
      const input = inputs[k]!
      const place = places[k]!
      for (let i = 0; i < length; i++) input[i] = data[place[i]!]!
    }
    for (const step of steps) step(length)
    if (truth) for (let i = 0; i < length; i++) out[from + i] = result[i] !== 0 ? 1 : 0
    else for (let i = 0; i < length; i++) out[from + i] = result[i]!
  })
}

/** targets[t][i] = formulas[t](targets..., others..., params) in place; all formulas read the values from before. */
export function update(
  formulas: readonly Expr[],
  targets: readonly TypedArray[],
  others: readonly TypedArray[],
  params: readonly number[],
): void {
  const total = targets[0]?.length ?? 0
  const operands = [...targets, ...others]
  const { inputs, steps, results } = compile(formulas, operands, params, Math.min(total, blockSize))
  for (let from = 0; from < total; from += blockSize) {
    const length = Math.min(blockSize, total - from)
    for (const [k, data] of operands.entries()) inputs[k]!.set(data.subarray(from, from + length))
    for (const step of steps) step(length)
    for (const [t, target] of targets.entries()) target.set(results[t]!.subarray(0, length), from)
  }
}
