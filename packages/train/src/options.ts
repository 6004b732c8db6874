/** What `fit` takes and gives. */
import { EMA, type Hyperparameters, Optimizer, type Schedule } from '@convnets/optim'
import { ArgumentError, checkNumber, checkOptionNames, optionNames } from '@convnets/tensor'
import { checkFunctions, checkLoader, checkSignal, type Judgement, type Loader, type TrainingBatch } from './data.ts'
import type { RunFolder } from './folder.ts'
import type { Best, EarlyStopping, EpochRecord, Monitor } from './history.ts'

/** How far a run is; after each batch of either phase. */
export interface Progress {
  readonly phase: 'train' | 'test'
  /** The epoch at hand, from 1, of `epochs`. */
  readonly epoch: number
  readonly epochs: number
  /** Batches of the phase that are behind, of `batches`. */
  readonly batch: number
  readonly batches: number
  /** Training steps that are behind, of `steps`. */
  readonly step: number
  readonly steps: number
  /** Means over the phase's batches so far. */
  readonly loss: number
  readonly accuracy?: number
  /** Learning rate of the last step, of the first parameter group. */
  readonly lr: number
  /** Samples per second of training so far. */
  readonly imagesPerSecond: number
  /** Estimated seconds to the end of the run. */
  readonly secondsLeft: number
}

/** How to train. */
export interface FitOptions<Output, B extends TrainingBatch> extends Judgement<Output> {
  /** Training batches. */
  readonly train: Loader<B>
  /** Batches to measure on after every epoch. */
  readonly test?: Loader<B>
  /** Over the model's parameters. Its gradients and its learning rate are `fit`'s during the run. */
  readonly optimizer: Optimizer<Hyperparameters>
  readonly epochs: number
  /** Learning rate (and momentum) by step, of `epochs` times the loader's batches. Default: as the optimizer has it. */
  readonly schedule?: Schedule
  /** Scales gradients to a norm of at most this. */
  readonly clipGradNorm?: number
  /** Cuts elements of gradients off at this. */
  readonly clipGradValue?: number
  /** Moving averages of the model's weights, updated after every step. */
  readonly ema?: EMA
  /** Measure (and keep as best) the averages in place of the weights. Default true where there is `ema`. */
  readonly evaluateEma?: boolean
  /** The k of top-k accuracies besides 1, such as [5]. Default none. */
  readonly topK?: readonly number[]
  /** What decides which epoch is best. Default: accuracy where there is one, else loss. */
  readonly monitor?: Monitor
  readonly earlyStopping?: EarlyStopping
  /** Seed of what the model draws in training, such as dropout. Default 0. */
  readonly seed?: number
  /**
   * Folder for `checkpoint.safetensors`, `best.safetensors` and `last.safetensors` (weights; `ema.safetensors` with
   * averages), `history.csv` and `curve.svg`. Default: no files.
   */
  readonly out?: string | RunFolder
  /**
   * `'auto'`: go on from the checkpoint in `out`, or begin where there is none. A path: go on from that checkpoint, or from
   * that folder's. Default false: begin anew, overwriting the files of a former run.
   */
  readonly resume?: 'auto' | string | false
  /** Steps between checkpoints within an epoch. Default: only at the end of every epoch. */
  readonly checkpointEvery?: number
  /** When aborted, `fit` finishes the step at hand, saves a checkpoint and resolves with `stopped: 'aborted'`. */
  readonly signal?: AbortSignal
  /** After every training step. May be async. */
  readonly onBatch?: (progress: Progress) => void | Promise<void>
  /** After every epoch, when its files are written. May be async. */
  readonly onEpoch?: (record: EpochRecord, history: readonly EpochRecord[]) => void | Promise<void>
  /** After every batch, of training and of testing. */
  readonly onProgress?: (progress: Progress) => void
  /** After a checkpoint of `step` steps is on disk. */
  readonly onCheckpoint?: (step: number) => void
}

/** What came out of a run, including what happened before it was resumed. */
export interface FitResult {
  readonly history: readonly EpochRecord[]
  /** The best epoch's metrics; undefined before the end of the first. */
  readonly best: Best | undefined
  /** Whole epochs. */
  readonly epochs: number
  readonly steps: number
  readonly seconds: number
  /** Samples per second of training, without testing and writing. */
  readonly imagesPerSecond: number
  /** Why the run ended: all epochs, no improvement, or the signal. */
  readonly stopped: 'completed' | 'early' | 'aborted'
}

function expectCount(name: string, value: unknown): void {
  if (value !== undefined && !(Number.isSafeInteger(value) && (value as number) >= 1)) {
    throw new ArgumentError(`fit: ${name} expects a positive integer, got ${String(value)}`)
  }
}

function expectBound(name: string, value: number | undefined): void {
  if (value !== undefined && !(typeof value === 'number' && value > 0 && value < Infinity)) {
    throw new ArgumentError(`fit: ${name} expects a number above 0, got ${value}`)
  }
}

const fitOptions = optionNames<FitOptions<unknown, TrainingBatch>>({
  train: true,
  test: true,
  optimizer: true,
  epochs: true,
  forward: true,
  loss: true,
  logits: true,
  schedule: true,
  clipGradNorm: true,
  clipGradValue: true,
  ema: true,
  evaluateEma: true,
  topK: true,
  monitor: true,
  earlyStopping: true,
  seed: true,
  out: true,
  resume: true,
  checkpointEvery: true,
  signal: true,
  onBatch: true,
  onEpoch: true,
  onProgress: true,
  onCheckpoint: true,
})

const functions = [
  'forward',
  'loss',
  'logits',
  'schedule',
  'onBatch',
  'onEpoch',
  'onProgress',
  'onCheckpoint',
] as const satisfies readonly (keyof FitOptions<unknown, TrainingBatch>)[]

const stoppingOptions = optionNames<EarlyStopping>({ patience: true, minDelta: true })

function checkEarlyStopping(options: EarlyStopping): void {
  checkOptionNames('fit: earlyStopping', options, stoppingOptions)
  const { patience, minDelta = 0 } = options
  if (patience === undefined)
    throw new ArgumentError('fit: earlyStopping.patience expects a positive integer, got undefined')
  expectCount('earlyStopping.patience', patience)
  checkNumber('fit', 'earlyStopping.minDelta', minDelta, 0)
}

/** @throws ArgumentError for options that cannot be followed. */
export function checkOptions<Output, B extends TrainingBatch>(options: FitOptions<Output, B>): void {
  checkOptionNames('fit', options, fitOptions)
  const { train, test, optimizer, epochs, ema, monitor, earlyStopping, out, resume } = options
  if (earlyStopping !== undefined) checkEarlyStopping(earlyStopping)
  checkLoader('fit', 'train', train)
  if (test !== undefined) checkLoader('fit', 'test', test)
  checkFunctions('fit', options, functions)
  checkSignal('fit', options.signal)
  if (!(optimizer instanceof Optimizer)) {
    throw new ArgumentError(`fit: optimizer expects one of @convnets/optim, got ${String(optimizer)}`)
  }
  if (epochs === undefined) throw new ArgumentError('fit: epochs expects a positive integer, got undefined')
  expectCount('epochs', epochs)
  expectCount('checkpointEvery', options.checkpointEvery)
  expectBound('clipGradNorm', options.clipGradNorm)
  expectBound('clipGradValue', options.clipGradValue)
  if (ema !== undefined && !(ema instanceof EMA)) {
    throw new ArgumentError(`fit: ema expects an EMA of @convnets/optim, got ${String(ema)}`)
  }
  if (monitor !== undefined && monitor !== 'accuracy' && monitor !== 'loss') {
    throw new ArgumentError(`fit: monitor expects 'accuracy' or 'loss', got '${String(monitor)}'`)
  }
  if (options.evaluateEma !== undefined && typeof options.evaluateEma !== 'boolean') {
    throw new ArgumentError(`fit: evaluateEma expects true or false, got ${String(options.evaluateEma)}`)
  }
  if (out !== undefined && typeof out !== 'string' && typeof out?.write !== 'function') {
    throw new ArgumentError(`fit: out expects a path, or a folder such as memoryFolder(), got ${String(out)}`)
  }
  if (resume !== undefined && resume !== false && typeof resume !== 'string') {
    throw new ArgumentError(`fit: resume expects 'auto', a path or false, got ${String(resume)}`)
  }
  if (resume === 'auto' && out === undefined) {
    throw new ArgumentError("fit: resume 'auto' expects an output folder (out) to look for a checkpoint in, got none")
  }
  if (options.checkpointEvery !== undefined && out === undefined) {
    throw new ArgumentError('fit: checkpointEvery expects an output folder (out) for checkpoints, got none')
  }
}
