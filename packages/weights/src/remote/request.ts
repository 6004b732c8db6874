/** One request for a file, with redirects followed by hand so that none leads to where no file should come from. */
import { hasFiles } from '../host.ts'
import { DownloadError } from './error.ts'

const MAX_REDIRECTS = 10

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

/** Where a redirect leads. Only from http(s) to http(s), and never from a secured address to an open one. */
function follow(url: URL, location: string | null): URL {
  const refuse = (problem: string): never => {
    throw new Refusal(url.href, problem)
  }
  if (location === null) return refuse('the answer is a redirect to nowhere')
  if (!URL.canParse(location, url)) return refuse(`the answer is a redirect to ${JSON.stringify(location)}`)
  const next = new URL(location, url)
  if (next.protocol !== 'https:' && next.protocol !== 'http:') {
    return refuse(`the answer is a redirect to ${next.protocol}, which is refused`)
  }
  if (url.protocol === 'https:' && next.protocol === 'http:') {
    return refuse('the answer is a redirect to an address that is not secured (http), which is refused')
  }
  return next
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
  // Browsers hide where a redirect leads, and keep it within http(s) by themselves.
  const redirect = hasFiles() ? 'manual' : 'follow'
  let url = new URL(start)
  let sha256: string | undefined
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const answer = await fetch(url, { headers, redirect, signal })
    sha256 ??= linkedSha256(answer.headers)
    if (answer.status < 300 || answer.status > 399 || answer.status === 304) {
      return { status: answer.status, headers: answer.headers, sha256, body: answer.body }
    }
    await answer.body?.cancel()
    url = follow(url, answer.headers.get('location'))
  }
  throw new Refusal(start, `the answer is a redirect for the ${MAX_REDIRECTS + 1}th time`)
}
