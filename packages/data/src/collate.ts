/** Samples to batches. */
import { ArgumentError, fromChannelsLast, ShapeError, type Tensor, tensor } from '@convnets/tensor'
import type { Sample } from './dataset.ts'
import type { Pixels } from './pixels.ts'
import { unit } from './transforms.ts'
import type { Made } from './workers/protocol.ts'

/** One step of training. The tensors are the receiver's, to dispose of or to leave to a scope. */
export interface Batch {
  /** (N, C, H, W) float32. */
  readonly input: Tensor
  /** (N) int32 class numbers. */
  readonly target: Tensor
  /** Where in the dataset each of the N samples comes from. */
  readonly indices: Int32Array
}

/** Makes a batch of samples, which come from `indices` of the dataset. */
export type Collate<Label, Made> = (samples: readonly Sample<Label>[], indices: Int32Array) => Made

/** What a batch is checked for: a picture without its pixels, and its label. */
interface Described {
  readonly image: Omit<Pixels, 'data'>
  readonly label: unknown
}

const size = ({ height, width, channels }: Described['image']): string => `${height} x ${width} x ${channels}`

/** The size that all pictures of a batch have, and their labels. Throws as `collateImages` does. */
function check(
  samples: readonly Described[],
  indices: Int32Array,
): { shape: readonly [n: number, height: number, width: number, channels: number]; labels: Int32Array } {
  const first = samples[0]?.image
  if (!first) throw new ArgumentError('collateImages: samples expects at least one, got none')
  const { height, width, channels } = first
  const labels = new Int32Array(samples.length)
  for (const [i, { image, label }] of samples.entries()) {
    if (image.height !== height || image.width !== width || image.channels !== channels) {
      throw new ShapeError(
        `collateImages: sample ${indices[i]} expects a picture of ${size(first)} like the first of its batch, got ${size(image)}`,
      )
    }
    if (typeof label !== 'number' || !Number.isInteger(label) || label < 0) {
      throw new ArgumentError(
        `collateImages: sample ${indices[i]} expects a class number as label, got ${String(label)}`,
      )
    }
    labels[i] = label
  }
  return { shape: [samples.length, height, width, channels], labels }
}

function batchOf(pixels: Float32Array, { shape, labels }: ReturnType<typeof check>, indices: Int32Array): Batch {
  const target = tensor(labels, { dtype: 'int32' })
  try {
    return { input: fromChannelsLast(pixels, shape), target, indices }
  } catch (error) {
    target.dispose()
    throw error
  }
}

function place(pixels: Float32Array, data: Pixels['data'], at: number): void {
  if (data instanceof Float32Array) pixels.set(data, at)
  else for (let i = 0; i < data.length; i++) pixels[at + i] = unit[data[i]!]!
}

/**
 * Pictures of equal size to (N, C, H, W) float32, labels to int32. Pictures that are still bytes become 0 to 1.
 * Throws `ShapeError` for a picture of another size than the first, and `ArgumentError` for a label that is no class number.
 */
export function collateImages(samples: readonly Sample<unknown>[], indices: Int32Array): Batch {
  const checked = check(samples, indices)
  const [n, height, width, channels] = checked.shape
  const length = height * width * channels
  const pixels = new Float32Array(n * length)
  for (const [i, { image }] of samples.entries()) place(pixels, image.data, i * length)
  return batchOf(pixels, checked, indices)
}

/** The same for a batch that a worker has made of floats: it goes into the tensor as it lies. */
export function collateMade({ memory, samples }: Made, indices: Int32Array): Batch {
  const described = samples.map((placed) => ({ image: placed, label: placed.sample.label }))
  const checked = check(described, indices)
  const [n, height, width, channels] = checked.shape
  return batchOf(new Float32Array(memory, 0, n * height * width * channels), checked, indices)
}

/** The samples of a batch that a worker has made, with their pixels where they lie. */
export function samplesOf<Label>({ memory, samples }: Made): Sample<Label>[] {
  return samples.map(({ sample, height, width, channels, floats, at }) => {
    const length = height * width * channels
    const data = floats ? new Float32Array(memory, at, length) : new Uint8Array(memory, at, length)
    return { ...(sample as unknown as Sample<Label>), image: { data, height, width, channels } }
  })
}
