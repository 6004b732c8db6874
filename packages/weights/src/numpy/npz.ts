/** Archives of NumPy arrays: a zip archive of `.npy` files, stored (`numpy.savez`) or deflated (`savez_compressed`). */
import { FormatError } from '@convnets/tensor'
import type { WeightEntry, WeightsFile } from '../entry.ts'
import type { ByteSource } from '../source.ts'
import { checkZipEntry, readZipEntry, readZipStart } from '../zip/contents.ts'
import type { ZipEntry } from '../zip/directory.ts'
import { NPY_HEADER_BYTES, normalize, parseNpyHeader } from './npy.ts'

const SUFFIX = '.npy'

/** A compressed array is unpacked as a whole; larger ones are not taken. */
const MAX_UNPACKED_BYTES = 2 ** 31

async function entryOf(source: ByteSource, record: ZipEntry): Promise<WeightEntry> {
  if (record.compressed && record.size > MAX_UNPACKED_BYTES) {
    const expected = `compressed arrays of at most ${MAX_UNPACKED_BYTES} bytes`
    throw new FormatError({ file: source.name, offset: record.offset, expected, got: `${record.size}` })
  }
  const header = await readZipStart(source, record, NPY_HEADER_BYTES)
  const array = parseNpyHeader(header, record.size, source.name, record.offset)
  let checked = false
  return {
    dtype: array.dtype,
    shape: array.shape,
    bytes: array.bytes,
    async read() {
      // Unpacked every time rather than kept: an open file is to cost no memory.
      if (record.compressed) return normalize((await readZipEntry(source, record)).subarray(array.start), array)
      if (!checked) await checkZipEntry(source, record)
      checked = true
      return normalize(await source.read(record.offset + array.start, array.bytes), array)
    },
  }
}

export async function readNpz(source: ByteSource, directory: ReadonlyMap<string, ZipEntry>): Promise<WeightsFile> {
  const entries = new Map<string, WeightEntry>()
  for (const [name, record] of directory) {
    if (!name.endsWith(SUFFIX)) {
      const expected = 'a PyTorch checkpoint or an archive of .npy files'
      throw new FormatError({
        file: source.name,
        offset: record.offset,
        expected,
        got: `the entry ${JSON.stringify(name)}`,
      })
    }
    entries.set(name.slice(0, -SUFFIX.length), await entryOf(source, record))
  }
  return {
    format: 'npz',
    file: source.name,
    metadata: new Map(),
    entries,
    async verify(signal) {
      for (const record of directory.values()) await checkZipEntry(source, record, signal)
    },
    close: () => source.close(),
  }
}
