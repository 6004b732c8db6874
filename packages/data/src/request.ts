/** One request for a file: which redirects are followed, what may pass, and how long silence may last. */
import { DownloadFailure } from './download-error.ts'

const MAX_REDIRECTS = 10

/** Where a redirect leads: from http(s) to http(s), never from a secured address to an open one, never to a file. */
function follow(url: URL, location: string | null): URL {
  if (location === null || !URL.canParse(location, url)) {
    throw new DownloadFailure(`answered with a redirect to ${location === null ? 'nowhere' : JSON.stringify(location)}`)
  }
  const next = new URL(location, url)
  if (next.protocol !== 'https:' && next.protocol !== 'http:') {
    throw new DownloadFailure(`answered with a redirect to ${next.protocol}, which is refused`)
  }
  if (url.protocol === 'https:' && next.protocol === 'http:') {
    throw new DownloadFailure('answered with a redirect to an address that is not secured (http), which is refused')
  }
  return next
}

/** The answer to a request. Its body has to be read or cancelled. Throws `DownloadFailure`, or what `fetch` throws. */
export async function request(start: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  let url = new URL(start)
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const answer = await fetch(url, { headers, redirect: 'manual', signal })
    if (answer.status < 300 || answer.status > 399) return answer
    await answer.body?.cancel()
    url = follow(url, answer.headers.get('location'))
  }
  throw new DownloadFailure(`answered with a redirect for the ${MAX_REDIRECTS + 1}th time`)
}

/** A timer that ends an attempt when no byte has come for too long. */
export class Watch {
  readonly #controller = new AbortController()
  readonly #milliseconds: number
  readonly signal: AbortSignal
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(milliseconds: number, signal: AbortSignal | undefined) {
    this.#milliseconds = milliseconds
    this.signal = signal ? AbortSignal.any([signal, this.#controller.signal]) : this.#controller.signal
    this.touch()
  }

  /** Whether it has run out. */
  get over(): boolean {
    return this.#controller.signal.aborted
  }

  touch(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#controller.abort(), this.#milliseconds)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}

/** Waits, or rejects with the signal's reason. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, milliseconds)
    function done(): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    signal?.addEventListener('abort', done)
  })
  signal?.throwIfAborted()
}
