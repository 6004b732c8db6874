/** Weights into models and out of them. */
import type { Tensor } from '@convnets/tensor'
import { readSource, sourceName, type WeightSource, writeFileAtomic } from './files.ts'
import { readSafetensors, type StateDict, type WriteOptions, writeSafetensors } from './state.ts'

/** What can be loaded: `Module` of `@convnets/nn`, or anything that copies a state dict into itself and reports on it. */
export interface Loadable<Report> {
  loadStateDict(dict: StateDict, options: { strict: boolean }): Report
}

/** What can be saved: `Module` of `@convnets/nn`, or anything with a state dict. */
export interface Saveable {
  stateDict(): ReadonlyMap<string, Tensor>
}

/** How weights are loaded. */
export interface LoadOptions {
  /** Throw for keys that are missing or unexpected (default true). Shapes that differ are always an error or reported. */
  readonly strict?: boolean
  readonly signal?: AbortSignal
}

/**
 * Loads a safetensors file into a model and gives the model's report (`{ missing, unexpected, mismatched }` for a
 * `Module`). The source is a path, a URL (a file's, or one that is fetched without cache or checksum), or bytes.
 *
 * Rejects with `FormatError` for a file that is not whole, with Node's own error for one that cannot be read, and with
 * what the model throws under `strict`. The model is only touched after the whole file has been read and checked.
 */
export async function loadWeights<Report>(
  model: Loadable<Report>,
  source: WeightSource,
  { strict = true, signal }: LoadOptions = {},
): Promise<Report> {
  const bytes = await readSource(source, signal)
  const { tensors } = readSafetensors(bytes, { file: sourceName(source) })
  try {
    return model.loadStateDict(tensors, { strict })
  } finally {
    for (const loaded of tensors.values()) loaded.dispose()
  }
}

/**
 * Saves a model's state dict as a safetensors file, atomically: the path holds the old file or the new one, never half of
 * one. The folder must exist. Metadata are `format: pt` unless given (keys, shapes and meaning are PyTorch's, and some
 * readers insist on being told); `dtype: 'F16'` or `'BF16'` halves the file.
 */
export async function saveWeights(model: Saveable, path: string | URL, options: WriteOptions = {}): Promise<void> {
  const metadata = options.metadata ?? new Map([['format', 'pt']])
  await writeFileAtomic(path, await writeSafetensors(model.stateDict(), { ...options, metadata }))
}
