/** Loss and accuracy, by batch and in the mean over many. */
import { ArgumentError, argmax, eq, noGrad, sum, type Tensor, topk, unsqueeze } from '@convnets/tensor'

/** Means over the samples of an epoch or a data set. */
export interface Metrics {
  readonly loss: number
  /** Share of samples whose class has the largest logit; absent where targets are no class numbers. */
  readonly accuracy?: number
  /** Share of samples whose class is among the k largest logits, by k, for the k that were asked for. */
  readonly topK?: Readonly<Record<number, number>>
}

/** What one batch gives: its mean loss, its size, and how many samples have their class at rank 1, 2, ... */
export interface BatchCounts {
  readonly loss: number
  readonly samples: number
  readonly hits: ArrayLike<number> | undefined
}

/**
 * How many samples have their class as the first, second, ... `ranks`-th of logits (N, classes), as a tensor (ranks);
 * undefined where the target is not (N) class numbers.
 */
export function hitsByRank(logits: Tensor | undefined, target: Tensor, ranks: number): Tensor | undefined {
  if (logits?.rank !== 2 || target.rank !== 1 || target.shape[0] !== logits.shape[0]) return undefined
  if (target.dtype !== 'int32' && target.dtype !== 'uint8') return undefined
  const classes = logits.shape[1] as number
  if (ranks > classes) throw new ArgumentError(`topK: expects at most the ${classes} classes, got ${ranks}`)
  return noGrad(() => {
    const indices = ranks === 1 ? argmax(logits, { dim: 1, keepdim: true }) : topk(logits, ranks, { dim: 1 }).indices
    return sum(eq(indices, unsqueeze(target.to('int32'), 1)).to('float32'), { dim: 0 })
  })
}

/** Running sums of a `Meter`; plain data. */
export interface MeterState {
  readonly loss: number
  readonly samples: number
  readonly classified: number
  readonly correct: readonly number[]
}

/** Sums up batches. */
export class Meter {
  readonly #ks: readonly number[]
  #loss = 0
  #samples = 0
  #classified = 0
  #correct: number[]

  /** `topK`: the k besides 1. */
  constructor(topK: readonly number[]) {
    this.#ks = [1, ...topK]
    this.#correct = this.#ks.map(() => 0)
  }

  get samples(): number {
    return this.#samples
  }

  add({ loss, samples, hits }: BatchCounts): void {
    this.#loss += loss * samples
    this.#samples += samples
    if (hits === undefined) return
    this.#classified += samples
    for (const [i, k] of this.#ks.entries()) {
      for (let rank = 0; rank < k; rank++) this.#correct[i] = (this.#correct[i] as number) + (hits[rank] as number)
    }
  }

  /** The means so far. */
  metrics(): Metrics {
    const loss = this.#loss / this.#samples
    if (this.#classified === 0) return { loss }
    const [accuracy, ...rest] = this.#correct.map((correct) => correct / this.#classified)
    const topK = Object.fromEntries(rest.map((share, i) => [this.#ks[i + 1], share]))
    return { loss, accuracy: accuracy as number, ...(rest.length > 0 && { topK }) }
  }

  state(): MeterState {
    return { loss: this.#loss, samples: this.#samples, classified: this.#classified, correct: [...this.#correct] }
  }

  restore({ loss, samples, classified, correct }: MeterState): void {
    this.#loss = loss
    this.#samples = samples
    this.#classified = classified
    this.#correct = this.#ks.map((_, i) => correct[i] ?? 0)
  }
}

/** The k besides 1, rising. @throws ArgumentError unless they are positive integers. */
export function checkTopK(op: string, topK: readonly number[]): number[] {
  if (!Array.isArray(topK)) throw new ArgumentError(`${op}: topK expects a list such as [5], got ${String(topK)}`)
  for (const k of topK) {
    if (!Number.isSafeInteger(k) || k < 1) throw new ArgumentError(`${op}: topK expects positive integers, got ${k}`)
  }
  return [...new Set(topK)].filter((k) => k > 1).sort((a, b) => a - b)
}
