/** Prints scalar formulas as statements of a kernel; equal subformulas are computed once. */
import { type BinaryFunction, type Expr, f, formulaKey, type UnaryFunction } from '../../formula.ts'
import type { Source } from './source.ts'

/** An expression, which gpu.js tells by its type: a truth value or a number. */
interface Printed {
  readonly text: string
  readonly truth: boolean
}

type Numeric = Exclude<UnaryFunction, 'not' | 'sigmoid'>
type Arithmetic = Exclude<BinaryFunction, 'and' | 'or'>

const unary: Record<Numeric, (a: string) => string> = {
  neg: (a) => `(-${a})`,
  abs: (a) => `Math.abs(${a})`,
  sqrt: (a) => `Math.sqrt(${a})`,
  exp: (a) => `Math.exp(${a})`,
  log: (a) => `logOf(${a})`,
  sin: (a) => `sinOf(${a})`,
  cos: (a) => `cosOf(${a})`,
  tanh: (a) => `tanhOf(${a})`,
  erf: (a) => `erfOf(${a})`,
  floor: (a) => `Math.floor(${a})`,
  ceil: (a) => `Math.ceil(${a})`,
  round: (a) => `roundEven(${a})`,
  trunc: (a) => `Math.trunc(${a})`,
}

const infix = (operator: string) => (a: string, b: string) => `(${a} ${operator} ${b})`

const binary: Record<Arithmetic, (a: string, b: string) => string> = {
  add: infix('+'),
  sub: infix('-'),
  mul: infix('*'),
  div: infix('/'),
  pow: (a, b) => `powOf(${a}, ${b})`,
  min: (a, b) => `(${b} < ${a} ? ${b} : ${a})`,
  max: (a, b) => `(${a} < ${b} ? ${b} : ${a})`,
  lt: infix('<'),
  le: infix('<='),
  gt: infix('>'),
  ge: infix('>='),
  eq: infix('==='),
  ne: infix('!=='),
}

const comparisons: ReadonlySet<BinaryFunction> = new Set(['lt', 'le', 'gt', 'ge', 'eq', 'ne'])

/**
 * A printer of formulas into `s`. `input` gives the expression of an operand's element, `params` are the numbers of the
 * call. Each call of what it returns gives the name of a float that holds the value of a formula.
 */
export function formulaPrinter(
  s: Source,
  input: (index: number) => string,
  params: readonly number[],
): (e: Expr) => string {
  const known = new Map<string, Printed>()
  let truths: readonly [one: string, zero: string] | undefined

  const number = (text: string): Printed => ({ text: s.float(text), truth: false })

  /** As a number: 1 or 0 where it is a truth value. */
  function asNumber(printed: Printed): string {
    if (!printed.truth) return printed.text
    truths ??= [s.param(1), s.param(0)]
    return s.float(`(${printed.text} ? ${truths[0]} : ${truths[1]})`)
  }

  const asTruth = ({ text, truth }: Printed): string => (truth ? text : `(${text} !== 0)`)

  function print(e: Expr): Printed {
    switch (e.kind) {
      case 'input':
        return number(input(e.index))
      case 'param':
        return { text: s.param(params[e.index] as number), truth: false }
      case 'const':
        return {
          text: Number.isFinite(e.value) && !Object.is(e.value, -0) ? s.float(e.value) : s.param(e.value),
          truth: false,
        }
      case 'unary':
        if (e.fn === 'not') return { text: `(!${asTruth(visit(e.a))})`, truth: true }
        if (e.fn === 'sigmoid') return visit(f.div(1, f.add(1, f.exp(f.neg(e.a)))))
        return number(unary[e.fn](asNumber(visit(e.a))))
      case 'binary': {
        const [a, b] = [visit(e.a), visit(e.b)]
        if (e.fn === 'and' || e.fn === 'or') {
          return { text: `(${asTruth(a)} ${e.fn === 'and' ? '&&' : '||'} ${asTruth(b)})`, truth: true }
        }
        const text = e.fn === 'pow' && e.b.kind === 'const' ? power(asNumber(a), e.b.value) : undefined
        const full = text ?? binary[e.fn](asNumber(a), asNumber(b))
        return comparisons.has(e.fn) ? { text: full, truth: true } : number(full)
      }
      case 'select':
        return number(`(${asTruth(visit(e.condition))} ? ${asNumber(visit(e.a))} : ${asNumber(visit(e.b))})`)
    }
  }

  function visit(e: Expr): Printed {
    const key = formulaKey(e)
    let printed = known.get(key)
    if (printed === undefined) {
      printed = print(e)
      known.set(key, printed)
    }
    return printed
  }

  return (e) => asNumber(visit(e))
}

/** Small whole powers as products, which are exact where the device's power function is not. */
function power(a: string, exponent: number): string | undefined {
  const size = Math.abs(exponent)
  if (!Number.isInteger(exponent) || size < 1 || size > 4) return undefined
  const product = `(${Array.from({ length: size }, () => a).join(' * ')})`
  return exponent < 0 ? `(1 / ${product})` : product
}
