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
  /**
   * Throws `ArgumentError` for hyperparameters that do not go together. By themselves they have been checked: numbers are
   * at least 0, pairs from 0 to below 1, and switches are switches.
   */
  check?(h: H): void
  /** May ask which hyperparameters are on (true, or not 0), but not for their values: it is called once for each such set. */
  rule(h: H): Rule
  /**
   * The params of the formulas. `steps` counts the parameter's steps from 1; `fresh` says that the slots have just been
   * made.
   */
  params(h: H, steps: number, fresh: boolean): readonly number[]
  /** Value that a slot starts with (default 0). */
  initial?(slot: string, h: H): number
  /** Sets what a one-cycle schedule calls momentum, in optimizers that have it. */
  setMomentum?(this: void, h: H, momentum: number): void
}

type Eight<T> = readonly [T, T, T, T, T, T, T, T]

/** The params of a formula, by number. */
export const params: Eight<Expr> = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => f.param(i)) as unknown as Eight<Expr>

/** The gradient with weight decay in it, where there is any. */
export function decayed(gradient: Expr, decay: number, weightDecay: Expr, parameter: Expr): Expr {
  return decay ? f.add(gradient, f.mul(weightDecay, parameter)) : gradient
}
