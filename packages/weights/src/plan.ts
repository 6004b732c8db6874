/** Which tensor of a file goes where in a model: decided from names and shapes alone, before anything is read. */
import { ConvnetsError, type Shape } from '@convnets/tensor'

/** A key whose tensor has another shape than the model's. */
export interface Mismatch {
  readonly key: string
  readonly expected: Shape
  readonly got: Shape
}

/** How a file fits a model. */
export interface LoadReport {
  /** Keys of the model that the file lacks. `num_batches_tracked` is never missed: old checkpoints have none. */
  readonly missing: readonly string[]
  /** Keys of the file that the model lacks. */
  readonly unexpected: readonly string[]
  readonly mismatched: readonly Mismatch[]
  /** Name of the layout whose keys the file has, if they are not the model's own. */
  readonly layout?: string
}

const show = (shape: Shape): string => `(${shape.join(', ')})`

/** Weights that do not fit a model. The model is as it was. */
export class WeightsMismatchError extends ConvnetsError implements LoadReport {
  override name = 'WeightsMismatchError'
  readonly missing: readonly string[]
  readonly unexpected: readonly string[]
  readonly mismatched: readonly Mismatch[]

  constructor(file: string, { missing, unexpected, mismatched }: LoadReport) {
    const some = (keys: readonly string[]): string =>
      keys.length > 20 ? `${keys.slice(0, 20).join(', ')} and ${keys.length - 20} more` : keys.join(', ')
    const parts = [
      missing.length > 0 ? `missing ${some(missing)}` : '',
      unexpected.length > 0 ? `unexpected ${some(unexpected)}` : '',
      some(mismatched.map(({ key, expected, got }) => `${key} expects ${show(expected)}, got ${show(got)}`)),
    ]
    super(`loadWeights: the tensors of ${file} do not fit, nothing was changed: ${parts.filter(Boolean).join('; ')}`)
    this.missing = missing
    this.unexpected = unexpected
    this.mismatched = mismatched
  }
}

/** A tensor of a file as the model is to see it. */
export interface Offered {
  /** Its key in the file. */
  readonly from: string
  readonly shape: Shape
  /** Rows at the beginning of the first axis that are left out. */
  readonly skipRows?: number
}

/** What is offered, by the model's keys. */
export type Offer = ReadonlyMap<string, Offered>

/** Compares what is offered with what a model has. */
export function compare(own: ReadonlyMap<string, Shape>, offer: Offer): Omit<LoadReport, 'layout'> {
  const mismatched: Mismatch[] = []
  for (const [key, expected] of own) {
    const got = offer.get(key)?.shape
    if (got !== undefined && String(got) !== String(expected)) mismatched.push({ key, expected, got })
  }
  return {
    missing: [...own.keys()].filter((key) => !offer.has(key) && !/(^|\.)num_batches_tracked$/.test(key)),
    unexpected: [...offer.keys()].filter((key) => !own.has(key)),
    mismatched,
  }
}

/**
 * Whether all shapes that differ are those of classifiers for another number of classes: weights and biases whose first
 * axis alone differs, and always from the same number to the same other one.
 */
export function onlyClassifiersDiffer(mismatched: readonly Mismatch[]): boolean {
  const pairs = new Set(mismatched.map(({ expected, got }) => `${got[0]} to ${expected[0]}`))
  return (
    pairs.size === 1 &&
    mismatched.every(
      ({ key, expected, got }) =>
        /(^|\.)(weight|bias)$/.test(key) &&
        expected.length === got.length &&
        String(expected.slice(1)) === String(got.slice(1)),
    )
  )
}
