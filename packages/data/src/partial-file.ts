/** A file that is on its way: whole under its name, or not there; what has come of it outlives a failure. */
import { builtin } from '@convnets/tensor/host'

type FileSystem = typeof import('node:fs').promises
type Handle = Awaited<ReturnType<FileSystem['open']>>

const WANTED = 'download'

/** Longer names than this are more than file systems take. */
const MAX_TAG = 120

/**
 * What has come lies beside the file as `.NAME.KEY.part-TAG`, where the key says which contents are expected, and the tag
 * (the server's ETag) which file it was. Whoever goes on from it renames it first, so that two processes never write into
 * one file.
 */
export class PartialFile {
  readonly #fs: FileSystem = builtin('node:fs', WANTED).promises
  readonly #target: string
  readonly #start: string
  readonly #own: string
  readonly #folder: string
  #handle: Handle | undefined
  /** Bytes that are there. */
  received = 0
  /** ETag of the file that they belong to. */
  tag: string | undefined

  constructor(target: string, key: string) {
    const { basename, dirname, join } = builtin('node:path', WANTED)
    const { createHash, randomUUID } = builtin('node:crypto', WANTED)
    const id = createHash('sha256').update(key).digest('hex').slice(0, 16)
    this.#target = target
    this.#folder = dirname(target)
    this.#start = `.${basename(target)}.${id}.part-`
    this.#own = join(this.#folder, `.${basename(target)}.${randomUUID()}.tmp`)
  }

  /** Takes over what an earlier download has left. */
  async open(): Promise<void> {
    const { join } = builtin('node:path', WANTED)
    for (const name of await this.#fs.readdir(this.#folder)) {
      if (!name.startsWith(this.#start)) continue
      try {
        await this.#fs.rename(join(this.#folder, name), this.#own)
        this.tag = decodeURIComponent(name.slice(this.#start.length)) || undefined
        break
      } catch {
        // Another process has taken it.
      }
    }
    this.#handle = await this.#fs.open(this.#own, 'a')
    this.received = (await this.#handle.stat()).size
  }

  /** Begins anew with a file of this ETag. */
  async restart(tag: string | undefined): Promise<void> {
    await this.#handle?.truncate(0)
    this.received = 0
    this.tag = tag
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#handle?.writeFile(bytes)
    this.received += bytes.length
  }

  /** Checksum of what is there, in hexadecimal. */
  async checksum(algorithm: 'sha256' | 'md5', signal: AbortSignal | undefined): Promise<string> {
    const hash = builtin('node:crypto', WANTED).createHash(algorithm)
    const file = builtin('node:fs', WANTED).createReadStream(this.#own, { ...(signal && { signal }) })
    for await (const chunk of file) hash.update(chunk as Uint8Array)
    return hash.digest('hex')
  }

  /** Puts the whole file under its name. */
  async finish(): Promise<void> {
    await this.#handle?.sync()
    await this.#close()
    await this.#fs.rename(this.#own, this.#target)
  }

  /** Leaves what has come for the next download. */
  async leave(): Promise<void> {
    await this.#close()
    const tag = encodeURIComponent(this.tag ?? '')
    const { join } = builtin('node:path', WANTED)
    if (this.received > 0 && tag.length <= MAX_TAG)
      await this.#fs.rename(this.#own, join(this.#folder, this.#start + tag))
    else await this.discard()
  }

  async discard(): Promise<void> {
    await this.#close()
    await this.#fs.rm(this.#own, { force: true })
  }

  async #close(): Promise<void> {
    await this.#handle?.close()
    this.#handle = undefined
  }
}
