/** The file system, where there is one. Nothing here is imported before it is needed, so browser bundles stay whole. */
import { BackendError } from '@convnets/tensor'

/** A module of Node's, reached without an import that bundlers for browsers would stumble over. */
function builtin<ID extends 'node:fs' | 'node:path' | 'node:url' | 'node:crypto'>(
  id: ID,
  wanted: string,
): ReturnType<typeof process.getBuiltinModule<ID>> {
  if (typeof process === 'undefined' || typeof process.getBuiltinModule !== 'function') {
    throw new BackendError(`${wanted}: expects a file system (Node 20.16 or newer), got a host without one`)
  }
  return process.getBuiltinModule(id)
}

/** Where weights come from: a path or URL (file, http, https, blob, data), or the bytes themselves. */
export type WeightSource = string | URL | Uint8Array | ArrayBuffer

const isUrl = (text: string): boolean => /^(https?|file|blob|data):/i.test(text)

/** The path, URL or kind of a source, for messages. */
export function sourceName(source: WeightSource): string {
  if (typeof source === 'string') return source.startsWith('data:') ? 'data URL' : source
  return source instanceof URL ? sourceName(source.href) : 'bytes'
}

/**
 * All bytes of a source. A URL that is not a file's is fetched as it is: no cache, no checksum.
 * Rejects with Node's own error (with `code` and `path`) for a file that cannot be read.
 */
export async function readSource(source: WeightSource, signal?: AbortSignal): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source
  if (source instanceof ArrayBuffer) return new Uint8Array(source)
  const text = String(source)
  if (!isUrl(text) || /^file:/i.test(text)) {
    const path = isUrl(text) ? builtin('node:url', 'loadWeights').fileURLToPath(text) : text
    return builtin('node:fs', 'loadWeights').promises.readFile(path, { signal })
  }
  const answer = await fetch(text, signal ? { signal } : {})
  if (!answer.ok) {
    await answer.body?.cancel()
    throw new BackendError(`loadWeights: ${sourceName(source)} expects an answer with status 200, got ${answer.status}`)
  }
  return new Uint8Array(await answer.arrayBuffer())
}

/**
 * Writes a file so that its path holds either the old contents or the new ones, whole, whatever happens meanwhile: a
 * temporary file in the same folder, forced to the disk, takes the place of the old one in one step. The folder must
 * exist. Rejects with Node's own error (with `code` and `path`); the old file is untouched then and nothing is left over.
 */
export async function writeFileAtomic(path: string | URL, bytes: Uint8Array): Promise<void> {
  const { promises: fs } = builtin('node:fs', 'writeFileAtomic')
  const { fileURLToPath } = builtin('node:url', 'writeFileAtomic')
  const { basename, dirname, join } = builtin('node:path', 'writeFileAtomic')
  const target = path instanceof URL ? fileURLToPath(path) : path
  const folder = dirname(target)
  const id = builtin('node:crypto', 'writeFileAtomic').randomUUID()
  const temporary = join(folder, `.${basename(target)}.${id}.tmp`)
  try {
    const handle = await fs.open(temporary, 'wx')
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await fs.rename(temporary, target)
  } catch (error) {
    await fs.rm(temporary, { force: true })
    throw error
  }
  await syncFolder(folder)
}

/** Makes a rename survive a power cut, on the systems that let a folder be opened. */
async function syncFolder(folder: string): Promise<void> {
  const { promises: fs } = builtin('node:fs', 'writeFileAtomic')
  try {
    const handle = await fs.open(folder, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch {
    // Windows and some network file systems cannot; the file itself is already on the disk.
  }
}
