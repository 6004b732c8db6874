/** A case run by several contestants in turn. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Case, type ContestantName, flopsOf } from './cases.ts'
import type { Process } from './driver.ts'
import { median } from './median.ts'

/** What a contestant needed for a case, or why there is no figure. */
export type Figure =
  | { readonly milliseconds: number; readonly runs: number; readonly least: number }
  | { readonly none: string }

export interface Result {
  readonly section: Case['section']
  readonly name: string
  readonly threads: number
  readonly flops: number
  readonly bytes: number
  /** GFLOP/s of multiply-adds in registers, on as many threads, in the process of ours. NaN where it was not measured. */
  readonly peak: number
  readonly figures: Partial<Record<ContestantName, Figure>>
}

/** Runs that a figure is the median of, at least. */
const wantedRuns = 15
/** Rounds at least, so that a disturbance of the machine meets everybody. */
const wantedRounds = 5
/** Milliseconds after which a run is a long one: of these, few are enough. */
const longRun = 3000
const longRuns = 3
/**
 * Milliseconds of a turn, and of silence before it: the threads of native runtimes look for work a while longer, and take a
 * core from whoever is next. A run before the turn that does not count finds the caches and the threads as it leaves them.
 */
const turnTime = 50
const silence = 50
/** Warm-up: engines compile hot code anew, and allocators find their size. So many runs, unless they take too long. */
const warmTime = 40
const warmRuns = 15
const longestWarmUp = 2000

/** Times `one` on every contestant, ours first, then each peer, and so on in rounds. */
export async function measure(one: Case, contestants: readonly Process[], peak: number): Promise<Result> {
  const figures: Partial<Record<ContestantName, Figure>> = {}
  const times = new Map<Process, number[]>()
  const drop = async (process: Process, why: string): Promise<void> => {
    figures[process.name] = { none: why }
    times.delete(process)
  }
  for (const process of contestants) {
    const ready = await process.prepare(one.job)
    if (!('value' in ready)) {
      await drop(process, reason(ready))
      continue
    }
    const warm = await warmUp(process)
    if (warm === undefined) times.set(process, [])
    else await drop(process, warm)
  }
  const wanted = (list: readonly number[]): number => (median(list) > longRun ? longRuns : wantedRuns)
  const done = (round: number): boolean =>
    round >= Math.min(wantedRounds, ...[...times.values()].map(wanted)) &&
    [...times.values()].every((list) => list.length >= wanted(list))
  for (let round = 0; !done(round); round++) {
    for (const [process, list] of times) {
      // Who needs long has had enough sooner than the others.
      if (list.length >= wanted(list) && round >= wantedRounds) continue
      if (list.length >= longRuns && median(list) > longRun) continue
      await sleep(silence)
      const turn = await process.turn(turnTime, list.length === 0 || median(list) < longRun)
      if ('value' in turn) list.push(...turn.value)
      else await drop(process, reason(turn))
    }
  }
  for (const [process, list] of times) {
    figures[process.name] = { milliseconds: median(list), runs: list.length, least: Math.min(...list) }
    await process.finish()
  }
  const { section, name, job } = one
  const ours = contestants[0] as Process
  return {
    section,
    name,
    threads: ours.threads,
    flops: flopsOf(job),
    bytes: 'bytes' in job ? job.bytes : 0,
    peak,
    figures,
  }
}

/** Runs a contestant until it is warm; says why it cannot. */
async function warmUp(process: Process): Promise<string | undefined> {
  const first = await process.turn(warmTime, true)
  if (!('value' in first)) return reason(first)
  const more = Math.min(longestWarmUp, (warmRuns - first.value.length) * median(first.value))
  const rest = more > 0 ? await process.turn(more, false) : first
  return 'value' in rest ? undefined : reason(rest)
}

const reason = (outcome: { unsupported: string } | { failed: string }): string =>
  'unsupported' in outcome ? outcome.unsupported : `failed: ${outcome.failed}`

/** Milliseconds of a contestant, or undefined. */
export function timeOf(result: Result, name: ContestantName): number | undefined {
  const figure = result.figures[name]
  return figure !== undefined && 'milliseconds' in figure ? figure.milliseconds : undefined
}
