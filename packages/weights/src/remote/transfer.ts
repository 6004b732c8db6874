/** A file's bytes from the network into a sink: retried where that may help, resumed where it broke off. */
import { isDiskError, mayPass, pause, reasonOf, Watch, wholeNumber } from '@convnets/tensor/host'
import { DownloadError } from './error.ts'
import { type Answer, Refusal, request } from './request.ts'

/** How far a download is. */
export interface DownloadProgress {
  readonly url: string
  readonly receivedBytes: number
  /** Missing where the server does not say. */
  readonly totalBytes: number | undefined
}

export interface TransferOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** Further attempts after one that failed in a way that may pass (default 4). */
  readonly retries?: number
  /** Milliseconds before the first of them (default 500); each waits twice as long as the one before. */
  readonly retryDelay?: number
  /** Milliseconds without a byte after which an attempt has failed (default 30,000). */
  readonly stallTimeout?: number
}

/** Where the bytes go. */
export interface Receiver {
  /** Bytes that are there already, from an earlier attempt. */
  readonly received: number
  /** What the file was when they came (its ETag): they are only good for the same. */
  readonly etag: string | undefined
  /** Begins anew with a file of this ETag and, if the server says it, of this many bytes. */
  restart(etag: string | undefined, total: number | undefined): Promise<void>
  write(bytes: Uint8Array): Promise<void>
}

/** What is known of a file that has been received. */
export interface Received {
  readonly etag: string | undefined
  /** Of the hub. */
  readonly sha256: string | undefined
  /** The server says that the file is still what `ifNoneMatch` says. */
  readonly unchanged: boolean
}

/** The largest file that is taken, in bytes: no published network comes near. */
const MAX_BYTES = 2 ** 36

const MAX_WAIT = 30_000

class Passing extends DownloadError {
  readonly waitFor: number | undefined

  constructor(url: string, problem: string, options: { status?: number; cause?: unknown; waitFor?: number } = {}) {
    super(url, problem, options)
    this.waitFor = options.waitFor
  }
}

/** Where the answer's bytes belong, and how many the whole file has. */
function placeOf(answer: Answer, url: string, receiver: Receiver): { from: number; total: number | undefined } {
  if (answer.status === 200) return { from: 0, total: wholeNumber(answer.headers.get('content-length')) }
  const range = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(answer.headers.get('content-range') ?? '')
  if (!range || Number(range[1]) !== receiver.received)
    throw new Refusal(url, 'the answer is another part than was asked')
  return { from: receiver.received, total: wholeNumber(range[2]) }
}

async function attempt(
  url: string,
  receiver: Receiver,
  ifNoneMatch: string | undefined,
  watch: Watch,
  onProgress: TransferOptions['onProgress'],
): Promise<Received> {
  const headers: Record<string, string> = { 'accept-encoding': 'identity' }
  if (receiver.received > 0 && receiver.etag !== undefined) {
    headers.range = `bytes=${receiver.received}-`
    headers['if-range'] = receiver.etag
  } else if (ifNoneMatch !== undefined) headers['if-none-match'] = ifNoneMatch
  const answer = await request(url, headers, watch.signal)
  const { status, body, sha256 } = answer
  // A weak ETag says that the contents mean the same, which is not enough for gluing bytes together.
  const tag = answer.headers.get('etag') ?? undefined
  const etag = tag?.startsWith('W/') ? undefined : tag
  if (status === 304 && ifNoneMatch !== undefined) return { etag: ifNoneMatch, sha256, unchanged: true }
  if (status === 416 && headers.range !== undefined) {
    await body?.cancel()
    await receiver.restart(undefined, undefined)
    throw new Passing(url, 'the file is shorter than what had come of it', { status })
  }
  if (status !== 200 && !(status === 206 && headers.range !== undefined)) {
    await body?.cancel()
    const wait = wholeNumber(answer.headers.get('retry-after'))
    const problem = `expected an answer with status 200, got ${status}`
    if (!mayPass(status)) throw new Refusal(url, problem, { status })
    throw new Passing(url, problem, { status, ...(wait !== undefined && { waitFor: wait * 1000 }) })
  }
  const { from, total } = placeOf(answer, url, receiver)
  if (total !== undefined && total > MAX_BYTES) throw new Refusal(url, `${total} bytes are more than is taken`)
  if (from === 0) await receiver.restart(etag, total)
  if (!body) throw new Passing(url, 'the answer has no contents')
  const reader = body.getReader()
  try {
    let received = from
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      watch.touch()
      received += part.value.length
      if (received > (total ?? MAX_BYTES))
        throw new Refusal(url, `more came than the expected ${total ?? MAX_BYTES} bytes`)
      await receiver.write(part.value)
      onProgress?.({ url, receivedBytes: received, totalBytes: total })
    }
    if (total !== undefined && received < total) throw new Passing(url, `it ended after ${received} of ${total} bytes`)
  } finally {
    await reader.cancel().catch(() => {})
  }
  return { etag: etag ?? receiver.etag, sha256, unchanged: false }
}

/**
 * Receives a file. With `ifNoneMatch`, an unchanged file is only confirmed. Rejects with `DownloadError` if all attempts
 * fail or one fails for good, with the signal's reason if it is aborted, and with what the receiver throws.
 */
export async function transfer(
  url: string,
  receiver: Receiver,
  options: TransferOptions,
  ifNoneMatch?: string,
): Promise<Received> {
  const { signal, onProgress, retries = 4, retryDelay = 500, stallTimeout = 30_000 } = options
  for (let tries = 0; ; tries++) {
    signal?.throwIfAborted()
    const watch = new Watch(stallTimeout, signal)
    try {
      return await attempt(url, receiver, ifNoneMatch, watch, onProgress)
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof Refusal || isDiskError(error)) throw error
      const passingError =
        error instanceof Passing
          ? error
          : new Passing(url, watch.over ? `no byte came for ${stallTimeout} ms` : reasonOf(error), { cause: error })
      if (tries >= retries) throw passingError
      await pause(Math.min(passingError.waitFor ?? retryDelay * 2 ** tries, MAX_WAIT), signal)
    } finally {
      watch.stop()
    }
  }
}
