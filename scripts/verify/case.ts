/** What verification is made of: files of cases, and what became of each case on one backend. */
import type { Backend, DType } from '@convnets/tensor'

/** What arithmetic is measured. */
export interface Arithmetic {
  readonly name: 'reference' | 'wasm' | 'gpu'
  /** Missing where it does not run. */
  readonly backend: Backend | undefined
  readonly dtype: DType
  readonly precision: 'fast' | 'strict'
}

/** One line of the report. */
export interface Outcome {
  readonly passed: boolean
  /** Errors with their tolerances, or why it failed. */
  readonly text: string
}

/** Something to compare; nothing is computed before `run`. */
export interface Case {
  readonly id: string
  readonly run: () => Outcome | Promise<Outcome>
  /** Frees what the cases of a file share, once all that are wanted have run. */
  readonly close?: () => void
}

/** One golden file, read: its cases on one backend. */
export interface Source {
  /** Path below the folder, for reports. */
  readonly file: string
  readonly arithmetic: Arithmetic
  readonly cases: readonly Case[]
}

export const fail = (text: string): Outcome => ({ passed: false, text })

/** A relative error with its tolerance, as one part of a line. */
export interface Measure {
  readonly what: string
  readonly error: number
  readonly tolerance: number
}

const short = (value: number): string => (value === 0 ? '0' : value.toExponential(1))

/** The line of several measures: all of them must be within their tolerances. */
export function judge(measures: readonly Measure[]): Outcome {
  return {
    passed: measures.every(({ error, tolerance }) => error <= tolerance),
    text: measures
      .map(
        ({ what, error, tolerance }) => `${what} ${short(error)}${error <= tolerance ? '' : ` > ${short(tolerance)}`}`,
      )
      .join(', '),
  }
}

/** The case with what it throws made a failure. */
export async function attempt({ run }: Case): Promise<Outcome> {
  try {
    return await run()
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error))
  }
}
