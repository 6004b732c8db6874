/** A file from the network into memory, for hosts without a file system. */
import { type Checksum, checkSha256, sha256OfBytes } from './checksum.ts'
import { type Receiver, type TransferOptions, transfer } from './transfer.ts'

/** Most bytes that are set aside because a server says so; a file that is really longer makes its memory grow. */
const MAX_ASIDE = 2 ** 30

/** Bytes that come one piece after the other, in one piece of memory, so that a large file has no second copy. */
class Growing implements Receiver {
  #memory = new Uint8Array(0)
  received = 0
  etag: string | undefined

  async restart(etag: string | undefined, total: number | undefined): Promise<void> {
    this.etag = etag
    this.received = 0
    this.#memory = new Uint8Array(Math.min(total ?? 0, MAX_ASIDE))
  }

  async write(bytes: Uint8Array): Promise<void> {
    const end = this.received + bytes.length
    if (end > this.#memory.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#memory.length))
      larger.set(this.bytes)
      this.#memory = larger
    }
    this.#memory.set(bytes, this.received)
    this.received = end
  }

  get bytes(): Uint8Array {
    return this.#memory.subarray(0, this.received)
  }
}

/** The bytes of a file, checked. Rejects with `DownloadError`, and with the signal's reason if it is aborted. */
export async function fetchBytes(url: string, checksum: Checksum, options: TransferOptions): Promise<Uint8Array> {
  const receiver = new Growing()
  const { sha256 } = await transfer(url, receiver, options)
  const { bytes } = receiver
  const got = await sha256OfBytes(bytes)
  if (got !== undefined) {
    checkSha256(url, got, checksum)
    checkSha256(url, got, { sha256 })
  }
  return bytes
}
