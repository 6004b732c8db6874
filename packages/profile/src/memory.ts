/**
 * Memory of inference and of training, from steps that are planned and not run: the same ops on the same tape with the same
 * lifetimes ask the wasm backend's own allocator for their blocks, and nothing is computed.
 */
import { exchange, type Module } from '@convnets/nn'
import { EMA } from '@convnets/optim'
import {
  ArgumentError,
  type Backend,
  checkOptionNames,
  checkpoint,
  crossEntropy,
  type GradNode,
  isFloat,
  noGrad,
  optionNames,
  readOptions,
  type Shape,
  ShapeError,
  Tensor,
  tidy,
  zeros,
} from '@convnets/tensor'
import { createWasmPlan, type WasmPlanOptions } from '@convnets/tensor/shape-only'
import { tensorBytes } from './cost.ts'
import { checkBatch, checkInput, dtypeOf, explaining } from './input.ts'
import { inMode, tensorsIn } from './instrument.ts'
import { type AnyOptimizer, type OptimizerChoice, optimizerFor } from './optimizers.ts'
import { onBackend } from './without-numbers.ts'

/** What a plan of memory is made for. */
export interface MemoryOptions extends WasmPlanOptions {
  /** Inputs at once. Default 1. */
  readonly batch?: number
}

/** What decides how much a training step takes, apart from the batch. */
export interface BudgetOptions extends WasmPlanOptions {
  /** A name, an optimizer of the model, or a function that makes one for given parameters. Default `sgd`. */
  readonly optimizer?: OptimizerChoice
  /** Loss of what the model gives. Default: cross-entropy of every (N, classes) in it, mean of the squares of anything else. */
  readonly loss?: (output: unknown, batch: number) => Tensor
  /** Keeps an exponential moving average of weights and statistics. Default false. */
  readonly ema?: boolean
  /** Paths of modules that run under `checkpoint`: they keep their input alone and are computed twice. Default none. */
  readonly checkpoint?: readonly string[]
}

/** What a training step is planned for. */
export interface TrainingOptions extends BudgetOptions, MemoryOptions {}

const budgetOptions = optionNames<BudgetOptions>({
  threads: true,
  precision: true,
  optimizer: true,
  loss: true,
  ema: true,
  checkpoint: true,
})

/** What both kinds of plans are made for where nothing is said. */
const planDefaults = { batch: 1, threads: undefined, precision: undefined }

/** The plan for options that have been read. */
function planOf({
  threads,
  precision,
}: { readonly [K in keyof WasmPlanOptions]: WasmPlanOptions[K] | undefined }): Backend {
  return createWasmPlan({ ...(threads !== undefined && { threads }), ...(precision !== undefined && { precision }) })
}

/** Memory of a training step on the wasm backend, in bytes. */
export interface TrainingMemory {
  readonly batch: number
  readonly parameters: number
  /** Running statistics and other state that is not trained. */
  readonly buffers: number
  readonly gradients: number
  /** Velocities, moments and the like, as the optimizer makes them. */
  readonly optimizerState: number
  /** The exponential moving average. */
  readonly average: number
  /** Inputs and targets. */
  readonly input: number
  /** What the tape keeps for the backward pass, parameters and the input apart. */
  readonly saved: number
  /** The same by the op that saves it first, largest first. */
  readonly savedByOp: Readonly<Record<string, number>>
  /** Other results of the forward pass, which live until its scope ends. */
  readonly held: number
  /** Weights as kernels want them: packed, transformed for Winograd. */
  readonly derived: number
  /** Scratch memory of the kernel that needs most. */
  readonly workspace: number
  /**
   * The most that is in use at one time. Not the sum of the above: saved activations go as gradients come, and beside them are
   * the gradients of activations that are on their way.
   */
  readonly peak: number
  /** What is taken from the system to serve that, gaps between blocks included. */
  readonly reserved: number
}

/** Runs `fn(stand-ins)` with the model's tensors replaced by those of a plan. */
function planned<T>(model: Module, plan: Backend, fn: (standIns: ReadonlyMap<Tensor, Tensor>) => T): T {
  const standIns: Map<Tensor, Tensor> = new Map()
  const instead = (tensor: Tensor): Tensor => {
    const other = zeros(tensor.shape, { dtype: tensor.dtype, backend: plan })
    standIns.set(tensor, other)
    return other
  }
  return onBackend(plan, () => exchange(model, instead, () => fn(standIns)))
}

/** Runs `fn` with the modules at `paths` under `checkpoint`. */
function checkpointing<T>(model: Module, paths: readonly string[], fn: () => T): T {
  const modules = model.namedModules()
  const undo: (() => void)[] = []
  try {
    for (const path of paths) {
      const module = modules.get(path)
      if (module === undefined) throw new ArgumentError(`checkpoint: expects paths of modules, got '${path}'`)
      const own = Object.getOwnPropertyDescriptor(module, 'forward')
      const forward = module.forward as (...inputs: unknown[]) => Tensor
      const value = (...inputs: Tensor[]): Tensor => checkpoint((...again) => forward.apply(module, again), ...inputs)
      Object.defineProperty(module, 'forward', { value, configurable: true, writable: true, enumerable: false })
      undo.push(() => {
        if (own === undefined) Reflect.deleteProperty(module, 'forward')
        else Object.defineProperty(module, 'forward', own)
      })
    }
    return fn()
  } finally {
    for (const back of undo.reverse()) back()
  }
}

function defaultLoss(output: unknown, batch: number): Tensor {
  const terms = tensorsIn(output).filter(({ dtype }) => isFloat(dtype))
  const losses = terms.map((y) =>
    y.rank === 2 ? crossEntropy(y, zeros([batch], { dtype: 'int32', backend: y.backend })) : y.square().mean(),
  )
  const [first, ...rest] = losses
  if (first === undefined) throw new ArgumentError('trainingMemory: model gives no float tensor to make a loss of')
  return rest.reduce((sum, loss) => sum.add(loss), first)
}

function call(model: Module, x: Tensor): unknown {
  return (model.forward as (x: unknown) => unknown)(x)
}

/** Bytes that the tape of `loss` keeps, by the op that saves them first. */
function savedBy(loss: Tensor, others: ReadonlySet<object>): Map<string, number> {
  const nodes: Map<number, GradNode> = new Map()
  const open: GradNode[] = loss.node === undefined ? [] : [loss.node]
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (nodes.has(node.id)) continue
    nodes.set(node.id, node)
    for (const edge of node.edges) if (edge !== undefined && !('leaf' in edge)) open.push(edge)
  }
  const seen: Set<object> = new Set(others)
  const byOp: Map<string, number> = new Map()
  for (const node of [...nodes.values()].sort((a, b) => a.id - b.id)) {
    for (const tensor of node.saved) {
      const { buffer } = tensor.storage
      if (seen.has(buffer)) continue
      seen.add(buffer)
      const bytes = tensorBytes({ dtype: buffer.dtype, size: buffer.length })
      byOp.set(node.name, (byOp.get(node.name) ?? 0) + bytes)
    }
  }
  return byOp
}

const buffersOf = (tensors: Iterable<Tensor>): object[] => [...tensors].map((tensor) => tensor.storage.buffer)
const bytesOf = (tensors: Iterable<Tensor>): number => [...tensors].reduce((sum, x) => sum + tensorBytes(x), 0)

/**
 * Bytes that the wasm backend takes to run the model in evaluation mode inside `tidy`, parameters, packed weights and
 * workspace included.
 *
 * @param input shape of one input without its batch.
 */
export function inferenceMemory(model: Module, input: Shape, options: MemoryOptions = {}): number {
  const op = 'inferenceMemory'
  const chosen = readOptions(op, options, planDefaults)
  const shape = checkInput(op, input)
  const batch = checkBatch(op, chosen.batch)
  const dtype = dtypeOf(model)
  const plan = planOf(chosen)
  const forward = (s: Shape): void =>
    tidy(() => {
      noGrad(() => void call(model, zeros([batch, ...s], { dtype, backend: plan })))
    })
  return inMode(model, false, () =>
    planned(model, plan, () => {
      // The workspace settles with the second pass.
      for (let i = 0; i < 2; i++) explaining(op, model, shape, () => forward(shape), forward)
      return plan.memory().peakHeldBytes
    }),
  )
}

/**
 * What a training step takes on the wasm backend: parameters, gradients, optimizer state, what the tape keeps, packed weights
 * and workspace. Two steps are planned in training mode, as a loop of `zeroGrad`, forward, `backward`, `step` inside `tidy`
 * makes them; the model is not changed. It agrees with what the backend's `memory().peakHeldBytes` measures within 1 %.
 *
 * @param input shape of one input without its batch.
 * @throws ArgumentError for a batch of 0 or an optimizer of other parameters, ShapeError for an input that does not fit.
 */
export function trainingMemory(model: Module, input: Shape, options: TrainingOptions = {}): TrainingMemory {
  const op = 'trainingMemory'
  const chosen = readOptions(op, options, {
    ...planDefaults,
    optimizer: 'sgd',
    loss: defaultLoss,
    ema: false,
    checkpoint: [],
  })
  const { optimizer: choice, loss: lossOf, ema, checkpoint: paths } = chosen
  const shape = checkInput(op, input)
  const batch = checkBatch(op, chosen.batch)
  const dtype = dtypeOf(model)
  const plan = planOf(chosen)
  const used = (): number => plan.memory().bytes

  const steps = (standIns: ReadonlyMap<Tensor, Tensor>): TrainingMemory => {
    const trained = model.parameters().filter(({ requiresGrad }) => requiresGrad)
    if (trained.length === 0)
      throw new ArgumentError(`${op}: model expects parameters that require a gradient, got none`)
    const parameters = bytesOf(model.parameters())
    const buffers = bytesOf(model.namedBuffers().values())
    const optimizer: AnyOptimizer = optimizerFor(op, choice, trained, (own) => standIns.get(own))
    const before = used()
    const averages = ema ? new EMA(model) : undefined
    const average = used() - before
    const known = new Set(buffersOf([...model.parameters(), ...model.namedBuffers().values()]))
    const inputBytes = tensorBytes({ dtype, size: shape.reduce((n, extent) => n * extent, batch) })
    let saved: Map<string, number> = new Map()
    let held = 0
    let targets = 0

    const step = (): void => {
      optimizer.zeroGrad()
      const start = used()
      const x = zeros([batch, ...shape], { dtype, backend: plan })
      const output = explaining(op, model, shape, () => call(model, x), attempt)
      const loss = lossOf(output, batch)
      if (!(loss instanceof Tensor) || loss.size !== 1) {
        throw new ArgumentError(`${op}: loss expects a function that gives one number as a Tensor`)
      }
      saved = savedBy(loss, new Set([...known, x.storage.buffer]))
      const kept = [...saved.values()].reduce((sum, bytes) => sum + bytes, 0)
      targets = lossOf === defaultLoss ? batch * 4 * tensorsIn(output).filter(({ rank }) => rank === 2).length : 0
      held = Math.max(0, used() - start - inputBytes - targets - kept)
      loss.backward()
      optimizer.step()
      averages?.update()
    }
    const attempt = (s: Shape): void =>
      tidy(() => {
        void call(model, zeros([batch, ...s], { dtype, backend: plan }))
      })
    try {
      // The first step makes the optimizer's state and settles the workspace.
      for (let i = 0; i < 2; i++) tidy(step)
      const gradients = bytesOf(trained.flatMap(({ grad }) => (grad === undefined ? [] : [grad])))
      const { peakHeldBytes, reservedBytes, derivedBytes, workspaceBytes } = plan.memory()
      return {
        batch,
        parameters,
        buffers,
        gradients,
        optimizerState: used() - parameters - buffers - gradients - average,
        average,
        input: inputBytes + targets,
        saved: [...saved.values()].reduce((sum, bytes) => sum + bytes, 0),
        savedByOp: Object.fromEntries([...saved].sort(([, a], [, b]) => b - a)),
        held,
        derived: derivedBytes,
        workspace: workspaceBytes,
        peak: peakHeldBytes,
        reserved: reservedBytes,
      }
    } finally {
      optimizer.dispose()
      averages?.dispose()
    }
  }
  return inMode(model, true, () => checkpointing(model, paths, () => planned(model, plan, steps)))
}

/**
 * The largest batch whose training step fits in `bytes`, or 0 where not even one input does.
 *
 * @param input shape of one input without its batch.
 * @throws ArgumentError for a budget below the parameters' own size.
 */
export function maxBatch(model: Module, input: Shape, bytes: number, options: BudgetOptions = {}): number {
  checkOptionNames('maxBatch', options, budgetOptions)
  const own = bytesOf(model.parameters())
  if (typeof bytes !== 'number' || !(bytes >= own)) {
    throw new ArgumentError(`maxBatch: bytes expects at least ${own}, the parameters' own size, got ${bytes}`)
  }
  if (bytes === Number.POSITIVE_INFINITY) throw new ArgumentError('maxBatch: bytes expects a finite number')
  const peaks: Map<number, number> = new Map()
  const peak = (batch: number): number => {
    const known = peaks.get(batch)
    if (known !== undefined) return known
    const { peak: found } = trainingMemory(model, input, { ...options, batch })
    peaks.set(batch, found)
    return found
  }
  // Batch norm on a map of one cell needs two inputs.
  let good = 1
  try {
    peak(1)
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error
    good = 2
  }
  if (peak(good) > bytes) return 0
  let bad = good + 1
  // Memory is nearly linear in the batch: two points tell where to look.
  while (peak(bad) <= bytes) {
    const each = (peak(bad) - peak(good)) / (bad - good)
    const guess = each > 0 ? bad + Math.floor((bytes - peak(bad)) / each) + 1 : 2 * bad
    good = bad
    bad = Math.min(Math.max(bad + 1, guess), 8 * bad)
    if (bad > 2 ** 24) return good
  }
  while (bad - good > 1) {
    const share = (bytes - peak(good)) / (peak(bad) - peak(good))
    const guess = good + Math.floor((bad - good) * share)
    const next = Math.min(Math.max(guess, good + 1), bad - 1)
    if (peak(next) <= bytes) good = next
    else bad = next
  }
  return good
}
