/** One recording of a function of tensors: its forward pass and, where its results have gradients, its backward pass. */
import { gradientsInside } from './autograd.ts'
import type { Backend, Buffer, Passage, Recording } from './backends/backend.ts'
import { type GradNode, type Leaf, nodeNumber, Storage, TensorCore, type WalkContext } from './core.ts'
import { ArgumentError, BackendError, DTypeError, GradientError } from './errors.ts'
import { withGradMode } from './grad-mode.ts'
import type { Meta } from './op.ts'
import { cat } from './ops/slice.ts'
import { type Precision, scopedPrecision } from './precision.ts'
import { DrawTape } from './random.ts'
import { local, type ScopeMember, tidy } from './scope.ts'
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

/** Tensors with a gradient as one, since a graph step has one output. */
function joinedOf(tensors: readonly Tensor[]): Tensor | undefined {
  const [first] = tensors
  if (first === undefined || tensors.length === 1) return first
  const other = tensors.find(({ dtype }) => dtype !== first.dtype)
  if (other !== undefined) {
    throw new DTypeError(`record: results with gradients expect one dtype, got ${first.dtype} and ${other.dtype}`)
  }
  return cat(tensors.map((tensor) => tensor.reshape([-1])))
}

const bufferOf = ({ storage }: Tensor): Buffer => storage.buffer

/** All that lives as long as a tensor: itself, and what its graph has saved. */
function graphOf(y: Tensor): Tensor[] {
  const found: Set<ScopeMember> = new Set([y])
  y.holds((member) => found.add(member))
  return [...found] as unknown as Tensor[]
}

export interface RecordedOptions {
  /** Whether settings outside of the function are as they were. */
  readonly holds: () => boolean
  /** Whether results have gradients. */
  readonly gradient: boolean
}

export class Recorded {
  readonly #backend: Backend
  readonly #options: RecordedOptions
  readonly #recording: Recording
  readonly #draws: DrawTape = new DrawTape()
  readonly #forward: Passage
  #backward: Passage | undefined
  /** What the function gave, with places for tensors, and what these are. */
  #result: unknown
  #metas: readonly Meta[] = []
  /** Which of them have a gradient. They come as one, before the others. */
  #differentiable: readonly number[] = []
  #joined: Meta | undefined
  /** That one as it was recorded; its graph is there until the backward pass has been recorded. */
  #root: Tensor | undefined
  /** The inputs that the function was recorded with. */
  #own: readonly Tensor[] = []
  /** Buffers from outside that the gradient reads. */
  #saved: readonly Buffer[] = []
  /** What the gradients of the backward pass are by: inputs, and leaves from outside. */
  #leaves: readonly Tensor[] = []
  /** The graph step of the last pass. */
  #last: WeakRef<PassNode> | undefined

  /**
   * Runs `fn` and records it; what it gave comes by `first`.
   *
   * @throws ArgumentError if `fn` does what cannot be done again.
   */
  constructor(
    fn: (...inputs: Tensor[]) => unknown,
    inputs: readonly Tensor[],
    backend: Backend,
    options: RecordedOptions,
  ) {
    this.#backend = backend
    this.#options = options
    const record = backend.record as NonNullable<Backend['record']>
    this.#recording = record({ changing: options.gradient, isBusy: () => this.waits })
    const made: Tensor[] = []
    try {
      this.#forward = this.#recording.passage(inputs.map(bufferOf), (buffers) => this.#run(fn, inputs, buffers, made))
      for (const tensor of made) tensor.dispose()
      const graph = this.#root === undefined ? [] : graphOf(this.#root).map(bufferOf)
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
    const { gradient } = this.#options
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
        this.#differentiable = [...outputs.keys()].filter((i) => gradient && outputs[i]!.requiresGrad)
        this.#root = joinedOf(this.#differentiable.map((i) => outputs[i]!))
        return [outputs, this.#root]
      }),
    )
    // Tensors with smaller numbers come from outside and belong to somebody else.
    const start = this.#own[0]!.id
    made.push(...outputs.filter((output) => output !== this.#root && output.id >= start))
    if (this.#root !== undefined && this.#root.id >= start) this.#root.keep()
    this.#metas = outputs.map(({ shape, dtype }) => ({ shape, dtype }))
    this.#joined = this.#root && { shape: this.#root.shape, dtype: this.#root.dtype }
    const others = outputs.filter((_, i) => !this.#differentiable.includes(i))
    return [...(this.#root ? [this.#root] : []), ...others].map(bufferOf)
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
      this.#options.holds() &&
      // A backward pass is recorded with its own forward pass.
      (this.#joined === undefined || this.#backward !== undefined) &&
      this.#leaves.every(({ requiresGrad }) => requiresGrad) &&
      this.#forward.isGood()
    if (!isGood) return undefined
    this.#draws.renew()
    return { result: this.#give(this.#forward.replay(inputs.map(bufferOf)), inputs, keeper) }
  }

  #give(buffers: readonly Buffer[], inputs: readonly Tensor[], keeper: object): unknown {
    const first = inputs[0] as Tensor
    const tensors: Tensor[] = []
    const rest = buffers.slice(this.#joined === undefined ? 0 : 1).values()
    for (const [i, { shape, dtype }] of this.#metas.entries()) {
      if (this.#differentiable.includes(i)) continue
      tensors[i] = first.make(new Storage(this.#backend, rest.next().value as Buffer), shape, dtype)
    }
    if (this.#joined !== undefined) {
      const pieces = local(() => this.#pieces(this.#node(buffers[0] as Buffer, this.#joined as Meta, inputs, keeper)))
      for (const [k, i] of this.#differentiable.entries()) tensors[i] = pieces[k] as Tensor
    }
    return filled(this.#result, tensors)
  }

  /** The tensor of all results with a gradient, at its place in the graph. */
  #node(buffer: Buffer, { shape, dtype }: Meta, inputs: readonly Tensor[], keeper: object): Tensor {
    const y = (inputs[0] as Tensor).make(new Storage(this.#backend, buffer), shape, dtype)
    const token = y.saveForGradient()
    const versions = this.#saved.map(({ version }) => version)
    const isAsItWas = (): boolean => this.#saved.every(({ version }, i) => version === versions[i])
    const node = new PassNode(
      token,
      inputs.map(({ edge }) => edge),
      (g, leaf) => this.#gradients(g, leaf, isAsItWas),
      keeper,
    )
    this.#last = new WeakRef(node)
    y.node = node
    return y
  }

  #pieces(y: Tensor): Tensor[] {
    if (this.#differentiable.length === 1) return [y]
    let at = 0
    return this.#differentiable.map((i) => {
      const { shape } = this.#metas[i] as Meta
      const size = sizeOf(shape)
      at += size
      return y.narrow(0, at - size, size).reshape(shape)
    })
  }

  /** The gradients of the last pass by its inputs, in their order; those by other leaves go to `atLeaf`. */
  #gradients(g: Tensor, atLeaf: AtLeaf, isAsItWas: () => boolean): (Tensor | undefined)[] {
    if (!isAsItWas()) {
      throw new GradientError(
        'backward: a tensor that a recorded function uses was changed in place since the forward pass',
      )
    }
    const again = this.#backward
    const buffers =
      again === undefined ? this.#recordBackward(g) : again.isGood() ? again.replay([bufferOf(g)]) : undefined
    if (buffers === undefined) {
      throw new GradientError(
        'backward: a recorded function expects threads, precision, turbo and its tensors as in the forward pass, and memory for it; it was freed or they are others',
      )
    }
    const byInput: (Tensor | undefined)[] = this.#own.map(() => undefined)
    for (const [i, leaf] of this.#leaves.entries()) {
      const buffer = buffers[i] as Buffer
      const piece = g.make(new Storage(this.#backend, buffer), leaf.shape, buffer.dtype)
      const input = this.#own.indexOf(leaf)
      if (input < 0) atLeaf(leaf, piece)
      else byInput[input] = piece
    }
    return byInput
  }

  #recordBackward(g: Tensor): readonly Buffer[] | undefined {
    const root = this.#root
    if (root === undefined) return undefined
    let results: (readonly [leaf: Tensor, piece: Tensor])[] = []
    const step = ([buffer]: readonly Buffer[]): Buffer[] => {
      results = tidy(() => {
        const own = g.make(new Storage(this.#backend, buffer as Buffer), g.shape, g.dtype)
        const found = this.#draws.record(() => gradientsInside(root, own), true)
        // Leaves may be given one gradient, as by add.
        return [...found].map(([leaf, piece]) => [leaf, piece.storage.shared ? piece.clone() : piece] as const)
      })
      return results.map(([, piece]) => bufferOf(piece))
    }
    try {
      this.#backward = this.#recording.passage([bufferOf(g)], step, { lends: true })
      this.#leaves = results.map(([leaf]) => leaf)
    } finally {
      for (const [, piece] of results) piece.dispose()
      root.dispose()
      this.#root = undefined
    }
    this.#check(this.#backward, this.#backward.outputs)
    return this.#backward.outputs
  }

  dispose(): void {
    this.#root?.dispose()
    this.#root = undefined
    this.#recording.dispose()
  }
}

type AtLeaf = (leaf: Tensor, piece: Tensor) => void

/** The graph step of a pass of a recorded function. */
class PassNode implements GradNode {
  readonly id: number
  readonly name = 'record'
  readonly opaque = true
  readonly precision: Precision | undefined = scopedPrecision()
  readonly edges: readonly (GradNode | Leaf | undefined)[]
  readonly #token: Tensor
  readonly #gradients: (g: Tensor, atLeaf: AtLeaf) => readonly (Tensor | undefined)[]
  /** Lives as long as the graph. */
  readonly keeper: object
  #walked = false
  released = false

  /** `token` is freed when nobody can ask for the gradient any more. */
  constructor(
    token: Tensor,
    edges: readonly (GradNode | Leaf | undefined)[],
    gradients: (g: Tensor, atLeaf: AtLeaf) => readonly (Tensor | undefined)[],
    keeper: object,
  ) {
    this.id = nodeNumber()
    this.#token = token
    this.edges = edges
    this.#gradients = gradients
    this.keeper = keeper
  }

  get saved(): readonly TensorCore[] {
    return this.released ? [] : [this.#token]
  }

  /** Whether its gradient may still be asked for. */
  get waits(): boolean {
    return !this.#walked && !this.released && !this.#token.disposed
  }

  backward(g: Tensor, _wanted: readonly boolean[], walk: WalkContext): readonly (Tensor | undefined)[] {
    if (walk.createGraph) throw new GradientError('backward: a recorded function has no gradient under createGraph')
    if (this.#token.disposed && !this.released) {
      throw new GradientError(
        'backward: the pass of a recorded function was freed with its scope; run backward inside the same tidy',
      )
    }
    if (!this.waits) {
      throw new GradientError(
        'backward: the graph through a recorded function was freed by an earlier backward; it can be walked once, also with retainGraph',
      )
    }
    this.#walked = true
    return this.#gradients(g, walk.accumulate)
  }

  release(): void {
    this.released = true
    this.#token.dispose()
  }
}
