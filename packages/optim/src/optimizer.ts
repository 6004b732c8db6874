/** Parameters, groups and state: what all optimizers share. */
import { checkOptionNames, full, isFloat, type Tensor, type Update, updateEach } from '@convnets/tensor'
import { checkCounts, checkLike, checkNumbers, checkTogether, demand } from './check.ts'
import type { Hyperparameters, Method, Rule } from './rule.ts'
import type { Schedule } from './schedules.ts'
import type { OptimizerState } from './state.ts'

/** Tensors to train, or `[name, tensor]` pairs such as `model.namedParameters()` gives; names are for state dicts. */
export type ParameterSource = Iterable<Tensor | readonly [name: string, parameter: Tensor]>

/** Parameters with hyperparameters of their own; those that are missing are the optimizer's. */
export type ParameterGroup<H> = { readonly parameters: ParameterSource } & Partial<H>

/** What an optimizer trains: parameters, or groups of them. */
export type OptimizerParameters<H> = ParameterSource | Iterable<ParameterGroup<H>>

/** A group as an optimizer holds it. Hyperparameters may be changed between steps: `optimizer.groups[0].lr = 0.01`. */
export type Group<H> = H & {
  /** What schedules start from: the `lr` that the group was made with. */
  readonly baseLr: number
  readonly parameters: readonly Tensor[]
}

/** One parameter under its name (its number where none was given), with how often it was stepped and its state. */
interface Entry<H> {
  readonly name: string
  readonly parameter: Tensor
  readonly group: Group<H>
  steps: number
  readonly slots: Map<string, Tensor>
}

/** State that a parameter is to have, and what to copy into it. */
type Wish<H> = readonly [entry: Entry<H>, slot: string, values?: Tensor]

/** Steps parameters along their gradients by a method such as that of `SGD` or `Adam`, or one of your own. */
export class Optimizer<H extends Hyperparameters> {
  readonly #method: Method<H>
  readonly #groups: Group<H>[] = []
  readonly #entries: Entry<H>[] = []
  readonly #rules: Map<string, Rule> = new Map()

  /**
   * @throws ArgumentError for hyperparameters out of range or unknown, for no parameters, for a parameter or name that
   * comes twice, and for tensors that cannot be trained (integers, results of ops, freed ones).
   */
  constructor(method: Method<H>, parameters: OptimizerParameters<H>, options: Partial<H> = {}) {
    const { name: who, defaults } = method
    const names = Object.keys(defaults)
    checkOptionNames(who, options, names)
    this.#method = method
    const iterable = typeof parameters === 'object' && Symbol.iterator in (parameters ?? {})
    demand(iterable, who, 'parameters', 'tensors, pairs or groups', parameters)
    const items = [...parameters] as (Partial<ParameterGroup<H>> & Tensor)[]
    const groups = items[0]?.parameters ? items : [{ parameters: items } as unknown as ParameterGroup<H>]
    const seen = new Set<unknown>()
    for (const [g, { parameters: source, ...own }] of groups.entries()) {
      demand(source !== undefined, who, `group ${g}`, '{ parameters }', source)
      const named = [...source].map((item) => (Array.isArray(item) ? item : [undefined, item]) as [string?, Tensor?])
      demand(named.length > 0, who, `group ${g}`, 'parameters', named)
      checkOptionNames(who, own, names)
      const h = { ...defaults, ...options, ...own } as H
      this.#check(h)
      const group = { ...h, baseLr: h.lr, parameters: named.map(([, parameter]) => parameter as Tensor) }
      this.#groups.push(group)
      for (const [given, parameter] of named) {
        const name = given ?? String(this.#entries.length)
        const fits = parameter?.dtype && isFloat(parameter.dtype) && !parameter.node && !parameter.disposed
        demand(!!fits, who, `parameter ${name}`, 'a float leaf', parameter)
        demand(!seen.has(parameter) && !seen.has(name), who, 'parameters', 'each of them once', `${name} again`)
        seen.add(parameter).add(name)
        this.#entries.push({ name, parameter, group, steps: 0, slots: new Map() })
      }
    }
  }

  /** Throws unless the hyperparameters are of the kind of the defaults and in range. */
  #check(h: H): void {
    const { name, defaults } = this.#method
    for (const [key, standard] of Object.entries(defaults)) {
      const value = h[key as keyof H] as unknown
      if (typeof standard === 'number') checkNumbers(name, { [key]: value })
      else if (typeof standard === 'boolean') demand(typeof value === 'boolean', name, key, 'true or false', value)
      else {
        const fits = Array.isArray(value) && value.length === 2 && value.every((beta) => beta >= 0 && beta < 1)
        demand(fits, name, key, 'two numbers from 0 to below 1', value)
      }
    }
    this.#method.check?.(h)
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
    for (const { parameter } of this.#entries) parameter.grad = undefined
  }

  /**
   * One step along the gradients, in place. Parameters without a gradient stay as they are, and so does their state.
   * A step is taken for all parameters or, when it throws (freed tensors, state left on another backend, hyperparameters
   * out of range, no memory for state), for none.
   */
  step(): void {
    for (const group of this.#groups) this.#check(group)
    const rules = new Map(this.#groups.map((group) => [group, this.#rule(group)]))
    const wishes: Wish<H>[] = []
    const work: { entry: Entry<H>; rule: Rule; grad: Tensor; fresh: boolean }[] = []
    for (const entry of this.#entries) {
      const { parameter, group, slots } = entry
      const { grad } = parameter
      // Asks for the storage, so that a tensor that was freed is an error here and not halfway through.
      void [parameter.storage, grad?.storage]
      if (grad === undefined) continue
      for (const state of slots.values()) checkTogether(`${this.name}.step`, entry.name, parameter, 'state', state)
      const rule = rules.get(group) as Rule
      const missing = rule.slots.filter((slot) => !slots.has(slot))
      for (const slot of missing) wishes.push([entry, slot])
      work.push({ entry, rule, grad, fresh: missing.length > 0 })
    }
    this.#make(wishes)
    // Parameters in a row that are stepped alike are stepped at once.
    const batches: { rule: Rule; params: readonly number[]; updates: Update[] }[] = []
    for (const { entry, rule, grad, fresh } of work) {
      const { parameter, group, slots } = entry
      const targets = [parameter, ...rule.slots.map((slot) => slots.get(slot) as Tensor)]
      const params = this.#method.params(group, entry.steps + 1, fresh)
      const last = batches.at(-1)
      const alike = last?.rule === rule && last.params.every((value, i) => value === params[i])
      if (alike) last.updates.push({ targets, others: [grad] })
      else batches.push({ rule, params, updates: [{ targets, others: [grad] }] })
    }
    for (const { rule, params, updates } of batches) updateEach(rule.formulas, updates, params)
    for (const { entry } of work) entry.steps++
  }

  /**
   * The state tensors: what `moveTo` of `@convnets/tensor` moves. Parameters move with their model, so move both at once:
   * `await moveTo(backend, model, optimizer)`.
   */
  ownTensors(): Tensor[] {
    return this.#entries.flatMap(({ slots }) => [...slots.values()])
  }

  /**
   * A fresh optimizer of this method, with these groups and hyperparameters, for other parameters: those that `instead`
   * gives for this one's. It has no state yet.
   */
  over(instead: (parameter: Tensor) => Tensor): Optimizer<H> {
    const names = new Map(this.#entries.map(({ parameter, name }) => [parameter, name]))
    const groups = this.#groups.map(({ parameters, baseLr: _, ...h }) => ({
      ...h,
      parameters: parameters.map((parameter) => [names.get(parameter) as string, instead(parameter)] as const),
    }))
    return new Optimizer(this.#method, groups as unknown as ParameterGroup<H>[])
  }

  #rule(h: H): Rule {
    const on = Object.values(h).map(Boolean).join()
    const rule = this.#rules.get(on) ?? this.#method.rule(h)
    this.#rules.set(on, rule)
    return rule
  }

  /** Makes state tensors, in addition to what there is or in place of it: all, or none if memory runs out. */
  #make(wishes: readonly Wish<H>[], anew = false): void {
    const made: Tensor[] = []
    try {
      for (const [{ parameter, group }, slot, values] of wishes) {
        const { shape, dtype, backend } = parameter
        const tensor = full(shape, this.#method.initial?.(slot, group) ?? 0, { dtype, backend }).keep()
        made.push(tensor)
        if (values) tensor.assign_(values)
      }
    } catch (error) {
      for (const tensor of made) tensor.dispose()
      throw error
    }
    if (anew) this.dispose()
    for (const [i, [{ slots }, slot]] of wishes.entries()) slots.set(slot, made[i] as Tensor)
  }

  /** Sets the learning rate of every group (and momentum, where the schedule gives one) for step `step` of `total`. */
  applySchedule(schedule: Schedule, step: number, total: number): void {
    const { name, setMomentum } = this.#method
    const rates = this.#groups.map(({ baseLr }) => schedule(step, { total, lr: baseLr }))
    const fits = setMomentum || rates.every(({ momentum }) => momentum === undefined)
    demand(!!fits, name, 'schedule', 'one without momentum', 'momentum')
    for (const [g, { lr, momentum }] of rates.entries()) {
      const group = this.#groups[g] as Group<H>
      group.lr = lr
      if (momentum !== undefined) setMomentum?.(group, momentum)
    }
  }

  /**
   * All that a later run needs to go on: hyperparameters, step counts and state. Plain data, except for the tensors, which
   * are the optimizer's own and move with its next step.
   */
  stateDict(): OptimizerState {
    const tensors = new Map<string, Tensor>()
    const parameters = this.#entries.map(({ name, group, steps, slots }) => {
      for (const [slot, tensor] of slots) tensors.set(`${name}.${slot}`, tensor)
      return { name, group: this.#groups.indexOf(group), steps, slots: [...slots.keys()] }
    })
    const groups = this.#groups.map(({ parameters: _, ...group }) => group)
    return { optimizer: this.name, groups, parameters, tensors }
  }

  /**
   * Takes over what `stateDict` gave, copying the tensors.
   *
   * @throws ArgumentError, or ShapeError for a tensor, if it is another optimizer's or the parameters are others; nothing has
   * changed then.
   */
  loadStateDict(state: OptimizerState): void {
    const who = `${this.name}.loadStateDict`
    demand(state?.optimizer === this.name, who, 'state', `that of ${this.name}`, state?.optimizer)
    const { groups, parameters, tensors } = state
    const own = [this.#groups.length, this.#entries.length]
    const got = [groups.length, parameters.length]
    demand(String(own) === String(got), who, 'numbers of groups and parameters', String(own), got)
    for (const { baseLr, ...h } of groups) {
      checkNumbers(who, { baseLr })
      this.#check(h as unknown as H)
    }
    const wishes: Wish<H>[] = []
    for (const [i, { name, group, steps, slots }] of parameters.entries()) {
      const entry = this.#entries[i] as Entry<H>
      const fits = name === entry.name && this.#groups[group] === entry.group
      demand(fits, who, `parameter ${i}`, `${entry.name}, in its group`, name)
      checkCounts(who, { steps }, 0)
      for (const slot of slots) {
        const saved = tensors.get(`${name}.${slot}`)
        checkLike(who, `${name}.${slot}`, saved, entry.parameter)
        wishes.push([entry, slot, saved])
      }
    }
    this.#make(wishes, true)
    for (const [i, { steps }] of parameters.entries()) (this.#entries[i] as Entry<H>).steps = steps
    for (const [g, group] of groups.entries()) Object.assign(this.#groups[g] as Group<H>, group)
  }

  /** Frees the state and starts anew; parameters and their gradients are not touched. */
  dispose(): void {
    for (const entry of this.#entries) {
      for (const tensor of entry.slots.values()) tensor.dispose()
      entry.slots.clear()
      entry.steps = 0
    }
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
