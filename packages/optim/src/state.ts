/** State dicts of optimizers: their form, and whether one fits. */
import { ArgumentError, DTypeError, ShapeError, type Tensor } from '@convnets/tensor'
import { checkCount, checkNumber, shown } from './check.ts'
import type { Entry, Group } from './optimizer.ts'

/** What an optimizer must remember. All but `tensors` survives JSON unchanged. */
export interface OptimizerState {
  /** Name of the optimizer. */
  readonly optimizer: string
  readonly groups: readonly GroupState[]
  /** State tensors by `<parameter name>.<slot>`, each of its parameter's shape and dtype. */
  readonly tensors: ReadonlyMap<string, Tensor>
}

/** One group of a state dict. */
export interface GroupState {
  /** Hyperparameters by name. */
  readonly hyperparameters: Readonly<Record<string, number | boolean | readonly number[]>>
  /** What schedules start from. */
  readonly baseLr: number
  /** Per parameter: its name (its number where it has none), its steps so far, and which state tensors it has. */
  readonly parameters: readonly { readonly name: string; readonly steps: number; readonly slots: readonly string[] }[]
}

/** The state dict of an optimizer made of these. */
export function stateOf<H>(
  optimizer: string,
  groups: readonly Group<H>[],
  entries: readonly (readonly Entry[])[],
  keys: readonly string[],
): OptimizerState {
  const tensors = new Map<string, Tensor>()
  for (const { name, slots } of entries.flat()) {
    for (const [slot, tensor] of slots) tensors.set(`${name}.${slot}`, tensor)
  }
  return {
    optimizer,
    groups: groups.map((group, g) => ({
      hyperparameters: Object.fromEntries(
        keys.map((key) => {
          const value = group[key as keyof typeof group] as number | boolean | readonly number[]
          return [key, Array.isArray(value) ? [...value] : value]
        }),
      ) as GroupState['hyperparameters'],
      baseLr: group.baseLr,
      parameters: (entries[g] ?? []).map(({ name, steps, slots }) => ({ name, steps, slots: [...slots.keys()] })),
    })),
    tensors,
  }
}

/** Throws unless `state` is one for an optimizer of this name over these parameters. */
export function checkState(optimizer: string, entries: readonly (readonly Entry[])[], state: OptimizerState): void {
  const who = `${optimizer}.loadStateDict`
  if (typeof state !== 'object' || state === null || !Array.isArray(state.groups)) {
    throw new ArgumentError(`${who}: state expects what stateDict() gave, got ${String(state)}`)
  }
  if (state.optimizer !== optimizer) {
    throw new ArgumentError(`${who}: state expects that of ${optimizer}, got that of ${shown(state.optimizer)}`)
  }
  if (state.groups.length !== entries.length) {
    throw new ArgumentError(`${who}: state expects ${entries.length} groups, got ${state.groups.length}`)
  }
  for (const [g, group] of state.groups.entries()) {
    const own = entries[g] ?? []
    checkNumber(who, `baseLr of group ${g}`, group.baseLr)
    if (group.parameters.length !== own.length) {
      throw new ArgumentError(`${who}: group ${g} expects ${own.length} parameters, got ${group.parameters.length}`)
    }
    for (const [i, saved] of group.parameters.entries()) checkEntry(who, own[i] as Entry, saved, state.tensors)
  }
}

function checkEntry(
  who: string,
  { name, parameter }: Entry,
  saved: GroupState['parameters'][number],
  tensors: OptimizerState['tensors'],
): void {
  if (saved.name !== name) throw new ArgumentError(`${who}: expects parameter ${name}, got ${shown(saved.name)}`)
  checkCount(who, `steps of parameter ${name}`, saved.steps, 0)
  for (const slot of saved.slots) {
    const key = `${name}.${slot}`
    const tensor = tensors.get(key)
    if (tensor === undefined) throw new ArgumentError(`${who}: tensors expects ${key}, got none of that name`)
    if (String(tensor.shape) !== String(parameter.shape)) {
      throw new ShapeError(
        `${who}: ${key} expects shape (${parameter.shape.join(', ')}), got (${tensor.shape.join(', ')})`,
      )
    }
    if (tensor.dtype !== parameter.dtype) {
      throw new DTypeError(`${who}: ${key} expects ${parameter.dtype}, got ${tensor.dtype}`)
    }
  }
}
