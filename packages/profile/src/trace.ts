/** Where the time goes: a model is run and every op and module in it is timed, forward and backward. */
import type { Module } from '@convnets/nn'
import {
  ArgumentError,
  crossEntropy,
  isFloat,
  noGrad,
  type OpCall,
  readOptions,
  Tensor,
  tidy,
  watchOps,
  zeros,
} from '@convnets/tensor'
import { type ChromeTrace, chromeTrace } from './chrome.ts'
import { costOf, tensorBytes } from './cost.ts'
import { tensorsIn, visiting } from './instrument.ts'
import type { Peak } from './peak.ts'
import { type TimeTableOptions, timeTable } from './time-table.ts'
import type { ModuleTiming, OpTiming, Phase, TimeRow } from './timing.ts'

/** How a model is traced. */
export interface TraceOptions {
  /** Also runs the backward pass of a loss. Default false. */
  readonly backward?: boolean
  /** Loss of what the model gives. Default: cross-entropy of every (N, classes) in it with class 0, mean of the squares of anything else. */
  readonly loss?: (output: unknown) => Tensor
  /** Passes before the one that is timed, in which kernels are compiled. Default 1. */
  readonly warmup?: number
  /** What `measurePeak` gave, to tell shares of it. */
  readonly peak?: Peak
}

/** Where the time of one pass went. */
export class Trace {
  /** Milliseconds of the whole pass. */
  readonly milliseconds: number
  readonly ops: readonly OpTiming[]
  readonly modules: readonly ModuleTiming[]
  readonly peak: Peak | undefined
  readonly #types: ReadonlyMap<string, string>

  constructor(
    milliseconds: number,
    ops: readonly OpTiming[],
    modules: readonly ModuleTiming[],
    types: ReadonlyMap<string, string>,
    peak: Peak | undefined,
  ) {
    this.milliseconds = milliseconds
    this.ops = ops
    this.modules = modules
    this.#types = types
    this.peak = peak
  }

  /** Milliseconds of all ops; the rest of the pass is JavaScript between them. */
  get opMilliseconds(): number {
    return this.ops.reduce((sum, { duration }) => sum + duration, 0)
  }

  #rows(keyOf: (op: OpTiming) => string, typeOf: (key: string) => string): TimeRow[] {
    const groups: Map<string, OpTiming[]> = new Map()
    for (const op of this.ops) {
      const key = keyOf(op)
      const group = groups.get(key)
      if (group === undefined) groups.set(key, [op])
      else group.push(op)
    }
    const all = this.opMilliseconds
    const rows = [...groups].map(([name, group]): TimeRow => {
      const sum = (value: (op: OpTiming) => number): number => group.reduce((total, op) => total + value(op), 0)
      const milliseconds = sum(({ duration }) => duration)
      const per = (amount: number): number => (milliseconds > 0 ? amount / milliseconds / 1e6 : 0)
      const gflops = per(sum(({ flops }) => flops))
      return {
        name,
        type: typeOf(name),
        calls: group.length,
        milliseconds,
        forward: sum(({ duration, phase }) => (phase === 'backward' ? 0 : duration)),
        backward: sum(({ duration, phase }) => (phase === 'backward' ? duration : 0)),
        share: all > 0 ? milliseconds / all : 0,
        gflops,
        ofPeak: this.peak && gflops / this.peak.gflops,
        gigabytes: per(sum(({ bytes }) => bytes)),
      }
    })
    return rows.sort((a, b) => b.milliseconds - a.milliseconds)
  }

  /** Times by op, the slowest first. */
  byOp(): readonly TimeRow[] {
    return this.#rows(
      ({ name }) => name,
      () => '',
    )
  }

  /** Times by the innermost module, the slowest first. */
  byModule(): readonly TimeRow[] {
    return this.#rows(
      ({ path }) => path,
      (path) => this.#types.get(path) ?? '',
    )
  }

  /** Times as text, the slowest first. */
  table(options: TimeTableOptions = {}): string {
    const chosen = readOptions('table', options, { by: 'op', limit: 20, width: 100 })
    return timeTable(chosen.by === 'module' ? this.byModule() : this.byOp(), this, chosen)
  }

  /** The trace in Chrome's format, for chrome://tracing, Perfetto or speedscope: `JSON.stringify` it into a file. */
  chrome(): ChromeTrace {
    return chromeTrace(this.ops, this.modules)
  }
}

function defaultLoss(output: unknown): Tensor {
  const losses = tensorsIn(output)
    .filter(({ dtype }) => isFloat(dtype))
    .map((y) =>
      y.rank === 2
        ? crossEntropy(y, zeros([y.shape[0] as number], { dtype: 'int32', backend: y.backend }))
        : y.square().mean(),
    )
  const [first, ...rest] = losses
  if (first === undefined) throw new ArgumentError('trace: model gives no float tensor to make a loss of')
  return rest.reduce((sum, loss) => sum.add(loss), first)
}

/** What is noted while the clock runs; everything else is worked out afterwards. */
interface Note {
  readonly call: OpCall
  readonly path: string
  readonly phase: Phase
  readonly start: number
  readonly end: number
}

/** One pass, noted. */
function record(model: Module, pass: (enterPhase: (phase: Phase) => void) => void): [Note[], ModuleTiming[], number] {
  const notes: Note[] = []
  const modules: ModuleTiming[] = []
  const open: { readonly path: string; readonly start: number }[] = []
  const pathOfNode: Map<number, string> = new Map()
  let phase: Phase = 'forward'
  let stepPath: string | undefined
  let began = 0
  let origin = 0
  const watcher = {
    begin(): void {
      began = performance.now()
    },
    end(call: OpCall): void {
      const end = performance.now()
      const path = open.at(-1)?.path ?? stepPath ?? ''
      const { node } = call.output
      if (node !== undefined) pathOfNode.set(node.id, path)
      notes.push({ call, path, phase, start: began - origin, end: end - origin })
    },
    step(node: { readonly id: number } | undefined): void {
      stepPath = node && pathOfNode.get(node.id)
    },
  }
  const visitor = {
    enter(path: string): void {
      open.push({ path, start: performance.now() - origin })
    },
    leave(path: string, module: Module): void {
      const start = open.pop()?.start ?? 0
      modules.push({ path, type: module.constructor.name, start, duration: performance.now() - origin - start })
    },
    fail(): void {
      open.pop()
    },
  }
  const milliseconds = visiting(model, visitor, () =>
    watchOps(watcher, () => {
      origin = performance.now()
      pass((next) => {
        phase = next
      })
      return performance.now() - origin
    }),
  )
  return [notes, modules, milliseconds]
}

/**
 * Runs a model and times every op and module in it, in the mode (`train`, `eval`) it is in; with `backward` also the backward
 * pass, whose ops are put down to the modules whose gradients they are. Achieved GFLOP/s and bytes per second show which are slow.
 *
 * What is traced runs layer by layer: norms that evaluation folds into convolutions (`conv2dBatchNorm`) are timed by themselves.
 *
 * With `backward`, gradients that were there are freed, and none is left; running statistics are put back. Ops must be synchronous, as those of
 * the wasm and reference backends are.
 *
 * @throws ArgumentError for an input that is no tensor or without numbers.
 */
export function trace(model: Module, input: Tensor, options: TraceOptions = {}): Trace {
  const defaults = { backward: false, loss: defaultLoss, warmup: 1, peak: undefined }
  const { backward, loss, warmup, peak } = readOptions('trace', options, defaults)
  if (!(input instanceof Tensor)) throw new ArgumentError(`trace: input expects a Tensor, got ${typeof input}`)
  if (input.backend.name === 'shape-only' || input.backend.name === 'wasm-plan') {
    throw new ArgumentError(`trace: input expects numbers; ${input.backend.name} has none to compute with`)
  }
  const run = (): unknown => (model.forward as (x: unknown) => unknown)(input)
  const pass = (enterPhase: (phase: Phase) => void): void =>
    tidy(() => {
      if (!backward) {
        noGrad(() => void run())
        return
      }
      const output = run()
      enterPhase('loss')
      const value = loss(output)
      enterPhase('backward')
      value.backward()
    })
  // In evaluation mode nothing changes them.
  const modules = [...model.namedModules().values()]
  const changing = modules.some(({ training }) => training) ? [...model.namedBuffers().values()] : []
  const statistics = changing.map((own) => [own, copyOf(own)] as const)
  try {
    for (let i = 0; i < warmup; i++) pass(() => undefined)
    if (backward) model.zeroGrad()
    const [notes, timings, milliseconds] = record(model, pass)
    const types = new Map([...model.namedModules()].map(([path, module]) => [path, module.constructor.name]))
    return new Trace(milliseconds, notes.map(timing), timings, types, peak)
  } finally {
    if (backward) model.zeroGrad()
    for (const [own, saved] of statistics) {
      own.assign_(saved)
      saved.dispose()
    }
  }
}

function copyOf(tensor: Tensor): Tensor {
  return noGrad(() => zeros(tensor.shape, { dtype: tensor.dtype, backend: tensor.backend }).keep().assign_(tensor))
}

function timing({ call, path, phase, start, end }: Note): OpTiming {
  const { macs, flops } = costOf(call)
  const operands = call.view ? [] : [...call.inputs, call.output, ...call.extra]
  const bytes = operands.reduce((sum, x) => sum + (x === undefined ? 0 : tensorBytes(x)), 0)
  return { name: call.name, path, phase, start, duration: end - start, macs, flops, bytes, shape: call.output.shape }
}
