/** Files that are old or new, never half of one. */
import { builtin } from '@convnets/tensor/host'

/** Takes the bytes of a file in order. */
export type Sink = (bytes: Uint8Array) => Promise<void>

/**
 * Writes a file so that its path holds either the old contents or the new ones, whole, whatever happens meanwhile: a
 * temporary file in the same folder, forced to the disk, takes the place of the old one in one step. `fill` hands the
 * bytes over piece by piece, or they are given at once. The folder must exist. Rejects with Node's own error (with `code`
 * and `path`) or with what `fill` throws; the old file is untouched then and nothing is left over.
 */
export async function writeFileAtomic(
  path: string | URL,
  contents: Uint8Array | ((write: Sink) => Promise<void>),
): Promise<void> {
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
      if (contents instanceof Uint8Array) await handle.writeFile(contents)
      else await contents((bytes) => handle.writeFile(bytes))
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
