/** Folders. */
import { builtin } from './host.ts'

/**
 * Makes a folder and what is missing above it; one that is there is left alone. Rejects with Node's own error. (`mkdir` with
 * `recursive` never ends in Node where a file system refuses, as /proc does.)
 */
export async function makeFolder(path: string): Promise<void> {
  const { promises: fs, existsSync } = builtin('node:fs', 'makeFolder')
  const { dirname } = builtin('node:path', 'makeFolder')
  if (existsSync(path)) return
  if (dirname(path) !== path) await makeFolder(dirname(path))
  await fs.mkdir(path).catch((error: unknown) => {
    if (!existsSync(path)) throw error
  })
}
