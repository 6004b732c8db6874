/**
 * Checkpoints: everything a run needs to go on, in one safetensors file, which therefore is old or new but never half of
 * both. Tensors are named `model.<key>`, `optimizer.<parameter>.<slot>` and `ema.<key>`; the rest is JSON in the metadata.
 */

import type { EMAState, OptimizerState } from '@convnets/optim'
import { ArgumentError, FormatError, type GeneratorState, ShapeError, type Tensor } from '@convnets/tensor'
import { readSafetensors, writeSafetensors } from '@convnets/weights'
import type { EpochRecord } from './history.ts'
import type { MeterState } from './metrics.ts'

const FORMAT = 'convnets.checkpoint'
const VERSION = 1

/** Where a run stands. */
export interface RunState {
  /** Epochs that are behind, their evaluation included. */
  readonly epoch: number
  /** Batches of the epoch at hand that are behind. */
  readonly batch: number
  /** Steps of the whole run that are behind. */
  readonly step: number
  /** What the run's position means: another loader would make another run of it. */
  readonly loader: { readonly batches: number; readonly batchSize?: number; readonly seed?: number }
  /** Sums over the batches of the epoch at hand. */
  readonly meter: MeterState
  readonly history: readonly EpochRecord[]
  /** Where dropout and the like draw their numbers. */
  readonly generator: GeneratorState
  /** Seconds of the run, of its training steps, and how many samples those saw. */
  readonly seconds: number
  readonly trainingSeconds: number
  readonly samples: number
}

/** What is saved: the run, and the states of its parts. */
export interface Checkpoint {
  readonly run: RunState
  readonly model: ReadonlyMap<string, Tensor>
  readonly optimizer: OptimizerState
  readonly ema: EMAState | undefined
}

/** JSON has no NaN and no infinities; a loss may be either. */
const wrap = (_: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isFinite(value) ? { $number: String(value) } : value

const unwrap = (_: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && '$number' in value ? Number(value.$number) : value

/** The bytes of a checkpoint. Tensors are read at the moment of the call. */
export async function encodeCheckpoint({ run, model, optimizer, ema }: Checkpoint): Promise<Uint8Array> {
  const tensors = new Map<string, Tensor>()
  const add = (prefix: string, from: ReadonlyMap<string, Tensor> | undefined): void => {
    for (const [key, tensor] of from ?? []) tensors.set(`${prefix}.${key}`, tensor)
  }
  add('model', model)
  add('optimizer', optimizer.tensors)
  add('ema', ema?.tensors)
  const { tensors: _, ...steering } = optimizer
  const state = { version: VERSION, run, optimizer: steering, ...(ema && { ema: { updates: ema.updates } }) }
  const metadata = new Map([
    ['format', FORMAT],
    ['state', JSON.stringify(state, wrap)],
  ])
  return await writeSafetensors(tensors, { metadata })
}

/**
 * A checkpoint from its bytes. Its tensors are the caller's, to free with `disposeCheckpoint`.
 * @throws FormatError for a file that is damaged or no checkpoint.
 */
export function decodeCheckpoint(bytes: Uint8Array, file: string): Checkpoint {
  const { tensors, metadata } = readSafetensors(bytes, { file })
  try {
    if (metadata.get('format') !== FORMAT) throw wrong(file, `a checkpoint (format ${FORMAT})`, metadata.get('format'))
    const state = parse(metadata.get('state') ?? '', file)
    const under = (prefix: string): Map<string, Tensor> =>
      new Map(
        [...tensors].flatMap(([key, tensor]) =>
          key.startsWith(`${prefix}.`) ? [[key.slice(prefix.length + 1), tensor] as const] : [],
        ),
      )
    return {
      run: state.run,
      model: under('model'),
      optimizer: { ...state.optimizer, tensors: under('optimizer') },
      ema: state.ema && { ...state.ema, tensors: under('ema') },
    }
  } catch (error) {
    for (const tensor of tensors.values()) tensor.dispose()
    throw error
  }
}

interface SavedState {
  readonly version: number
  readonly run: RunState
  readonly optimizer: Omit<OptimizerState, 'tensors'>
  readonly ema?: Omit<EMAState, 'tensors'>
}

function parse(text: string, file: string): SavedState {
  let state: SavedState
  try {
    state = JSON.parse(text, unwrap)
  } catch (cause) {
    throw new FormatError({ file, offset: 8, expected: 'the state of a run as JSON', got: 'something else', cause })
  }
  if (state?.version !== VERSION) throw wrong(file, `version ${VERSION}`, state?.version)
  const { run, optimizer, ema } = state
  const isRun =
    run?.loader !== undefined &&
    [run.epoch, run.batch, run.loader.batches].every((count) => Number.isSafeInteger(count) && count >= 0) &&
    run.step === run.epoch * run.loader.batches + run.batch &&
    [run.seconds, run.trainingSeconds, run.samples, run.generator?.seed, run.generator?.offset].every(
      Number.isFinite,
    ) &&
    isMeter(run.meter) &&
    isList(run.history, ({ epoch, train }) => Number.isSafeInteger(epoch) && typeof train?.loss === 'number') &&
    isList(optimizer?.groups, Boolean) &&
    isList(optimizer.parameters, (parameter) => isList(parameter?.slots, (slot) => typeof slot === 'string')) &&
    (ema === undefined || Number.isSafeInteger(ema?.updates))
  if (!isRun) throw wrong(file, 'the state of a run', 'something else')
  return state
}

const isList = <T>(list: readonly T[] | undefined, fits: (item: T) => boolean): boolean =>
  Array.isArray(list) && list.every((item) => fits(item))

function isMeter(meter: MeterState | undefined): boolean {
  if (meter === undefined || !isList(meter.correct, Number.isFinite)) return false
  return [meter.loss, meter.samples, meter.classified].every(Number.isFinite)
}

function wrong(file: string, expected: string, got: unknown): FormatError {
  return new FormatError({ file, offset: 8, expected, got: got === undefined ? 'none' : String(got) })
}

/** Frees the tensors of a decoded checkpoint. */
export function disposeCheckpoint({ model, optimizer, ema }: Checkpoint): void {
  for (const map of [model, optimizer.tensors, ema?.tensors]) for (const tensor of map?.values() ?? []) tensor.dispose()
}

/**
 * Throws unless a checkpoint is one of this run: of a model with these tensors, with or without averages, over a loader
 * with these numbers.
 */
export function checkFit(
  file: string,
  { run, model, ema }: Checkpoint,
  own: { model: ReadonlyMap<string, Tensor>; ema: boolean; loader: RunState['loader'] },
): void {
  const refuse = (what: string, expected: unknown, got: unknown): never => {
    throw new ArgumentError(
      `fit: resume from ${file} expects ${what} ${expected} as in the checkpoint, got ${got}; resume: false starts anew`,
    )
  }
  for (const [key, what] of [
    ['batches', 'batches per epoch'],
    ['batchSize', 'a batch size of'],
    ['seed', 'a loader with seed'],
  ] as const) {
    if (run.loader[key] !== own.loader[key]) refuse(what, run.loader[key], own.loader[key])
  }
  if ((ema !== undefined) !== own.ema)
    refuse('moving averages (ema)', ema ? 'given' : 'absent', own.ema ? 'given' : 'none')
  for (const [key, { shape }] of model) {
    const tensor = own.model.get(key)
    if (tensor === undefined) refuse('a model with', key, 'one without')
    else if (String(tensor.shape) !== String(shape)) {
      throw new ShapeError(
        `fit: resume from ${file} expects ${key} of shape (${shape.join(', ')}), got (${tensor.shape.join(', ')})`,
      )
    }
  }
  for (const key of own.model.keys()) if (!model.has(key)) refuse('a model without', key, 'one with it')
}
