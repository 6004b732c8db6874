/**
 * The other end of `driver.ts`: a process that reads requests, one JSON object a line, from standard input and answers each
 * with a line on file descriptor 3, since libraries write to standard output as they like.
 */
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Job } from '../cases.ts'
import { type Contestant, type Run, Unsupported } from './contestant.ts'

export type Request =
  | { readonly do: 'prepare'; readonly job: Job }
  /** Runs at least once and until `milliseconds` have passed; after one untimed run if `again`. */
  | { readonly do: 'turn'; readonly milliseconds: number; readonly again: boolean }
  | { readonly do: 'finish' }
  | { readonly do: 'peak' }

export type Answer =
  | { readonly hello: { readonly version: string; readonly threads: number } }
  | { readonly ready: true }
  | { readonly unsupported: string }
  | { readonly failed: string }
  | { readonly times: readonly number[] }
  | { readonly gflops: number }

async function turn({ once }: Run, milliseconds: number, again: boolean): Promise<number[]> {
  if (again) await once()
  const times: number[] = []
  const start = performance.now()
  for (let last = start; times.length === 0 || last - start < milliseconds; ) {
    const before = performance.now()
    const result = once()
    if (result !== undefined) await result
    last = performance.now()
    times.push(last - before)
  }
  return times
}

/** Answers until standard input ends. */
export async function serve(make: () => Promise<Contestant>): Promise<void> {
  const out = createWriteStream('', { fd: 3 })
  const say = (answer: Answer): void => void out.write(`${JSON.stringify(answer)}\n`)
  let contestant: Contestant
  try {
    contestant = await make()
  } catch (error) {
    say({ failed: (error as Error).message })
    return
  }
  say({ hello: { version: contestant.version, threads: contestant.threads } })
  let run: Run | undefined
  for await (const line of createInterface(process.stdin)) {
    const request = JSON.parse(line) as Request
    try {
      switch (request.do) {
        case 'prepare':
          run = await contestant.prepare(request.job)
          say({ ready: true })
          break
        case 'turn':
          if (run === undefined) throw new Error('nothing is prepared')
          say({ times: await turn(run, request.milliseconds, request.again) })
          break
        case 'finish':
          await run?.dispose?.()
          run = undefined
          say({ ready: true })
          break
        case 'peak':
          say({ gflops: (await contestant.peak?.()) ?? Number.NaN })
      }
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      say(error instanceof Unsupported ? { unsupported: text } : { failed: text })
    }
  }
  process.exit()
}
