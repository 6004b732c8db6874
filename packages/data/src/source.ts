/** Samples that worker threads can make too. */
import { ArgumentError } from '@convnets/tensor'
import type { Dataset, Sample } from './dataset.ts'
import type { SampleParts } from './samples.ts'
import type { Transform } from './transforms.ts'
import { type Port, serveSamples } from './workers/serve.ts'

/** A dataset and its transform, with the place where a worker thread finds them. Made by `sampleSource`. */
export class SampleSource<Label = number> implements SampleParts<Label> {
  /** URL of the module. */
  readonly url: string
  /** Under which name the module exports this. */
  readonly name: string
  readonly dataset: Dataset<Sample<Label>>
  readonly transform: Transform | undefined

  constructor(url: string, name: string, { dataset, transform }: SampleParts<Label>) {
    this.url = url
    this.name = name
    this.dataset = dataset
    this.transform = transform
  }

  /** What a worker thread runs, and nobody else: it makes samples for `port` until it is ended. */
  serve(port: Port): void {
    serveSamples(this, port)
  }
}

/**
 * A dataset and its transform for a `DataLoader` with worker threads, from a module of its own that exports it as `name`:
 *
 * ```ts
 * // photos.ts
 * export const train = sampleSource(import.meta.url, 'train', { dataset: await imageFolder('photos/train'), transform })
 * // train.ts
 * import { train } from './photos.ts'
 * const loader = new DataLoader(train, { batchSize: 64, shuffle: true, workers: 2 })
 * ```
 *
 * Why a module: datasets and transforms are functions and closures, which no thread can send to another, and turning them
 * into text and back loses what they refer to. So every worker imports the module, as the program did, and makes its own.
 * The module must make the same dataset wherever it is imported, and must not start to train: it is imported by every
 * worker. Throws `ArgumentError` for a URL or a name that is none.
 */
export function sampleSource<Label = number>(
  url: string | URL,
  name: string,
  parts: SampleParts<Label>,
): SampleSource<Label> {
  const href = String(url)
  if (!URL.canParse(href)) {
    throw new ArgumentError(`sampleSource: url expects import.meta.url of the module that exports it, got '${href}'`)
  }
  if (typeof name !== 'string' || name === '') {
    throw new ArgumentError(`sampleSource: name expects the name that the module exports it under, got ${String(name)}`)
  }
  return new SampleSource(href, name, parts)
}
