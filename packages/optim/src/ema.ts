/** Exponential moving averages of weights, which often test better than the weights themselves. */
import { ArgumentError, DTypeError, f, isFloat, noGrad, ShapeError, type Tensor, update } from '@convnets/tensor'
import { checkCount, checkNumber, shown } from './check.ts'

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
   * Lets the decay grow towards `decay`: update n (from 0) keeps min(decay, 1 - (1 + n / gamma)^-power), as
   * timm's `ModelEmaV3`, so the first one copies the weights.
   * Default false; true means gamma 1 and power 2/3.
   */
  readonly warmup?: boolean | { readonly gamma?: number; readonly power?: number }
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
  readonly #warmup: { readonly gamma: number; readonly power: number } | undefined
  readonly #pairs: Map<string, { readonly source: Tensor; readonly average: Tensor }> = new Map()
  #updates = 0
  #swapped = false

  /** @throws ArgumentError for a decay outside [0, 1] or a model without float tensors. */
  constructor(model: Averageable, { decay = 0.9999, warmup = false, buffers = true }: EMAOptions = {}) {
    if (!(decay >= 0 && decay <= 1)) {
      throw new ArgumentError(`EMA: decay expects a number from 0 to 1, got ${shown(decay)}`)
    }
    const { gamma = 1, power = 2 / 3 } = typeof warmup === 'object' ? warmup : {}
    checkNumber('EMA', 'warmup.gamma', gamma, Number.MIN_VALUE)
    checkNumber('EMA', 'warmup.power', power)
    this.decay = decay
    this.#warmup = warmup === false ? undefined : { gamma, power }
    const sources = [...model.namedParameters(), ...(buffers ? model.namedBuffers() : [])]
    for (const [name, source] of sources) {
      if (!isFloat(source.dtype)) continue
      this.#pairs.set(name, { source, average: noGrad(() => source.clone()).keep() })
    }
    if (this.#pairs.size === 0) throw new ArgumentError('EMA: model expects at least one float tensor, got none')
  }

  /** Number of updates so far. */
  get updates(): number {
    return this.#updates
  }

  /** Takes the model's weights into the averages; call it after `optimizer.step()`. */
  update(): void {
    if (this.#swapped) throw new ArgumentError('EMA.update: the averages are lent to the model; swap() back first')
    const { gamma, power } = this.#warmup ?? { gamma: 0, power: 0 }
    const decay = this.#warmup ? Math.min(this.decay, 1 - (1 + this.#updates / gamma) ** -power) : this.decay
    this.#updates++
    for (const { source, average } of this.#pairs.values()) update([lerp], [average], [source], [1 - decay])
  }

  /** Exchanges the model's weights and the averages, in place; once more puts them back. */
  swap(): void {
    for (const { source, average } of this.#pairs.values()) update(exchange, [source, average])
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
    if (this.#swapped) throw new ArgumentError('EMA.stateDict: the averages are lent to the model; swap() back first')
    return {
      updates: this.#updates,
      tensors: new Map([...this.#pairs].map(([name, { average }]) => [name, average])),
    }
  }

  /**
   * Takes over what `stateDict` gave, copying the tensors.
   *
   * @throws ArgumentError, ShapeError or DTypeError for tensors that are missing, unknown or do not fit; nothing has
   * changed then.
   */
  loadStateDict({ updates, tensors }: EMAState): void {
    const who = 'EMA.loadStateDict'
    checkCount(who, 'updates', updates, 0)
    for (const [name, { average }] of this.#pairs) {
      const saved = tensors.get(name)
      if (saved === undefined) throw new ArgumentError(`${who}: tensors expects ${name}, got none of that name`)
      if (String(saved.shape) !== String(average.shape)) {
        throw new ShapeError(
          `${who}: ${name} expects shape (${average.shape.join(', ')}), got (${saved.shape.join(', ')})`,
        )
      }
      if (saved.dtype !== average.dtype) {
        throw new DTypeError(`${who}: ${name} expects ${average.dtype}, got ${saved.dtype}`)
      }
    }
    for (const name of tensors.keys()) {
      if (!this.#pairs.has(name)) throw new ArgumentError(`${who}: tensors expects no ${name}, which is not averaged`)
    }
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
