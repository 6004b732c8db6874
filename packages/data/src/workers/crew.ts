/**
 * Worker threads of a loader, as the program sees them.
 *
 * Every worker gets its next jobs before it has done the last, as a program that trains is back at its event loop only
 * between steps. Idle workers do not keep a process alive; while somebody waits for a batch, they do. A worker that is gone
 * takes the crew with it: whoever waits is told, and the loader starts a new crew for the next epoch.
 */
import { unpackError } from '@convnets/tensor/worker'
import type { SampleSource } from '../source.ts'
import { WorkerError } from './errors.ts'
import type { Answer, Job, Made } from './protocol.ts'
import { MARK, type WorkerThreads, workerThreads } from './threads.ts'

type Thread = InstanceType<WorkerThreads['Worker']>

// Plain JavaScript that no bundler touches: it imports the module, which brings the rest along.
const script = `'use strict'
const { parentPort, workerData } = require('node:worker_threads')
const unable = (error) => {
  const { name = 'Error', message = String(error), stack } = error ?? {}
  parentPort.postMessage({ kind: 'unable', error: { name, message, stack, fields: [] } })
}
// Where Node reads no TypeScript (before 22.18), a program may run by tsx, which hooks into its main thread only.
const tsx = () => {
  if (process.features.typescript) return undefined
  const ends = '/tsx/dist/loader.mjs'
  const flag = process.execArgv.find((flag) => flag === 'tsx' || flag === '--import=tsx' || flag.endsWith(ends))
  if (flag === undefined || flag.endsWith(ends)) return flag
  return require('node:url').pathToFileURL(require('node:module').createRequire(workerData.url).resolve('tsx')).href
}
const load = async () => {
  const loader = tsx()
  if (loader) (await import(new URL('esm/api/index.mjs', loader).href)).register()
  return import(workerData.url)
}
load().then((module) => {
  const source = module[workerData.name]
  if (typeof source?.serve !== 'function') {
    throw new TypeError("it exports no '" + workerData.name + "' made by sampleSource")
  }
  source.serve(parentPort)
}).catch(unable)
`

/** A batch that is being made. */
export interface Ticket {
  readonly made: Promise<Made>
  /** Nobody waits for it any more. */
  cancel(): void
}

interface Waiting {
  readonly thread: number
  readonly what: string
  resolve(made: Made): void
  reject(error: Error): void
}

/** At most this many pieces of memory are kept for batches to come. */
const MAX_SPARE = 64

/** Samples named in a message. */
const MAX_NAMED = 8

function nameOf({ indices }: Job): string {
  const named = Array.from(indices.subarray(0, MAX_NAMED)).join(', ')
  return `samples ${named}${indices.length > MAX_NAMED ? ' and so on' : ''}`
}

export class Crew {
  readonly #threads: Thread[] = []
  readonly #load: number[] = []
  readonly #waiting: Map<number, Waiting> = new Map()
  readonly #cancelled: Set<number> = new Set()
  readonly #spare: SharedArrayBuffer[] = []
  #failure: WorkerError | undefined
  #next = 0
  #watchers = 0

  /** Starts `count` workers for a source; they are at work before they are ready. Only where `canHaveWorkers()`. */
  constructor({ url, name, dataset }: SampleSource<unknown>, count: number) {
    const threads = workerThreads()
    if (!threads) throw new WorkerError('DataLoader: workers expects a host with worker threads, got one without')
    const where = `'${name}' of ${url}`
    for (let number = 0; number < count; number++) {
      // The flags of the program are the workers' too: a module that needs a loader needs it there.
      const thread = new threads.Worker(script, {
        eval: true,
        workerData: { mark: MARK, url, name },
        name: `convnets data ${number}`,
      })
      thread.unref()
      this.#threads.push(thread)
      this.#load.push(0)
      thread.on('message', (answer: Answer) => this.#hear(answer, dataset.length, where))
      // What it has said before it died is heard first: only the end of the thread comes after all of its messages.
      let cause: { readonly error: unknown } | undefined
      thread.on('error', (error: unknown) => {
        cause = { error }
      })
      thread.on('exit', (code) => this.#fail(this.#loss(`worker ${number} of ${where}`, number, code, cause)))
    }
  }

  /** Whether it can still work. */
  get alive(): boolean {
    return this.#failure === undefined
  }

  /** Has a batch made by the worker with the least to do. */
  submit(job: Omit<Job, 'id' | 'memory'>): Ticket {
    if (this.#failure) {
      const made = Promise.reject(this.#failure)
      made.catch(() => {})
      return { made, cancel: () => {} }
    }
    const id = this.#next++
    const number = this.#load.indexOf(Math.min(...this.#load))
    const made = new Promise<Made>((resolve, reject) => {
      this.#waiting.set(id, { thread: number, what: nameOf({ id, ...job }), resolve, reject })
    })
    // Failures are told to whoever asks for the batch, even if that is later.
    made.catch(() => {})
    this.#load[number]!++
    const memory = this.#spare.pop()
    this.#threads[number]!.postMessage({ id, ...job, memory } satisfies Job)
    return {
      made,
      cancel: () => {
        if (this.#waiting.has(id)) this.#cancelled.add(id)
        else made.then((batch) => this.recycle(batch)).catch(() => {})
      },
    }
  }

  /** Takes back the memory of a batch that has been used up. */
  recycle({ memory }: Made): void {
    if (this.#spare.length < MAX_SPARE) this.#spare.push(memory)
  }

  /** Waits for a batch, and keeps the process alive for it. `milliseconds` 0: as long as it takes. */
  async wait({ made }: Ticket, milliseconds: number, signal: AbortSignal | undefined): Promise<Made> {
    signal?.throwIfAborted()
    let timer: ReturnType<typeof setTimeout> | undefined
    let stop: (() => void) | undefined
    if (this.#watchers++ === 0) for (const thread of this.#threads) thread.ref()
    try {
      return await Promise.race([
        made,
        new Promise<never>((_, reject) => {
          stop = () => reject(signal?.reason)
          signal?.addEventListener('abort', stop)
          if (milliseconds > 0) timer = setTimeout(() => reject(this.#late(milliseconds)), milliseconds)
        }),
      ])
    } finally {
      clearTimeout(timer)
      if (stop) signal?.removeEventListener('abort', stop)
      if (--this.#watchers === 0) for (const thread of this.#threads) thread.unref()
    }
  }

  /** Ends the workers. Whoever still waits for a batch gets a `WorkerError`. */
  async close(): Promise<void> {
    this.#fail(new WorkerError('DataLoader: closed while batches were being made'))
    await Promise.all(this.#threads.map((thread) => thread.terminate()))
  }

  #loss(who: string, number: number, code: number, cause: { readonly error: unknown } | undefined): WorkerError {
    const [first] = [...this.#waiting.values()].filter(({ thread }) => thread === number)
    const doing = first ? ` while it made ${first.what}` : ''
    if (!cause) return new WorkerError(`DataLoader: ${who} exited with code ${code}${doing}`)
    const reason = cause.error instanceof Error ? cause.error.message : String(cause.error)
    return new WorkerError(`DataLoader: ${who} died: ${reason}${doing}`, { cause: cause.error })
  }

  #late(milliseconds: number): WorkerError {
    const error = new WorkerError(`DataLoader: workers expects a batch within ${milliseconds} ms, got none`)
    this.#fail(error)
    return error
  }

  #hear(answer: Answer, length: number, where: string): void {
    if (answer.kind === 'unable') {
      const cause = unpackError(answer.error)
      this.#fail(new WorkerError(`DataLoader: a worker could not load ${where}: ${cause.message}`, { cause }))
      return
    }
    if (answer.kind === 'ready') {
      if (answer.length === length) return
      this.#fail(
        new WorkerError(
          `DataLoader: ${where} expects to be the same everywhere, got ${answer.length} samples in a worker and ${length} in the program`,
        ),
      )
      return
    }
    const waiting = this.#waiting.get(answer.id)
    if (!waiting) return
    this.#waiting.delete(answer.id)
    this.#load[waiting.thread]!--
    const isCancelled = this.#cancelled.delete(answer.id)
    if (answer.kind === 'failed') waiting.reject(unpackError(answer.error))
    else {
      if (isCancelled) this.recycle(answer.made)
      waiting.resolve(answer.made)
    }
  }

  #fail(error: WorkerError): void {
    if (this.#failure) return
    this.#failure = error
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { reject } of waiting) reject(error)
    for (const thread of this.#threads) void thread.terminate()
  }
}
