/** Requests for files: which redirects are followed, what may pass, and how long silence may last. */
import { hasFiles } from './files.ts'

const MAX_REDIRECTS = 10

/** How a file is asked for. */
export interface Requested {
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  /** Throws the error for an answer from `url` that is not followed: `a redirect to file:, which is refused`. */
  readonly refuse: (url: string, problem: string) => never
  /** Sees every answer on the way, the last one too. */
  readonly onAnswer?: (answer: Response) => void
}

/** Where a redirect leads: from http(s) to http(s), never from a secured address to an open one, never to a file. */
function follow(url: URL, location: string | null, refuse: Requested['refuse']): URL {
  const no = (problem: string): never => refuse(url.href, `a redirect to ${problem}`)
  if (location === null) return no('nowhere')
  if (!URL.canParse(location, url)) return no(JSON.stringify(location))
  const next = new URL(location, url)
  if (next.protocol !== 'https:' && next.protocol !== 'http:') return no(`${next.protocol}, which is refused`)
  if (url.protocol === 'https:' && next.protocol === 'http:') {
    return no('an address that is not secured (http), which is refused')
  }
  return next
}

/**
 * Asks for a file, and follows redirects by hand, so that none leads to where no file should come from. Rejects with what
 * `refuse` throws, and with what `fetch` rejects with. The body of the answer has to be read or cancelled.
 */
export async function request(start: string, { headers, signal, refuse, onAnswer }: Requested): Promise<Response> {
  // Browsers hide where a redirect leads, and keep it within http(s) by themselves.
  const redirect = hasFiles() ? 'manual' : 'follow'
  let url = new URL(start)
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const answer = await fetch(url, { headers, redirect, signal })
    onAnswer?.(answer)
    if (answer.status < 300 || answer.status > 399 || answer.status === 304) return answer
    await answer.body?.cancel()
    url = follow(url, answer.headers.get('location'), refuse)
  }
  return refuse(start, `a redirect for the ${MAX_REDIRECTS + 1}th time`)
}

/** Whether asking again may help after an answer of this status. */
export const mayPass = (status: number): boolean => status === 408 || status === 425 || status === 429 || status >= 500

/** A header's non-negative integer; undefined if it is none. */
export function wholeNumber(text: string | null | undefined): number | undefined {
  return text && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** The innermost reason of a failed request: `fetch failed` alone helps nobody. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message} (${reasonOf(error.cause)})` : error.message
}

/** Whether it was the disk that failed, and not the network. */
export const isDiskError = (error: unknown): boolean => error instanceof Error && 'syscall' in error && 'path' in error

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
