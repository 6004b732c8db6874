/** `training.json`: a small network trained a few steps by every optimizer setting, and learning-rate schedules. */
import { Json } from './json.ts'

/** What one optimizer setting led to. */
export interface TrainingRun {
  /** Loss before each of the steps. */
  readonly losses: readonly number[]
  /** Logits in evaluation mode after the last step. */
  readonly evalLogits: readonly number[]
  readonly fcWeight: readonly number[]
  readonly bn1RunningVar: readonly number[]
}

export interface TrainingGoldens {
  readonly salt: string
  readonly batch: number
  /** Class indices, `batch` of them. */
  readonly target: readonly number[]
  /** The input is fill(salt + input). */
  readonly input: string
  readonly labelSmoothing: number
  /** By optimizer setting. */
  readonly runs: ReadonlyMap<string, TrainingRun>
  /** Learning rates at the start and after each step, by schedule. */
  readonly schedules: ReadonlyMap<string, readonly number[]>
}

/** Reads `training.json`. @throws GoldenError that names the field which is missing or of the wrong kind. */
export function parseTrainingGoldens(text: string, file = 'training.json'): TrainingGoldens {
  const json = Json.parse(text, file)
  const batch = json.get('batch').integer()
  return {
    salt: json.get('salt').string(),
    batch,
    target: json.get('target').numbersOf(batch),
    input: json.get('input').string(),
    labelSmoothing: json.get('labelSmoothing').number(),
    runs: json.get('runs').map((run) => ({
      losses: run.get('losses').numbers(),
      evalLogits: run.get('evalLogits').numbers(),
      fcWeight: run.get('fcWeight').numbers(),
      bn1RunningVar: run.get('bn1RunningVar').numbers(),
    })),
    schedules: json.get('schedules').map((rates) => rates.numbers()),
  }
}
