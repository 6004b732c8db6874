/** A cursor over the bytes of a pickle. */
import { FormatError } from '@convnets/tensor'

/** Says that a pickle goes on behind the bytes that were handed over, which are only the beginning of a file. */
export class MoreBytesNeeded extends Error {}

/** The bytes that a pickle lies in. */
export interface PickleBytes {
  readonly bytes: Uint8Array
  /** Where the pickle begins in them (default 0). */
  readonly start?: number
  /** Where `bytes` begin in the file, for messages (default 0). */
  readonly base?: number
  readonly file: string
  /** Whether the file goes on behind `bytes` (default false). */
  readonly partial?: boolean
}

export class PickleReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #file: string
  readonly #base: number
  readonly #partial: boolean
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  position: number

  constructor({ bytes, start = 0, base = 0, file, partial = false }: PickleBytes) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#file = file
    this.#base = base
    this.#partial = partial
    this.position = start
  }

  fail(expected: string, got: string, at: number = this.position, cause?: unknown): never {
    throw new FormatError({ file: this.#file, offset: this.#base + at, expected, got, cause })
  }

  /** Moves behind `count` bytes and gives where they begin. */
  take(count: number, what: string): number {
    const at = this.position
    if (count > this.#bytes.length - at) {
      if (this.#partial) throw new MoreBytesNeeded()
      this.fail(`${count} bytes of ${what}`, `the end of the pickle after ${this.#bytes.length - at}`)
    }
    this.position = at + count
    return at
  }

  uint8(what: string): number {
    return this.#bytes[this.take(1, what)]!
  }

  uint16(what: string): number {
    return this.#view.getUint16(this.take(2, what), true)
  }

  uint32(what: string): number {
    return this.#view.getUint32(this.take(4, what), true)
  }

  int32(what: string): number {
    return this.#view.getInt32(this.take(4, what), true)
  }

  /** What exceeds the exact integers exceeds every limit as well. */
  uint64(what: string): number {
    return Number(this.#view.getBigUint64(this.take(8, what), true))
  }

  /** Big-endian, as pickles have them. */
  float64(what: string): number {
    return this.#view.getFloat64(this.take(8, what), false)
  }

  /** A two's complement integer of any length, little-endian; a bigint where a number would not hold it. */
  integer(count: number, what: string): number | bigint {
    const at = this.take(count, what)
    let value = 0n
    for (let i = count - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[at + i]!)
    const signed = BigInt.asIntN(count * 8, value)
    const small = Number(signed)
    return Number.isSafeInteger(small) ? small : signed
  }

  bytes(count: number, what: string): Uint8Array {
    const at = this.take(count, what)
    return this.#bytes.slice(at, at + count)
  }

  text(count: number, what: string): string {
    const at = this.take(count, what)
    try {
      return this.#utf8.decode(this.#bytes.subarray(at, at + count))
    } catch {
      return this.fail(`${what} in UTF-8`, 'bytes that are not', at)
    }
  }

  /** Text up to the next line feed, which is passed as well. */
  line(limit: number, what: string): string {
    const from = this.position
    const end = this.#bytes.indexOf(10, from)
    const length = (end < 0 ? this.#bytes.length : end) - from
    if (length > limit) this.fail(`${what} of at most ${limit} bytes`, 'a longer one')
    // Without its end, this asks for one byte more than there is.
    if (end < 0) this.take(length + 1, what)
    const text = this.text(length, what)
    this.take(1, what)
    return text
  }
}
