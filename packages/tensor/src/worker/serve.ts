/** The worker's end: jobs that a page calls. */
import { ArgumentError } from '../errors.ts'
import type { Tensor } from '../tensor.ts'
import { packError, unpackError } from './errors.ts'
import { type Answer, isOurs, type Job, type Jobs, type Port, type Request } from './messages.ts'
import { startThreads } from './threads.ts'
import { turn } from './turn.ts'

type Run = Extract<Request, { kind: 'run' }>
type Unmarked<T> = T extends unknown ? Omit<T, 'convnets'> : never

/** The inside of a worker of a browser. */
function thisWorker(): Port {
  const scope: object = globalThis
  if ('WorkerGlobalScope' in scope) return scope as unknown as Port
  throw new ArgumentError('serve: port expects a MessagePort where it is not called in a worker of a browser, got none')
}

/** Told by what a tensor has: its class would bring every op into workers and pages that use none. */
const isTensor = (value: object): value is Tensor => 'dtype' in value && 'requiresGrad' in value && 'dataSync' in value

/** Structured cloning would make an empty object of a tensor. */
function checkClonable(job: string, value: unknown, seen: Set<object> = new Set()): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return
  seen.add(value)
  if (isTensor(value)) {
    throw new ArgumentError(`serve: job ${job} expects values that can be copied, got a tensor; send await x.data()`)
  }
  const parts =
    Array.isArray(value) || value instanceof Set || value instanceof Map
      ? value
      : Object.getPrototypeOf(value) === Object.prototype
        ? Object.values(value)
        : []
  for (const part of parts) checkClonable(job, part, seen)
}

class Server {
  readonly #jobs: Jobs
  readonly #port: Port
  /** Jobs that wait or run. */
  readonly #controllers: Map<number, AbortController> = new Map()
  /** The end of the last job: one runs at a time. */
  #last: Promise<void> = Promise.resolve()
  #greeted = false

  constructor(jobs: Jobs, port: Port) {
    this.#jobs = jobs
    this.#port = port
    port.addEventListener('message', (event) => {
      const { data } = event as MessageEvent
      if (isOurs(data)) this.#hear(data as Request)
    })
    port.start?.()
    this.#say({ kind: 'serving' })
  }

  #say(answer: Unmarked<Answer>): void {
    this.#port.postMessage({ ...answer, convnets: true })
  }

  #hear(request: Request): void {
    if (request.kind === 'hello') void this.#greet(request)
    else if (request.kind === 'abort') this.#controllers.get(request.id)?.abort(unpackError(request.reason))
    else {
      const controller = new AbortController()
      this.#controllers.set(request.id, controller)
      this.#last = this.#last.then(() => this.#run(request, controller.signal))
    }
  }

  async #greet({ lock, threads }: Extract<Request, { kind: 'hello' }>): Promise<void> {
    if (this.#greeted) return
    this.#greeted = true
    try {
      // Held as long as this worker lives: who waits for it learns of its end.
      await new Promise<void>((held) => {
        const { locks } = globalThis.navigator ?? {}
        if (locks === undefined) held()
        else void locks.request(lock, () => new Promise(() => held()))
      })
      this.#say({ kind: 'ready', info: await startThreads({ threads }) })
    } catch (error) {
      this.#say({ kind: 'unable', error: packError(error) })
    }
  }

  async #run({ id, name, input }: Run, signal: AbortSignal): Promise<void> {
    const progress = async (value: unknown): Promise<void> => {
      checkClonable(name, value)
      this.#say({ kind: 'progress', id, value })
      await turn()
      signal.throwIfAborted()
    }
    try {
      // Who gave it up while it waited has said so by now.
      await turn()
      signal.throwIfAborted()
      const job = Object.hasOwn(this.#jobs, name) ? (this.#jobs[name] as Job<unknown, unknown, unknown>) : undefined
      if (job === undefined) {
        throw new ArgumentError(`run: name expects one of ${Object.keys(this.#jobs).join(', ')}, got ${name}`)
      }
      const value = await job(input, { progress, signal })
      checkClonable(name, value)
      this.#say({ kind: 'done', id, value })
    } catch (error) {
      const aborted = signal.aborted && error === signal.reason
      this.#say({ kind: 'failed', id, aborted, error: packError(error) })
    } finally {
      this.#controllers.delete(id)
    }
  }
}

/**
 * Offers `jobs` to the page that started this worker, which calls them by `connect`; one runs at a time, in the order of
 * the calls. Threads are started before the first. Call it while the worker's module is evaluated.
 *
 * Gives back `jobs`, whose type is all that the page needs of this module:
 *
 * ```ts
 * // training.ts
 * export const jobs = serve({
 *   async train(steps: number, { progress }: JobContext<number>) {
 *     // ... for every step: await progress(loss.item())
 *     return { weights: await model.weight.data() }
 *   },
 * })
 * ```
 *
 * @param port where the page is; default: the worker's own line to it.
 * @throws ArgumentError without a port where this is no worker of a browser.
 */
export function serve<const J extends Jobs>(jobs: J, port: Port = thisWorker()): J {
  new Server(jobs, port)
  return jobs
}
