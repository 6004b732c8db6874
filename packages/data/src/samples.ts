/** How a sample of an epoch comes about; the same code on the thread that trains and on those that help it. */
import type { Generator } from '@convnets/tensor'
import type { Dataset, Sample } from './dataset.ts'
import type { Transform } from './transforms.ts'

/** Where samples come from and what becomes of their pictures. */
export interface SampleParts<Label = number> {
  readonly dataset: Dataset<Sample<Label>>
  /** Applied to every picture, with a generator of that picture's own in that epoch. */
  readonly transform?: Transform | undefined
}

/** Samples to make: `repeats[i]` tells how often `indices[i]` has come before in this epoch, where anything repeats. */
export interface Order {
  readonly indices: Int32Array
  readonly repeats?: Int32Array | undefined
}

/** The sample after its transform. Its generator follows from the epoch's and its index alone, wherever it stands. */
function finish<Label>(
  sample: Sample<Label>,
  { transform }: SampleParts<Label>,
  epoch: Generator,
  index: number,
  repeat: number,
): Sample<Label> {
  if (!transform) return sample
  const own = repeat === 0 ? epoch.fork(index) : epoch.fork(index, repeat)
  return { ...sample, image: transform(sample.image, own) }
}

/** The samples of an order, as the dataset promises them or has them at hand. */
export async function makeSamples<Label>(
  parts: SampleParts<Label>,
  epoch: Generator,
  { indices, repeats }: Order,
): Promise<Sample<Label>[]> {
  const one = async (index: number, i: number): Promise<Sample<Label>> =>
    finish(await parts.dataset.get(index), parts, epoch, index, repeats?.[i] ?? 0)
  // All of them are waited for, so that of several failures the first in order is told, and none goes unheard.
  const results = await Promise.allSettled(Array.from(indices, one))
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}

/** The same at once. `promised` makes the error for a sample that is a promise. */
export function makeSamplesNow<Label>(
  parts: SampleParts<Label>,
  epoch: Generator,
  { indices, repeats }: Order,
  promised: (index: number) => Error,
): Sample<Label>[] {
  return Array.from(indices, (index, i) => {
    const sample = parts.dataset.get(index)
    if (sample instanceof Promise) {
      sample.catch(() => {})
      throw promised(index)
    }
    return finish(sample, parts, epoch, index, repeats?.[i] ?? 0)
  })
}
