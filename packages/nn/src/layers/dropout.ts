/** Layers that drop something at random in training mode and pass their input on in evaluation mode. */
import { checkNumber, dropout, dropout2d, dropPath, type Generator, readOptions, type Tensor } from '@convnets/tensor'
import { Module } from '../module.ts'

export interface DropOptions {
  /** Source of the masks. Default: the default generator at the time of the call. */
  readonly generator?: Generator
}

/** What the three share: what is dropped is the op's affair. */
abstract class Drop extends Module {
  /** Probability of a zero. */
  readonly p: number
  readonly #generator: Generator | undefined

  constructor(layer: string, p: number, options: DropOptions) {
    super()
    this.p = checkNumber(layer, 'p', p, 0, 1)
    this.#generator = readOptions(layer, options, { generator: undefined }).generator
  }

  abstract override forward(x: Tensor): Tensor

  /** Whether there is nothing to do, and what the ops need otherwise. */
  protected get inactive(): boolean {
    return !this.training || this.p === 0
  }

  protected get options(): { readonly p: number; readonly generator?: Generator } {
    return this.#generator === undefined ? { p: this.p } : { p: this.p, generator: this.#generator }
  }

  override describe(): string {
    return `${this.p}`
  }
}

/** Zeros each element with probability p (0.5) and scales the others by 1 / (1 - p). Srivastava et al. 2014. */
export class Dropout extends Drop {
  constructor(p = 0.5, options: DropOptions = {}) {
    super('Dropout', p, options)
  }

  override forward(x: Tensor): Tensor {
    return this.inactive ? x : dropout(x, this.options)
  }
}

/** Zeros whole channels of (N, C, ...) with probability p (0.5). Tompson et al. 2015. */
export class Dropout2d extends Drop {
  constructor(p = 0.5, options: DropOptions = {}) {
    super('Dropout2d', p, options)
  }

  override forward(x: Tensor): Tensor {
    return this.inactive ? x : dropout2d(x, this.options)
  }
}

/** Stochastic depth: zeros whole samples of (N, ...), to skip a residual branch, with probability p (0). Huang et al. 2016. */
export class DropPath extends Drop {
  constructor(p = 0, options: DropOptions = {}) {
    super('DropPath', p, options)
  }

  /** Whether `forward` gives its input and nobody hears of it: in evaluation mode or with p = 0, without a hook. */
  get idle(): boolean {
    return this.inactive && this.forward === DropPath.prototype.forward
  }

  override forward(x: Tensor): Tensor {
    return this.inactive ? x : dropPath(x, this.options)
  }
}
