/**
 * Checkpoints since PyTorch 1.6: a zip archive of stored records under one folder, `data.pkl` and a record per storage.
 *
 * PyTorch, caffe2/serialize/inline_container.h (the records) and torch/serialization.py (`_save`, `_load`).
 */
import { FormatError } from '@convnets/tensor'
import { itemSize } from '../dtypes.ts'
import type { PickleLimits } from '../pickle/limits.ts'
import { unpickle } from '../pickle/machine.ts'
import type { ByteSource } from '../source.ts'
import { checkZipEntry, readZipEntry } from '../zip/contents.ts'
import type { ZipEntry } from '../zip/directory.ts'
import type { Container } from './container.ts'
import { TorchHost } from './globals.ts'
import { Storage } from './tensor-view.ts'

const PICKLE = 'data.pkl'

/** The folder that the records of a checkpoint lie in, with its slash; undefined for archives of another kind. */
export function checkpointFolder(directory: ReadonlyMap<string, ZipEntry>): string | undefined {
  const [name, more] = [...directory.keys()].filter((key) => key === PICKLE || key.endsWith(`/${PICKLE}`))
  return name === undefined || more !== undefined ? undefined : name.slice(0, -PICKLE.length)
}

export async function readZipCheckpoint(
  source: ByteSource,
  directory: ReadonlyMap<string, ZipEntry>,
  folder: string,
  limits: Required<PickleLimits>,
): Promise<Container> {
  const fail = (expected: string, got: string, offset = 0): never => {
    throw new FormatError({ file: source.name, offset, expected, got })
  }
  if (directory.has(`${folder}constants.pkl`)) {
    fail('a checkpoint', 'a TorchScript program; save its state_dict() from Python instead')
  }
  const compressed = [...directory.values()].find((entry) => entry.compressed)
  if (compressed) fail('stored records, as PyTorch writes them', `${JSON.stringify(compressed.name)} compressed`)
  const order = directory.get(`${folder}byteorder`)
  if (order) {
    const bytes = order.size < 16 ? await readZipEntry(source, order) : new Uint8Array(0)
    const text = String.fromCharCode(...bytes).trim()
    if (text !== 'little') fail('little-endian tensors', JSON.stringify(text), order.offset)
  }
  const pickle = directory.get(folder + PICKLE)!
  if (pickle.size > limits.pickleBytes) {
    fail(`a pickle of at most ${limits.pickleBytes} bytes`, `one of ${pickle.size}`, pickle.offset)
  }
  const bytes = await readZipEntry(source, pickle)
  const host = new TorchHost({
    maxElements: limits.elements,
    maxCopies: bytes.length,
    storages: {
      find(key, dtype, elements, refuse) {
        const size = elements * (dtype === undefined ? 1 : itemSize(dtype))
        const record = directory.get(`${folder}data/${key}`)
        if (!record) return refuse(`a record of storage ${JSON.stringify(key)}`, 'none')
        if (record.size !== size) return refuse(`a storage of ${size} bytes`, `a record of ${record.size}`)
        return new Storage(key, dtype, 0, size)
      },
    },
  })
  const { value, end } = unpickle({ bytes, base: pickle.offset, file: source.name }, host, limits)
  if (end !== bytes.length) fail('the end of the pickle', `${bytes.length - end} more bytes`, pickle.offset + end)

  const checked = new Set<string>()
  const check = async (record: ZipEntry, signal?: AbortSignal): Promise<void> => {
    if (checked.has(record.name)) return
    await checkZipEntry(source, record, signal)
    checked.add(record.name)
  }
  return {
    value,
    async read(storage, offset, length) {
      const record = directory.get(`${folder}data/${storage.key}`)!
      await check(record)
      return source.read(record.offset + storage.offset + offset, length)
    },
    async verify(signal) {
      for (const record of directory.values()) await check(record, signal)
    },
  }
}
