/**
 * NumPy's format for one array: a magic string, a version, and a header that is a Python dict of three keys.
 *
 * NumPy, numpy/lib/format.py (NEP 1). Arrays of Python objects are pickles and are refused.
 */
import { FormatError } from '@convnets/tensor'
import { byteSize, elementCount, type FileDType, itemSize } from '../dtypes.ts'
import type { WeightEntry, WeightsFile } from '../entry.ts'
import type { ByteSource } from '../source.ts'
import { gather } from '../strided.ts'

const MAGIC = '\x93NUMPY'
const PREFIX_BYTES = 12
const MAX_HEADER_BYTES = 2 ** 16
const MAX_RANK = 64

const dtypes: ReadonlyMap<string, FileDType> = new Map([
  ['f2', 'F16'],
  ['f4', 'F32'],
  ['f8', 'F64'],
  ['i1', 'I8'],
  ['i2', 'I16'],
  ['i4', 'I32'],
  ['i8', 'I64'],
  ['u1', 'U8'],
  ['u2', 'U16'],
  ['u4', 'U32'],
  ['u8', 'U64'],
  ['b1', 'BOOL'],
  ['c8', 'C64'],
])

/** What a header says. */
export interface NpyArray {
  readonly dtype: FileDType
  readonly shape: readonly number[]
  readonly fortranOrder: boolean
  readonly bigEndian: boolean
  /** Where the elements begin. */
  readonly start: number
  readonly bytes: number
}

/** The keys in the order in which NumPy writes them; spaces and the last comma are free. */
const HEADER =
  /^\{\s*'descr'\s*:\s*'([<>|=])([a-zA-Z]\d{0,4})'\s*,\s*'fortran_order'\s*:\s*(True|False)\s*,\s*'shape'\s*:\s*\(([0-9, ]{0,1000})\)\s*,?\s*\}\s*$/

/** Reads the header at the beginning of `bytes`, of an array that takes `size` bytes with it. Throws `FormatError`. */
export function parseNpyHeader(bytes: Uint8Array, size: number, file: string, base = 0): NpyArray {
  const fail = (offset: number, expected: string, got: string): never => {
    throw new FormatError({ file, offset: base + offset, expected, got })
  }
  if (size < PREFIX_BYTES || [...MAGIC].some((letter, i) => bytes[i] !== letter.charCodeAt(0))) {
    fail(0, 'a NumPy array', size < PREFIX_BYTES ? `${size} bytes` : 'something else')
  }
  const version = bytes[6]!
  if (version < 1 || version > 3 || bytes[7] !== 0) fail(6, 'version 1.0, 2.0 or 3.0', `${version}.${bytes[7]}`)
  const { length, from } = headerExtent(bytes, version)
  if (length > MAX_HEADER_BYTES) fail(8, `a header of at most ${MAX_HEADER_BYTES} bytes`, `one of ${length}`)
  if (from + length > size) fail(8, `a header within ${size} bytes`, `one of ${length}`)
  const text = String.fromCharCode(...bytes.subarray(from, from + Math.min(length, 4096)))
  const match = HEADER.exec(text)
  if (!match) return fail(from, "a header of 'descr', 'fortran_order' and 'shape'", JSON.stringify(text.slice(0, 80)))
  const [, order, kind, fortran, dims] = match
  const dtype = dtypes.get(kind!)
  if (!dtype)
    return fail(from, `an array of ${[...dtypes.keys()].join(', ')}`, kind === 'O' ? 'Python objects' : `${kind}`)
  const parts = dims!.split(',').map((part) => part.trim())
  // A tuple of one has a comma behind it, and so may others.
  if (parts.at(-1) === '') parts.pop()
  const shape = parts.map((part) => {
    const dim = /^\d{1,15}$/.test(part) ? Number(part) : -1
    return dim < 0 ? fail(from, 'a shape of non-negative integers', JSON.stringify(dims)) : dim
  })
  if (shape.length > MAX_RANK) fail(from, `at most ${MAX_RANK} axes`, `${shape.length}`)
  const start = from + length
  const count = byteSize(dtype, shape)
  if (count !== size - start) fail(start, `${count ?? 'too many'} bytes of elements`, `${size - start}`)
  const info = { dtype, shape, fortranOrder: fortran === 'True', bigEndian: order === '>' && itemSize(dtype) > 1 }
  if (info.bigEndian && dtype === 'C64') fail(from, 'little-endian complex numbers', 'big-endian ones')
  return { ...info, start, bytes: size - start }
}

/** Where the text of a header lies: its length has two bytes in version 1 and four later. */
function headerExtent(bytes: Uint8Array, version: number): { from: number; length: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return version === 1 ? { from: 10, length: view.getUint16(8, true) } : { from: 12, length: view.getUint32(8, true) }
}

/** How many bytes of the file its header takes, at most. */
export const NPY_HEADER_BYTES: number = PREFIX_BYTES + MAX_HEADER_BYTES

/** Elements as they lie in the file, as little-endian ones in row-major order. */
export function normalize(elements: Uint8Array, { dtype, shape, fortranOrder, bigEndian }: NpyArray): Uint8Array {
  const size = itemSize(dtype)
  let bytes = elements
  if (bigEndian) {
    bytes = new Uint8Array(elements.length)
    for (let i = 0; i < bytes.length; i++) bytes[i] = elements[i - (i % size) + size - 1 - (i % size)]!
  }
  if (!fortranOrder || elementCount(shape) === 0) return bytes
  let step = 1
  const strides = shape.map((dim) => {
    const stride = step
    step *= dim
    return stride
  })
  return gather(bytes, size, shape, strides)
}

/** The entry that a file of one array has, since it has no name. */
const NAME = 'array'

export async function readNpy(source: ByteSource): Promise<WeightsFile> {
  const header = await source.read(0, Math.min(NPY_HEADER_BYTES, source.size))
  const array = parseNpyHeader(header, source.size, source.name)
  const entry: WeightEntry = {
    dtype: array.dtype,
    shape: array.shape,
    bytes: array.bytes,
    read: async () => normalize(await source.read(array.start, array.bytes), array),
  }
  return {
    format: 'npy',
    file: source.name,
    metadata: new Map(),
    entries: new Map([[NAME, entry]]),
    verify: async () => {},
    close: () => source.close(),
  }
}
