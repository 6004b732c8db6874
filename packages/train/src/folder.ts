/** Where a run leaves its files: a folder on disk, or anything that keeps bytes by name. */
import { builtin } from '@convnets/tensor/host'
import { makeFolder, writeFileAtomic } from '@convnets/weights'

/** Who needs a file system, for messages. */
const FIT = 'fit'

/** A place for the files of a run. In browsers it may be memory, IndexedDB or the origin's private file system. */
export interface RunFolder {
  /** What to call it in messages: its path. */
  readonly name: string
  /** The bytes of a file, or undefined if there is none. */
  read(file: string): Promise<Uint8Array | undefined>
  /** Replaces a file: it holds the old bytes or the new ones, whole, whatever happens meanwhile. */
  write(file: string, bytes: Uint8Array): Promise<void>
}

/** A folder that lives as long as the page or process does. */
export function memoryFolder(name = 'memory'): RunFolder {
  const files = new Map<string, Uint8Array>()
  return {
    name,
    read: async (file) => files.get(file)?.slice(),
    write: async (file, bytes) => {
      files.set(file, bytes.slice())
    },
  }
}

/** A folder on disk, which is made with its first file. Files are written beside, forced to the disk, and renamed. */
export function diskFolder(path: string): RunFolder {
  const { promises: fs } = builtin('node:fs', FIT)
  const { join } = builtin('node:path', FIT)
  return {
    name: path,
    async read(file) {
      try {
        return await fs.readFile(join(path, file))
      } catch (error) {
        if ((error as { code?: unknown }).code === 'ENOENT') return undefined
        throw error
      }
    },
    async write(file, bytes) {
      await makeFolder(path)
      await writeFileAtomic(join(path, file), bytes)
    },
  }
}

/** The folder and file that a path to a checkpoint, or to the folder of a run, means. */
export async function locate(path: string, file: string): Promise<{ folder: RunFolder; file: string }> {
  const { promises: fs } = builtin('node:fs', FIT)
  const { basename, dirname } = builtin('node:path', FIT)
  const isFolder = await fs.stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
  return isFolder ? { folder: diskFolder(path), file } : { folder: diskFolder(dirname(path)), file: basename(path) }
}
