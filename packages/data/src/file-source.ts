/** Bytes of a file: from the disk where there is one, by fetch elsewhere. */
import { BackendError } from '@convnets/tensor'
import { builtin } from '@convnets/tensor/host'

/** Where a file comes from: a path, a URL (a file's or one to fetch), or its bytes. */
export type FileSource = string | URL | Uint8Array | ArrayBuffer

const isUrl = (text: string): boolean => /^(https?|file|blob|data):/i.test(text)

/** The path, URL or kind of a source, for messages. */
export function sourceName(source: FileSource): string {
  if (typeof source === 'string') return source.startsWith('data:') ? 'data URL' : source
  return source instanceof URL ? sourceName(source.href) : 'bytes'
}

/** All bytes of a source. Rejects with Node's own error (with `code` and `path`) for a file that cannot be read. */
export async function readBytes(source: FileSource, wanted: string, signal?: AbortSignal): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source
  if (source instanceof ArrayBuffer) return new Uint8Array(source)
  const text = String(source)
  if (!isUrl(text) || /^file:/i.test(text)) {
    const path = isUrl(text) ? builtin('node:url', wanted).fileURLToPath(text) : text
    return builtin('node:fs', wanted).promises.readFile(path, { signal })
  }
  const answer = await fetch(text, signal ? { signal } : {})
  if (!answer.ok) {
    await answer.body?.cancel()
    throw new BackendError(`${wanted}: ${sourceName(source)} expects an answer with status 200, got ${answer.status}`)
  }
  return new Uint8Array(await answer.arrayBuffer())
}
