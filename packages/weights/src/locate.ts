/** From what the user calls a file of weights to its bytes. */
import { ArgumentError } from '@convnets/tensor'
import { builtin, hasFiles } from '@convnets/tensor/host'
import { type CacheOptions, cached, isOffline } from './remote/cache.ts'
import { type Checksum, checkSha256, sha256OfBytes, sha256OfFile } from './remote/checksum.ts'
import { DownloadError } from './remote/error.ts'
import { fetchBytes } from './remote/memory.ts'
import {
  hubUrls,
  isHubName,
  isTorchvisionName,
  type RemoteWeights,
  torchvisionWeights,
  type WeightsTable,
} from './remote/names.ts'
import { type ByteSource, blobSource, fileSource, memorySource } from './source.ts'

/**
 * Where weights come from: a path, a URL (file, http, https, blob, data), a name (`hf:owner/name[@revision][:file]`,
 * `torchvision:Enum.TAG`), a row of a model's table of weights, or the bytes themselves.
 */
export type WeightSource = string | URL | RemoteWeights | Blob | Uint8Array | ArrayBuffer

/** How files are found. */
export interface LocateOptions extends CacheOptions, Checksum {
  /** Lists of models to look in for `torchvision:` names: `{ from: [modern] }`. */
  readonly from?: readonly (readonly WeightsTable[])[]
  /** The hub of `hf:` names, for mirrors. */
  readonly hub?: string
}

/** Bytes, and the way to files that lie beside them. */
export interface Located {
  readonly source: ByteSource
  /** A file beside this one, by its name. Missing where nothing can lie beside. */
  readonly sibling?: (name: string) => Promise<Located>
}

const isUrl = (text: string): boolean => /^(https?|file|blob|data):/i.test(text)
const isHttp = (text: string): boolean => /^https?:/i.test(text)

/** Names of files that may be asked for beside another: a plain path below it. */
function checkSiblingName(name: string): void {
  const parts = name.split('/')
  const plain = parts.every((part) => /^[A-Za-z0-9._ +-]{1,200}$/.test(part) && part !== '.' && part !== '..')
  if (!plain || parts.length > 8) {
    throw new ArgumentError(`loadWeights: a file beside another expects a plain name, got ${JSON.stringify(name)}`)
  }
}

async function locateFile(path: string, checksum: Checksum): Promise<Located> {
  if (checksum.sha256 !== undefined || checksum.sha256Prefix !== undefined) {
    checkSha256(path, await sha256OfFile(path), checksum)
  }
  return {
    source: await fileSource(path),
    sibling(name) {
      checkSiblingName(name)
      const { dirname, join } = builtin('node:path', 'loadWeights')
      return locateFile(join(dirname(path), name), {})
    },
  }
}

async function locateUrl(url: string, checksum: Checksum, options: LocateOptions): Promise<Located> {
  const sibling = (name: string): Promise<Located> => {
    checkSiblingName(name)
    const next = new URL(url)
    next.pathname =
      next.pathname.slice(0, next.pathname.lastIndexOf('/') + 1) + name.split('/').map(encodeURIComponent).join('/')
    return locateUrl(next.href, {}, options)
  }
  if (hasFiles()) {
    const path = await cached(url, checksum, options)
    const source = await fileSource(path)
    return { source: { ...source, name: url }, sibling }
  }
  if (isOffline(options)) throw new DownloadError(url, 'this is offline mode')
  return { source: memorySource(await fetchBytes(url, checksum, options), url), sibling }
}

async function locateOnHub(name: string, options: LocateOptions): Promise<Located> {
  let last: unknown
  for (const url of hubUrls(name, options.hub)) {
    try {
      return await locateUrl(url, options, options)
    } catch (error) {
      const absent = error instanceof DownloadError && (error.status === 404 || isOffline(options))
      if (!absent) throw error
      last ??= error
    }
  }
  throw last
}

async function locateBytes(bytes: Uint8Array, name: string, options: LocateOptions): Promise<Located> {
  const got = (options.sha256 ?? options.sha256Prefix) ? await sha256OfBytes(bytes) : undefined
  if (got !== undefined) checkSha256(name, got, options)
  return { source: memorySource(bytes, name) }
}

const isBlob = (source: WeightSource): source is Blob => typeof Blob !== 'undefined' && source instanceof Blob

/** Opens a source. Rejects with `DownloadError`, with Node's own error, or with `ArgumentError` for what is no source. */
export async function locate(source: WeightSource, options: LocateOptions): Promise<Located> {
  options.signal?.throwIfAborted()
  if (source instanceof Uint8Array) return locateBytes(source, 'bytes', options)
  if (source instanceof ArrayBuffer) return locateBytes(new Uint8Array(source), 'bytes', options)
  if (isBlob(source)) {
    return { source: blobSource(source, 'name' in source && source.name ? String(source.name) : 'Blob') }
  }
  if (typeof source === 'string' || source instanceof URL) return locateText(String(source), options)
  if (typeof source === 'object' && source !== null && typeof source.url === 'string' && isUrl(source.url)) {
    const { sha256 = options.sha256, sha256Prefix = options.sha256Prefix } = source
    return locateText(source.url, { ...options, sha256, sha256Prefix })
  }
  throw new ArgumentError(
    `loadWeights: source expects a path, a URL, a name, bytes or a model's weights, got ${typeof source}`,
  )
}

async function locateText(text: string, options: LocateOptions): Promise<Located> {
  if (isHubName(text)) return locateOnHub(text, options)
  if (isTorchvisionName(text)) {
    const { url, sha256, sha256Prefix } = torchvisionWeights(text, options.from)
    return locateUrl(url, { sha256, sha256Prefix }, options)
  }
  if (isHttp(text)) return locateUrl(text, options, options)
  if (/^file:/i.test(text)) return locateFile(builtin('node:url', 'loadWeights').fileURLToPath(text), options)
  if (!isUrl(text)) {
    // The host without files says so before anything else does.
    builtin('node:fs', 'loadWeights')
    return locateFile(text, options)
  }
  const answer = await fetch(text, options.signal ? { signal: options.signal } : {})
  return locateBytes(new Uint8Array(await answer.arrayBuffer()), text.startsWith('data:') ? 'data URL' : text, options)
}
