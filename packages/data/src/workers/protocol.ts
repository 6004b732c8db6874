/** What the thread that trains and its workers say to each other. */
import type { PackedError } from '@convnets/tensor/worker'

/** A batch to make. */
export interface Job {
  readonly id: number
  /** Seed of the epoch's generator of augmentations. */
  readonly seed: number
  readonly indices: Int32Array
  readonly repeats?: Int32Array | undefined
  /** Turn bytes into floats from 0 to 1. */
  readonly floats: boolean
  /** Memory of a batch that has been used up, to put this one into. */
  readonly memory?: SharedArrayBuffer | undefined
}

/** A sample without its pixels, which lie in the batch's memory from byte `at` on. */
export interface Placed {
  readonly sample: Readonly<Record<string, unknown>>
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly floats: boolean
  readonly at: number
}

/** A batch that has been made. */
export interface Made {
  readonly memory: SharedArrayBuffer
  readonly samples: readonly Placed[]
}

/** What a worker says: that it is ready, that it will never be, or what became of a job. */
export type Answer =
  | { readonly kind: 'ready'; readonly length: number }
  | { readonly kind: 'unable'; readonly error: PackedError }
  | { readonly kind: 'made'; readonly id: number; readonly made: Made }
  | { readonly kind: 'failed'; readonly id: number; readonly error: PackedError }
