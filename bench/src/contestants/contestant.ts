/** What every contestant is: something that prepares a job and then runs it as often as it is told. */
import type { Job } from '../cases.ts'

/** A job that is ready to run. */
export interface Run {
  /** Runs once; what is timed. Whatever it makes is gone afterwards. */
  once(): void | Promise<void>
  /** Frees what the job holds. */
  dispose?(): void | Promise<void>
}

export interface Contestant {
  /** Version and settings, for the head of the table. */
  readonly version: string
  /** Threads that it computes on. */
  readonly threads: number
  /** @throws Unsupported where it has no such op. */
  prepare(job: Job): Run | Promise<Run>
  /** Peak of its arithmetic in GFLOP/s, measured now. */
  peak?(): Promise<number>
}

/** A job that a contestant has no op for; the message says what is missing. */
export class Unsupported extends Error {}
