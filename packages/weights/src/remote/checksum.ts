/** SHA-256 of files, compared with what is known of them. */
import { builtin, hasFiles } from '@convnets/tensor/host'
import { DownloadError } from './error.ts'

/** What is known of a file's SHA-256: all of it, or its first digits where only those are published. */
export interface Checksum {
  readonly sha256?: string | undefined
  readonly sha256Prefix?: string | undefined
}

export function checkSha256(url: string, got: string, { sha256, sha256Prefix }: Checksum): void {
  const expected = sha256?.toLowerCase() ?? sha256Prefix?.toLowerCase()
  if (expected === undefined) return
  if (sha256 === undefined ? got.startsWith(expected) : got === expected) return
  const what = sha256 === undefined ? `that begins with ${expected}` : expected
  throw new DownloadError(url, `expected contents with SHA-256 ${what}, got ${got}`)
}

/** SHA-256 of a file on the disk, in hexadecimal. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = builtin('node:crypto', 'loadWeights').createHash('sha256')
  for await (const chunk of builtin('node:fs', 'loadWeights').createReadStream(path)) hash.update(chunk as Uint8Array)
  return hash.digest('hex')
}

/** SHA-256 of bytes, in hexadecimal; undefined on hosts that offer none (pages that are not secured). */
export async function sha256OfBytes(bytes: Uint8Array): Promise<string | undefined> {
  if (hasFiles()) return builtin('node:crypto', 'loadWeights').createHash('sha256').update(bytes).digest('hex')
  const digest = await globalThis.crypto?.subtle?.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)
  return digest && Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
