/** Samples to batches. */
import { ArgumentError, fromChannelsLast, ShapeError, type Tensor, tensor } from '@convnets/tensor'
import type { Sample } from './dataset.ts'
import type { Pixels } from './pixels.ts'
import { unit } from './transforms.ts'

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

const size = ({ height, width, channels }: Pixels): string => `${height} x ${width} x ${channels}`

function place(pixels: Float32Array, data: Pixels['data'], at: number): void {
  if (data instanceof Float32Array) pixels.set(data, at)
  else for (let i = 0; i < data.length; i++) pixels[at + i] = unit[data[i]!]!
}

/**
 * Pictures of equal size to (N, C, H, W) float32, labels to int32. Pictures that are still bytes become 0 to 1.
 * Throws `ShapeError` for a picture of another size than the first, and `ArgumentError` for a label that is no class number.
 */
export function collateImages(samples: readonly Sample<unknown>[], indices: Int32Array): Batch {
  const first = samples[0]?.image
  if (!first) throw new ArgumentError('collateImages: samples expects at least one, got none')
  const { height, width, channels } = first
  const length = height * width * channels
  const pixels = new Float32Array(samples.length * length)
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
    place(pixels, image.data, i * length)
    labels[i] = label
  }
  const target = tensor(labels, { dtype: 'int32' })
  try {
    return { input: fromChannelsLast(pixels, [samples.length, height, width, channels]), target, indices }
  } catch (error) {
    target.dispose()
    throw error
  }
}
