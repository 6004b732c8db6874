/** What the tests call, as `window.tests`: the jobs on this thread, and engines in workers that serve them. */
import { ArgumentError, BackendError, FormatError, ShapeError } from '@convnets/tensor'
import { connect, type WorkerEngine } from '@convnets/tensor/worker'
import { DownloadError } from '@convnets/weights'
import type { served } from './engine.ts'
import { jobs } from './jobs.ts'
import { pictures } from './pictures.ts'

type Engine = WorkerEngine<typeof served>

/** Starts an engine; the tests close it. */
function start(threads?: number): Engine {
  const worker = new Worker(new URL('./engine.ts', import.meta.url), { type: 'module' })
  return connect(worker, threads === undefined ? {} : { threads })
}

/** An engine whose worker fails while it starts. */
const startBroken = (): Engine => connect(new Worker(new URL('./broken.ts', import.meta.url), { type: 'module' }))

/** Classes, not the names that errors carry; what another is made of comes first. */
const classes: readonly (readonly [string, abstract new (...args: never) => Error])[] = Object.entries({
  ArgumentError,
  DownloadError,
  FormatError,
  ShapeError,
  BackendError,
  RangeError,
  TypeError,
  DOMException,
  Error,
})

/** How a promise is rejected: class, message and cause. */
async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    return `no failure: ${JSON.stringify(await promise)}`
  } catch (error) {
    if (!(error instanceof Error)) return `not an error: ${error}`
    const cause = error.cause instanceof Error ? `, because ${await failure(Promise.reject(error.cause))}` : ''
    const [name] = classes.find(([, type]) => error instanceof type) ?? []
    return `${name}: ${error.message}${cause}`
  }
}

/** The tests' page has all of this as `window.tests`. */
export interface Tests {
  readonly jobs: typeof jobs
  readonly start: typeof start
  readonly startBroken: typeof startBroken
  readonly failure: typeof failure
  readonly pictures: typeof pictures
}

Object.assign(globalThis, { tests: { jobs, start, startBroken, failure, pictures } satisfies Tests })
