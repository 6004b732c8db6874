/**
 * Zip archives as PyTorch writes them: stored entries, each beginning at a multiple of 64 bytes so that a file can be
 * mapped into memory, padded by an extra field called FB. 64-bit numbers only where they are needed.
 */

import type { Sink } from '../atomic.ts'
import { crc32 } from '../crc32.ts'

const ALIGNMENT = 64
const LOCAL_BYTES = 30
const FULL32 = 0xffffffff
const FULL16 = 0xffff
const FLAG_UTF8 = 0x0800

interface Written {
  readonly name: Uint8Array
  readonly crc: number
  readonly size: number
  readonly offset: number
}

/** Little-endian numbers one after another: `[bytes, value]`. */
function pack(...fields: readonly (readonly [bytes: 2 | 4 | 8, value: number])[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [bytes]) => sum + bytes, 0)))
  let at = 0
  for (const [bytes, value] of fields) {
    if (bytes === 2) view.setUint16(at, value, true)
    else if (bytes === 4) view.setUint32(at, value, true)
    else view.setBigUint64(at, BigInt(value), true)
    at += bytes
  }
  return new Uint8Array(view.buffer)
}

/** The year 1980 begins: files of equal contents are equal. */
const NO_TIME = [2, 0] as const
const NO_DATE = [2, 0x21] as const

/** Writes an archive entry by entry; nothing is kept but the directory. */
export class ZipWriter {
  readonly #write: Sink
  readonly #written: Written[] = []
  #offset = 0

  constructor(write: Sink) {
    this.#write = write
  }

  async #put(...pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      await this.#write(piece)
      this.#offset += piece.length
    }
  }

  async add(path: string, contents: Uint8Array): Promise<void> {
    const name = new TextEncoder().encode(path)
    const entry = { name, crc: crc32(contents), size: contents.length, offset: this.#offset }
    const wide = entry.size >= FULL32
    const zip64 = wide ? pack([2, 1], [2, 16], [8, entry.size], [8, entry.size]) : new Uint8Array(0)
    const before = this.#offset + LOCAL_BYTES + name.length + zip64.length + 4
    const padding = (ALIGNMENT - (before % ALIGNMENT)) % ALIGNMENT
    const extraBytes = zip64.length + 4 + padding
    const size = wide ? FULL32 : entry.size
    await this.#put(
      pack(
        [4, 0x04034b50],
        [2, wide ? 45 : 20],
        [2, FLAG_UTF8],
        [2, 0],
        NO_TIME,
        NO_DATE,
        [4, entry.crc],
        [4, size],
        [4, size],
        [2, name.length],
        [2, extraBytes],
      ),
      name,
      zip64,
      pack([2, 0x4246], [2, padding]),
      new Uint8Array(padding).fill(0x5a),
      contents,
    )
    this.#written.push(entry)
  }

  async finish(): Promise<void> {
    const start = this.#offset
    for (const { name, crc, size, offset } of this.#written) {
      const wide = size >= FULL32 || offset >= FULL32
      const extra = wide ? pack([2, 1], [2, 24], [8, size], [8, size], [8, offset]) : new Uint8Array(0)
      const narrow = (value: number): number => (wide ? FULL32 : value)
      await this.#put(
        pack(
          [4, 0x02014b50],
          [2, wide ? 45 : 20],
          [2, wide ? 45 : 20],
          [2, FLAG_UTF8],
          [2, 0],
          NO_TIME,
          NO_DATE,
          [4, crc],
          [4, narrow(size)],
          [4, narrow(size)],
          [2, name.length],
          [2, extra.length],
          [2, 0],
          [2, 0],
          [2, 0],
          [4, 0],
          [4, narrow(offset)],
        ),
        name,
        extra,
      )
    }
    const count = this.#written.length
    const size = this.#offset - start
    if (count >= FULL16 || start >= FULL32 || size >= FULL32) {
      const at = this.#offset
      await this.#put(
        pack([4, 0x06064b50], [8, 44], [2, 45], [2, 45], [4, 0], [4, 0], [8, count], [8, count], [8, size], [8, start]),
        pack([4, 0x07064b50], [4, 0], [8, at], [4, 1]),
      )
    }
    const few = Math.min(count, FULL16)
    await this.#put(
      pack(
        [4, 0x06054b50],
        [2, 0],
        [2, 0],
        [2, few],
        [2, few],
        [4, Math.min(size, FULL32)],
        [4, Math.min(start, FULL32)],
        [2, 0],
      ),
    )
  }
}
