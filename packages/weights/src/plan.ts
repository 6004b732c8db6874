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
  /** The first key of the model that the file lacks or has in another shape, or else the first that the model lacks. */
  readonly firstKey: string

  constructor(
    file: string,
    { missing, unexpected, mismatched }: LoadReport,
    { model = '', keys = [] }: { readonly model?: string; readonly keys?: Iterable<string> } = {},
  ) {
    const some = (keys: readonly string[]): string =>
      keys.length > 20 ? `${keys.slice(0, 20).join(', ')} and ${keys.length - 20} more` : keys.join(', ')
    const parts = [
      missing.length > 0 ? `missing ${some(missing)}` : '',
      unexpected.length > 0 ? `unexpected ${some(unexpected)}` : '',
      some(mismatched.map(({ key, expected, got }) => `${key} expects ${show(expected)}, got ${show(got)}`)),
    ]
    const differing = new Set([...missing, ...mismatched.map(({ key }) => key), ...unexpected])
    const first = [...keys].find((key) => differing.has(key)) ?? [...differing][0] ?? ''
    const details = parts.filter(Boolean).join('; ')
    super(
      `loadWeights: the tensors of ${file} do not fit${model && ` ${model}`}, first ${first}, nothing was changed: ${details}`,
    )
    this.firstKey = first
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
 * Keys of auxiliary heads that one side has and the other has nothing of: heads that training alone needs, so that a file
 * or a model without them is whole. Half a head is not.
 */
export function keysOfAbsentHeads(
  heads: readonly string[],
  own: Iterable<string>,
  offered: Iterable<string>,
): ReadonlySet<string> {
  const sides = [[...own], [...offered]]
  const absent = heads.map((head) => sides.map((keys) => keys.filter((key) => key.startsWith(`${head}.`))))
  return new Set(absent.filter((both) => both.some((keys) => keys.length === 0)).flat(2))
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
