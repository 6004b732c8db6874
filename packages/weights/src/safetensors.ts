/**
 * The safetensors file: eight bytes of header length, a JSON header, and the bytes of the tensors without gaps.
 *
 * Format and rules: https://github.com/huggingface/safetensors, README ("Format") and `safetensors/src/tensor.rs`, whose
 * `serialize` this writer equals byte for byte.
 */
import { ArgumentError, FormatError } from '@convnets/tensor'
import { HeaderScanner } from './header.ts'

/** Element types of a file that this package reads and writes. */
export type FileDType = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'U8' | 'BOOL'

interface FileDTypeInfo {
  /** Bytes per element. */
  readonly bytes: number
  /** Place in the order of the data: larger alignments come first, so that every tensor is aligned to its elements. */
  readonly rank: number
}

/** Sizes, and the order in which the reference serializer lays dtypes out. */
const fileDTypes: Readonly<Record<FileDType, FileDTypeInfo>> = {
  I64: { bytes: 8, rank: 0 },
  F64: { bytes: 8, rank: 1 },
  F32: { bytes: 4, rank: 2 },
  I32: { bytes: 4, rank: 3 },
  BF16: { bytes: 2, rank: 4 },
  F16: { bytes: 2, rank: 5 },
  U8: { bytes: 1, rank: 6 },
  BOOL: { bytes: 1, rank: 7 },
}

/** One tensor of a file: little-endian elements in row-major order. */
export interface SafetensorsEntry {
  readonly dtype: FileDType
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

/** A file taken apart. `entries` are in the order of their data and share the memory of the file. */
export interface SafetensorsFile {
  readonly metadata: Map<string, string>
  readonly entries: Map<string, SafetensorsEntry>
}

/** The largest header that the format allows, in bytes. */
const MAX_HEADER_BYTES = 100_000_000

const LENGTH_BYTES = 8
const METADATA_KEY = '__metadata__'

function isFileDType(name: string): name is FileDType {
  return Object.hasOwn(fileDTypes, name)
}

/** Bytes of a tensor, or undefined if the product leaves the exact integers on the way. */
function byteSize(dtype: FileDType, shape: readonly number[]): number | undefined {
  let size = fileDTypes[dtype].bytes
  for (const dim of shape) {
    size *= dim
    if (!Number.isSafeInteger(size)) return undefined
  }
  return size
}

/** What the header says of one tensor; `at` is where it says so. */
interface Declared {
  readonly name: string
  readonly dtype: FileDType
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
  readonly at: number
}

function scanTensor(scan: HeaderScanner, name: string): Declared {
  const what = `tensor ${JSON.stringify(name)}`
  const at = scan.position
  let dtype: FileDType | undefined
  let shape: number[] | undefined
  let offsets: number[] | undefined
  scan.object(`the description of ${what}`, (key) => {
    const here = scan.position
    if (key === 'dtype') {
      const got = scan.string(`the dtype of ${what}`)
      if (!isFileDType(got)) {
        scan.fail(`one of ${Object.keys(fileDTypes).join(', ')} as dtype of ${what}`, JSON.stringify(got), here)
      }
      dtype = got
    } else if (key === 'shape') {
      shape = scan.integers(`the shape of ${what}`)
    } else if (key === 'data_offsets') {
      offsets = scan.integers(`the data_offsets of ${what}`)
    } else {
      scan.skipValue()
    }
  })
  if (!dtype) return scan.fail(`a dtype of ${what}`, 'none', at)
  if (!shape) return scan.fail(`a shape of ${what}`, 'none', at)
  const [begin, end, ...more] = offsets ?? []
  if (begin === undefined || end === undefined || more.length > 0) {
    return scan.fail(`two data_offsets of ${what}`, `${offsets?.length ?? 'none'}`, at)
  }
  const size = byteSize(dtype, shape)
  if (size === undefined || end - begin !== size) {
    const expected = size === undefined ? 'a size below 2^53 bytes' : `data_offsets ${size} bytes apart`
    return scan.fail(`${expected} for ${what} of ${dtype} [${shape.join(', ')}]`, `${begin} to ${end}`, at)
  }
  return { name, dtype, shape, begin, end, at }
}

/**
 * Takes a safetensors file apart without copying or converting its data.
 *
 * Refuses what the reference implementation refuses (a header above 100 MB, lengths that do not fit, gaps, overlaps,
 * sizes that contradict the shape, bytes after the last tensor), and what the format forbids though some parsers let it
 * pass: a header that does not begin with `{`, and duplicate keys. Dtypes other than the eight of `FileDType` are refused.
 * Throws `FormatError`. `file` is the name to use in messages.
 */
export function parseSafetensors(bytes: Uint8Array, { file = 'safetensors' }: { file?: string } = {}): SafetensorsFile {
  const fail = (offset: number, expected: string, got: string): never => {
    throw new FormatError({ file, offset, expected, got })
  }
  if (bytes.length < LENGTH_BYTES) fail(0, 'eight bytes of header length', `a file of ${bytes.length} bytes`)
  const length = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true)
  if (length > MAX_HEADER_BYTES) fail(0, `a header of at most ${MAX_HEADER_BYTES} bytes`, `one of ${length}`)
  const dataStart = LENGTH_BYTES + Number(length)
  if (dataStart > bytes.length) {
    fail(0, `a header that fits into the file of ${bytes.length} bytes`, `one of ${length} bytes`)
  }
  if (length === 0n || bytes[LENGTH_BYTES] !== 0x7b) {
    fail(LENGTH_BYTES, "'{' as first byte of the header", length === 0n ? 'an empty header' : 'something else')
  }

  const metadata = new Map<string, string>()
  const declared: Declared[] = []
  const scan = new HeaderScanner(bytes, LENGTH_BYTES, dataStart, file)
  scan.object('the header', (name) => {
    if (name !== METADATA_KEY) {
      declared.push(scanTensor(scan, name))
    } else if (!scan.takeNull()) {
      scan.object(METADATA_KEY, (key) => metadata.set(key, scan.string(`the text of ${JSON.stringify(key)}`)))
    }
  })
  scan.finish()

  declared.sort((a, b) => a.begin - b.begin || a.end - b.end)
  const data = bytes.subarray(dataStart)
  const entries = new Map<string, SafetensorsEntry>()
  let end = 0
  for (const tensor of declared) {
    if (tensor.begin !== end) {
      fail(tensor.at, `data of tensor ${JSON.stringify(tensor.name)} to begin at ${end}`, `${tensor.begin}`)
    }
    end = tensor.end
    if (end > data.length) {
      fail(tensor.at, `tensor ${JSON.stringify(tensor.name)} to end within ${data.length} bytes of data`, `${end}`)
    }
    const { name, dtype, shape } = tensor
    entries.set(name, { dtype, shape, bytes: data.subarray(tensor.begin, end) })
  }
  if (end !== data.length) fail(dataStart + end, 'the end of the file', `${data.length - end} more bytes`)
  return { metadata, entries }
}

/** Orders names as their UTF-8 bytes do, which is by code point: UTF-16 code units put U+E000 to U+FFFF last. */
function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) {
      const pair = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdfff
      return pair(x) === pair(y) ? x - y : Math.max(x, y) < 0xe000 ? x - y : pair(x) ? 1 : -1
    }
  }
  return a.length - b.length
}

function checkText(text: string, what: string): void {
  if (/\p{Surrogate}/u.test(text)) {
    throw new ArgumentError(`serializeSafetensors: ${what} expects well-formed text, got ${JSON.stringify(text)}`)
  }
}

function checkEntry(name: string, { dtype, shape, bytes }: SafetensorsEntry): void {
  const what = `serializeSafetensors: entry ${JSON.stringify(name)}`
  checkText(name, 'the name of an entry')
  if (name === METADATA_KEY) {
    throw new ArgumentError(`${what}: this name is reserved for metadata`)
  }
  if (!isFileDType(dtype)) {
    throw new ArgumentError(`${what} expects one of ${Object.keys(fileDTypes).join(', ')} as dtype, got ${dtype}`)
  }
  if (!shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw new ArgumentError(`${what} expects non-negative integers as shape, got [${shape.join(', ')}]`)
  }
  const size = byteSize(dtype, shape)
  if (bytes.length !== size) {
    throw new ArgumentError(`${what} of ${dtype} [${shape.join(', ')}] expects ${size} bytes, got ${bytes.length}`)
  }
}

/**
 * Puts a safetensors file together: metadata first, tensors by falling alignment and then by name, the header padded with
 * spaces to a multiple of eight bytes, so that the data of every tensor is aligned in the file. Equal content gives equal
 * bytes, whatever the order of `entries`; metadata keep theirs. Throws `ArgumentError` before anything is allocated.
 */
export function serializeSafetensors(
  entries: ReadonlyMap<string, SafetensorsEntry>,
  { metadata = new Map() }: { metadata?: ReadonlyMap<string, string> } = {},
): Uint8Array {
  for (const [name, entry] of entries) checkEntry(name, entry)
  const sorted = [...entries].sort(
    ([a, { dtype: da }], [b, { dtype: db }]) => fileDTypes[da].rank - fileDTypes[db].rank || compareNames(a, b),
  )
  const members: string[] = []
  if (metadata.size > 0) {
    const pairs = [...metadata].map(([key, text]) => {
      checkText(key, 'a metadata key')
      checkText(text, `metadata ${JSON.stringify(key)}`)
      return `${JSON.stringify(key)}:${JSON.stringify(text)}`
    })
    members.push(`"${METADATA_KEY}":{${pairs.join(',')}}`)
  }
  let dataBytes = 0
  for (const [name, entry] of sorted) {
    const end = dataBytes + entry.bytes.length
    const { dtype, shape } = entry
    members.push(
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(',')}],"data_offsets":[${dataBytes},${end}]}`,
    )
    dataBytes = end
  }
  const header = new TextEncoder().encode(`{${members.join(',')}}`)
  const headerBytes = Math.ceil(header.length / 8) * 8
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new ArgumentError(
      `serializeSafetensors: names and metadata expect a header of at most ${MAX_HEADER_BYTES} bytes, got ${headerBytes}`,
    )
  }

  const file = new Uint8Array(LENGTH_BYTES + headerBytes + dataBytes)
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true)
  file.set(header, LENGTH_BYTES)
  file.fill(0x20, LENGTH_BYTES + header.length, LENGTH_BYTES + headerBytes)
  let at = LENGTH_BYTES + headerBytes
  for (const [, { bytes }] of sorted) {
    file.set(bytes, at)
    at += bytes.length
  }
  return file
}
