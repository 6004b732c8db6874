/** Files of weights of every format, told apart by their bytes. */
import { checkOptionNames, FormatError, optionNames } from '@convnets/tensor'
import { DETECT_BYTES, detect } from './detect.ts'
import type { WeightsFile } from './entry.ts'
import { type Located, type LocateOptions, locate, type WeightSource } from './locate.ts'
import { readNpy } from './numpy/npy.ts'
import { readNpz } from './numpy/npz.ts'
import { completeLimits, type PickleLimits } from './pickle/limits.ts'
import { type CheckpointValue, checkpointFile, checkpointValue } from './pytorch/checkpoint.ts'
import type { Container } from './pytorch/container.ts'
import { readLegacyCheckpoint } from './pytorch/legacy-container.ts'
import { checkpointFolder, readZipCheckpoint } from './pytorch/zip-container.ts'
import { openSafetensors } from './safetensors.ts'
import { openSharded } from './sharded.ts'
import type { ByteSource } from './source.ts'
import { openTfjs } from './tfjs/model-json.ts'
import { readZipDirectory } from './zip/directory.ts'

/** How files are opened. */
export interface ParseOptions {
  /**
   * Keys that lead to the tensors of a PyTorch checkpoint: `['ema']`, `[]` for the top. Default: the usual places
   * (`state_dict`, `model`, `ema` and so on), the first there is.
   */
  readonly select?: readonly string[]
  /** Limits of the pickle machine. */
  readonly limits?: PickleLimits
}

/** How files are found and opened. */
export interface OpenOptions extends LocateOptions, ParseOptions {}

/** The names of the options, for functions that take others besides. */
export const openOptions: readonly string[] = optionNames<OpenOptions>({
  select: true,
  limits: true,
  from: true,
  hub: true,
  cacheFolder: true,
  offline: true,
  signal: true,
  onProgress: true,
  retries: true,
  retryDelay: true,
  stallTimeout: true,
  sha256: true,
  sha256Prefix: true,
})

function notRead(source: ByteSource, got: string): never {
  const expected = 'weights (safetensors, PyTorch, npz, npy or a TensorFlow.js model.json)'
  throw new FormatError({ file: source.name, offset: 0, expected, got })
}

/** What a file turned out to be: a checkpoint that is still to be looked into, or a file of weights. */
type Parsed = { readonly container: Container } | { readonly file: WeightsFile }

async function parse(located: Located, limits: Required<PickleLimits>): Promise<Parsed> {
  const { source } = located
  const kind = detect(await source.read(0, Math.min(DETECT_BYTES, source.size)))
  if (typeof kind === 'object') return notRead(source, kind.refused)
  switch (kind) {
    case 'safetensors':
      return { file: await openSafetensors(source) }
    case 'pytorch-legacy':
      return { container: await readLegacyCheckpoint(source, limits) }
    case 'npy':
      return { file: await readNpy(source) }
    case 'zip': {
      const directory = await readZipDirectory(source)
      const folder = checkpointFolder(directory)
      if (folder !== undefined) return { container: await readZipCheckpoint(source, directory, folder, limits) }
      return { file: await readNpz(source, directory) }
    }
    case 'json':
      return { file: await openIndex(located) }
  }
}

/** Text that lists other files: the index of a sharded safetensors file, or a TensorFlow.js model. */
async function openIndex(located: Located): Promise<WeightsFile> {
  const { source } = located
  return (await openSharded(located)) ?? (await openTfjs(located)) ?? notRead(source, 'JSON of something else')
}

/**
 * Opens a file of weights of any format, told from its bytes: what is in it is known then, and no tensor has been read.
 * Close it when you are done. Rejects with `FormatError`, with `DownloadError`, or with Node's own error.
 */
export async function openWeights(source: WeightSource, options: OpenOptions = {}): Promise<WeightsFile> {
  checkOptionNames('openWeights', options, openOptions)
  return openFile(source, options)
}

/** `openWeights` for functions that have looked at their options. */
export async function openFile(source: WeightSource, options: OpenOptions): Promise<WeightsFile> {
  const limits = completeLimits(options.limits)
  const located = await locate(source, options)
  try {
    const parsed = await parse(located, limits)
    return 'file' in parsed ? parsed.file : checkpointFile(parsed.container, located.source, options.select)
  } catch (error) {
    await located.source.close()
    throw error
  }
}

/** Everything that a PyTorch checkpoint holds. Close it when you are done; its tensors cannot be read afterwards. */
export interface Checkpoint {
  /** Dicts as Maps, lists and tuples as arrays, tensors as entries to be read. */
  readonly value: CheckpointValue
  close(): Promise<void>
}

/**
 * Opens a PyTorch checkpoint with all that lies beside the weights: epoch, optimizer state, arguments. Rejects like
 * `openWeights`, also for files of other formats.
 */
export async function openCheckpoint(source: WeightSource, options: OpenOptions = {}): Promise<Checkpoint> {
  checkOptionNames('openCheckpoint', options, openOptions)
  const limits = completeLimits(options.limits)
  const located = await locate(source, options)
  const { source: bytes } = located
  try {
    const parsed = await parse(located, limits)
    if ('file' in parsed) {
      await parsed.file.close()
      return notRead(bytes, `a file of another format (${parsed.file.format}), which holds nothing but tensors`)
    }
    return { value: checkpointValue(parsed.container, bytes.name), close: () => bytes.close() }
  } catch (error) {
    await bytes.close()
    throw error
  }
}
