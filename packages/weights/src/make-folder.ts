/** Folders. */
import { builtin } from './host.ts'

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
