/** Reading of JSON whose shape is promised: every accessor names the file and the field that broke the promise. */
import { GoldenError } from '../errors.ts'

/** A value somewhere in a JSON file. */
export class Json {
  readonly value: unknown
  /** `ops.json: cases[3].output` */
  readonly path: string

  constructor(value: unknown, path: string) {
    this.value = value
    this.path = path
  }

  /** Parses `text`; `file` is what messages call it. */
  static parse(text: string, file: string): Json {
    try {
      return new Json(JSON.parse(text), `${file}: `)
    } catch (error) {
      throw new GoldenError(`${file}: expects JSON, got ${(error as Error).message}`, { cause: error })
    }
  }

  #expected(what: string): never {
    const { value } = this
    const got = Array.isArray(value) ? `an array of ${value.length}` : value === null ? 'null' : describe(value)
    throw new GoldenError(`${this.path.replace(/: $/, '')}: expects ${what}, got ${got}`)
  }

  #at(key: string | number): string {
    const separator = this.path.endsWith(': ') || typeof key === 'number' ? '' : '.'
    return `${this.path}${separator}${typeof key === 'number' ? `[${key}]` : key}`
  }

  /** Whether a field is there and not null. */
  has(key: string): boolean {
    const record = this.record()
    return Object.hasOwn(record, key) && record[key] !== null
  }

  record(): Record<string, unknown> {
    const { value } = this
    if (typeof value !== 'object' || value === null || Array.isArray(value)) this.#expected('an object')
    return value as Record<string, unknown>
  }

  /** A field that must be there. */
  get(key: string): Json {
    const record = this.record()
    if (!Object.hasOwn(record, key)) throw new GoldenError(`${this.#at(key)}: expects a value, got nothing`)
    return new Json(record[key], this.#at(key))
  }

  /** A field that may be missing or null. */
  optional<T>(key: string, read: (json: Json) => T): T | undefined {
    return this.has(key) ? read(this.get(key)) : undefined
  }

  entries(): [string, Json][] {
    return Object.entries(this.record()).map(([key, value]) => [key, new Json(value, this.#at(key))])
  }

  /** The fields as a map; reads each with `read`. */
  map<T>(read: (json: Json) => T): Map<string, T> {
    return new Map(this.entries().map(([key, json]) => [key, read(json)]))
  }

  list(): Json[] {
    const { value } = this
    if (!Array.isArray(value)) this.#expected('an array')
    return value.map((item, i) => new Json(item, this.#at(i)))
  }

  /** An array of `length` items. */
  listOf(length: number): Json[] {
    const items = this.list()
    return items.length === length ? items : this.#expected(`an array of ${length}`)
  }

  number(): number {
    return typeof this.value === 'number' ? this.value : this.#expected('a number')
  }

  integer(): number {
    return Number.isSafeInteger(this.value) ? (this.value as number) : this.#expected('an integer')
  }

  string(): string {
    return typeof this.value === 'string' ? this.value : this.#expected('a string')
  }

  boolean(): boolean {
    return typeof this.value === 'boolean' ? this.value : this.#expected('true or false')
  }

  oneOf<T extends string>(...values: readonly T[]): T {
    const found = values.find((value) => value === this.value)
    return found ?? this.#expected(`one of ${values.join(', ')}`)
  }

  numbers(): number[] {
    return this.list().map((item) => item.number())
  }

  /** Numbers, `length` of them. */
  numbersOf(length: number): number[] {
    const numbers = this.numbers()
    return numbers.length === length ? numbers : this.#expected(`${length} numbers`)
  }

  pair(): [number, number] {
    return this.listOf(2).map((item) => item.integer()) as [number, number]
  }

  /** Extents of a tensor. */
  shape(): number[] {
    const shape = this.list().map((item) => item.integer())
    return shape.every((extent) => extent >= 0) ? shape : this.#expected('extents of a shape')
  }
}

function describe(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length > 40 ? `${text.slice(0, 40)}...` : text
}
