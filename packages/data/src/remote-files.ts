/** The files of a data set, in a folder, downloaded once. */

import { builtin, makeFolder } from '@convnets/tensor/host'
import { type DownloadOptions, download, type Expected } from './download.ts'

/** A file as its publisher made it. */
export interface RemoteFile extends Expected {
  readonly name: string
  readonly bytes: number
}

/** How far a download is. */
export interface DownloadProgress {
  /** The file that is on its way. */
  readonly file: string
  readonly receivedBytes: number
  /** Of all files of this download. */
  readonly totalBytes: number
}

/** Where files are downloaded from and to. */
export interface RemoteFilesOptions
  extends Pick<DownloadOptions, 'signal' | 'retries' | 'retryDelay' | 'stallTimeout'> {
  /** Addresses of folders that hold the files; the next one is tried if one fails. */
  readonly from: readonly string[]
  /** Folder, made if it is not there. */
  readonly to: string
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined
}

/** Downloads those of `files` that are not yet in the folder. Rejects as `download` does. */
export async function downloadFiles(
  files: readonly RemoteFile[],
  { from, to, onProgress, ...options }: RemoteFilesOptions,
): Promise<void> {
  const { existsSync } = builtin('node:fs', 'download')
  const { join } = builtin('node:path', 'download')
  options.signal?.throwIfAborted()
  await makeFolder(to)
  const missing = files.filter(({ name }) => !existsSync(join(to, name)))
  const totalBytes = missing.reduce((total, { bytes }) => total + bytes, 0)
  let finished = 0
  for (const { name, ...expected } of missing) {
    const urls = from.map((folder) => `${folder.replace(/\/$/, '')}/${name}`)
    await download(urls, join(to, name), {
      ...expected,
      ...options,
      onProgress: ({ receivedBytes }) => {
        onProgress?.({ file: name, receivedBytes: finished + receivedBytes, totalBytes })
      },
    })
    finished += expected.bytes
  }
}
