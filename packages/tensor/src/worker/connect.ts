/** The page's end: an engine that lives in a worker. */
import { BackendError } from '../errors.ts'
import { checkOptionNames } from '../options.ts'
import { packError, unpackError } from './errors.ts'
import { type Answer, isOurs, type Job, type Jobs, type Port, type Request } from './messages.ts'
import type { ThreadInfo } from './threads.ts'

/** Options of `connect`. */
export interface ConnectOptions {
  /** Threads to have in the worker, its own included; default one per core, at most 8. */
  readonly threads?: number
}

/** Options of a call. */
export interface RunOptions<Progress = unknown> {
  /** Called with what the job reports. */
  readonly onProgress?: ((value: Progress) => void) | undefined
  /**
   * Tells the job to stop. It does so at its next `progress`, or as it deals with its own signal; one that waits for its
   * turn does not start.
   */
  readonly signal?: AbortSignal | undefined
}

type InputOf<F> = F extends Job<infer Input, unknown, never> ? Input : never
type OutputOf<F> = F extends (...args: never) => infer Output ? Awaited<Output> : never
type ProgressOf<F> = F extends (input: never, context: infer Context) => unknown
  ? Context extends { progress(value: infer Progress): unknown }
    ? Progress
    : unknown
  : unknown
type RunArguments<F> =
  undefined extends InputOf<F>
    ? [input?: InputOf<F>, options?: RunOptions<ProgressOf<F>>]
    : [input: InputOf<F>, options?: RunOptions<ProgressOf<F>>]

/** An engine in a worker. */
export interface WorkerEngine<J extends Jobs> {
  /**
   * Calls a job of the worker. Rejects with what the job throws, of its class if that is one of this library's or the
   * language's; with the signal's reason; and with `BackendError` when the worker fails, is closed or is gone.
   */
  run<Name extends keyof J & string>(name: Name, ...rest: RunArguments<J[Name]>): Promise<OutputOf<J[Name]>>
  /** The threads that the worker has, and why if there is one only. Rejects as `run` does. */
  info(): Promise<ThreadInfo>
  /** Ends the worker at once, whatever it does. Jobs that run or wait are rejected. */
  close(): void
}

interface Call {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  readonly options: RunOptions<never>
}

/** Waits for the end of a worker: it holds the lock as long as it lives. */
function watch(lock: string, signal: AbortSignal, onEnd: () => void): void {
  globalThis.navigator?.locks?.request(lock, { signal }, onEnd).catch(() => undefined)
}

type Unmarked<T> = T extends unknown ? Omit<T, 'convnets'> : never

class Client {
  readonly #port: Port & { terminate?(): void }
  readonly #lock: string = `convnets-${crypto.randomUUID?.() ?? crypto.getRandomValues(new Uint32Array(4)).join('-')}`
  readonly #over: AbortController = new AbortController()
  readonly #calls: Map<number, Call> = new Map()
  readonly #ready: Promise<ThreadInfo>
  #settle: { resolve(info: ThreadInfo): void; reject(error: Error): void } | undefined
  #next = 0

  constructor(port: Port, { threads }: ConnectOptions) {
    this.#port = port
    this.#ready = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    const { signal } = this.#over
    const hello = (): void => this.#say({ kind: 'hello', lock: this.#lock, threads })
    const listen = (type: string, hear: (event: Event) => void): void => {
      port.addEventListener(type, hear)
      signal.addEventListener('abort', () => port.removeEventListener(type, hear), { once: true })
    }
    listen('message', (event) => {
      const { data } = event as MessageEvent
      if (!isOurs(data)) return
      const answer = data as Answer
      if (answer.kind === 'serving') hello()
      else this.#hear(answer)
    })
    const failed = (event: Event): void => {
      const { message } = event as Partial<ErrorEvent>
      this.end(`the worker failed: ${message || 'its script did not load'}`)
    }
    listen('error', failed)
    // What goes wrong beside the jobs of a worker that serves is between it and the console.
    void this.#ready.then(
      () => port.removeEventListener('error', failed),
      () => undefined,
    )
    listen('messageerror', () => this.end('the worker sent what this page cannot read'))
    port.start?.()
    hello()
  }

  get ready(): Promise<ThreadInfo> {
    return this.#ready
  }

  #say(request: Unmarked<Request>): void {
    this.#port.postMessage({ ...request, convnets: true })
  }

  #hear(answer: Exclude<Answer, { kind: 'serving' }>): void {
    if (answer.kind === 'ready') {
      this.#settle?.resolve(answer.info)
      watch(this.#lock, this.#over.signal, () => this.end('the worker is gone'))
      return
    }
    if (answer.kind === 'unable') {
      this.end('the worker cannot run', unpackError(answer.error))
      return
    }
    const call = this.#calls.get(answer.id)
    if (call === undefined) return
    if (answer.kind === 'progress') {
      call.options.onProgress?.(answer.value as never)
      return
    }
    this.#calls.delete(answer.id)
    if (answer.kind === 'done') call.resolve(answer.value)
    else call.reject(answer.aborted ? call.options.signal?.reason : unpackError(answer.error))
  }

  async run(name: string, input: unknown, options: RunOptions<never> = {}): Promise<unknown> {
    checkOptionNames('run', options, ['onProgress', 'signal'])
    const { signal } = options
    signal?.throwIfAborted()
    await this.#ready
    signal?.throwIfAborted()
    const over = this.#over.signal
    over.throwIfAborted()
    const id = this.#next++
    const abort = (): void => this.#say({ kind: 'abort', id, reason: packError(signal?.reason) })
    try {
      return await new Promise((resolve, reject) => {
        this.#calls.set(id, { resolve, reject, options })
        this.#say({ kind: 'run', id, name, input })
        signal?.addEventListener('abort', abort)
      })
    } finally {
      this.#calls.delete(id)
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Ends the worker and tells everyone who waits. */
  end(why: string, cause?: Error): void {
    if (this.#over.signal.aborted) return
    const error = new BackendError(`connect: ${why}${cause ? `: ${cause.message}` : ''}`, cause && { cause })
    this.#over.abort(error)
    this.#port.terminate?.()
    this.#settle?.reject(error)
    for (const { reject } of this.#calls.values()) reject(error)
    this.#calls.clear()
  }
}

/**
 * Connects a page with a worker that calls `serve`. Write the worker's address out, so that bundlers find it:
 *
 * ```ts
 * import type { jobs } from './training.ts'
 *
 * const worker = new Worker(new URL('./training.ts', import.meta.url), { type: 'module' })
 * const engine = connect<typeof jobs>(worker)
 * console.log(await engine.info()) // { threads: 4, cores: 4, reason: undefined }
 * await engine.run('train', 20, { onProgress: (loss) => show(loss) })
 * engine.close()
 * ```
 *
 * Threads need a page that is cross-origin isolated; elsewhere there is one, with the same results, and `info` says why.
 */
export function connect<J extends Jobs>(worker: Port, options: ConnectOptions = {}): WorkerEngine<J> {
  checkOptionNames('connect', options, ['threads'])
  const client = new Client(worker, options)
  return {
    run: (name, ...[input, options]) => client.run(name, input, options) as Promise<OutputOf<J[typeof name]>>,
    info: () => client.ready,
    close: () => client.end('the engine was closed'),
  }
}
