/** One recording of a function of tensors: its forward pass and, where its results have gradients, its backward pass. */
import { gradientsInside } from './autograd.ts'
import type { Backend, Buffer, Passage, Recording } from './backends/backend.ts'
import { type GradNode, isLeaf, nodesUnder, Storage, TensorCore } from './core.ts'
import { ArgumentError, BackendError, GradientError } from './errors.ts'
import { withGradMode } from './grad-mode.ts'
import type { Meta } from './op.ts'
import { DrawTape } from './random.ts'
import { type AtLeaf, PassNode, ResultNode } from './recorded-graph.ts'
import { type ScopeMember, tidy } from './scope.ts'
import { sizeOf } from './shape.ts'
import type { Tensor } from './tensor.ts'

/** Where a tensor stands in a result. */
class Place {
  readonly index: number

  constructor(index: number) {
    this.index = index
  }
}

/** A result with places for its tensors, which are added to `tensors`. */
export function emptied(value: unknown, tensors: Tensor[]): unknown {
  if (value instanceof TensorCore) return new Place(tensors.push(value as Tensor) - 1)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => emptied(item, tensors))
  if (value instanceof Promise || Object.getPrototypeOf(value) !== Object.prototype) {
    const got = value instanceof Promise ? 'a promise' : `an object of class ${value.constructor?.name}`
    throw new ArgumentError(`record: fn expects to return tensors, in arrays and plain objects, got ${got}`)
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, emptied(item, tensors)]))
}

/** An emptied result with these tensors. */
export function filled(value: unknown, tensors: readonly Tensor[]): unknown {
  if (value instanceof Place) return tensors[value.index]
  if (Array.isArray(value)) return value.map((item) => filled(item, tensors))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, filled(item, tensors)]))
}

const bufferOf = ({ storage }: Tensor): Buffer => storage.buffer

/** All that lives as long as these tensors: themselves, and what their graphs have saved. */
function graphOf(roots: readonly Tensor[]): Tensor[] {
  const found: Set<ScopeMember> = new Set(roots)
  for (const root of roots) root.holds((member) => found.add(member))
  return [...found] as unknown as Tensor[]
}

/** What the backward pass gives a gradient by. */
interface Target {
  readonly leaf: Tensor
  /** Numbers of the results that depend on it. */
  readonly results: ReadonlySet<number>
}

export interface RecordedOptions {
  /** What it gives tells whether settings outside of the function are as they were when it was called. */
  readonly guard: () => () => boolean
  /** Whether results have gradients. */
  readonly gradient: boolean
}

export class Recorded {
  readonly #backend: Backend
  readonly #holds: () => boolean
  readonly #gradient: boolean
  readonly #recording: Recording
  readonly #draws: DrawTape = new DrawTape()
  readonly #forward: Passage
  #backward: Passage | undefined
  /** What the function gave, with places for tensors, and what these are. */
  #result: unknown
  #metas: readonly Meta[] = []
  /** Those that have a gradient, by number, until the backward pass has been recorded of their graph. */
  #roots: ReadonlyMap<number, Tensor> = new Map()
  #differentiable: readonly number[] = []
  /** The inputs that the function was recorded with. */
  #own: readonly Tensor[] = []
  /** Number of the first tensor that it made. */
  #start = Number.POSITIVE_INFINITY
  /** Buffers from outside that the gradient reads. */
  #saved: readonly Buffer[] = []
  /** What the backward pass gives, in its order: gradients by inputs and by leaves from outside. */
  #targets: readonly Target[] = []
  /** The graph step of the last pass. */
  #last: WeakRef<PassNode> | undefined

  /**
   * Runs `fn` and records it, on a backend that can; what it gave comes by `first`. Undefined, and nothing is run, where memory may
   * be too short for it.
   *
   * @throws ArgumentError if `fn` does what cannot be done again.
   */
  static of(
    fn: (...inputs: Tensor[]) => unknown,
    inputs: readonly Tensor[],
    backend: Backend,
    options: RecordedOptions,
  ): Recorded | undefined {
    const holds = options.guard()
    let recorded: Recorded | undefined
    const isBusy = (): boolean => recorded?.waits ?? false
    const recording = backend.record?.({ changing: options.gradient, isBusy })
    if (recording === undefined) return undefined
    recorded = new Recorded(fn, inputs, backend, holds, options.gradient, recording)
    return recorded
  }

  private constructor(
    fn: (...inputs: Tensor[]) => unknown,
    inputs: readonly Tensor[],
    backend: Backend,
    holds: () => boolean,
    gradient: boolean,
    recording: Recording,
  ) {
    this.#backend = backend
    this.#holds = holds
    this.#gradient = gradient
    this.#recording = recording
    const made: Tensor[] = []
    try {
      this.#forward = this.#recording.passage(inputs.map(bufferOf), (buffers) => this.#run(fn, inputs, buffers, made))
      for (const tensor of made) tensor.dispose()
      const graph = graphOf([...this.#roots.values()]).map(bufferOf)
      this.#saved = graph.filter((buffer) => !this.#recording.owns(buffer))
      this.#check(this.#forward, graph)
    } catch (error) {
      for (const tensor of made) tensor.dispose()
      this.dispose()
      throw error
    }
  }

  /** Runs the function on the recording's inputs. The tensors in `made` are not needed any more when that has been recorded. */
  #run(
    fn: (...inputs: Tensor[]) => unknown,
    inputs: readonly Tensor[],
    buffers: readonly Buffer[],
    made: Tensor[],
  ): Buffer[] {
    const gradient = this.#gradient
    const outputs: Tensor[] = []
    withGradMode(gradient, () =>
      tidy(() => {
        this.#own = buffers.map((buffer, i) => {
          const own = inputs[i]!.make(new Storage(this.#backend, buffer), inputs[i]!.shape, buffer.dtype)
          own.requiresGrad = gradient && inputs[i]!.requiresGrad
          return own
        })
        this.#result = emptied(
          tidy(() => this.#draws.record(() => fn(...this.#own))),
          outputs,
        )
        const strange = outputs.find(({ backend }) => backend !== this.#backend)
        if (strange !== undefined) {
          const [got, expected] = [strange.backend.name, this.#backend.name]
          throw new BackendError(`record: fn gives a tensor on ${got} for inputs on ${expected}`)
        }
        return outputs
      }),
    )
    // Tensors with smaller numbers come from outside and belong to somebody else.
    const start = this.#own[0]!.id
    const own = outputs.filter(({ id }) => id >= start)
    const roots = [...outputs.entries()].filter(([, output]) => gradient && output.requiresGrad)
    this.#roots = new Map(roots)
    this.#differentiable = roots.map(([i]) => i)
    const kept = new Set(roots.map(([, output]) => output))
    for (const output of own) if (kept.has(output)) output.keep()
    made.push(...own.filter((output) => !kept.has(output)))
    this.#metas = outputs.map(({ shape, dtype }) => ({ shape, dtype }))
    this.#start = start
    return outputs.map(bufferOf)
  }

  /** Refuses what has been recorded if it cannot be done again; `buffers` are those that are to be there. */
  #check({ outputs }: Passage, buffers: readonly Buffer[]): void {
    const held = this.#recording.heldBeside(buffers)
    let problem: string | undefined
    if (this.#draws.hasStrays) problem = 'to draw no random numbers but those of tensors (randn, dropout)'
    else if (held > 0) problem = `to keep no tensors but those it returns, and it keeps ${held} bytes`
    if (problem === undefined) return
    for (const buffer of outputs) this.#backend.free(buffer)
    throw new ArgumentError(`record: fn expects ${problem}`)
  }

  /** Whether the last pass still waits for its backward pass, which needs what is in memory now. */
  get waits(): boolean {
    return this.#last?.deref()?.waits ?? false
  }

  /** The result of the pass that was recorded. `keeper` lives as long as its graph. */
  first(inputs: readonly Tensor[], keeper: object): unknown {
    return this.#give(this.#forward.outputs, inputs, keeper)
  }

  /** The result of another pass; undefined where the recording does not hold any more. */
  again(inputs: readonly Tensor[], keeper: object): { readonly result: unknown } | undefined {
    const isGood =
      this.#holds() &&
      // A backward pass is recorded with its own forward pass.
      (this.#differentiable.length === 0 || this.#backward !== undefined) &&
      this.#targets.every(({ leaf }) => leaf.requiresGrad) &&
      this.#forward.isGood()
    if (!isGood) return undefined
    this.#draws.renew()
    return { result: this.#give(this.#forward.replay(inputs.map(bufferOf)), inputs, keeper) }
  }

  #give(buffers: readonly Buffer[], inputs: readonly Tensor[], keeper: object): unknown {
    const first = inputs[0] as Tensor
    const tensors = this.#metas.map(({ shape, dtype }, i) =>
      first.make(new Storage(this.#backend, buffers[i] as Buffer), shape, dtype),
    )
    const [leading] = this.#differentiable
    if (leading !== undefined) {
      const versions = this.#saved.map(({ version }) => version)
      const isAsItWas = (): boolean => this.#saved.every(({ version }, i) => version === versions[i])
      const node = new PassNode({
        token: tensors[leading]!.saveForGradient(),
        inputs,
        gradients: (results, atLeaf) => this.#gradients(results, atLeaf, isAsItWas),
        keeper,
      })
      this.#last = new WeakRef(node)
      for (const i of this.#differentiable) tensors[i]!.node = new ResultNode(node, i)
    }
    return filled(this.#result, tensors)
  }

  /** The gradients of the last pass by its inputs, in their order; those by other leaves go to `atLeaf`. */
  #gradients(results: ReadonlyMap<number, Tensor>, atLeaf: AtLeaf, isAsItWas: () => boolean): (Tensor | undefined)[] {
    if (!isAsItWas()) {
      throw new GradientError(
        'backward: a tensor that a recorded function uses was changed in place since the forward pass',
      )
    }
    // A result that was not used has a gradient of zeros; what only it depends on has none.
    const [first] = results.values() as unknown as [Tensor]
    const zeros: Buffer[] = []
    const gs = this.#differentiable.map((i) => {
      const g = results.get(i)
      if (g !== undefined) return bufferOf(g)
      const { shape, dtype } = this.#metas[i] as Meta
      zeros.push(this.#backend.fill(dtype, sizeOf(shape), 0))
      return zeros.at(-1) as Buffer
    })
    const again = this.#backward
    let buffers: readonly Buffer[] | undefined
    try {
      if (again === undefined) buffers = this.#recordBackward(gs, first)
      else if (again.isGood()) buffers = again.replay(gs)
    } finally {
      for (const buffer of zeros) this.#backend.free(buffer)
    }
    if (buffers === undefined) {
      throw new GradientError(
        'backward: a recorded function expects threads, precision, turbo and its tensors as in the forward pass, and memory for it; it was freed or they are others',
      )
    }
    const byInput: (Tensor | undefined)[] = this.#own.map(() => undefined)
    for (const [k, { leaf, results: from }] of this.#targets.entries()) {
      const buffer = buffers[k] as Buffer
      const piece = first.make(new Storage(this.#backend, buffer), leaf.shape, buffer.dtype)
      const input = this.#own.indexOf(leaf)
      if (![...from].some((i) => results.has(i))) piece.dispose()
      else if (input < 0) atLeaf(leaf, piece)
      else byInput[input] = piece
    }
    return byInput
  }

  #recordBackward(gs: readonly Buffer[], like: Tensor): readonly Buffer[] | undefined {
    if (this.#roots.size === 0) return undefined
    const roots = [...this.#roots]
    const under = roots.map(([i, { edge, node }]) => [i, edge, nodesUnder(node ? [node] : [])] as const)
    const results: Map<Tensor, Set<number>> = new Map()
    let found: (readonly [leaf: Tensor, piece: Tensor])[] = []
    const step = (buffers: readonly Buffer[]): Buffer[] => {
      found = tidy(() => {
        const ys = roots.map(([, root]) => root)
        const own = ys.map(({ shape, dtype }, k) => like.make(new Storage(this.#backend, buffers[k]!), shape, dtype))
        const note = (leaf: Tensor, _: Tensor, from: GradNode | undefined): boolean => {
          const known = results.get(leaf) ?? new Set()
          results.set(leaf, known)
          for (const [i, edge, nodes] of under) {
            const leads =
              from === undefined ? edge !== undefined && isLeaf(edge) && edge.leaf === leaf : nodes.has(from)
            if (leads) known.add(i)
          }
          return true
        }
        const pieces = this.#draws.record(() => gradientsInside(ys, own, note), true)
        // Leaves may be given one gradient, as by add.
        return [...pieces].map(([leaf, piece]) => [leaf, piece.storage.shared ? piece.clone() : piece] as const)
      })
      return found.map(([, piece]) => bufferOf(piece))
    }
    try {
      this.#backward = this.#recording.passage(gs, step, { lends: true })
      this.#targets = found.map(([leaf]) => ({ leaf, results: results.get(leaf) as Set<number> }))
    } finally {
      for (const [, piece] of found) piece.dispose()
      this.#dropGraph()
    }
    this.#check(this.#backward, this.#backward.outputs)
    return this.#backward.outputs
  }

  /** Frees what the recorded pass has left for its gradient. */
  #dropGraph(): void {
    for (const root of this.#roots.values()) {
      for (const tensor of graphOf([root])) if (tensor.id >= this.#start) tensor.dispose()
    }
    this.#roots = new Map()
  }

  dispose(): void {
    this.#dropGraph()
    this.#recording.dispose()
  }
}
