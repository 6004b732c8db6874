/** What an optimizer is, apart from the bookkeeping: numbers to choose, and formulas for one element of a parameter. */
import { type Expr, f } from '@convnets/tensor'

/** Numbers, switches and pairs that steer an optimizer; every one has these two. */
export interface Hyperparameters {
  /** Learning rate. */
  lr: number
  /** Weight decay (L2 penalty), 0 for none. */
  weightDecay: number
}

/** How one parameter changes in one step. */
export interface Rule {
  /** Names of the state tensors, each of the parameter's shape. */
  readonly slots: readonly string[]
  /**
   * New value of the parameter, then of each slot. Operand 0 is the parameter, operand 1 + i is slot i, and the operand
   * after the last slot is the gradient.
   */
  readonly formulas: readonly Expr[]
}

/**
 * An optimizer as a value, from which `Optimizer` makes one that steps: `SGD`, `Adam` and the others are each one of
 * these. Formulas may depend on switches; numbers reach them as params, so that a schedule costs no new kernel.
 */
export interface Method<H extends Hyperparameters> {
  /** Name in messages and state dicts. */
  readonly name: string
  readonly defaults: H
  /** Throws `ArgumentError` for hyperparameters out of range. */
  check(h: H): void
  rule(h: H): Rule
  /**
   * The params of the formulas. `steps` counts the parameter's steps from 1; `fresh` says that the slots have just been
   * made.
   */
  params(h: H, steps: number, fresh: boolean): readonly number[]
  /** Value that a slot starts with (default 0). */
  initial?(slot: string, h: H): number
  /** Sets what a one-cycle schedule calls momentum, in optimizers that have it. */
  setMomentum?(h: H, momentum: number): void
}

/** `build` with its results kept: the same switches give the same formulas, which are then built once. */
export function once<S extends readonly boolean[]>(build: (...switches: S) => Rule): (...switches: S) => Rule {
  const built = new Map<string, Rule>()
  return (...switches) => {
    const key = switches.join()
    let rule = built.get(key)
    if (rule === undefined) {
      rule = build(...switches)
      built.set(key, rule)
    }
    return rule
  }
}

/** The params of a formula by name, numbered in this order. */
export function named<K extends string>(...names: readonly K[]): Readonly<Record<K, Expr>> {
  return Object.fromEntries(names.map((name, i) => [name, f.param(i)])) as Record<K, Expr>
}
