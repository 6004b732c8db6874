/**
 * Reads JSON straight from the bytes of a file: headers of safetensors files, and text that lists other files.
 *
 * `JSON.parse` would keep the last of two equal keys, round large integers, follow lists within each other as deep as they
 * go and say nothing of where it was. Here every failure names a byte, and objects are Maps, so that no key is special.
 */
import { FormatError } from '@convnets/tensor'

/** Lists and objects within each other that the reference parser (serde_json) follows where nobody asked for any. */
const MAX_DEPTH = 125

const SIMPLE_ESCAPES: ReadonlyMap<number, string> = new Map(
  [...'"\\/bfnrt'].map((letter, i) => [letter.charCodeAt(0), '"\\/\b\f\n\r\t'.charAt(i)]),
)

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39

/** A value of JSON. */
export type Json = null | boolean | number | string | readonly Json[] | ReadonlyMap<string, Json>

/** A cursor over UTF-8 JSON that lies at `start..end` of a file. */
export class JsonScanner {
  readonly #bytes: Uint8Array
  readonly #end: number
  readonly #file: string
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  #position: number

  constructor(bytes: Uint8Array, start: number, end: number, file: string) {
    this.#bytes = bytes
    this.#position = start
    this.#end = end
    this.#file = file
  }

  /** Where the next token begins. */
  get position(): number {
    this.#skipSpace()
    return this.#position
  }

  /** Throws the `FormatError` for the byte under the cursor, or for `at`. */
  fail(expected: string, got: string = this.#describe(), at: number = this.#position): never {
    throw new FormatError({ file: this.#file, offset: at, expected, got })
  }

  /** Calls `member` with each key of an object, the cursor standing on its value. Refuses to see a key twice. */
  object(what: string, member: (key: string) => void): void {
    this.#take('{', what)
    if (this.#takeIf('}')) return
    const seen = new Set<string>()
    do {
      const at = this.position
      const key = this.string(`a key of ${what}`)
      if (seen.has(key)) this.fail(`every key of ${what} once`, `${JSON.stringify(key)} a second time`, at)
      seen.add(key)
      this.#take(':', `':' after the key ${JSON.stringify(key)}`)
      member(key)
    } while (this.#takeIf(','))
    this.#take('}', `',' or '}' in ${what}`)
  }

  /** A list of non-negative integers. */
  integers(what: string): number[] {
    const values: number[] = []
    this.#take('[', what)
    if (this.#takeIf(']')) return values
    do values.push(this.#integer(what))
    while (this.#takeIf(','))
    this.#take(']', `',' or ']' in ${what}`)
    return values
  }

  string(what: string): string {
    this.#take('"', what)
    let text = ''
    let from = this.#position
    for (;;) {
      const byte = this.#peek()
      if (byte === 0x22) break
      if (byte === undefined || byte < 0x20) this.fail(`the closing quote of ${what}`)
      this.#position++
      if (byte !== 0x5c) continue
      text += this.#decode(from, this.#position - 1) + this.#escape()
      from = this.#position
    }
    text += this.#decode(from, this.#position)
    this.#position++
    return text
  }

  /** Whether `null` stood under the cursor, which then stands behind it. */
  takeNull(): boolean {
    this.#skipSpace()
    if (this.#peek() !== 0x6e) return false
    this.#word('null')
    return true
  }

  /** A value of any kind. Numbers are rounded to what JavaScript has. */
  value(depth = 0): Json {
    this.#skipSpace()
    const byte = this.#peek()
    if (depth >= MAX_DEPTH && (byte === 0x7b || byte === 0x5b)) {
      this.fail(`values nested at most ${MAX_DEPTH} deep`, 'a deeper one')
    }
    if (byte === 0x22) return this.string('a string')
    if (byte === 0x7b) {
      const members = new Map<string, Json>()
      this.object('an object', (key) => members.set(key, this.value(depth + 1)))
      return members
    }
    if (byte === 0x5b) {
      const items: Json[] = []
      this.#take('[', 'a list')
      if (this.#takeIf(']')) return items
      do items.push(this.value(depth + 1))
      while (this.#takeIf(','))
      this.#take(']', "',' or ']' in a list")
      return items
    }
    if (byte === 0x74) this.#word('true')
    else if (byte === 0x66) this.#word('false')
    else if (byte === 0x6e) this.#word('null')
    else return this.#number()
    return byte === 0x6e ? null : byte === 0x74
  }

  /** Only white space may follow. */
  finish(what: string): void {
    this.#skipSpace()
    if (this.#position < this.#end) this.fail(`only padding after ${what}`)
  }

  #peek(): number | undefined {
    return this.#position < this.#end ? this.#bytes[this.#position] : undefined
  }

  #skipSpace(): void {
    for (;;) {
      const byte = this.#peek()
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return
      this.#position++
    }
  }

  #takeIf(character: string): boolean {
    this.#skipSpace()
    if (this.#peek() !== character.charCodeAt(0)) return false
    this.#position++
    return true
  }

  #take(character: string, what: string): void {
    if (!this.#takeIf(character)) this.fail(what)
  }

  #word(word: string): void {
    for (const character of word) {
      if (this.#peek() !== character.charCodeAt(0)) this.fail(`'${word}'`)
      this.#position++
    }
  }

  #integer(what: string): number {
    this.#skipSpace()
    const at = this.#position
    let value = 0
    for (let byte = this.#peek(); byte !== undefined && isDigit(byte); byte = this.#peek()) {
      value = value * 10 + (byte - 0x30)
      this.#position++
    }
    const digits = this.#position - at
    if (digits === 0) this.fail(`a non-negative integer in ${what}`)
    if (digits > 1 && this.#bytes[at] === 0x30) this.fail(`no leading zero in ${what}`, "'0'", at)
    if (!Number.isSafeInteger(value)) this.fail(`integers up to 2^53 - 1 in ${what}`, 'a larger one', at)
    const next = this.#peek()
    if (next === 0x2e || next === 0x65 || next === 0x45) this.fail(`a plain integer in ${what}`)
    return value
  }

  #number(): number {
    const from = this.#position
    const digits = (): void => {
      const byte = this.#peek()
      if (byte === undefined || !isDigit(byte)) this.fail('a JSON value')
      for (let next = this.#peek(); next !== undefined && isDigit(next); next = this.#peek()) this.#position++
    }
    if (this.#peek() === 0x2d) this.#position++
    if (this.#peek() === 0x30) this.#position++
    else digits()
    if (this.#peek() === 0x2e) {
      this.#position++
      digits()
    }
    if (this.#peek() === 0x65 || this.#peek() === 0x45) {
      this.#position++
      if (this.#peek() === 0x2b || this.#peek() === 0x2d) this.#position++
      digits()
    }
    return Number(this.#decode(from, this.#position))
  }

  /** What an escape stands for; the cursor is behind the backslash. */
  #escape(): string {
    const letter = this.#peek()
    const simple = letter === undefined ? undefined : SIMPLE_ESCAPES.get(letter)
    if (simple !== undefined) {
      this.#position++
      return simple
    }
    const at = this.#position - 1
    const first = this.#unicodeEscape()
    if (first < 0xd800 || first > 0xdfff) return String.fromCharCode(first)
    const wanted = 'the two halves of a surrogate pair'
    if (first > 0xdbff || this.#peek() !== 0x5c) this.fail(wanted, 'one alone', at)
    this.#position++
    const second = this.#unicodeEscape()
    if (second < 0xdc00 || second > 0xdfff) this.fail(wanted, 'one alone', at)
    return String.fromCharCode(first, second)
  }

  #unicodeEscape(): number {
    if (this.#peek() !== 0x75) this.fail('an escape that JSON has')
    this.#position++
    const end = this.#position + 4
    const digits = end > this.#end ? '' : String.fromCharCode(...this.#bytes.subarray(this.#position, end))
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail('four hexadecimal digits')
    this.#position = end
    return Number.parseInt(digits, 16)
  }

  #decode(from: number, to: number): string {
    try {
      return this.#utf8.decode(this.#bytes.subarray(from, to))
    } catch {
      return this.fail('UTF-8 text', 'bytes that are not', from)
    }
  }

  #describe(): string {
    const byte = this.#peek()
    if (byte === undefined) return 'the end of the text'
    if (byte > 0x20 && byte < 0x7f) return `'${String.fromCharCode(byte)}'`
    return `the byte 0x${byte.toString(16).padStart(2, '0')}`
  }
}
