/** A file from the network into memory, for hosts without a file system. */
import { type Checksum, checkSha256, sha256OfBytes } from './checksum.ts'
import { type Receiver, type TransferOptions, transfer } from './transfer.ts'

export async function fetchBytes(url: string, checksum: Checksum, options: TransferOptions): Promise<Uint8Array> {
  let chunks: Uint8Array[] = []
  const receiver = {
    received: 0,
    etag: undefined as string | undefined,
    async restart(etag: string | undefined) {
      chunks = []
      receiver.received = 0
      receiver.etag = etag
    },
    async write(bytes: Uint8Array) {
      chunks.push(bytes)
      receiver.received += bytes.length
    },
  } satisfies Receiver
  const { sha256 } = await transfer(url, receiver, options)
  const bytes = new Uint8Array(receiver.received)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  const got = await sha256OfBytes(bytes)
  if (got !== undefined) {
    checkSha256(url, got, checksum)
    checkSha256(url, got, { sha256 })
  }
  return bytes
}
