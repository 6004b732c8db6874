/** One request for a file. */
import { request as ask } from '@convnets/tensor/host'
import { DownloadError } from './error.ts'

/** An answer that is not worth asking again for. */
export class Refusal extends DownloadError {}

/** An answer with its body still to be read. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** SHA-256 that the hub says of the file, in hexadecimal, from any of the answers on the way. */
  readonly sha256: string | undefined
  readonly body: ReadableStream<Uint8Array> | null
}

/** The hub's own checksum of a file in large file storage. */
function linkedSha256(headers: Headers): string | undefined {
  return /^(?:W\/)?"?([0-9a-f]{64})"?$/.exec(headers.get('x-linked-etag') ?? '')?.[1]
}

/**
 * Asks for a file. Rejects with `Refusal` for redirects that are not followed, and with what `fetch` rejects with. The
 * body of the answer has to be read or cancelled.
 */
export async function request(start: string, headers: Record<string, string>, signal: AbortSignal): Promise<Answer> {
  let sha256: string | undefined
  const {
    status,
    headers: said,
    body,
  } = await ask(start, {
    headers,
    signal,
    refuse(url, problem) {
      throw new Refusal(url, `the answer is ${problem}`)
    },
    onAnswer(answer) {
      sha256 ??= linkedSha256(answer.headers)
    },
  })
  return { status, headers: said, sha256, body }
}
