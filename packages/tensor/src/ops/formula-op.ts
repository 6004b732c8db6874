/**
 * How an elementwise op is made: from a scalar formula and, where the derivative by symbolic rules would be slow or would have
 * to save more, that derivative in terms of the operands and the output `y`.
 *
 * The gradient of y = formula(x_0, x_1, ...) by x_i is g * d_i summed over the axes along which x_i was repeated. The
 * derivative is a formula itself, so it runs as one kernel with the product, and it can be differentiated again.
 * What a derivative does not read is not saved: relu keeps only its output, add keeps nothing.
 */

import { type DType, isFloat } from '../dtype.ts'
import { ArgumentError, DTypeError } from '../errors.ts'
import { derive, type Expr, f, formulaKey, inputsOf, substitute } from '../formula.ts'
import { broadcastWalk } from '../layout.ts'
import { apply, type Op, required, type Saves } from '../op.ts'
import { checkOptionNames } from '../options.ts'
import { broadcastShapes, type Shape, sameShape } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { sumTo } from './broadcast.ts'

/** What dtypes an op takes and gives. */
export type Kind =
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
export const forward =
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

export type Build = (...operands: Expr[]) => Expr
export type Derivative = (i: number, operands: readonly Expr[], y: Expr) => Expr

/**
 * An op from the formula of its operands. Those from number `tensors` on may be numbers, which become parameters of the
 * formula; each way of mixing the two has a rule, made when it is first used.
 */
export function operation(
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
  checkOptionNames('elementwise', options, ['derivative'])
  const run = operation(name, 'float', build, options.derivative, build.length)
  return (...inputs) => {
    if (inputs.length !== build.length) {
      throw new ArgumentError(`${name}: expects ${build.length} tensors, got ${inputs.length}`)
    }
    return run(...inputs)
  }
}

export type Unary = (x: Tensor) => Tensor

/** An op of one tensor of numbers and nothing else, such as `relu`, as other ops take it into their pass. */
export interface Activation {
  /** y = act(x) as a formula of x. */
  readonly formula: Expr
  /** The gradient by x as a formula of the gradient by y and of x. */
  readonly gradient: Expr
  /** That gradient as an op of the two. */
  readonly gradientRule: Rule
}

const activations = new WeakMap<Unary, () => Activation>()

/** What an argument `activation` computes; undefined for a function that is no op of one tensor. */
export function activationOf(op: string, activation: Unary): Activation | undefined {
  if (typeof activation !== 'function') {
    throw new ArgumentError(`${op}: activation expects a function such as relu, got ${String(activation)}`)
  }
  return activations.get(activation)?.()
}

/** An op of one tensor and, after it, numbers. `derivative` is by the tensor. */
export function unary<N extends number[]>(
  name: string,
  kind: Kind,
  build: Build,
  derivative?: (y: Expr, ...operands: Expr[]) => Expr,
): (x: Tensor, ...numbers: N) => Tensor {
  const op = operation(name, kind, build, derivative && ((_, operands, y) => derivative(y, ...operands)), 1)
  // Ops of truth values give another dtype than they take: they end nothing.
  if (build.length > 1 || kind === 'comparison' || kind === 'logical') return op
  let made: Activation | undefined
  activations.set(op, () => {
    if (made === undefined) {
      const x = f.input(0)
      const formula = build(x)
      const d = derivative?.(f.input(1), x) ?? derive(formula, 0)
      const later = f.input(1)
      const gradient = passGradient(substitute(d, (i) => (i === 0 ? later : build(later))))
      made = { formula, gradient, gradientRule: makeRule(`${name} gradient`, kind, gradient) }
    }
    return made
  })
  return op
}
