/** The training loop. */
import { Generator, isFloat, noGrad, stack, sum, type Tensor, tidy } from '@convnets/tensor'
import { breather } from './breath.ts'
import { type Checkpoint, checkFit, disposeCheckpoint, type RunState } from './checkpoint.ts'
import { disposeBatch, type Model, modesOf, type TrainingBatch } from './data.ts'
import { NonFiniteError } from './errors.ts'
import { evaluate } from './evaluate.ts'
import { findCheckpoint, RunFiles } from './files.ts'
import { bestOf, type EpochRecord, shouldStop } from './history.ts'
import { type BatchCounts, checkTopK, Meter, type Metrics } from './metrics.ts'
import { checkOptions, type FitOptions, type FitResult, type Progress } from './options.ts'
import { clearGradients, readsAtOnce, type StepResult, trainStep } from './step.ts'

/**
 * Trains a model: batches of `train` through `loss`, `optimizer` and `schedule` for `epochs` epochs, measured on `test`
 * after each.
 *
 * With `out`, a checkpoint after every epoch (and every `checkpointEvery` steps, and when `signal` is aborted) holds all
 * that the run depends on: a run stopped after any step and resumed ends with the same weights, to the bit, as one never
 * stopped. Randomness is the seed's: order and augmentation the loader's, dropout `fit`'s own.
 *
 * The model trains in training mode, except for modules that were put into evaluation mode by themselves; all modes are
 * put back at the end. Between steps nothing is left in memory but weights and optimizer state.
 *
 * @throws ArgumentError before anything is done, for options that cannot be followed and checkpoints of another run;
 * OutputError for a folder that cannot be written to (found out before the first step) or a disk that fills up;
 * FormatError for a damaged checkpoint; NonFiniteError for a loss or weights that are NaN or infinite; DeviceLostError
 * where the GPU that the model lies on goes away. Checkpoints that were written before are whole in every case.
 */
export async function fit<Output, B extends TrainingBatch>(
  model: Model<Output>,
  options: FitOptions<Output, B>,
): Promise<FitResult> {
  checkOptions(options)
  const run = new Run(model, options)
  const restoreModes = modesOf(model)
  if (!model.training) model.train()
  clearGradients(model.parameters())
  options.optimizer.zeroGrad()
  try {
    await run.resume()
    return await run.go()
  } finally {
    restoreModes()
    clearGradients(model.parameters())
    options.optimizer.zeroGrad()
  }
}

class Run<Output, B extends TrainingBatch> {
  readonly #model: Model<Output>
  readonly #options: FitOptions<Output, B>
  readonly #files: RunFiles | undefined
  readonly #topK: readonly number[]
  readonly #total: number
  readonly #atOnce: boolean
  readonly #generator: Generator
  readonly #meter: Meter
  readonly #breathe = breather()
  // Where the run stands, as `RunState` names it.
  #epoch = 0
  #batch = 0
  #step = 0
  #history: EpochRecord[] = []
  #trainingSeconds = 0
  #samples = 0
  /** When the step at hand began; undefined between epochs and while a checkpoint is written. */
  #stepStart: number | undefined
  /** When the run would have begun, had it never been stopped. */
  #origin = performance.now()
  #sessionStart = { at: performance.now(), step: 0 }
  /** The step whose numbers are still on their way, on devices that are read asynchronously. */
  #pending: { result: Promise<BatchCounts>; step: number; batch: number } | undefined

  constructor(model: Model<Output>, options: FitOptions<Output, B>) {
    this.#model = model
    this.#options = options
    this.#topK = checkTopK('fit', options.topK ?? [])
    this.#total = options.epochs * options.train.length
    this.#generator = new Generator(options.seed ?? 0)
    this.#meter = new Meter(this.#topK)
    this.#files = options.out === undefined ? undefined : new RunFiles(options.out)
    const [first] = model.parameters()
    this.#atOnce = first === undefined || readsAtOnce(first.backend)
  }

  // --- the loop ---

  async go(): Promise<FitResult> {
    const { epochs, signal, onEpoch } = this.#options
    if (!this.#finished) await this.#save()
    while (!this.#finished) {
      if (!(await this.#trainEpoch())) return await this.#abort()
      const record = await this.#closeEpoch()
      if (record === undefined) return await this.#abort()
      await onEpoch?.(record, this.#history)
      if (signal?.aborted && !this.#finished) return this.#result('aborted')
    }
    await this.#files?.weights('last', this.#model.stateDict())
    const { ema } = this.#options
    if (ema) await ema.using(async () => await this.#files?.weights('ema', this.#model.stateDict()))
    return this.#result(this.#epoch >= epochs ? 'completed' : 'early')
  }

  get #finished(): boolean {
    const { epochs, earlyStopping, monitor } = this.#options
    return this.#epoch >= epochs || (earlyStopping !== undefined && shouldStop(this.#history, earlyStopping, monitor))
  }

  /** The batches of the epoch at hand that are still ahead. False if the signal stopped it. */
  async #trainEpoch(): Promise<boolean> {
    const { train, signal, checkpointEvery } = this.#options
    if (signal?.aborted) return false
    this.#stepStart = performance.now()
    for await (const batch of train.epoch(this.#epoch, { from: this.#batch })) {
      try {
        await this.#take(this.#launch(batch))
      } finally {
        disposeBatch(batch)
      }
      await this.#breathe()
      this.#trainingSeconds = this.#secondsTrained
      this.#stepStart = undefined
      if (signal?.aborted) return false
      if (checkpointEvery !== undefined && this.#step % checkpointEvery === 0 && this.#batch < train.length) {
        await this.#save()
      }
      this.#stepStart = performance.now()
    }
    this.#stepStart = undefined
    await this.#drain()
    return true
  }

  #launch(batch: B): StepResult {
    const { optimizer, schedule } = this.#options
    if (schedule) optimizer.applySchedule(schedule, this.#step, this.#total)
    const result = trainStep(this.#model, batch, this.#options, {
      generator: this.#generator,
      ranks: Math.max(1, ...this.#topK),
      atOnce: this.#atOnce,
      check: (loss) => this.#checkLoss(loss, this.#step + 1, this.#batch + 1),
    })
    this.#step++
    this.#batch++
    return result
  }

  /** Accounts for a step: at once, or when the next one is under way. */
  async #take(result: StepResult): Promise<void> {
    const [step, batch] = [this.#step, this.#batch]
    if (!(result instanceof Promise)) return await this.#account(result, batch, step)
    // An error is met when the step's turn comes.
    result.catch(() => undefined)
    await this.#drain()
    this.#pending = { result, step, batch }
  }

  async #drain(): Promise<void> {
    if (this.#pending === undefined) return
    const { result, step, batch } = this.#pending
    this.#pending = undefined
    const counts = await result
    this.#checkLoss(counts.loss, step, batch)
    await this.#account(counts, batch, step)
  }

  async #account(counts: BatchCounts, batch: number, step: number): Promise<void> {
    this.#meter.add(counts)
    this.#samples += counts.samples
    const { train, onBatch, onProgress } = this.#options
    if (!onBatch && !onProgress) return
    const progress = { ...this.#progress('train', batch, train.length, this.#meter.metrics()), step }
    onProgress?.(progress)
    await onBatch?.(progress)
  }

  /** Measures the epoch that has been trained, and writes its files. Undefined if the signal stopped it. */
  async #closeEpoch(): Promise<EpochRecord | undefined> {
    const { ema, evaluateEma = true, monitor, signal, test } = this.#options
    const close = async (): Promise<EpochRecord | undefined> => {
      let measured: Metrics | undefined
      if (test !== undefined) {
        try {
          measured = await this.#evaluate()
        } catch (error) {
          if (signal?.aborted && error === signal.reason) return undefined
          throw error
        }
      }
      const record: EpochRecord = {
        epoch: this.#epoch + 1,
        step: this.#step,
        lr: this.#lr,
        train: this.#meter.metrics(),
        ...(measured && { test: measured }),
        seconds: this.#seconds,
      }
      if (bestOf([...this.#history, record], monitor)?.epoch === record.epoch) {
        await this.#files?.weights('best', this.#model.stateDict())
      }
      return record
    }
    const record = await (ema && evaluateEma ? ema.using(close) : close())
    if (record === undefined) return undefined
    this.#history = [...this.#history, record]
    this.#epoch++
    this.#batch = 0
    this.#meter.restore({ loss: 0, samples: 0, classified: 0, correct: [] })
    await this.#files?.history(this.#history)
    await this.#save()
    return record
  }

  async #evaluate(): Promise<Metrics> {
    const { test, forward, loss, logits, signal, onProgress } = this.#options
    const {
      samples: _,
      seconds: __,
      ...metrics
    } = await evaluate(this.#model, test!, {
      ...(forward && { forward }),
      ...(loss && { loss }),
      ...(logits && { logits }),
      ...(signal && { signal }),
      topK: this.#topK,
      onProgress: ({ batch, batches, ...metrics }) => {
        onProgress?.(this.#progress('test', batch, batches, metrics))
      },
    })
    return metrics
  }

  async #abort(): Promise<FitResult> {
    await this.#save()
    return this.#result('aborted')
  }

  // --- checkpoints ---

  async #save(): Promise<void> {
    await this.#drain()
    if (this.#files === undefined) return
    await this.#checkWeights()
    await this.#files.checkpoint(this.#checkpoint())
    this.#options.onCheckpoint?.(this.#step)
  }

  #checkpoint(): Checkpoint {
    const run: RunState = {
      epoch: this.#epoch,
      batch: this.#batch,
      step: this.#step,
      loader: this.#loader,
      meter: this.#meter.state(),
      history: this.#history,
      generator: this.#generator.state(),
      seconds: this.#seconds,
      trainingSeconds: this.#trainingSeconds,
      samples: this.#samples,
    }
    const { optimizer, ema } = this.#options
    return { run, model: this.#model.stateDict(), optimizer: optimizer.stateDict(), ema: ema?.stateDict() }
  }

  get #loader(): RunState['loader'] {
    const { length, batchSize, seed } = this.#options.train
    return { batches: length, ...(batchSize !== undefined && { batchSize }), ...(seed !== undefined && { seed }) }
  }

  async resume(): Promise<void> {
    const { optimizer, ema, resume = false } = this.#options
    const found = await findCheckpoint(resume, this.#files?.folder)
    if (found === undefined) return
    const { checkpoint, name } = found
    try {
      checkFit(name, checkpoint, { model: this.#model.stateDict(), ema: ema !== undefined, loader: this.#loader })
      optimizer.loadStateDict(checkpoint.optimizer)
      if (checkpoint.ema) ema?.loadStateDict(checkpoint.ema)
      this.#model.loadStateDict(checkpoint.model)
    } finally {
      disposeCheckpoint(checkpoint)
    }
    const { run } = checkpoint
    this.#epoch = run.epoch
    this.#batch = run.batch
    this.#step = run.step
    this.#history = [...run.history]
    this.#meter.restore(run.meter)
    this.#generator.restore(run.generator)
    this.#trainingSeconds = run.trainingSeconds
    this.#samples = run.samples
    this.#origin -= run.seconds * 1000
    this.#sessionStart = { at: performance.now(), step: run.step }
  }

  // --- numbers that must be finite ---

  #checkLoss(loss: number, step: number, batch: number): void {
    if (Number.isFinite(loss)) return
    const epoch = this.#epoch + 1
    const where = `step ${step} (epoch ${epoch}, batch ${batch} of ${this.#options.train.length})`
    throw new NonFiniteError(`fit: loss expects a finite number, got ${loss} at ${where}; ${this.#advice}`, {
      step,
      epoch,
      value: loss,
    })
  }

  get #advice(): string {
    const remedy = 'a lower learning rate, warm-up or clipGradNorm may help'
    return this.#files ? `${this.#files.kept}; ${remedy}` : remedy
  }

  /** Weights that are no numbers must not take the place of a checkpoint: x - x is 0 for numbers alone. */
  async #checkWeights(): Promise<void> {
    const floats = [...this.#model.stateDict()].filter(([, tensor]) => isFloat(tensor.dtype) && tensor.size > 0)
    if (floats.length === 0) return
    const probe = tidy(() => noGrad(() => stack(floats.map(([, x]) => sum(x.sub(x)).to('float32')))))
    const sums = await probe.data().finally(() => probe.dispose())
    const bad = sums.findIndex((value) => value !== 0)
    if (bad < 0) return
    const [key] = floats[bad] as [string, Tensor]
    throw new NonFiniteError(
      `fit: ${key} expects finite numbers, got NaN or infinity after step ${this.#step} (epoch ${this.#epoch + 1}); ${this.#advice}`,
      { step: this.#step, epoch: this.#epoch + 1, value: Number.NaN },
    )
  }

  // --- reporting ---

  get #lr(): number {
    return this.#options.optimizer.groups[0]?.lr as number
  }

  get #seconds(): number {
    return (performance.now() - this.#origin) / 1000
  }

  #progress(
    phase: 'train' | 'test',
    batch: number,
    batches: number,
    { loss, accuracy }: { readonly loss: number; readonly accuracy?: number },
  ): Progress {
    const { at, step } = this.#sessionStart
    const perStep = (performance.now() - at) / 1000 / Math.max(1, this.#step - step)
    return {
      phase,
      epoch: this.#epoch + 1,
      epochs: this.#options.epochs,
      batch,
      batches,
      step: this.#step,
      steps: this.#total,
      loss,
      ...(accuracy !== undefined && { accuracy }),
      lr: this.#lr,
      imagesPerSecond: this.#rate,
      secondsLeft: perStep * (this.#total - this.#step),
    }
  }

  /** Time in steps, the one at hand included. */
  get #secondsTrained(): number {
    return this.#trainingSeconds + (this.#stepStart === undefined ? 0 : (performance.now() - this.#stepStart) / 1000)
  }

  get #rate(): number {
    const seconds = this.#secondsTrained
    return seconds > 0 ? this.#samples / seconds : 0
  }

  #result(stopped: FitResult['stopped']): FitResult {
    return {
      history: this.#history,
      best: bestOf(this.#history, this.#options.monitor),
      epochs: this.#epoch,
      steps: this.#step,
      seconds: this.#seconds,
      imagesPerSecond: this.#rate,
      stopped,
    }
  }
}
