/**
 * The idx format of the MNIST family: two zero bytes, an element type, a rank, the sizes as big-endian 32-bit integers, and
 * the elements, big-endian, row-major (LeCun, Cortes and Burges, "The MNIST database", section "File formats").
 */
import { FormatError, readOptions } from '@convnets/tensor'
import { type FileSource, readBytes, sourceName } from './file-source.ts'
import { gunzip, isGzip } from './gzip.ts'

interface IdxType {
  readonly bytes: number
  readonly make: (length: number) => IdxValues
  readonly get: (view: DataView, at: number) => number
}

type IdxValues = Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array

const types: ReadonlyMap<number, IdxType> = new Map<number, IdxType>([
  [0x08, { bytes: 1, make: (n) => new Uint8Array(n), get: (view, at) => view.getUint8(at) }],
  [0x09, { bytes: 1, make: (n) => new Int8Array(n), get: (view, at) => view.getInt8(at) }],
  [0x0b, { bytes: 2, make: (n) => new Int16Array(n), get: (view, at) => view.getInt16(at) }],
  [0x0c, { bytes: 4, make: (n) => new Int32Array(n), get: (view, at) => view.getInt32(at) }],
  [0x0d, { bytes: 4, make: (n) => new Float32Array(n), get: (view, at) => view.getFloat32(at) }],
  [0x0e, { bytes: 8, make: (n) => new Float64Array(n), get: (view, at) => view.getFloat64(at) }],
])

/** An idx file: sizes, outermost first, and elements in row-major order. */
export interface IdxArray {
  readonly shape: readonly number[]
  readonly data: IdxValues
}

/**
 * Reads an unpacked idx file from its bytes. Elements of type uint8 share their memory.
 * Throws `FormatError` unless the file is exactly as long as its header says. `file` is the name to use in messages.
 */
export function readIdx(bytes: Uint8Array, options: { file?: string } = {}): IdxArray {
  const { file } = readOptions('readIdx', options, { file: 'idx' })
  const fail = (offset: number, expected: string, got: string): never => {
    throw new FormatError({ file, offset, expected, got })
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 4) fail(0, 'an idx header of at least 4 bytes', `a file of ${bytes.length} bytes`)
  if (view.getUint16(0) !== 0)
    fail(0, 'two zero bytes, as every idx file begins', `0x${view.getUint16(0).toString(16)}`)
  const code = view.getUint8(2)
  const type = types.get(code) ?? fail(2, 'an element type of 8, 9, 11, 12, 13 or 14', `${code}`)
  const rank = view.getUint8(3)
  const start = 4 + 4 * rank
  if (rank === 0) fail(3, 'at least one dimension', 'none')
  if (bytes.length < start) fail(3, `a header of ${start} bytes for ${rank} dimensions`, `a file of ${bytes.length}`)

  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i))
  // Products of 32-bit sizes may leave the exact integers, but never come back to the length of a real file.
  const length = shape.reduce((product, dim) => product * dim, 1)
  const expected = start + length * type.bytes
  if (bytes.length !== expected) {
    fail(Math.min(bytes.length, expected), `${expected} bytes for [${shape.join(', ')}]`, `${bytes.length} bytes`)
  }
  if (code === 0x08) return { shape, data: bytes.subarray(start) }
  const data = type.make(length)
  for (let i = 0; i < length; i++) data[i] = type.get(view, start + i * type.bytes)
  return { shape, data }
}

/** Reads an idx file, packed with gzip or not, from a path, a URL or bytes. Throws `FormatError` for a broken one. */
export async function loadIdx(source: FileSource, options: { signal?: AbortSignal } = {}): Promise<IdxArray> {
  const { signal } = readOptions('loadIdx', options, { signal: undefined })
  const file = sourceName(source)
  const bytes = await readBytes(source, 'loadIdx', signal)
  return readIdx(isGzip(bytes) ? await gunzip(bytes, file) : bytes, { file })
}
