/**
 * The structure of a zip archive, read so that it can be read in one way only.
 *
 * Zip says most things twice (in the central directory and before each entry), and readers differ in whom they believe;
 * whoever checks a file with one and loads it with another can be fooled. So everything said twice must agree, entries
 * must fill the file without gaps or overlaps, and there is neither a comment nor anything in front of the archive.
 *
 * PKWARE, APPNOTE.TXT, sections 4.3 to 4.5.
 */
import { FormatError } from '@convnets/tensor'
import type { ByteSource } from '../source.ts'

/** One entry of an archive. */
export interface ZipEntry {
  readonly name: string
  readonly compressed: boolean
  readonly crc: number
  /** Bytes of the contents, and as they lie in the file. */
  readonly size: number
  readonly storedSize: number
  /** Where the contents lie. */
  readonly offset: number
}

const END = 0x06054b50
const END64 = 0x06064b50
const LOCATOR64 = 0x07064b50
const CENTRAL = 0x02014b50
const LOCAL = 0x04034b50
const DESCRIPTOR = 0x08074b50

const END_BYTES = 22
const LOCATOR64_BYTES = 20
const END64_BYTES = 56
const CENTRAL_BYTES = 46
const LOCAL_BYTES = 30

const MAX_DIRECTORY_BYTES = 2 ** 27
const FULL32 = 0xffffffff

/** Sizes that follow the contents. */
const FLAG_DESCRIPTOR = 1 << 3
const FLAG_UTF8 = 1 << 11
/** How hard the writer compressed: a remark. */
const FLAG_LEVEL = 0b110

const flagNames: readonly (readonly [bit: number, meaning: string])[] = [
  [1 << 0, 'encryption'],
  [1 << 4, 'enhanced deflation'],
  [1 << 5, 'patch data'],
  [1 << 6, 'strong encryption'],
  [1 << 13, 'an encrypted directory'],
]

const methodNames: ReadonlyMap<number, string> = new Map([
  [1, 'shrink'],
  [6, 'implode'],
  [9, 'deflate64'],
  [12, 'bzip2'],
  [14, 'LZMA'],
  [93, 'Zstandard'],
  [95, 'XZ'],
  [98, 'PPMd'],
  [99, 'AES encryption'],
])

type Fail = (offset: number, expected: string, got: string) => never

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** A 64-bit number; what is beyond the exact integers is beyond every file, too. */
const big = (view: DataView, at: number): number => Number(view.getBigUint64(at, true))

interface End {
  readonly entries: number
  readonly offset: number
  readonly size: number
}

/** Where the central directory lies. */
async function readEnd(source: ByteSource, fail: Fail): Promise<End> {
  if (source.size < END_BYTES) fail(0, 'a zip archive of at least 22 bytes', `a file of ${source.size} bytes`)
  const at = source.size - END_BYTES
  const view = viewOf(await source.read(at, END_BYTES))
  if (view.getUint32(0, true) !== END) {
    fail(at, 'the end of a zip archive without comment', 'something else; the file may be cut')
  }
  if (view.getUint16(20, true) !== 0) fail(at + 20, 'no archive comment', 'one that leaves the file')
  const short = {
    disk: view.getUint16(4, true),
    directoryDisk: view.getUint16(6, true),
    entriesHere: view.getUint16(8, true),
    entries: view.getUint16(10, true),
    size: view.getUint32(12, true),
    offset: view.getUint32(16, true),
  }
  if (short.disk !== 0 || short.directoryDisk !== 0) fail(at + 4, 'an archive in one file', 'a part of several')
  if (short.entriesHere !== short.entries) fail(at + 8, `${short.entries} entries`, `${short.entriesHere}`)
  const end64 = at >= LOCATOR64_BYTES + END64_BYTES ? await readEnd64(source, at - LOCATOR64_BYTES, fail) : undefined
  const end = end64?.end ?? short
  const agree = (small: number, full: number, wide: number): boolean => small === wide || small === full
  if (
    end64 &&
    !(
      agree(short.entries, 0xffff, end.entries) &&
      agree(short.size, FULL32, end.size) &&
      agree(short.offset, FULL32, end.offset)
    )
  ) {
    fail(at, 'the two ends of the archive to agree', 'other numbers than in the zip64 end')
  }
  const behind = end64?.at ?? at
  if (end.offset + end.size !== behind) {
    fail(at, `a directory that ends at byte ${behind}`, `one from ${end.offset} to ${end.offset + end.size}`)
  }
  if (end.size > MAX_DIRECTORY_BYTES) {
    fail(at + 12, `a directory of at most ${MAX_DIRECTORY_BYTES} bytes`, `one of ${end.size}`)
  }
  if (end.entries * CENTRAL_BYTES > end.size) {
    fail(at + 10, `entries that fit into ${end.size} bytes of directory`, `${end.entries}`)
  }
  return end
}

async function readEnd64(
  source: ByteSource,
  locatorAt: number,
  fail: Fail,
): Promise<{ end: End; at: number } | undefined> {
  const locator = viewOf(await source.read(locatorAt, LOCATOR64_BYTES))
  if (locator.getUint32(0, true) !== LOCATOR64) return undefined
  if (locator.getUint32(4, true) !== 0 || locator.getUint32(16, true) !== 1) {
    fail(locatorAt, 'an archive in one file', 'a part of several')
  }
  const at = locatorAt - END64_BYTES
  const view = viewOf(await source.read(at, END64_BYTES))
  if (big(locator, 8) !== at || view.getUint32(0, true) !== END64 || big(view, 4) !== END64_BYTES - 12) {
    fail(locatorAt, 'the zip64 end right before its locator', 'something else')
  }
  if (view.getUint32(16, true) !== 0 || view.getUint32(20, true) !== 0) {
    fail(at + 16, 'an archive in one file', 'a part of several')
  }
  const entries = big(view, 32)
  if (big(view, 24) !== entries) fail(at + 24, `${entries} entries`, `${big(view, 24)}`)
  return { end: { entries, size: big(view, 40), offset: big(view, 48) }, at }
}

/** The zip64 field among the extra fields of an entry, which must be well-formed. */
function zip64Field(extra: Uint8Array, at: number, fail: Fail): DataView | undefined {
  const view = viewOf(extra)
  let found: DataView | undefined
  for (let i = 0; i < extra.length; ) {
    const length = i + 4 <= extra.length ? view.getUint16(i + 2, true) : Number.POSITIVE_INFINITY
    if (i + 4 + length > extra.length) fail(at + i, 'extra fields that fit', 'one that is longer than its place')
    if (view.getUint16(i, true) === 1) {
      if (found) fail(at + i, 'one zip64 field', 'a second one')
      found = viewOf(extra.subarray(i + 4, i + 4 + length))
    }
    i += 4 + length
  }
  return found
}

/** What an entry says of itself, in the directory or in front of its contents. */
interface Header {
  readonly name: string
  readonly flags: number
  readonly method: number
  readonly crc: number
  readonly size: number
  readonly storedSize: number
}

function checkKind(flags: number, method: number, at: number, name: string, fail: Fail): void {
  const known = FLAG_DESCRIPTOR | FLAG_UTF8 | FLAG_LEVEL
  const odd = flags & ~known
  if (odd !== 0) {
    const got = flagNames.find(([bit]) => odd & bit)?.[1] ?? `the flags 0x${odd.toString(16)}`
    fail(at, `a plain entry ${JSON.stringify(name)}`, got)
  }
  if (method !== 0 && method !== 8) {
    const got = methodNames.get(method) ?? `method ${method}`
    fail(at, `entry ${JSON.stringify(name)} to be stored or deflated`, got)
  }
}

/** Numbers that did not fit into their 32 bits, in the order in which the zip64 field holds them. */
function widen(values: readonly number[], field: DataView | undefined, at: number, fail: Fail): number[] {
  let next = 0
  const wide = values.map((value) => {
    if (value !== FULL32 || !field) return value
    if (next + 8 > field.byteLength) fail(at, 'a zip64 field with all numbers that need one', 'a shorter one')
    next += 8
    return big(field, next - 8)
  })
  return wide
}

interface CentralHeader extends Header {
  readonly headerOffset: number
  readonly at: number
}

function readDirectory(bytes: Uint8Array, end: End, fail: Fail): CentralHeader[] {
  const view = viewOf(bytes)
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const seen = new Set<string>()
  const headers: CentralHeader[] = []
  let i = 0
  for (let entry = 0; entry < end.entries; entry++) {
    const at = end.offset + i
    if (i + CENTRAL_BYTES > bytes.length || view.getUint32(i, true) !== CENTRAL) {
      fail(at, `the directory's entry ${entry}`, 'something else')
    }
    const nameBytes = view.getUint16(i + 28, true)
    const extraBytes = view.getUint16(i + 30, true)
    const commentBytes = view.getUint16(i + 32, true)
    const next = i + CENTRAL_BYTES + nameBytes + extraBytes + commentBytes
    if (next > bytes.length) fail(at, `the directory's entry ${entry} to fit`, 'one that is longer than the directory')
    let name = ''
    try {
      name = utf8.decode(bytes.subarray(i + CENTRAL_BYTES, i + CENTRAL_BYTES + nameBytes))
    } catch {
      fail(at + CENTRAL_BYTES, 'a name in UTF-8', 'bytes that are not')
    }
    if (name === '' || name.includes('\0')) fail(at + CENTRAL_BYTES, 'a name without NUL', JSON.stringify(name))
    if (seen.has(name)) fail(at, 'every name once', `${JSON.stringify(name)} a second time`)
    seen.add(name)
    const flags = view.getUint16(i + 8, true)
    const method = view.getUint16(i + 10, true)
    checkKind(flags, method, at + 8, name, fail)
    if (view.getUint16(i + 34, true) !== 0) fail(at + 34, 'an entry in this file', 'one on another disk')
    const extra = bytes.subarray(i + CENTRAL_BYTES + nameBytes, next - commentBytes)
    const field = zip64Field(extra, at + CENTRAL_BYTES + nameBytes, fail)
    const numbers = [view.getUint32(i + 24, true), view.getUint32(i + 20, true), view.getUint32(i + 42, true)]
    const [size, storedSize, headerOffset] = widen(numbers, field, at, fail) as [number, number, number]
    if (method === 0 && size !== storedSize) fail(at + 20, `${size} stored bytes`, `${storedSize}`)
    headers.push({ name, flags, method, crc: view.getUint32(i + 16, true), size, storedSize, headerOffset, at })
    i = next
  }
  if (i !== bytes.length) fail(end.offset + i, 'the end of the directory', `${bytes.length - i} more bytes`)
  return headers
}

/** Checks what stands before and after an entry's contents against the directory. Gives where they begin and all ends. */
async function locate(
  source: ByteSource,
  header: CentralHeader,
  limit: number,
  fail: Fail,
): Promise<{ offset: number; end: number }> {
  const { name, headerOffset: at } = header
  const what = `entry ${JSON.stringify(name)}`
  const encoded = new TextEncoder().encode(name)
  const fixed = LOCAL_BYTES + encoded.length
  if (at + fixed > limit) fail(header.at + 42, `${what} before byte ${limit}`, `an offset of ${at}`)
  const bytes = await source.read(at, fixed)
  const view = viewOf(bytes)
  if (view.getUint32(0, true) !== LOCAL) fail(at, `the header of ${what}`, 'something else')
  const named =
    view.getUint16(26, true) === encoded.length && encoded.every((byte, i) => bytes[LOCAL_BYTES + i] === byte)
  if (!named) fail(at + LOCAL_BYTES, `the name ${JSON.stringify(name)}, as in the directory`, 'another one')
  if (view.getUint16(6, true) !== header.flags || view.getUint16(8, true) !== header.method) {
    fail(at + 6, `flags and method of ${what} as in the directory`, 'others')
  }
  const extraBytes = view.getUint16(28, true)
  const offset = at + fixed + extraBytes
  if (offset + header.storedSize > limit) {
    fail(at, `${what} to end before byte ${limit}`, `${header.storedSize} bytes from ${offset} on`)
  }
  const field = zip64Field(await source.read(at + fixed, extraBytes), at + fixed, fail)
  const [size, storedSize] = widen([view.getUint32(22, true), view.getUint32(18, true)], field, at, fail)
  const described = (header.flags & FLAG_DESCRIPTOR) !== 0
  const said = [view.getUint32(14, true), size, storedSize]
  const meant = [header.crc, header.size, header.storedSize]
  if (!said.every((value, i) => value === meant[i] || (described && value === 0))) {
    fail(at + 14, `checksum and sizes of ${what} as in the directory`, 'others')
  }
  let end = offset + header.storedSize
  if (described) end += await checkDescriptor(source, header, end, limit, fail)
  return { offset, end }
}

/** Length of the descriptor after an entry's contents: with or without signature, with 32 or 64 bits per size. */
async function checkDescriptor(
  source: ByteSource,
  { name, crc, size, storedSize }: Header,
  at: number,
  limit: number,
  fail: Fail,
): Promise<number> {
  const bytes = await source.read(at, Math.min(24, limit - at))
  const view = viewOf(bytes)
  for (const signed of [4, 0]) {
    if (signed > 0 && (bytes.length < 4 || view.getUint32(0, true) !== DESCRIPTOR)) continue
    for (const width of [8, 4]) {
      const length = signed + 4 + 2 * width
      if (length > bytes.length || view.getUint32(signed, true) !== crc) continue
      const read = (i: number): number => (width === 8 ? big(view, i) : view.getUint32(i, true))
      if (read(signed + 4) === storedSize && read(signed + 4 + width) === size) return length
    }
  }
  return fail(at, `the descriptor of entry ${JSON.stringify(name)} to repeat the directory`, 'something else')
}

/**
 * The entries of an archive by name, in the order of the directory. Reads the directory and what surrounds each entry,
 * not the contents. Throws `FormatError` for an archive that contradicts itself, has gaps or overlapping entries, or asks
 * for what this package does not do (encryption, other compressions, several disks).
 */
export async function readZipDirectory(source: ByteSource): Promise<Map<string, ZipEntry>> {
  const fail: Fail = (offset, expected, got) => {
    throw new FormatError({ file: source.name, offset, expected, got })
  }
  const end = await readEnd(source, fail)
  const headers = readDirectory(await source.read(end.offset, end.size), end, fail)
  const places = new Map<string, { offset: number; end: number }>()
  let covered = 0
  for (const header of headers.toSorted((a, b) => a.headerOffset - b.headerOffset)) {
    if (header.headerOffset !== covered) {
      const expected = `entry ${JSON.stringify(header.name)} to begin at byte ${covered}, without gap or overlap`
      fail(header.at + 42, expected, `an offset of ${header.headerOffset}`)
    }
    const place = await locate(source, header, end.offset, fail)
    places.set(header.name, place)
    covered = place.end
  }
  if (covered !== end.offset) fail(covered, `the directory at byte ${covered}`, `one at ${end.offset}`)
  return new Map(
    headers.map(({ name, method, crc, size, storedSize }) => {
      const { offset } = places.get(name)!
      return [name, { name, compressed: method === 8, crc, size, storedSize, offset }]
    }),
  )
}
