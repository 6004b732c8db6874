/**
 * Downloaded files, kept in a folder: each under its address, whole or absent, with what is known of it beside it.
 *
 * A file is written under a name of its own and takes its place in one step. What has come of a broken download stays,
 * for the next one to go on from; it is claimed by renaming it, so that two processes never write into the same file.
 */
import { builtin, cacheFolder, makeFolder } from '@convnets/tensor/host'
import { writeFileAtomic } from '../atomic.ts'
import { type Checksum, checkSha256, sha256OfFile } from './checksum.ts'
import { DownloadError } from './error.ts'
import { type Receiver, type TransferOptions, transfer } from './transfer.ts'

/** How downloads are kept. */
export interface CacheOptions extends TransferOptions {
  /** Folder of downloaded files; made if it is not there. Default `convnets/weights` under `$XDG_CACHE_HOME` or `~/.cache`. */
  readonly cacheFolder?: string
  /** Use only what has been downloaded before (default false, or true if `$CONVNETS_OFFLINE` is 1). */
  readonly offline?: boolean
}

/** What is known of a file in the cache. */
interface Facts {
  readonly url: string
  readonly bytes: number
  readonly sha256: string
  readonly etag?: string
}

export function isOffline({ offline }: CacheOptions): boolean {
  return offline ?? (typeof process !== 'undefined' && process.env.CONVNETS_OFFLINE === '1')
}

/** Where a file of an address is kept: in a folder named after the address, under its own name. */
function placeOf(url: string, options: CacheOptions): { folder: string; path: string } {
  const { join } = builtin('node:path', 'loadWeights')
  const { hostname, pathname } = new URL(url)
  const hash = builtin('node:crypto', 'loadWeights').createHash('sha256').update(url).digest('hex').slice(0, 16)
  const plain = (text: string): string => text.replaceAll(/[^A-Za-z0-9._-]+/g, '_').replace(/^\.+/, '_')
  const name = plain(pathname.slice(pathname.lastIndexOf('/') + 1)).slice(-80) || 'file'
  const folder = join(options.cacheFolder ?? cacheFolder('weights'), `${plain(hostname)}-${hash}`)
  return { folder, path: join(folder, name) }
}

const factsPath = (path: string): string => `${path}.json`

async function readFacts(path: string, url: string): Promise<Facts | undefined> {
  const { promises: fs } = builtin('node:fs', 'loadWeights')
  try {
    const facts: unknown = JSON.parse(await fs.readFile(factsPath(path), 'utf8'))
    const { size } = await fs.stat(path)
    const whole = typeof facts === 'object' && facts !== null && 'url' in facts && 'bytes' in facts && 'sha256' in facts
    return whole && facts.url === url && facts.bytes === size ? (facts as Facts) : undefined
  } catch {
    return undefined
  }
}

/**
 * A file that is being received. What has come of it outlives a failure, under a name that holds the ETag it belongs to,
 * so that bytes of two versions are never glued together.
 */
class Part implements Receiver {
  readonly #path: string
  readonly #own: string
  received = 0
  etag: string | undefined
  #handle: Awaited<ReturnType<typeof import('node:fs').promises.open>> | undefined

  constructor(path: string) {
    this.#path = path
    this.#own = `${path}.${builtin('node:crypto', 'loadWeights').randomUUID()}.tmp`
  }

  get path(): string {
    return this.#own
  }

  get #fs(): typeof import('node:fs').promises {
    return builtin('node:fs', 'loadWeights').promises
  }

  /** Takes over what an earlier download has left. */
  async open(): Promise<void> {
    const { basename, dirname, join } = builtin('node:path', 'loadWeights')
    const folder = dirname(this.#path)
    const start = `${basename(this.#path)}.part-`
    for (const name of await this.#fs.readdir(folder)) {
      if (!name.startsWith(start)) continue
      try {
        await this.#fs.rename(join(folder, name), this.#own)
        this.etag = decodeURIComponent(name.slice(start.length))
        break
      } catch {
        // Someone else has taken it.
      }
    }
    this.#handle = await this.#fs.open(this.#own, 'a')
    this.received = (await this.#handle.stat()).size
  }

  async restart(etag: string | undefined): Promise<void> {
    await this.#handle!.truncate(0)
    this.received = 0
    this.etag = etag
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#handle!.writeFile(bytes)
    this.received += bytes.length
  }

  async close(sync: boolean): Promise<void> {
    if (sync) await this.#handle?.sync()
    await this.#handle?.close()
    this.#handle = undefined
  }

  /** Leaves what has come for the next download, if that can go on from it. */
  async leave(): Promise<void> {
    await this.close(false)
    const tag = this.etag === undefined ? '' : encodeURIComponent(this.etag)
    if (this.received > 0 && tag !== '' && tag.length <= 120)
      await this.#fs.rename(this.#own, `${this.#path}.part-${tag}`)
    else await this.discard()
  }

  async discard(): Promise<void> {
    await this.close(false)
    await this.#fs.rm(this.#own, { force: true })
  }
}

/**
 * The path of a file from the network, which is downloaded if it is not in the cache. A file whose checksum is known is
 * asked for once; others are confirmed by the server each time, which sends them only if they have changed. Rejects with
 * `DownloadError`.
 */
export async function cached(url: string, checksum: Checksum, options: CacheOptions): Promise<string> {
  const { promises: fs } = builtin('node:fs', 'loadWeights')
  const { folder, path } = placeOf(url, options)
  const facts = await readFacts(path, url)
  if (facts && (checksum.sha256 !== undefined || checksum.sha256Prefix !== undefined)) {
    try {
      checkSha256(url, facts.sha256, checksum)
      return path
    } catch (error) {
      if (isOffline(options)) throw error
    }
  } else if (facts && isOffline(options)) return path
  if (isOffline(options)) throw new DownloadError(url, 'it is not in the cache, and this is offline mode')

  options.signal?.throwIfAborted()
  await makeFolder(folder)
  const part = new Part(path)
  await part.open()
  try {
    const { etag, sha256, unchanged } = await transfer(url, part, options, facts?.etag)
    if (unchanged) {
      await part.discard()
      return path
    }
    await part.close(true)
    const got = await sha256OfFile(part.path)
    try {
      checkSha256(url, got, checksum)
      checkSha256(url, got, { sha256 })
    } catch (error) {
      await part.discard()
      throw error
    }
    // The facts of the old file must not describe the new one, not even for a moment.
    await fs.rm(factsPath(path), { force: true })
    await fs.rename(part.path, path)
    await part.discard()
    const { size } = await fs.stat(path)
    const known: Facts = { url, bytes: size, sha256: got, ...(etag !== undefined && { etag }) }
    await writeFileAtomic(factsPath(path), new TextEncoder().encode(`${JSON.stringify(known)}\n`))
    return path
  } catch (error) {
    await part.leave().catch(() => {})
    throw error
  }
}
