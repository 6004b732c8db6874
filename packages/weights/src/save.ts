/** Weights out of models and into files, one tensor at a time. */
import { ArgumentError, readOptions } from '@convnets/tensor'
import { type Sink, writeFileAtomic } from './atomic.ts'
import { byteSize } from './dtypes.ts'
import type { WithState } from './load.ts'
import { type TensorToWrite, writeCheckpoint } from './pytorch/writer.ts'
import { safetensorsHeader } from './safetensors.ts'
import { checkHalf, storedAs, storedBytes, type WriteOptions } from './state.ts'

/** Layouts of files that can be written. */
export type SavedFormat = 'safetensors' | 'pytorch'

/** How weights are saved. */
export interface SaveOptions extends WriteOptions {
  /** Default: `pytorch` for paths that end in .pth, .pt, .th or .bin, else `safetensors`. */
  readonly format?: SavedFormat
}

/** Facts of safetensors where nothing is said: keys, shapes and meaning are PyTorch's. */
const pytorchMetadata: ReadonlyMap<string, string> = new Map([['format', 'pt']])

function formatOf(op: string, path: string | URL, format: SavedFormat | undefined): SavedFormat {
  if (format === undefined) return /\.(pth|pt|th|bin)$/i.test(String(path)) ? 'pytorch' : 'safetensors'
  if (format === 'safetensors' || format === 'pytorch') return format
  throw new ArgumentError(`${op}: format expects 'safetensors' or 'pytorch', got ${JSON.stringify(format)}`)
}

async function writeSafetensorsTo(
  tensors: ReadonlyMap<string, TensorToWrite>,
  metadata: ReadonlyMap<string, string>,
  write: Sink,
): Promise<void> {
  const { header, order } = safetensorsHeader(tensors, metadata)
  await write(header)
  for (const key of order) await write(await tensors.get(key)!.read())
}

/**
 * Writes tensors whose bytes are read when it is their turn, so that a file of any size takes the memory of one tensor:
 * entries of an open file (`openWeights`) are such tensors. Atomic, see `writeFileAtomic`. PyTorch's format has no room
 * for metadata. Rejects with `ArgumentError` for names or dtypes that the format cannot hold; nothing is written then.
 */
export async function writeWeights(
  tensors: ReadonlyMap<string, TensorToWrite>,
  path: string | URL,
  options: Pick<SaveOptions, 'format' | 'metadata'> = {},
): Promise<void> {
  const { metadata, format: wanted } = readOptions('writeWeights', options, {
    metadata: pytorchMetadata,
    format: undefined,
  })
  const format = formatOf('writeWeights', path, wanted)
  const exact = new Map(
    [...tensors].map(([key, tensor]) => {
      const read = async (): Promise<Uint8Array> => {
        const bytes = await tensor.read()
        if (bytes.length === byteSize(tensor.dtype, tensor.shape)) return bytes
        const size = byteSize(tensor.dtype, tensor.shape)
        throw new ArgumentError(`writeWeights: ${JSON.stringify(key)} expects ${size} bytes, got ${bytes.length}`)
      }
      return [key, { dtype: tensor.dtype, shape: tensor.shape, read }]
    }),
  )
  await writeFileAtomic(path, (write) =>
    format === 'pytorch' ? writeCheckpoint(exact, write) : writeSafetensorsTo(exact, metadata, write),
  )
}

/**
 * Saves a model's state dict as a safetensors file or as a PyTorch checkpoint that `torch.load(weights_only=True)` opens,
 * atomically: the path holds the old file or the new one, never half of one. The folder must exist. Tensors are read one
 * by one, so do not change the model before the promise is settled. Metadata are `format: pt` unless given (keys, shapes
 * and meaning are PyTorch's, and some readers insist on being told); `dtype: 'F16'` or `'BF16'` halves the file.
 */
export async function saveWeights(model: WithState, path: string | URL, options: SaveOptions = {}): Promise<void> {
  const { metadata, dtype, format } = readOptions('saveWeights', options, {
    metadata: pytorchMetadata,
    dtype: undefined,
    format: undefined,
  })
  checkHalf('saveWeights', dtype)
  const tensors = new Map(
    [...model.stateDict()].map(([key, source]) => [
      key,
      {
        dtype: storedAs(source.dtype, dtype),
        shape: source.shape,
        read: async () => storedBytes('saveWeights', key, source.dtype, await source.data(), dtype),
      },
    ]),
  )
  await writeWeights(tensors, path, { metadata, format: formatOf('saveWeights', path, format) })
}
