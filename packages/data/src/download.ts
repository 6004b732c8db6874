/** Files from the network, once: checked against their checksum, and put in place only when they are whole. */
import { ConvnetsError } from '@convnets/tensor'
import { builtin, makeFolder } from './host.ts'

/** A file that could not be fetched from anywhere it is offered. `cause` holds what went wrong at each address. */
export class DownloadError extends ConvnetsError {
  override name = 'DownloadError'
  /** Addresses that were tried. */
  readonly urls: readonly string[]

  constructor(file: string, failures: ReadonlyMap<string, string>, cause: unknown) {
    const tried = [...failures].map(([url, failure]) => `${url}: ${failure}`)
    super(`${file} could not be downloaded: ${tried.join('; ')}`, { cause })
    this.urls = [...failures.keys()]
  }
}

/** A file as its publisher made it. */
export interface RemoteFile {
  readonly name: string
  readonly bytes: number
  /** Hexadecimal. */
  readonly sha256: string
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
export interface DownloadOptions {
  /** Addresses of folders that hold the files; the next one is tried if one fails. */
  readonly from: readonly string[]
  /** Folder, made if it is not there. */
  readonly to: string
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined
}

/** Yields the body of an answer, and throws for anything but the bytes that were announced. */
async function* body(url: string, file: RemoteFile, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  const answer = await fetch(url, signal ? { signal } : {})
  if (!answer.ok || !answer.body) {
    await answer.body?.cancel()
    throw new Error(`answered with status ${answer.status}`)
  }
  const hash = builtin('node:crypto', 'download').createHash('sha256')
  const reader = answer.body.getReader()
  let received = 0
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      received += part.value.length
      if (received > file.bytes) throw new Error(`sent more than the expected ${file.bytes} bytes`)
      hash.update(part.value)
      yield part.value
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
  if (received < file.bytes) throw new Error(`ended after ${received} of ${file.bytes} bytes`)
  const sha256 = hash.digest('hex')
  if (sha256 !== file.sha256) throw new Error(`sent contents with SHA-256 ${sha256}, expected ${file.sha256}`)
}

/** Fetches one file into `folder`, by way of a temporary file beside it. */
async function fetchInto(
  folder: string,
  url: string,
  file: RemoteFile,
  signal: AbortSignal | undefined,
  count: (bytes: number) => void,
): Promise<void> {
  const { promises: fs } = builtin('node:fs', 'download')
  const { join } = builtin('node:path', 'download')
  const temporary = join(folder, `.${file.name}.${builtin('node:crypto', 'download').randomUUID()}.part`)
  try {
    const handle = await fs.open(temporary, 'wx')
    try {
      for await (const chunk of body(url, file, signal)) {
        await handle.writeFile(chunk)
        count(chunk.length)
      }
      await handle.sync()
    } finally {
      await handle.close()
    }
    await fs.rename(temporary, join(folder, file.name))
  } catch (error) {
    await fs.rm(temporary, { force: true })
    throw error
  }
}

/** The innermost reason of a failed request: `fetch failed` alone helps nobody. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message} (${reason(error.cause)})` : error.message
}

const isDiskError = (error: unknown): boolean => error instanceof Error && 'syscall' in error && 'path' in error

/**
 * Downloads those of `files` that are not yet in the folder. An unfinished or wrong file never appears under its name.
 * Rejects with `DownloadError` if no address gives a file as expected, with Node's own error if the disk refuses, and with
 * the signal's reason if it is aborted.
 */
export async function download(
  files: readonly RemoteFile[],
  { from, to, signal, onProgress }: DownloadOptions,
): Promise<void> {
  const { existsSync } = builtin('node:fs', 'download')
  const { join } = builtin('node:path', 'download')
  signal?.throwIfAborted()
  await makeFolder(to)
  const missing = files.filter(({ name }) => !existsSync(join(to, name)))
  const totalBytes = missing.reduce((total, { bytes }) => total + bytes, 0)
  let finishedBytes = 0
  for (const file of missing) {
    const failures = new Map<string, string>()
    const causes: unknown[] = []
    for (const folder of from) {
      const url = `${folder.replace(/\/$/, '')}/${file.name}`
      let fileBytes = 0
      const count = (bytes: number): void => {
        fileBytes += bytes
        onProgress?.({ file: file.name, receivedBytes: finishedBytes + fileBytes, totalBytes })
      }
      try {
        await fetchInto(to, url, file, signal, count)
        failures.clear()
        break
      } catch (error) {
        signal?.throwIfAborted()
        if (isDiskError(error)) throw error
        failures.set(url, reason(error))
        causes.push(error)
      }
    }
    if (failures.size > 0) throw new DownloadError(file.name, failures, new AggregateError(causes))
    finishedBytes += file.bytes
  }
}

/** The folder for files that can be downloaded again: `convnets/<name>` under `$XDG_CACHE_HOME` or `~/.cache`. */
export function cacheFolder(name: string): string {
  const { join, isAbsolute } = builtin('node:path', 'cacheFolder')
  const { XDG_CACHE_HOME: base } = process.env
  // The XDG specification asks to ignore relative paths.
  const caches = base && isAbsolute(base) ? base : join(builtin('node:os', 'cacheFolder').homedir(), '.cache')
  return join(caches, 'convnets', name)
}
