/** Exponential moving averages of weights, which often test better than the weights themselves. */
import { f, isFloat, noGrad, readOptions, type Tensor, updateEach } from '@convnets/tensor'
import { checkCounts, checkLike, checkNumbers, checkTogether, demand } from './check.ts'

/** What is averaged: a `Module`, or anything with named parameters and buffers. */
export interface Averageable {
  namedParameters(): Iterable<readonly [string, Tensor]>
  namedBuffers(): Iterable<readonly [string, Tensor]>
}

/** How an `EMA` averages. */
export interface EMAOptions {
  /** Share of the average that is kept at every update (default 0.9999). */
  readonly decay?: number
  /**
   * Lets the decay grow towards `decay`: update n (from 0) keeps min(decay, 1 - (1 + n)^-power), as timm's `ModelEmaV3`,
   * so the first one copies the weights. The power, or true for 2/3. Default false.
   */
  readonly warmup?: boolean | number
  /** Averages float buffers (running statistics) too, as timm does; else the model's own stay in use. Default true. */
  readonly buffers?: boolean
}

/** What an `EMA` must remember. All but `tensors` survives JSON unchanged. */
export interface EMAState {
  readonly updates: number
  readonly tensors: ReadonlyMap<string, Tensor>
}

const lerp = f.add(f.input(0), f.mul(f.param(0), f.sub(f.input(1), f.input(0))))
const exchange = [f.input(1), f.input(0)]

/**
 * Averages of a model's weights: average += (1 - decay) (weight - average) at every `update()`, starting from the weights
 * as they are. `using(fn)` lends the averages to the model, to test or save it with.
 */
export class EMA {
  readonly decay: number
  readonly #power: number
  readonly #pairs: Map<string, { readonly source: Tensor; readonly average: Tensor }> = new Map()
  #updates = 0
  #swapped = false

  /** @throws ArgumentError for a decay outside [0, 1] or a model without float tensors. */
  constructor(model: Averageable, options: EMAOptions = {}) {
    const { decay, warmup, buffers } = readOptions('EMA', options, { decay: 0.9999, warmup: false, buffers: true })
    checkNumbers('EMA', { decay }, 0, 1)
    const power = warmup === true ? 2 / 3 : Number(warmup)
    checkNumbers('EMA', { warmup: power })
    this.decay = decay
    this.#power = power
    const sources = [...model.namedParameters(), ...(buffers ? model.namedBuffers() : [])]
    for (const [name, source] of sources) {
      if (!isFloat(source.dtype)) continue
      this.#pairs.set(name, { source, average: noGrad(() => source.clone()).keep() })
    }
    demand(this.#pairs.size > 0, 'EMA', 'model', 'float tensors', model)
  }

  /** Number of updates so far. */
  get updates(): number {
    return this.#updates
  }

  #own(method: string): void {
    demand(!this.#swapped, 'EMA', method, 'averages of its own (swap() takes them back)', 'lent ones')
  }

  /** The averages (or, while these are lent, the weights): what `moveTo` of `@convnets/tensor` moves. */
  ownTensors(): Tensor[] {
    return [...this.#pairs.values()].map(({ average }) => average)
  }

  #together(method: string): void {
    for (const [name, { source, average }] of this.#pairs)
      checkTogether(`EMA.${method}`, name, source, 'average', average)
  }

  /** Takes the model's weights into the averages; call it after `optimizer.step()`. */
  update(): void {
    this.#own('update')
    this.#together('update')
    const decay = this.#power ? Math.min(this.decay, 1 - (1 + this.#updates) ** -this.#power) : this.decay
    this.#updates++
    const updates = [...this.#pairs.values()].map(({ source, average }) => ({ targets: [average], others: [source] }))
    updateEach([lerp], updates, [1 - decay])
  }

  /** Exchanges the model's weights and the averages, in place; once more puts them back. */
  swap(): void {
    this.#together('swap')
    updateEach(
      exchange,
      [...this.#pairs.values()].map(({ source, average }) => ({ targets: [source, average] })),
    )
    this.#swapped = !this.#swapped
  }

  /** Runs `fn` with the averages in the model, and puts the weights back, whatever happens. */
  async using<T>(fn: () => T | Promise<T>): Promise<T> {
    this.swap()
    try {
      return await fn()
    } finally {
      this.swap()
    }
  }

  /** Count and averages. The tensors are the averages themselves and move with the next update. */
  stateDict(): EMAState {
    this.#own('stateDict')
    return {
      updates: this.#updates,
      tensors: new Map([...this.#pairs].map(([name, { average }]) => [name, average])),
    }
  }

  /**
   * Takes over what `stateDict` gave, copying the tensors.
   *
   * @throws ShapeError for tensors that are missing or do not fit, ArgumentError for too many; nothing has changed then.
   */
  loadStateDict({ updates, tensors }: EMAState): void {
    const who = 'EMA.loadStateDict'
    checkCounts(who, { updates }, 0)
    for (const [name, { average }] of this.#pairs) checkLike(who, name, tensors.get(name), average)
    demand(tensors.size === this.#pairs.size, who, 'tensors', `${this.#pairs.size} of them`, tensors.size)
    for (const [name, { average }] of this.#pairs) average.assign_(tensors.get(name) as Tensor)
    this.#updates = updates
  }

  /** Frees the averages. */
  dispose(): void {
    for (const { average } of this.#pairs.values()) average.dispose()
    this.#pairs.clear()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
