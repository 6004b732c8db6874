/** Map-style datasets: a length, and an item for every index. */
import { ArgumentError, ShapeError } from '@convnets/tensor'
import { Image } from './image.ts'
import type { Pixels } from './pixels.ts'

/** A picture and what it shows. */
export interface Sample<Label = number> {
  readonly image: Pixels
  readonly label: Label
}

/** Items by index, 0 to `length - 1`; at hand, or promised (files, network). */
export interface Dataset<Item = Sample> {
  readonly length: number
  get(index: number): Item | Promise<Item>
}

/** Throws `ArgumentError` for what is no index of a dataset. */
export function checkIndex(index: number, length: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= length) {
    throw new ArgumentError(`Dataset.get: index expects an integer from 0 to ${length - 1}, got ${index}`)
  }
}

/** A dataset over a list, which is not copied. */
export function arrayDataset<Item>(items: readonly Item[]): Dataset<Item> & { get(index: number): Item } {
  return {
    get length() {
      return items.length
    },
    get(index) {
      checkIndex(index, items.length)
      return items[index] as Item
    },
  }
}

/** The items of `dataset` under `change`, made anew at every `get`. */
export function mapDataset<From, To>(
  dataset: Dataset<From>,
  change: (item: From, index: number) => To | Promise<To>,
): Dataset<To> {
  return {
    get length() {
      return dataset.length
    },
    get(index) {
      const item = dataset.get(index)
      return item instanceof Promise ? item.then((from) => change(from, index)) : change(item, index)
    },
  }
}

/** The items of `dataset` at `indices`, in that order. Throws `ArgumentError` for an index that it has not. */
export function subset<Item>(dataset: Dataset<Item>, indices: ArrayLike<number>): Dataset<Item> {
  const chosen = Array.from(indices)
  for (const index of chosen) checkIndex(index, dataset.length)
  return {
    length: chosen.length,
    get(index) {
      checkIndex(index, chosen.length)
      return dataset.get(chosen[index]!)
    },
  }
}

/** What an `ImageDataset` is made of. */
export interface ImageDatasetParts {
  /** All pictures, one after the other: (N, H, W, C), 0 to 255. */
  readonly images: Uint8Array
  readonly height: number
  readonly width: number
  readonly channels: number
  /** N class numbers. */
  readonly labels: Uint8Array
  /** Class names by number. */
  readonly classes: readonly string[]
}

/** Labelled pictures of one size, in memory. */
export class ImageDataset implements Dataset<Sample> {
  readonly images: Uint8Array
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly labels: Uint8Array
  readonly classes: readonly string[]

  /** Takes the arrays as they are. Throws `ShapeError` for lengths that do not fit, `ArgumentError` for an unknown class. */
  constructor({ images, height, width, channels, labels, classes }: ImageDatasetParts) {
    const expected = labels.length * height * width * channels
    if (images.length !== expected) {
      throw new ShapeError(
        `ImageDataset: images expects ${expected} bytes for ${labels.length} pictures of ${height} x ${width} x ${channels}, got ${images.length}`,
      )
    }
    const wrong = labels.findIndex((label) => label >= classes.length)
    if (wrong >= 0) {
      throw new ArgumentError(
        `ImageDataset: labels expects classes below ${classes.length}, got ${labels[wrong]} at index ${wrong}`,
      )
    }
    this.images = images
    this.height = height
    this.width = width
    this.channels = channels
    this.labels = labels
    this.classes = classes
  }

  get length(): number {
    return this.labels.length
  }

  /** The picture, which shares its memory with the dataset, and its class number. */
  get(index: number): { image: Image; label: number } {
    checkIndex(index, this.length)
    const { height, width, channels } = this
    const size = height * width * channels
    const data = this.images.subarray(index * size, (index + 1) * size)
    return { image: new Image(data, height, width, channels), label: this.labels[index]! }
  }
}

/** A dataset for training, one for testing, and the names of their classes. */
export interface Split {
  readonly train: ImageDataset
  readonly test: ImageDataset
  readonly classes: readonly string[]
}
