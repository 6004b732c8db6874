/** What the host offers: files where there are any, fetch elsewhere. Nothing here makes a bundle for browsers stumble. */
import { BackendError } from '@convnets/tensor'

type NodeModule = 'node:fs' | 'node:path' | 'node:url' | 'node:os' | 'node:crypto'

/** A module of Node's, reached without an import. Throws `BackendError` on a host that has none. */
export function builtin<ID extends NodeModule>(
  id: ID,
  wanted: string,
): ReturnType<typeof process.getBuiltinModule<ID>> {
  if (typeof process === 'undefined' || typeof process.getBuiltinModule !== 'function') {
    throw new BackendError(`${wanted}: expects a file system (Node 20.16 or newer), got a host without one`)
  }
  return process.getBuiltinModule(id)
}

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

/**
 * Makes a folder and what is missing above it. (`mkdir` with `recursive` never ends in Node where a file system refuses, as
 * /proc does.)
 */
export async function makeFolder(path: string): Promise<void> {
  const { promises: fs } = builtin('node:fs', 'makeFolder')
  const { dirname } = builtin('node:path', 'makeFolder')
  const make = (): Promise<void> =>
    fs.mkdir(path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST' || !(await fs.stat(path)).isDirectory()) throw error
    })
  await make().catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' || dirname(path) === path) throw error
    await makeFolder(dirname(path))
    await make()
  })
}
