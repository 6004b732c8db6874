/** Text of files that list other files. */
import { FormatError } from '@convnets/tensor'
import type { ByteSource } from './source.ts'

const MAX_BYTES = 2 ** 26

/** JSON of a whole file. Throws `FormatError` for what is none, and for more than 64 MiB. */
export async function readJson(source: ByteSource): Promise<unknown> {
  const fail = (expected: string, got: string, cause?: unknown): never => {
    throw new FormatError({ file: source.name, offset: 0, expected, got, cause })
  }
  if (source.size > MAX_BYTES) fail(`JSON of at most ${MAX_BYTES} bytes`, `${source.size}`)
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await source.read(0, source.size)))
  } catch (error) {
    if (error instanceof FormatError) throw error
    return fail('JSON', error instanceof Error ? error.message : String(error), error)
  }
}

/** Members of a JSON object. Keys such as `__proto__` are keys like others; nothing is looked up in a prototype. */
export function members(value: unknown): Map<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? new Map(Object.entries(value))
    : undefined
}
