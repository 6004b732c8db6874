/** The contents of zip entries, unpacked within their declared size and checked by their checksum. */
import { FormatError } from '@convnets/tensor'
import { Inflate } from 'fflate'
import { crc32 } from '../crc32.ts'
import type { ByteSource } from '../source.ts'
import type { ZipEntry } from './directory.ts'

const PIECE = 2 ** 22

/** No deflate stream unpacks to more than this times its size (RFC 1951: 258 bytes from two bits, and then some). */
const MAX_RATIO = 1032

function checkSum(source: ByteSource, entry: ZipEntry, crc: number): void {
  if (crc === entry.crc) return
  const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`
  const expected = `CRC-32 ${hex(entry.crc)} of entry ${JSON.stringify(entry.name)}`
  throw new FormatError({ file: source.name, offset: entry.offset, expected, got: hex(crc) })
}

async function inflate(source: ByteSource, entry: ZipEntry): Promise<Uint8Array> {
  const fail = (expected: string, got: string, cause?: unknown): never => {
    throw new FormatError({ file: source.name, offset: entry.offset, expected, got, cause })
  }
  if (entry.size > entry.storedSize * MAX_RATIO) {
    fail(`${entry.storedSize} deflated bytes to hold at most ${MAX_RATIO} times as many`, `${entry.size}`)
  }
  const result = new Uint8Array(entry.size)
  let length = 0
  const stream = new Inflate((part) => {
    if (length + part.length > entry.size) fail(`${entry.size} unpacked bytes`, 'more')
    result.set(part, length)
    length += part.length
  })
  // Small pieces bound what is unpacked before the check above sees it.
  const step = 2 ** 16
  for (let at = 0; at < entry.storedSize; at += step) {
    const count = Math.min(step, entry.storedSize - at)
    const piece = await source.read(entry.offset + at, count)
    try {
      stream.push(piece, at + count === entry.storedSize)
    } catch (error) {
      if (error instanceof FormatError) throw error
      fail('valid deflate data', error instanceof Error ? error.message : String(error), error)
    }
  }
  if (length !== entry.size) fail(`${entry.size} unpacked bytes`, `${length}`)
  return result
}

/** The whole contents of an entry. */
export async function readZipEntry(source: ByteSource, entry: ZipEntry): Promise<Uint8Array> {
  const bytes = entry.compressed ? await inflate(source, entry) : await source.read(entry.offset, entry.size)
  checkSum(source, entry, crc32(bytes))
  return bytes
}

/** Checks an entry without keeping it, a stored one piece by piece. */
export async function checkZipEntry(source: ByteSource, entry: ZipEntry, signal?: AbortSignal): Promise<void> {
  if (entry.compressed) {
    await readZipEntry(source, entry)
    return
  }
  let crc = 0
  for (let at = 0; at < entry.size; at += PIECE) {
    signal?.throwIfAborted()
    crc = crc32(await source.read(entry.offset + at, Math.min(PIECE, entry.size - at)), crc)
  }
  checkSum(source, entry, crc)
}
