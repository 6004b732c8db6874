/**
 * The safetensors file: eight bytes of header length, a JSON header, and the bytes of the tensors without gaps.
 *
 * Format and rules: https://github.com/huggingface/safetensors, README ("Format") and `safetensors/src/tensor.rs`, whose
 * `serialize` this writer equals byte for byte.
 */
import { ArgumentError, FormatError, readOptions } from '@convnets/tensor'
import { byteSize, dtypeRank, type FileDType, fileDTypes, isFileDType } from './dtypes.ts'
import type { WeightsFile } from './entry.ts'
import { JsonScanner } from './json-scanner.ts'
import type { ByteSource } from './source.ts'

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

/** What the header says of one tensor; `at` is where it says so. */
interface Declared {
  readonly name: string
  readonly dtype: FileDType
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
  readonly at: number
}

function scanTensor(scan: JsonScanner, name: string): Declared {
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
        scan.fail(`one of ${fileDTypes.join(', ')} as dtype of ${what}`, JSON.stringify(got), here)
      }
      dtype = got
    } else if (key === 'shape') {
      shape = scan.integers(`the shape of ${what}`)
    } else if (key === 'data_offsets') {
      offsets = scan.integers(`the data_offsets of ${what}`)
    } else {
      scan.value()
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

interface Layout {
  readonly metadata: Map<string, string>
  /** Tensors in the order of their data. */
  readonly tensors: readonly Declared[]
  /** Where the data begin. */
  readonly dataStart: number
}

type Fail = (offset: number, expected: string, got: string) => never

const failing =
  (file: string): Fail =>
  (offset, expected, got) => {
    throw new FormatError({ file, offset, expected, got })
  }

/** Bytes before the data: the eight of the length, and the header. */
function headerEnd(start: Uint8Array, fileBytes: number, fail: Fail): number {
  if (start.length < LENGTH_BYTES) fail(0, 'eight bytes of header length', `a file of ${start.length} bytes`)
  const length = new DataView(start.buffer, start.byteOffset, LENGTH_BYTES).getBigUint64(0, true)
  if (length > MAX_HEADER_BYTES) fail(0, `a header of at most ${MAX_HEADER_BYTES} bytes`, `one of ${length}`)
  const end = LENGTH_BYTES + Number(length)
  if (end > fileBytes) fail(0, `a header that fits into the file of ${fileBytes} bytes`, `one of ${length} bytes`)
  if (length === 0n) fail(LENGTH_BYTES, "'{' as first byte of the header", 'an empty header')
  return end
}

/** What the header says, and that the data are as long as it says. `bytes` hold at least the header. */
function readLayout(bytes: Uint8Array, fileBytes: number, file: string): Layout {
  const fail = failing(file)
  const dataStart = headerEnd(bytes.subarray(0, LENGTH_BYTES), fileBytes, fail)
  if (bytes[LENGTH_BYTES] !== 0x7b) fail(LENGTH_BYTES, "'{' as first byte of the header", 'something else')
  const metadata = new Map<string, string>()
  const tensors: Declared[] = []
  const scan = new JsonScanner(bytes, LENGTH_BYTES, dataStart, file)
  scan.object('the header', (name) => {
    if (name !== METADATA_KEY) {
      tensors.push(scanTensor(scan, name))
    } else if (!scan.takeNull()) {
      scan.object(METADATA_KEY, (key) => metadata.set(key, scan.string(`the text of ${JSON.stringify(key)}`)))
    }
  })
  scan.finish('the header object')

  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end)
  const dataBytes = fileBytes - dataStart
  let end = 0
  for (const tensor of tensors) {
    if (tensor.begin !== end) {
      fail(tensor.at, `data of tensor ${JSON.stringify(tensor.name)} to begin at ${end}`, `${tensor.begin}`)
    }
    end = tensor.end
    if (end > dataBytes) {
      fail(tensor.at, `tensor ${JSON.stringify(tensor.name)} to end within ${dataBytes} bytes of data`, `${end}`)
    }
  }
  if (end !== dataBytes) fail(dataStart + end, 'the end of the file', `${dataBytes - end} more bytes`)
  return { metadata, tensors, dataStart }
}

/**
 * Takes a safetensors file apart without copying or converting its data.
 *
 * Refuses what the reference implementation refuses (a header above 100 MB, lengths that do not fit, gaps, overlaps,
 * sizes that contradict the shape, bytes after the last tensor), and what the format forbids though some parsers let it
 * pass: a header that does not begin with `{`, and duplicate keys. Dtypes that `FileDType` lacks are refused. Throws
 * `FormatError`. `file` is the name to use in messages.
 */
export function parseSafetensors(bytes: Uint8Array, options: { file?: string } = {}): SafetensorsFile {
  const { file } = readOptions('parseSafetensors', options, { file: 'safetensors' })
  const { metadata, tensors, dataStart } = readLayout(bytes, bytes.length, file)
  const entries = new Map<string, SafetensorsEntry>()
  for (const { name, dtype, shape, begin, end } of tensors) {
    entries.set(name, { dtype, shape, bytes: bytes.subarray(dataStart + begin, dataStart + end) })
  }
  return { metadata, entries }
}

/** Opens a safetensors file: reads its header, and tensors when they are asked for. There is no checksum. */
export async function openSafetensors(source: ByteSource): Promise<WeightsFile> {
  const start = await source.read(0, Math.min(LENGTH_BYTES, source.size))
  const header = await source.read(0, headerEnd(start, source.size, failing(source.name)))
  const { metadata, tensors, dataStart } = readLayout(header, source.size, source.name)
  return {
    format: 'safetensors',
    file: source.name,
    metadata,
    entries: new Map(
      tensors.map(({ name, dtype, shape, begin, end }) => {
        const bytes = end - begin
        return [name, { dtype, shape, bytes, read: () => source.read(dataStart + begin, bytes) }]
      }),
    ),
    verify: async () => {},
    close: () => source.close(),
  }
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

const about = (name: string): string => `serializeSafetensors: entry ${JSON.stringify(name)}`

function checkEntry(name: string, { dtype, shape }: Planned): void {
  const what = about(name)
  checkText(name, 'the name of an entry')
  if (name === METADATA_KEY) {
    throw new ArgumentError(`${what}: this name is reserved for metadata`)
  }
  if (!isFileDType(dtype)) {
    throw new ArgumentError(`${what} expects one of ${fileDTypes.join(', ')} as dtype, got ${dtype}`)
  }
  if (!shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw new ArgumentError(`${what} expects non-negative integers as shape, got [${shape.join(', ')}]`)
  }
  if (byteSize(dtype, shape) === undefined) {
    throw new ArgumentError(`${what} expects a size below 2^53 bytes, got ${dtype} [${shape.join(', ')}]`)
  }
}

/** A tensor to be written: what the header says of it. */
interface Planned {
  readonly dtype: FileDType
  readonly shape: readonly number[]
}

/**
 * The beginning of a safetensors file, up to the data, and the order in which the data follow: by falling alignment and
 * then by name, the header padded with spaces to a multiple of eight bytes, so that the data of every tensor are aligned
 * in the file. Throws `ArgumentError` for what a header cannot hold.
 */
export function safetensorsHeader(
  entries: ReadonlyMap<string, Planned>,
  metadata: ReadonlyMap<string, string>,
): { header: Uint8Array; order: string[]; dataBytes: number } {
  for (const [name, entry] of entries) checkEntry(name, entry)
  const sorted = [...entries].sort(
    ([a, { dtype: da }], [b, { dtype: db }]) => dtypeRank(da) - dtypeRank(db) || compareNames(a, b),
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
  for (const [name, { dtype, shape }] of sorted) {
    const end = dataBytes + byteSize(dtype, shape)!
    members.push(
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(',')}],"data_offsets":[${dataBytes},${end}]}`,
    )
    dataBytes = end
  }
  const text = new TextEncoder().encode(`{${members.join(',')}}`)
  const headerBytes = Math.ceil(text.length / 8) * 8
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new ArgumentError(
      `serializeSafetensors: names and metadata expect a header of at most ${MAX_HEADER_BYTES} bytes, got ${headerBytes}`,
    )
  }
  const header = new Uint8Array(LENGTH_BYTES + headerBytes).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(headerBytes), true)
  header.set(text, LENGTH_BYTES)
  return { header, order: sorted.map(([name]) => name), dataBytes }
}

/**
 * Puts a safetensors file together: metadata first, then tensors in the order of `safetensorsHeader`. Equal content gives
 * equal bytes, whatever the order of `entries`; metadata keep theirs. Throws `ArgumentError` before anything is allocated.
 */
export function serializeSafetensors(
  entries: ReadonlyMap<string, SafetensorsEntry>,
  options: { metadata?: ReadonlyMap<string, string> } = {},
): Uint8Array {
  const { metadata } = readOptions('serializeSafetensors', options, { metadata: new Map() })
  const { header, order, dataBytes } = safetensorsHeader(entries, metadata)
  for (const [name, { dtype, shape, bytes }] of entries) {
    const size = byteSize(dtype, shape)
    if (bytes.length === size) continue
    throw new ArgumentError(
      `${about(name)} of ${dtype} [${shape.join(', ')}] expects ${size} bytes, got ${bytes.length}`,
    )
  }
  const file = new Uint8Array(header.length + dataBytes)
  file.set(header)
  let at = header.length
  for (const name of order) {
    const { bytes } = entries.get(name)!
    file.set(bytes, at)
    at += bytes.length
  }
  return file
}
