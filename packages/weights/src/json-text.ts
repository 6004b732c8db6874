/** Text of files that list other files. */
import { FormatError } from '@convnets/tensor'
import { type Json, JsonScanner } from './json-scanner.ts'
import type { ByteSource } from './source.ts'

/** The lists of the largest published networks have a tenth of it. */
const MAX_BYTES = 2 ** 23

/** JSON of a whole file. Throws `FormatError` for what is none, for a key twice, and for more than 8 MiB. */
export async function readJson(source: ByteSource): Promise<Json> {
  const { name: file, size } = source
  if (size > MAX_BYTES) {
    throw new FormatError({ file, offset: 0, expected: `JSON of at most ${MAX_BYTES} bytes`, got: `${size}` })
  }
  const scan = new JsonScanner(await source.read(0, size), 0, size, file)
  const value = scan.value()
  scan.finish('the JSON value')
  return value
}

/** Members of a JSON object, or undefined for another value. */
export const members = (value: Json | undefined): ReadonlyMap<string, Json> | undefined =>
  value instanceof Map ? value : undefined

const MAX_SHOWN = 8

/** A value for messages, however large it is. */
export function show(value: Json | undefined, depth = 2): string {
  if (value === undefined) return 'none'
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value)
  if (value instanceof Map) return 'an object'
  if (!Array.isArray(value)) return String(value)
  if (depth === 0) return 'a list'
  const items = value.slice(0, MAX_SHOWN).map((item: Json) => show(item, depth - 1))
  return `[${[...items, ...(value.length > MAX_SHOWN ? ['...'] : [])].join(', ')}]`
}
