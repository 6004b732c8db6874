import { FormatError } from '@convnets/tensor'

/** What no file of this package comes near; a corrupt length must not fill the memory. */
const MAX_BYTES = 2 ** 30

/** Whether bytes begin like a gzip file. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b
}

/** Contents of a gzip file, its checksum verified. Throws `FormatError` for a truncated or corrupt one. */
export async function gunzip(bytes: Uint8Array, file: string, maxBytes: number = MAX_BYTES): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  const stream = new Blob([new Uint8Array(bytes)]).stream().pipeThrough(new DecompressionStream('gzip'))
  const reader = stream.getReader()
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      chunks.push(part.value)
      length += part.value.length
      if (length > maxBytes) break
    }
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause)
    throw new FormatError({ file, offset: 0, expected: 'whole and valid gzip data', got, cause })
  }
  if (length > maxBytes) {
    await reader.cancel()
    throw new FormatError({ file, offset: 0, expected: `at most ${maxBytes} bytes when unpacked`, got: 'more' })
  }
  const result = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    result.set(chunk, at)
    at += chunk.length
  }
  return result
}
