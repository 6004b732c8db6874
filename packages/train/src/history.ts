/** What a run has been through, epoch by epoch: which was best, whether to stop, and a table of it all. */
import type { Metrics } from './metrics.ts'

/** One epoch. */
export interface EpochRecord {
  /** Number of the epoch, from 1. */
  readonly epoch: number
  /** Steps of the run at its end. */
  readonly step: number
  /** Learning rate of its last step. */
  readonly lr: number
  /** Means over its batches, measured while training. */
  readonly train: Metrics
  /** Measured on the test data after it. */
  readonly test?: Metrics
  /** Seconds from the start of the run to its end. */
  readonly seconds: number
}

/** What decides which epoch is best: the larger accuracy, or the smaller loss. */
export type Monitor = 'accuracy' | 'loss'

/** The best epoch and its metrics: those on the test data, or on the training data where there is none. */
export interface Best extends Metrics {
  readonly epoch: number
}

/** When to stop before the last epoch. */
export interface EarlyStopping {
  /** Epochs without improvement after which to stop. */
  readonly patience: number
  /** Smallest improvement that counts (default 0: any). */
  readonly minDelta?: number
}

const judged = (record: EpochRecord): Metrics => record.test ?? record.train

/** How good an epoch was: larger is better. By default accuracy where there is one, else the loss. */
function score(record: EpochRecord, monitor: Monitor | undefined): number {
  const { loss, accuracy } = judged(record)
  return monitor === 'loss' || accuracy === undefined ? -loss : accuracy
}

/** The best epoch; the first among equals. Undefined where there is none with a number. */
export function bestOf(history: readonly EpochRecord[], monitor?: Monitor): Best | undefined {
  let best: EpochRecord | undefined
  for (const record of history) {
    const value = score(record, monitor)
    if (Number.isNaN(value)) continue
    if (best === undefined || value > score(best, monitor)) best = record
  }
  return best && { epoch: best.epoch, ...judged(best) }
}

/** Whether the last `patience` epochs brought no improvement of more than `minDelta`. */
export function shouldStop(
  history: readonly EpochRecord[],
  { patience, minDelta = 0 }: EarlyStopping,
  monitor?: Monitor,
): boolean {
  let best = Number.NEGATIVE_INFINITY
  let since = 0
  for (const record of history) {
    const value = score(record, monitor)
    if (value > best + minDelta || (best === Number.NEGATIVE_INFINITY && !Number.isNaN(value))) {
      best = value
      since = 0
    } else since++
  }
  return since >= patience
}

/** The history as comma-separated values with a header line. Shares and losses have all their digits. */
export function historyCsv(history: readonly EpochRecord[]): string {
  const ks = [...new Set(history.flatMap(({ train, test }) => Object.keys({ ...train.topK, ...test?.topK })))]
  const columns = (of: 'train' | 'test'): string[] => [
    `${of}_loss`,
    `${of}_accuracy`,
    ...ks.map((k) => `${of}_top${k}`),
  ]
  const values = (metrics: Metrics | undefined): (number | undefined)[] => [
    metrics?.loss,
    metrics?.accuracy,
    ...ks.map((k) => metrics?.topK?.[Number(k)]),
  ]
  const rows = [
    ['epoch', 'step', 'lr', ...columns('train'), ...columns('test'), 'seconds'],
    ...history.map((record) => [
      record.epoch,
      record.step,
      record.lr,
      ...values(record.train),
      ...values(record.test),
      record.seconds.toFixed(3),
    ]),
  ]
  return `${rows.map((row) => row.map((value) => value ?? '').join(',')).join('\n')}\n`
}
