/** A file of weights, opened: what is in it is known, and its tensors are read one by one when they are asked for. */
import type { FileDType } from './dtypes.ts'

/** One tensor of a file. */
export interface WeightEntry {
  readonly dtype: FileDType
  readonly shape: readonly number[]
  /** Size of the elements. */
  readonly bytes: number
  /** Little-endian elements in row-major order. The result may share memory with the file's bytes: do not change it. */
  read(): Promise<Uint8Array>
}

/** Layouts of files: how they are told apart, see `openWeights`. */
export type WeightsFormat = 'safetensors' | 'pytorch' | 'npy' | 'npz' | 'tfjs'

/** A file of weights. Close it when you are done; entries cannot be read afterwards. */
export interface WeightsFile {
  readonly format: WeightsFormat
  /** Path, URL or a word, for messages. */
  readonly file: string
  /** What the file says besides tensors: free text of safetensors, numbers and texts beside a checkpoint's state dict. */
  readonly metadata: ReadonlyMap<string, string>
  /** Tensors by key, in the order of the file. */
  readonly entries: ReadonlyMap<string, WeightEntry>
  /** Checks all checksums the format has. Throws `FormatError`. */
  verify(signal?: AbortSignal): Promise<void>
  close(): Promise<void>
}
