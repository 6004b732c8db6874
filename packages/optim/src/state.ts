/** State dicts of optimizers: plain data, except for the tensors. */
import type { Tensor } from '@convnets/tensor'

/** What an optimizer must remember. All but `tensors` survives JSON unchanged. */
export interface OptimizerState {
  /** Name of the optimizer. */
  readonly optimizer: string
  /** Per group its hyperparameters by name, and what schedules start from. */
  readonly groups: readonly { readonly baseLr: number }[]
  readonly parameters: readonly ParameterState[]
  /** State tensors by `<parameter name>.<slot>`, each of its parameter's shape and dtype. */
  readonly tensors: ReadonlyMap<string, Tensor>
}

/** One parameter in a state dict. */
export interface ParameterState {
  /** Its number where it has no name. */
  readonly name: string
  readonly group: number
  readonly steps: number
  /** Which state tensors it has. */
  readonly slots: readonly string[]
}
