/**
 * Tar archives (POSIX.1-1988 "ustar" and what came before): blocks of 512 bytes, a header for each file, then its contents.
 * Only what data sets are published as: plain files; folders, links and extended headers are passed over.
 */
import { FormatError } from '@convnets/tensor'

const BLOCK = 512
const SIZE_AT = 124
const CHECKSUM_AT = 148
const TYPE_AT = 156
const MAGIC_AT = 257
const PREFIX_AT = 345

/** Bytes up to the first zero, one character each. */
function text(block: Uint8Array, at: number, length: number): string {
  let result = ''
  for (let i = at; i < at + length && block[i] !== 0; i++) result += String.fromCharCode(block[i]!)
  return result
}

/** An octal number, padded with spaces and zeros; undefined for anything else. */
function octal(block: Uint8Array, at: number, length: number): number | undefined {
  const digits = text(block, at, length).trim()
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : undefined
}

/** The sum of a header's bytes, with its own checksum as spaces. */
function sumOf(header: Uint8Array): number {
  let sum = 8 * 32
  for (let i = 0; i < BLOCK; i++) if (i < CHECKSUM_AT || i >= CHECKSUM_AT + 8) sum += header[i]!
  return sum
}

/**
 * The plain files of an archive by their names; contents share its memory. Throws `FormatError` for a truncated or broken
 * archive, and for two files of one name.
 */
export function readTar(bytes: Uint8Array, { file = 'tar' }: { file?: string } = {}): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  for (let at = 0; ; ) {
    const fail = (offset: number, expected: string, got: string): never => {
      throw new FormatError({ file, offset: at + offset, expected, got })
    }
    if (bytes.length - at < BLOCK) fail(0, 'a header or an empty block of 512 bytes', `${bytes.length - at} bytes`)
    const header = bytes.subarray(at, at + BLOCK)
    if (header.every((byte) => byte === 0)) return files
    const sum = octal(header, CHECKSUM_AT, 8)
    if (sum !== sumOf(header)) fail(CHECKSUM_AT, `a header with checksum ${sumOf(header)}`, `${sum ?? 'no number'}`)
    const size = octal(header, SIZE_AT, 12) ?? fail(SIZE_AT, 'a size in octal digits', 'something else')
    const start = at + BLOCK
    if (size > bytes.length - start) fail(SIZE_AT, `${size} bytes of contents`, `${bytes.length - start} bytes`)
    const type = header[TYPE_AT]!
    if (type === 0 || type === 0x30) {
      const prefix = text(header, MAGIC_AT, 5) === 'ustar' ? text(header, PREFIX_AT, 155) : ''
      const name = (prefix === '' ? '' : `${prefix}/`) + text(header, 0, 100)
      if (files.has(name)) fail(0, 'files of different names', `${JSON.stringify(name)} twice`)
      files.set(name, bytes.subarray(start, start + size))
    }
    at = start + Math.ceil(size / BLOCK) * BLOCK
  }
}
