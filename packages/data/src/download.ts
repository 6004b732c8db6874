/** Files from the network: gone on with where they broke off, checked, and put in place only when they are whole. */
import { ArgumentError, readOptions } from '@convnets/tensor'
import {
  builtin,
  isDiskError,
  makeFolder,
  mayPass,
  pause,
  reasonOf,
  request,
  Watch,
  wholeNumber,
} from '@convnets/tensor/host'
import { DownloadError, DownloadFailure } from './download-error.ts'
import { PartialFile } from './partial-file.ts'

/** What a file is known to be. */
export interface Expected {
  /** Length in bytes. */
  readonly bytes?: number
  /** Hexadecimal. */
  readonly sha256?: string
  /** Hexadecimal; for publishers that give nothing better. */
  readonly md5?: string
}

/** How a file is downloaded. */
export interface DownloadOptions extends Expected {
  readonly signal?: AbortSignal | undefined
  /** Called as bytes come. `totalBytes` is undefined where nobody says. */
  readonly onProgress?: (progress: { receivedBytes: number; totalBytes: number | undefined }) => void
  /** Further rounds through all addresses after one in which none gave the file (default 2). */
  readonly retries?: number
  /** Milliseconds before the first of them (default 500); each waits twice as long as the one before. */
  readonly retryDelay?: number
  /** Milliseconds without a byte after which an address has failed (default 30,000). */
  readonly stallTimeout?: number
}

/** The largest file that is taken, in bytes, if its length is not known. */
const MAX_BYTES = 2 ** 40

const MAX_WAIT = 30_000

/** Whether what has come may be gone on with: the server can tell whether it is the same file, or the checksum will. */
const canResume = (part: PartialFile, { sha256, md5 }: Expected): boolean =>
  part.received > 0 && (part.tag !== undefined || sha256 !== undefined || md5 !== undefined)

/** Where the bytes of an answer belong, and how many the whole file has. Throws for anything but what was asked. */
async function placeOf(
  answer: Response,
  part: PartialFile,
  ranged: boolean,
): Promise<{ from: number; total?: number }> {
  const { status, headers } = answer
  if (status === 206 && ranged) {
    const range = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(headers.get('content-range') ?? '')
    if (range && Number(range[1]) === part.received) {
      const total = wholeNumber(range[2])
      return { from: part.received, ...(total !== undefined && { total }) }
    }
    await part.restart(undefined)
    throw new DownloadFailure('answered with another part of the file than was asked for', { mayPass: true })
  }
  if (status === 416 && ranged) {
    await part.restart(undefined)
    throw new DownloadFailure('has a shorter file than what had come of it', { mayPass: true })
  }
  if (status !== 200) {
    const waitFor = (wholeNumber(headers.get('retry-after')) ?? 0) * 1000
    throw new DownloadFailure(`answered with status ${status}`, { mayPass: mayPass(status), waitFor })
  }
  const total = wholeNumber(headers.get('content-length'))
  return { from: 0, ...(total !== undefined && { total }) }
}

function refuse(_url: string, problem: string): never {
  throw new DownloadFailure(`answered with ${problem}`)
}

/** One attempt at one address, after which the file is whole and as expected. */
async function attempt(url: string, part: PartialFile, options: DownloadOptions, watch: Watch): Promise<void> {
  const { bytes, onProgress } = options
  const ranged = canResume(part, options)
  const headers: Record<string, string> = { 'accept-encoding': 'identity' }
  if (ranged) headers.range = `bytes=${part.received}-`
  if (ranged && part.tag !== undefined) headers['if-range'] = part.tag
  const answer = await request(url, { headers, signal: watch.signal, refuse })
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  try {
    const { from, total = bytes } = await placeOf(answer, part, ranged)
    if (bytes !== undefined && total !== bytes) {
      throw new DownloadFailure(`has a file of ${total} bytes, expected ${bytes}`)
    }
    const tag = answer.headers.get('etag')
    // A weak ETag says that the contents mean the same, which is not enough for gluing bytes together.
    if (from === 0) await part.restart(tag === null || tag.startsWith('W/') ? undefined : tag)
    const limit = total ?? MAX_BYTES
    reader = answer.body?.getReader()
    for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) {
      watch.touch()
      if (part.received + piece.value.length > limit) {
        await part.restart(undefined)
        throw new DownloadFailure(`sent more than the expected ${limit} bytes`)
      }
      await part.write(piece.value)
      onProgress?.({ receivedBytes: part.received, totalBytes: total })
    }
    if (total !== undefined && part.received < total) {
      throw new DownloadFailure(`ended after ${part.received} of ${total} bytes`, { mayPass: true })
    }
    await check(part, options, from > 0)
  } finally {
    await (reader ?? answer.body)?.cancel().catch(() => {})
  }
}

/** Compares the contents with their checksums. If they were glued together, it may have been the glue. */
async function check(part: PartialFile, { sha256, md5, signal }: DownloadOptions, glued: boolean): Promise<void> {
  for (const [name, algorithm, expected] of [['SHA-256', 'sha256', sha256] as const, ['MD5', 'md5', md5] as const]) {
    if (expected === undefined) continue
    const got = await part.checksum(algorithm, signal)
    if (got === expected.toLowerCase()) continue
    await part.restart(undefined)
    throw new DownloadFailure(`sent contents with ${name} ${got}, expected ${expected}`, { mayPass: glued })
  }
}

function checkOptions({ sha256, md5, bytes }: Expected): void {
  const hex = (name: string, value: string | undefined, digits: number): void => {
    if (value !== undefined && !(value.length === digits && /^[0-9a-f]+$/i.test(value))) {
      throw new ArgumentError(`download: ${name} expects ${digits} hexadecimal digits, got ${JSON.stringify(value)}`)
    }
  }
  hex('sha256', sha256, 64)
  hex('md5', md5, 32)
  if (bytes !== undefined && !(Number.isSafeInteger(bytes) && bytes >= 0)) {
    throw new ArgumentError(`download: bytes expects a non-negative integer, got ${bytes}`)
  }
}

function addresses(urls: string | URL | readonly (string | URL)[]): string[] {
  const list = (typeof urls === 'string' || urls instanceof URL ? [urls] : urls).map(String)
  for (const url of list) {
    const protocol = URL.canParse(url) ? new URL(url).protocol : 'none'
    if (protocol !== 'http:' && protocol !== 'https:') {
      throw new ArgumentError(`download: urls expects addresses that begin with http: or https:, got '${url}'`)
    }
  }
  if (list.length === 0) throw new ArgumentError('download: urls expects at least one address, got none')
  return list
}

/**
 * Downloads a file to `path`, whose folder is made if it is not there; a file that is there already stays as it is. If one
 * address fails, the next is tried. The file appears under its name in one step, whole and with the length and checksums
 * that were given for it. A download that breaks off leaves what has come in a hidden file beside `path`; the next one goes
 * on from there (`Range`), if the server says that it is still the same file (`If-Range`) or a checksum will tell.
 * Redirects are followed to http(s) only, and not from https to http.
 *
 * Rejects with `DownloadError` if no address gives the file as expected, with Node's own error if the disk refuses, with the
 * signal's reason if it is aborted, with `ArgumentError` for options that are none, and with `BackendError` in browsers.
 */
export async function download(
  urls: string | URL | readonly (string | URL)[],
  path: string | URL,
  options: DownloadOptions = {},
): Promise<void> {
  const { signal, retries, retryDelay, stallTimeout, sha256, md5 } = readOptions('download', options, {
    bytes: undefined,
    sha256: undefined,
    md5: undefined,
    signal: undefined,
    onProgress: undefined,
    retries: 2,
    retryDelay: 500,
    stallTimeout: 30_000,
  })
  checkOptions(options)
  let left = addresses(urls)
  const { existsSync } = builtin('node:fs', 'download')
  const { basename, dirname } = builtin('node:path', 'download')
  const target = path instanceof URL ? builtin('node:url', 'download').fileURLToPath(path) : path
  signal?.throwIfAborted()
  if (existsSync(target)) return
  await makeFolder(dirname(target))
  const part = new PartialFile(target, sha256 ?? md5 ?? left.join(' '))
  await part.open()
  const failures = new Map<string, string>()
  const causes: unknown[] = []
  try {
    for (let round = 0; ; round++) {
      let wait = retryDelay * 2 ** round
      const again: string[] = []
      for (const url of left) {
        const watch = new Watch(stallTimeout, signal)
        try {
          await attempt(url, part, options, watch)
          await part.finish()
          return
        } catch (error) {
          signal?.throwIfAborted()
          if (isDiskError(error)) throw error
          failures.set(url, watch.over ? `sent nothing for ${stallTimeout} ms` : reasonOf(error))
          causes.push(error)
          if (!(error instanceof DownloadFailure) || error.mayPass) again.push(url)
          if (error instanceof DownloadFailure) wait = Math.max(wait, error.waitFor)
        } finally {
          watch.stop()
        }
      }
      if (again.length === 0 || round >= retries) break
      left = again
      await pause(Math.min(wait, MAX_WAIT), signal)
    }
    throw new DownloadError(basename(target), failures, new AggregateError(causes))
  } catch (error) {
    await (canResume(part, options) ? part.leave() : part.discard()).catch(() => {})
    throw error
  }
}
