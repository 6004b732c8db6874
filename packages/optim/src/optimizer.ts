/** Parameters, groups and state: what all optimizers share. */
import { ArgumentError, DisposedError, full, isFloat, ShapeError, type Tensor, update } from '@convnets/tensor'
import type { Hyperparameters, Method, Rule } from './rule.ts'
import type { Schedule } from './schedules.ts'
import { checkState, type OptimizerState, stateOf } from './state.ts'

/** Tensors to train, or `[name, tensor]` pairs such as `model.namedParameters()` gives; names are for state dicts. */
export type ParameterSource = Iterable<Tensor | readonly [name: string, parameter: Tensor]>

/** Parameters with hyperparameters of their own; those that are missing are the optimizer's. */
export type ParameterGroup<H> = { readonly parameters: ParameterSource } & Partial<H>

/** What an optimizer trains: parameters, or groups of them. */
export type OptimizerParameters<H> = ParameterSource | Iterable<ParameterGroup<H>>

/** One parameter under its name (its number where none was given), with how often it was stepped and its state. */
export interface Entry {
  readonly name: string
  readonly parameter: Tensor
  steps: number
  readonly slots: Map<string, Tensor>
}

/** A group as an optimizer holds it. Hyperparameters may be changed between steps: `optimizer.groups[0].lr = 0.01`. */
export type Group<H> = H & {
  /** What schedules start from: the `lr` that the group was made with. */
  readonly baseLr: number
  readonly parameters: readonly Tensor[]
}

interface Slot {
  readonly entry: Entry
  readonly name: string
  readonly tensor: Tensor
}

function isGroup<H>(item: unknown): item is ParameterGroup<H> {
  return typeof item === 'object' && item !== null && 'parameters' in item
}

/** Steps parameters along their gradients by a method such as that of `SGD` or `Adam`, or one of your own. */
export class Optimizer<H extends Hyperparameters> {
  readonly #method: Method<H>
  readonly #groups: Group<H>[] = []
  readonly #entries: Entry[][] = []

  /**
   * @throws ArgumentError for hyperparameters out of range or unknown, for no parameters, for a parameter or name that
   * comes twice, and for tensors that cannot be trained (integers, results of ops).
   */
  constructor(method: Method<H>, parameters: OptimizerParameters<H>, options: Partial<H> = {}) {
    this.#method = method
    if (typeof parameters !== 'object' || parameters === null || !(Symbol.iterator in parameters)) {
      throw new ArgumentError(
        `${method.name}: parameters expects tensors, [name, tensor] pairs or groups, got ${String(parameters)}`,
      )
    }
    const items = [...parameters]
    const own = items.every((item) => !isGroup(item))
    const groups = own ? [{ parameters: items }] : items
    const seen = new Set<Tensor | string>()
    let count = 0
    for (const [g, group] of groups.entries()) {
      if (!isGroup<H>(group)) throw new ArgumentError(`${method.name}: parameters mixes groups and tensors`)
      const { parameters: source, ...rest } = group
      const entries = [...(source as ParameterSource)].map((item) => this.#entry(item, count++, seen))
      if (entries.length === 0) {
        const where = own ? 'parameters' : `group ${g}`
        throw new ArgumentError(`${method.name}: ${where} expects at least one parameter, got none`)
      }
      const h = this.#complete({ ...options, ...rest } as Partial<H>)
      this.#groups.push({ ...h, baseLr: h.lr, parameters: entries.map(({ parameter }) => parameter) })
      this.#entries.push(entries)
    }
    if (count === 0) throw new ArgumentError(`${method.name}: parameters expects at least one parameter, got none`)
  }

  #entry(item: Tensor | readonly [string, Tensor], index: number, seen: Set<Tensor | string>): Entry {
    const who = this.#method.name
    const [name, parameter] = Array.isArray(item)
      ? (item as readonly [string, Tensor])
      : [String(index), item as Tensor]
    if (typeof parameter !== 'object' || parameter === null || !('requiresGrad' in parameter)) {
      throw new ArgumentError(`${who}: parameter ${name} expects a tensor, got ${String(parameter)}`)
    }
    if (parameter.disposed) throw new DisposedError(`${who}: parameter ${name} (${parameter.describe()}) was freed`)
    if (!isFloat(parameter.dtype)) {
      throw new ArgumentError(`${who}: parameter ${name} expects a float tensor, got ${parameter.describe()}`)
    }
    if (parameter.node !== undefined) {
      throw new ArgumentError(`${who}: parameter ${name} expects a leaf, got ${parameter.describe()}`)
    }
    for (const [what, value] of [
      ['parameter', parameter],
      ['name', name],
    ] as const) {
      if (seen.has(value)) throw new ArgumentError(`${who}: ${what} ${name} is listed twice`)
      seen.add(value)
    }
    return { name, parameter, steps: 0, slots: new Map() }
  }

  #complete(options: Partial<H>): H {
    const { name, defaults } = this.#method
    for (const key of Object.keys(options)) {
      if (!(key in defaults)) {
        throw new ArgumentError(`${name}: expects the options ${Object.keys(defaults).join(', ')}, got ${key}`)
      }
    }
    const h = { ...defaults, ...options }
    this.#method.check(h)
    return h
  }

  /** Name of the method: `SGD`, `Adam`. */
  get name(): string {
    return this.#method.name
  }

  get groups(): readonly Group<H>[] {
    return this.#groups
  }

  /** Frees the gradients of all parameters. */
  zeroGrad(): void {
    for (const { parameters } of this.#groups) for (const parameter of parameters) parameter.grad = undefined
  }

  /**
   * One step along the gradients, in place. Parameters without a gradient stay as they are, and so does their state.
   * A step is taken for all parameters or, when it throws (freed tensors, hyperparameters out of range, no memory for
   * state), for none.
   */
  step(): void {
    const work: { entry: Entry; group: Group<H>; rule: Rule; grad: Tensor; fresh: boolean }[] = []
    const made: Slot[] = []
    try {
      for (const [g, group] of this.#groups.entries()) {
        this.#method.check(group)
        const rule = this.#method.rule(group)
        for (const entry of this.#entries[g] ?? []) {
          const grad = this.#gradient(entry)
          if (grad === undefined) continue
          const missing = rule.slots.filter((slot) => !entry.slots.has(slot))
          for (const name of missing) made.push({ entry, name, tensor: this.#make(entry, name, group) })
          work.push({ entry, group, rule, grad, fresh: missing.length > 0 })
        }
      }
    } catch (error) {
      for (const { tensor } of made) tensor.dispose()
      throw error
    }
    for (const { entry, name, tensor } of made) entry.slots.set(name, tensor)
    for (const { entry, group, rule, grad, fresh } of work) {
      entry.steps++
      const state = rule.slots.map((slot) => entry.slots.get(slot) as Tensor)
      const params = this.#method.params(group, entry.steps, fresh)
      update(rule.formulas, [entry.parameter, ...state], [grad], params)
    }
  }

  #gradient({ name, parameter }: Entry): Tensor | undefined {
    if (parameter.disposed) {
      throw new DisposedError(`${this.name}.step: parameter ${name} (${parameter.describe()}) was freed`)
    }
    const { grad } = parameter
    if (grad?.disposed) throw new DisposedError(`${this.name}.step: the gradient of parameter ${name} was freed`)
    if (grad !== undefined && String(grad.shape) !== String(parameter.shape)) {
      throw new ShapeError(
        `${this.name}.step: the gradient of parameter ${name} expects shape (${parameter.shape.join(', ')}), got (${grad.shape.join(', ')})`,
      )
    }
    return grad
  }

  #make({ parameter }: Entry, slot: string, h: H): Tensor {
    const value = this.#method.initial?.(slot, h) ?? 0
    return full(parameter.shape, value, { dtype: parameter.dtype, backend: parameter.backend }).keep()
  }

  /** Sets the learning rate of every group (and momentum, where the schedule gives one) for step `step` of `total`. */
  applySchedule(schedule: Schedule, step: number, total: number): void {
    const rates = this.#groups.map(({ baseLr }) => schedule(step, { total, lr: baseLr }))
    if (rates.some(({ momentum }) => momentum !== undefined) && this.#method.setMomentum === undefined) {
      throw new ArgumentError(`${this.name}: the schedule sets momentum, which this optimizer does not have`)
    }
    for (const [g, { lr, momentum }] of rates.entries()) {
      const group = this.#groups[g] as Group<H>
      group.lr = lr
      if (momentum !== undefined) this.#method.setMomentum?.(group, momentum)
    }
  }

  /**
   * All that a later run needs to go on: hyperparameters, step counts and state. Plain data, except for the tensors, which
   * are the optimizer's own and move with its next step.
   */
  stateDict(): OptimizerState {
    return stateOf(this.name, this.#groups, this.#entries, Object.keys(this.#method.defaults))
  }

  /**
   * Takes over what `stateDict` gave, copying the tensors.
   *
   * @throws ArgumentError, ShapeError or DTypeError if it is another optimizer's or the parameters are others; nothing has
   * changed then.
   */
  loadStateDict(state: OptimizerState): void {
    checkState(this.name, this.#entries, state)
    const hyperparameters = state.groups.map(({ hyperparameters }) => this.#complete(hyperparameters as Partial<H>))
    const made: Slot[] = []
    try {
      for (const [g, { parameters }] of state.groups.entries()) {
        for (const [i, { name, slots }] of parameters.entries()) {
          const entry = this.#entries[g]?.[i] as Entry
          for (const slot of slots) {
            const tensor = this.#make(entry, slot, hyperparameters[g] as H)
            made.push({ entry, name: slot, tensor })
            tensor.assign_(state.tensors.get(`${name}.${slot}`) as Tensor)
          }
        }
      }
    } catch (error) {
      for (const { tensor } of made) tensor.dispose()
      throw error
    }
    this.dispose()
    for (const { entry, name, tensor } of made) entry.slots.set(name, tensor)
    for (const [g, { baseLr, parameters }] of state.groups.entries()) {
      Object.assign(this.#groups[g] as Group<H>, hyperparameters[g], { baseLr })
      for (const [i, { steps }] of parameters.entries()) (this.#entries[g]?.[i] as Entry).steps = steps
    }
  }

  /** Frees the state and starts anew; parameters and their gradients are not touched. */
  dispose(): void {
    for (const entry of this.#entries.flat()) {
      for (const tensor of entry.slots.values()) tensor.dispose()
      entry.slots.clear()
      entry.steps = 0
    }
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
