/** What the tests call, as `window.tests`: the jobs on this thread, and engines in workers that serve them. */
import { connect, type WorkerEngine } from '@convnets/tensor/worker'
import type { served } from './engine.ts'
import { failure } from './failure.ts'
import { jobs } from './jobs.ts'
import { losing } from './lost.ts'
import { pictures } from './pictures.ts'

type Engine = WorkerEngine<typeof served>

/** Starts an engine; the tests close it. */
function start(threads?: number): Engine {
  const worker = new Worker(new URL('./engine.ts', import.meta.url), { type: 'module' })
  return connect(worker, threads === undefined ? {} : { threads })
}

/** An engine whose worker fails while it starts. */
const startBroken = (): Engine => connect(new Worker(new URL('./broken.ts', import.meta.url), { type: 'module' }))

/** The tests' page has all of this as `window.tests`. */
export interface Tests {
  readonly jobs: typeof jobs
  readonly start: typeof start
  readonly startBroken: typeof startBroken
  readonly failure: typeof failure
  readonly losing: typeof losing
  readonly pictures: typeof pictures
}

Object.assign(globalThis, { tests: { jobs, start, startBroken, failure, losing, pictures } satisfies Tests })
