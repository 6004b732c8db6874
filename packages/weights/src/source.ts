/** Bytes that are read in pieces: a file, a browser's Blob, or memory. What is never asked for is never read. */
import { FormatError } from '@convnets/tensor'
import { builtin } from '@convnets/tensor/host'

/** Bytes with random access. */
export interface ByteSource {
  /** Path, URL or a word, for messages. */
  readonly name: string
  /** Bytes in all. */
  readonly size: number
  /** Exactly `length` bytes from `offset` on, both within `size`. The result may share memory with the source. */
  read(offset: number, length: number): Promise<Uint8Array>
  close(): Promise<void>
}

/** Reads of more than this are made in several calls; one call of the system takes less than 2 GiB. */
const PIECE = 2 ** 30

export function memorySource(bytes: Uint8Array, name: string): ByteSource {
  return {
    name,
    size: bytes.length,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
    close: async () => {},
  }
}

export function blobSource(blob: Blob, name: string): ByteSource {
  return {
    name,
    size: blob.size,
    read: async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
    close: async () => {},
  }
}

/** Opens a file; rejects with Node's own error (with `code` and `path`) if that fails. */
export async function fileSource(path: string): Promise<ByteSource> {
  const handle = await builtin('node:fs', 'loadWeights').promises.open(path, 'r')
  try {
    const { size } = await handle.stat()
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      const bytes = new Uint8Array(length)
      for (let at = 0; at < length; ) {
        const { bytesRead } = await handle.read(bytes, at, Math.min(PIECE, length - at), offset + at)
        if (bytesRead === 0) {
          const got = `its end; it was ${size} bytes long when it was opened`
          throw new FormatError({ file: path, offset: offset + at, expected: `${length - at} more bytes`, got })
        }
        at += bytesRead
      }
      return bytes
    }
    // Reading a folder fails here, with the system's word for it, and not in the middle of a format.
    if (size > 0) await read(0, 1)
    return { name: path, size, read, close: () => handle.close() }
  } catch (error) {
    await handle.close()
    throw withPath(error, path)
  }
}

/** Errors of an open handle do not say which file it was. */
function withPath(error: unknown, path: string): unknown {
  if (error instanceof Error && 'syscall' in error && !('path' in error)) Object.assign(error, { path })
  return error
}
