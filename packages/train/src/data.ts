/** What training asks of data and models. */
import { ArgumentError, crossEntropy, Tensor } from '@convnets/tensor'

/** A batch: input (N, ...) and what the model should make of it. */
export interface TrainingBatch {
  readonly input: Tensor
  /** (N) class numbers for the default loss and for accuracy; anything the loss understands otherwise. */
  readonly target: Tensor
}

/**
 * Batches by epoch: a `DataLoader` of `@convnets/data`, or anything like it. A batch is freed after its step; tensors that
 * the loader wants to give again it marks by `keep()`.
 */
export interface Loader<B extends TrainingBatch = TrainingBatch> {
  /** Batches per epoch. */
  readonly length: number
  /** Where given, a run is only resumed with the same numbers. */
  readonly batchSize?: number
  readonly seed?: number
  /** The batches of an epoch (from 0), from batch `from` (from 0) on. The same epoch gives the same batches. */
  epoch(epoch: number, options?: { from?: number }): Iterable<B> | AsyncIterable<B>
}

/**
 * What is trained: a `Module` of `@convnets/nn` from a batch's input to an output (logits, or something that holds them), or
 * anything with these methods, which mean the same there.
 */
export interface Model<Output = Tensor> {
  forward(input: Tensor): Output
  readonly training: boolean
  train(): unknown
  eval(): unknown
  /** The module itself and those inside; `training` is each one's mode. */
  namedModules(): Iterable<readonly [string, { training: boolean }]>
  parameters(): Iterable<Tensor>
  /** Parameters and buffers by key: the model's own tensors. */
  stateDict(): ReadonlyMap<string, Tensor>
  loadStateDict(dict: ReadonlyMap<string, Tensor>): unknown
}

/** How a model is run, and its output judged. */
export interface Judgement<Output> {
  /**
   * The model's `forward` or what does the same, such as `compile(model)` of `@convnets/nn`, with which steps of small networks
   * are up to 1.4 times as fast, with the same bits. Default: the model's `forward`.
   */
  readonly forward?: (input: Tensor) => Output
  /** A scalar, the mean over the batch; `crossEntropy` and its like as they are. Default: cross-entropy of the logits. */
  readonly loss?: (output: Output, target: Tensor) => Tensor
  /** The logits (N, classes) in the output, for accuracy. Default: the output, or its field `logits`. */
  readonly logits?: (output: Output) => Tensor | undefined
}

/** The logits in an output. */
function logitsOf<Output>(
  output: Output,
  logits: ((output: Output) => Tensor | undefined) | undefined,
): Tensor | undefined {
  if (logits !== undefined) return logits(output)
  if (output instanceof Tensor) return output
  const inside = (output as { logits?: unknown } | null)?.logits
  return inside instanceof Tensor ? inside : undefined
}

/** Loss and logits of a batch. @throws ArgumentError for a loss that is not one number. */
export function judge<Output>(
  op: string,
  model: Model<Output>,
  batch: TrainingBatch,
  judgement: Judgement<Output>,
): { loss: Tensor; logits: Tensor | undefined } {
  const output = judgement.forward === undefined ? model.forward(batch.input) : judgement.forward(batch.input)
  const logits = logitsOf(output, judgement.logits)
  if (judgement.loss === undefined && logits === undefined) {
    throw new ArgumentError(`${op}: loss expects a function for a model whose output has no logits, got undefined`)
  }
  const loss = judgement.loss ? judgement.loss(output, batch.target) : crossEntropy(logits as Tensor, batch.target)
  if (!(loss instanceof Tensor) || loss.size !== 1) {
    const got = loss instanceof Tensor ? `(${loss.shape.join(', ')})` : String(loss)
    throw new ArgumentError(`${op}: loss expects to give one number, such as a mean over the batch, got ${got}`)
  }
  return { loss, logits }
}

/** @throws ArgumentError for options that are there and no functions. */
export function checkFunctions<Options extends object>(
  op: string,
  options: Options,
  names: readonly (keyof Options & string)[],
): void {
  for (const name of names) {
    const value = options[name]
    if (value !== undefined && typeof value !== 'function') {
      const hint = name === 'forward' ? ', such as compile(model) gives' : ''
      throw new ArgumentError(`${op}: ${name} expects a function${hint}, got ${typeof value}`)
    }
  }
}

/** @throws ArgumentError for a `signal` that is none. */
export function checkSignal(op: string, signal: AbortSignal | undefined): void {
  if (signal !== undefined && typeof signal?.throwIfAborted !== 'function') {
    throw new ArgumentError(`${op}: signal expects that of an AbortController, got ${String(signal)}`)
  }
}

/** How many samples a batch has. @throws ArgumentError for what is no batch. */
export function samplesOf(op: string, batch: TrainingBatch): number {
  const { input, target } = batch ?? {}
  if (!(input instanceof Tensor) || input.rank === 0 || target === undefined) {
    const fields = typeof batch === 'object' && batch !== null ? `the fields ${Object.keys(batch).join(', ')}` : batch
    throw new ArgumentError(`${op}: a batch expects an input (N, ...), a tensor, and a target, got ${fields}`)
  }
  return input.shape[0] as number
}

/** Frees the tensors of a batch, except those that were kept. */
export function disposeBatch(batch: TrainingBatch): void {
  for (const value of Object.values(batch)) if (value instanceof Tensor && !value.kept) value.dispose()
}

/** @throws ArgumentError unless this is a loader with batches. */
export function checkLoader(op: string, name: string, loader: Loader): void {
  if (typeof loader?.epoch !== 'function' || !Number.isSafeInteger(loader.length)) {
    throw new ArgumentError(`${op}: ${name} expects a loader with length and epoch(), got ${String(loader)}`)
  }
  if (loader.length < 1) throw new ArgumentError(`${op}: ${name} expects at least one batch, got ${loader.length}`)
}

/** Notes the mode of every module inside, and gives a function that puts them back. */
export function modesOf(model: Pick<Model, 'namedModules'>): () => void {
  const modes = [...model.namedModules()].map(([, module]) => [module, module.training] as const)
  return () => {
    for (const [module, training] of modes) module.training = training
  }
}
