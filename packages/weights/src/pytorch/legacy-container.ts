/**
 * Checkpoints before PyTorch 1.6: a magic number, a protocol version, facts of the machine, the value and the keys of its
 * storages, each a pickle of its own; then every storage as its length and its elements.
 *
 * PyTorch, torch/serialization.py, `_legacy_save` and `_legacy_load`. There is no checksum.
 */
import { FormatError } from '@convnets/tensor'
import { type FileDType, itemSize } from '../dtypes.ts'
import type { PickleLimits } from '../pickle/limits.ts'
import { type PickleHost, unpickle } from '../pickle/machine.ts'
import { MoreBytesNeeded } from '../pickle/reader.ts'
import { kindOf, PickleDict, type PickleValue } from '../pickle/values.ts'
import type { ByteSource } from '../source.ts'
import type { Container } from './container.ts'
import { TorchHost } from './globals.ts'
import { Storage } from './tensor-view.ts'

const MAGIC = 0x1950a86a20f9469cfc6cn
const PROTOCOL = 1001

/** The first bytes of such a file: the magic number, pickled by protocol 2 or later. */
export function isLegacyCheckpoint(start: Uint8Array): boolean {
  const magic = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e]
  return start[0] === 0x80 && magic.every((byte, i) => start[2 + i] === byte)
}

/** Pickles of plain numbers and texts, which name nothing. */
const plainHost: PickleHost = {
  global: () => undefined,
  persistent: (_, fail) => fail('plain data', 'a storage'),
}

interface Declared {
  readonly dtype: FileDType | undefined
  readonly elements: number
  readonly bytes: number
}

interface Pickles {
  readonly value: PickleValue
  readonly declared: ReadonlyMap<string, Declared>
  /** Keys in the order in which the storages follow. */
  readonly keys: readonly string[]
  readonly end: number
}

function readPickles(bytes: Uint8Array, partial: boolean, file: string, limits: Required<PickleLimits>): Pickles {
  let start = 0
  const fail = (expected: string, got: string): never => {
    throw new FormatError({ file, offset: start, expected, got })
  }
  const next = (host: PickleHost): PickleValue => {
    const { value, end } = unpickle({ bytes, start, file, partial }, host, limits)
    start = end
    return value
  }
  if (next(plainHost) !== MAGIC) fail('the magic number of a checkpoint', 'another one')
  const protocol = next(plainHost)
  if (protocol !== PROTOCOL) fail(`checkpoint protocol ${PROTOCOL}`, kindOf(protocol))
  const machine = next(plainHost)
  const little = machine instanceof PickleDict ? machine.entries.get('little_endian') : undefined
  if (little !== true) fail('little-endian tensors', kindOf(little))
  const declared = new Map<string, Declared>()
  const host = new TorchHost({
    maxElements: limits.elements,
    maxCopies: bytes.length,
    storages: {
      find(key, dtype, elements, refuse) {
        const size = elements * (dtype === undefined ? 1 : itemSize(dtype))
        const known = declared.get(key)
        if (known && (known.dtype !== dtype || known.elements !== elements)) {
          return refuse(`storage ${JSON.stringify(key)} to be always the same`, 'another dtype or size')
        }
        if (!Number.isSafeInteger(size)) return refuse('a storage that fits into a file', `${elements} elements`)
        declared.set(key, { dtype, elements, bytes: size })
        return new Storage(key, dtype, 0, size)
      },
    },
  })
  const value = next(host)
  const keys = next(plainHost)
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string')) {
    return fail('a list of the keys of storages', kindOf(keys))
  }
  return { value, declared, keys, end: start }
}

/** The pickles, which are at the beginning of the file and do not say how long they are. */
async function findPickles(source: ByteSource, limits: Required<PickleLimits>): Promise<Pickles> {
  for (let length = 2 ** 20; ; length *= 4) {
    const most = Math.min(length, limits.pickleBytes, source.size)
    const partial = most < source.size
    try {
      return readPickles(await source.read(0, most), partial, source.name, limits)
    } catch (error) {
      if (!(error instanceof MoreBytesNeeded)) throw error
      if (most < limits.pickleBytes) continue
      const expected = `pickles of at most ${limits.pickleBytes} bytes`
      throw new FormatError({ file: source.name, offset: most, expected, got: 'longer ones' })
    }
  }
}

export async function readLegacyCheckpoint(source: ByteSource, limits: Required<PickleLimits>): Promise<Container> {
  const { value, declared, keys, end } = await findPickles(source, limits)
  let at = end
  const fail = (expected: string, got: string): never => {
    throw new FormatError({ file: source.name, offset: at, expected, got })
  }
  const places = new Map<string, number>()
  for (const key of keys) {
    const what = `storage ${JSON.stringify(key)}`
    const storage = declared.get(key) ?? fail(`a tensor of ${what}`, 'none')
    if (places.has(key)) fail(`${what} once`, 'a second one')
    if (at + 8 + storage.bytes > source.size) {
      fail(`8 bytes of length and ${storage.bytes} bytes of ${what}`, `the end of the file after ${source.size - at}`)
    }
    const length = await source.read(at, 8)
    const elements = new DataView(length.buffer, length.byteOffset, 8).getBigInt64(0, true)
    if (elements !== BigInt(storage.elements)) fail(`${storage.elements} elements of ${what}`, `${elements}`)
    places.set(key, at + 8)
    at += 8 + storage.bytes
  }
  const absent = [...declared.keys()].find((key) => !places.has(key))
  if (absent !== undefined) fail(`storage ${JSON.stringify(absent)}`, 'none')
  if (at !== source.size) fail('the end of the file', `${source.size - at} more bytes`)
  return {
    value,
    read: (storage, offset, length) => source.read(places.get(storage.key)! + storage.offset + offset, length),
    verify: async () => {},
  }
}
