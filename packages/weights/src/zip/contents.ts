/** The contents of zip entries, unpacked within their declared size and checked by their checksum. */
import { FormatError } from '@convnets/tensor'
import { Inflate } from 'fflate'
import { crc32 } from '../crc32.ts'
import type { ByteSource } from '../source.ts'
import type { ZipEntry } from './directory.ts'

const PIECE = 2 ** 22

/** Small pieces bound what is unpacked before anything looks at it: at most 16 MiB. */
const DEFLATED_PIECE = 2 ** 14

/** No deflate stream unpacks to more than this times its size (RFC 1951: 258 bytes from two bits, and then some). */
const MAX_RATIO = 1032

function checkSum(source: ByteSource, entry: ZipEntry, crc: number): void {
  if (crc === entry.crc) return
  const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`
  const expected = `CRC-32 ${hex(entry.crc)} of entry ${JSON.stringify(entry.name)}`
  throw new FormatError({ file: source.name, offset: entry.offset, expected, got: hex(crc) })
}

/**
 * Unpacks an entry piece by piece into `take`, to its end or until `take` has enough and says so by giving true. Fails
 * unless the whole is as long as the directory says.
 */
async function inflate(
  source: ByteSource,
  entry: ZipEntry,
  take: (part: Uint8Array, at: number) => boolean,
): Promise<void> {
  const fail = (expected: string, got: string, cause?: unknown): never => {
    throw new FormatError({ file: source.name, offset: entry.offset, expected, got, cause })
  }
  if (entry.size > entry.storedSize * MAX_RATIO) {
    fail(`${entry.storedSize} deflated bytes to hold at most ${MAX_RATIO} times as many`, `${entry.size}`)
  }
  let length = 0
  let enough = false
  const stream = new Inflate((part) => {
    if (length + part.length > entry.size) fail(`${entry.size} unpacked bytes`, 'more')
    enough ||= take(part, length)
    length += part.length
  })
  for (let at = 0; at < entry.storedSize && !enough; at += DEFLATED_PIECE) {
    const count = Math.min(DEFLATED_PIECE, entry.storedSize - at)
    const piece = await source.read(entry.offset + at, count)
    try {
      stream.push(piece, at + count === entry.storedSize)
    } catch (error) {
      if (error instanceof FormatError) throw error
      fail('valid deflate data', error instanceof Error ? error.message : String(error), error)
    }
  }
  if (length !== entry.size && !enough) fail(`${entry.size} unpacked bytes`, `${length}`)
}

/** The first bytes of an entry, at most `count` of them. No checksum tells whether they are right. */
export async function readZipStart(source: ByteSource, entry: ZipEntry, count: number): Promise<Uint8Array> {
  const length = Math.min(count, entry.size)
  if (!entry.compressed) return source.read(entry.offset, length)
  const start = new Uint8Array(length)
  await inflate(source, entry, (part, at) => {
    if (at < length) start.set(part.subarray(0, length - at), at)
    return at + part.length >= length
  })
  return start
}

/** The whole contents of an entry. */
export async function readZipEntry(source: ByteSource, entry: ZipEntry): Promise<Uint8Array> {
  let bytes: Uint8Array
  if (entry.compressed) {
    bytes = new Uint8Array(entry.size)
    await inflate(source, entry, (part, at) => {
      bytes.set(part, at)
      return false
    })
  } else bytes = await source.read(entry.offset, entry.size)
  checkSum(source, entry, crc32(bytes))
  return bytes
}

/** Checks an entry piece by piece, without keeping it. */
export async function checkZipEntry(source: ByteSource, entry: ZipEntry, signal?: AbortSignal): Promise<void> {
  let crc = 0
  if (entry.compressed) {
    await inflate(source, entry, (part) => {
      signal?.throwIfAborted()
      crc = crc32(part, crc)
      return false
    })
  } else {
    for (let at = 0; at < entry.size; at += PIECE) {
      signal?.throwIfAborted()
      crc = crc32(await source.read(entry.offset + at, Math.min(PIECE, entry.size - at)), crc)
    }
  }
  checkSum(source, entry, crc)
}
