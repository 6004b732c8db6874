/** Files, where there are any. Nothing here is imported before it is needed, so bundles for browsers stay whole. */
import { BackendError } from '../errors.ts'

type NodeModule = 'node:fs' | 'node:path' | 'node:url' | 'node:os' | 'node:crypto'

/** Whether there is a file system. */
export const hasFiles = (): boolean => typeof process !== 'undefined' && typeof process.getBuiltinModule === 'function'

/**
 * A module of Node's, reached without an import that bundlers for browsers would stumble over. `wanted` is the function that
 * needs it. Throws `BackendError` on a host that has none.
 */
export function builtin<ID extends NodeModule>(
  id: ID,
  wanted: string,
): ReturnType<typeof process.getBuiltinModule<ID>> {
  if (!hasFiles()) {
    throw new BackendError(`${wanted}: expects a file system (Node 20.16 or newer), got a host without one`)
  }
  return process.getBuiltinModule(id)
}

/**
 * Makes a folder and what is missing above it; one that is there is left alone. Rejects with Node's own error. (`mkdir` with
 * `recursive` never ends in Node where a file system refuses, as /proc does.)
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

/** The folder for files that can be downloaded again: `convnets/<name>` under `$XDG_CACHE_HOME` or `~/.cache`. */
export function cacheFolder(name: string): string {
  const { join, isAbsolute } = builtin('node:path', 'cacheFolder')
  const { XDG_CACHE_HOME: base } = process.env
  // The XDG specification asks to ignore relative paths.
  const caches = base && isAbsolute(base) ? base : join(builtin('node:os', 'cacheFolder').homedir(), '.cache')
  return join(caches, 'convnets', name)
}
