/** The one walk through the gradient graph: `backward`, `grad` and `checkpoint`. */

import { type GradNode, isLeaf, type Leaf, nodeNumber, nodesUnder, type TensorCore, type WalkContext } from './core.ts'
import { ArgumentError, DisposedError, GradientError } from './errors.ts'
import { f } from './formula.ts'
import { enableGrad, isGradEnabled, noGrad, withGradMode } from './grad-mode.ts'
import { SavedTensor } from './op.ts'
import { add } from './ops/elementwise.ts'
import { checkOptionNames, optionNames } from './options.ts'
import { inPrecision, type Precision, scopedPrecision } from './precision.ts'
import { DrawRecorder } from './random.ts'
import { local, tidy } from './scope.ts'
import { sameShape, show } from './shape.ts'
import { checkSynchronous } from './synchronous.ts'
import type { Tensor } from './tensor.ts'
import { watched, watcher } from './watch.ts'

export interface BackwardOptions {
  /** Records the gradients themselves, so that they can be differentiated again. Implies `retainGraph`. */
  readonly createGraph?: boolean
  /** Keeps what the graph saved, so that it can be walked again. */
  readonly retainGraph?: boolean
}

const ofWalks = { createGraph: true, retainGraph: true } as const
const backwardOptions = optionNames<BackwardOptions>(ofWalks)

const sum = f.add(f.input(0), f.input(1))

/** a += b for gradients. */
function addInPlace(a: Tensor, b: Tensor): void {
  watched('accumulate', a, [b], () =>
    a.backend.update([sum], [{ targets: [a.storage.buffer], others: [b.storage.buffer] }], []),
  )
}

/** a + b for gradients: in place where `a` is nobody else's and nothing is recorded. `a` is used up. */
function accumulate(a: Tensor, b: Tensor, createGraph: boolean): Tensor {
  if (createGraph) return add(a, b)
  if (a.storage.shared) {
    const total = add(a, b)
    a.dispose()
    return total
  }
  addInPlace(a, b)
  return a
}

interface Walk {
  readonly createGraph: boolean
  readonly retainGraph: boolean
  /** Restricts the walk to what leads to these; everything where undefined. */
  readonly targets: ReadonlySet<GradNode | Tensor> | undefined
  /** Takes the gradient of a node's output before the walk goes on. */
  readonly atNode: (node: GradNode, g: Tensor) => void
  /** Takes the gradient of a leaf, from the node that hands it on, if any. */
  readonly atLeaf: (leaf: Tensor, g: Tensor, from: GradNode | undefined) => void
}

/** The nodes that gradients reach from `roots`, in walking order, with the edges that lead on to a target. */
function plan(roots: readonly GradNode[], targets: Walk['targets']): Map<GradNode, boolean[]> {
  const sorted = [...nodesUnder(roots)].sort((a, b) => a.id - b.id)
  const useful: Map<GradNode, boolean[]> = new Map()
  for (const node of sorted) {
    const wanted = node.edges.map((edge) => {
      if (edge === undefined) return false
      if (targets === undefined) return true
      return isLeaf(edge) ? targets.has(edge.leaf) : useful.has(edge)
    })
    if (wanted.some(Boolean) || node.opaque === true || targets?.has(node) === true || targets === undefined) {
      useful.set(node, wanted)
    }
  }
  return new Map([...useful].reverse())
}

/** Walks from roots with their gradients, which are used up unless the walk is recorded. */
function walk(roots: readonly { edge: GradNode | Leaf; g: Tensor }[], options: Walk): void {
  const pending: Map<GradNode, Tensor> = new Map()
  const { createGraph } = options
  const drop = (tensor: Tensor): void => {
    if (!createGraph) tensor.dispose()
  }
  /** What a node handed on by itself; held until its scope has ended. */
  let met: [leaf: Tensor, g: Tensor][] = []
  const context: WalkContext = { createGraph, accumulate: (leaf, g) => met.push([leaf, g.alias()]) }
  const deliver = (edge: GradNode | Leaf, g: Tensor, from?: GradNode): void => {
    if (isLeaf(edge)) {
      options.atLeaf(edge.leaf, g, from)
      drop(g)
      return
    }
    const former = pending.get(edge)
    if (former === undefined) pending.set(edge, g)
    else {
      pending.set(edge, accumulate(former, g, createGraph))
      drop(g)
    }
  }
  const nodes = plan(
    roots.flatMap(({ edge }) => (isLeaf(edge) ? [] : [edge])),
    options.targets,
  )
  try {
    for (const { edge, g } of roots) deliver(edge, g)
    for (const [node, wanted] of nodes) {
      const g = pending.get(node)
      if (g === undefined) continue
      pending.delete(node)
      options.atNode(node, g)
      if (!wanted.some(Boolean) && node.opaque !== true) {
        // Asked for itself and nothing below it: its own step, which may still be walked, is left alone.
        drop(g)
        continue
      }
      const step = (): (Tensor | undefined)[] => {
        met = []
        const seen: Set<Tensor> = new Set([g])
        return inPrecision(node.precision, () => node.backward(g, wanted, context)).map((result, i) => {
          if (result === undefined || wanted[i] !== true) return undefined
          // A gradient handed through unchanged (as by add) needs a handle of its own for every edge.
          if (!seen.has(result)) {
            seen.add(result)
            return result
          }
          return createGraph ? result : result.alias()
        })
      }
      const watch = watcher()
      watch?.step?.(node)
      const results = createGraph ? local(step) : tidy(() => [step(), met] as const)[0]
      drop(g)
      for (const [leaf, piece] of met) deliver({ leaf }, piece, node)
      results.forEach((result, i) => {
        const edge = node.edges[i]
        if (result !== undefined && edge !== undefined) deliver(edge, result, node)
      })
      if (!options.retainGraph) node.release()
      watch?.step?.(undefined)
    }
  } finally {
    for (const g of pending.values()) drop(g)
  }
}

function onesLike(x: Tensor): Tensor {
  const buffer = x.backend.fill(x.dtype, x.size, 1)
  return x.makeFrom(buffer, x.shape)
}

/** The place of a live tensor in the graph. `what` says which argument it is. */
function edgeOf(op: string, what: string | undefined, x: Tensor): GradNode | Leaf {
  const { edge, disposed } = x
  const name = what === undefined ? x.describe() : `${what} (${x.describe()})`
  if (disposed) throw new DisposedError(`${op}: ${name} was used after it was freed`)
  if (edge === undefined) throw new GradientError(`${op}: ${name} requires no gradient`)
  return edge
}

/** The gradient that a walk starts with: a handle of the walk's own, or `g` itself where its place in the graph counts. */
function checkGradient(op: string, y: Tensor, g: Tensor | undefined, createGraph: boolean): Tensor {
  if (g === undefined) {
    if (y.size !== 1) throw new GradientError(`${op}: ${y.describe()} is no scalar; pass the gradient of the output`)
    return onesLike(y)
  }
  if (!sameShape(g.shape, y.shape) || g.dtype !== y.dtype) {
    throw new GradientError(`${op}: gradient expects ${show(y.shape)} ${y.dtype}, got ${g.describe()}`)
  }
  return createGraph ? g : g.alias()
}

function inMode(createGraph: boolean, fn: () => void): void {
  withGradMode(createGraph, () => (createGraph ? fn() : tidy(fn)))
}

/** Adds a gradient to what a leaf has collected. */
function collect(leaf: Tensor, g: Tensor, createGraph: boolean): void {
  if (leaf.disposed) throw new GradientError(`backward: a leaf ${show(leaf.shape)} was freed before its gradient came`)
  const former = leaf.grad
  // A buffer that others hold (the caller's gradient, that of a second leaf) would change with theirs.
  if (former === undefined) leaf.grad = createGraph ? g : g.storage.shared ? g.clone() : g.alias()
  else if (createGraph) leaf.grad = add(former, g)
  else if (former.storage.shared) leaf.grad = add(former, g)
  else addInPlace(former, g)
}

/**
 * Adds the gradient of `y` by every leaf that requires one to the leaf's `grad`, and frees the graph.
 *
 * @param gradient d(loss)/d(y), of y's shape; 1 where y has one element.
 * @throws GradientError where y requires no gradient, its graph was freed, or a saved tensor was changed in place.
 */
export function backward(y: Tensor, gradient?: Tensor, options: BackwardOptions = {}): void {
  checkOptionNames('backward', options, backwardOptions)
  const createGraph = options.createGraph ?? false
  const edge = edgeOf('backward', undefined, y)
  inMode(createGraph, () => {
    walk([{ edge, g: checkGradient('backward', y, gradient, createGraph) }], {
      createGraph,
      retainGraph: options.retainGraph ?? createGraph,
      targets: undefined,
      atNode: () => undefined,
      atLeaf: (leaf, g) => collect(leaf, g, createGraph),
    })
  })
}

export interface GradOptions extends BackwardOptions {
  /** d(loss)/d(output) for each output; 1 for those of one element. */
  readonly gradients?: readonly (Tensor | undefined)[]
  /** Gives undefined for inputs that the outputs do not depend on, instead of an error. */
  readonly allowUnused?: boolean
}

const gradOptions = optionNames<GradOptions>({ ...ofWalks, gradients: true, allowUnused: true })

/**
 * Gradients of the sum of `outputs` by `inputs`, given back instead of collected in `grad`. Inputs may lie anywhere in
 * the graph. With `createGraph` the results can be differentiated again.
 *
 * @throws GradientError where an input is not part of the graph, unless `allowUnused`.
 */
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options?: GradOptions & { allowUnused?: false },
): Tensor[]
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradOptions,
): (Tensor | undefined)[]
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradOptions = {},
): (Tensor | undefined)[] {
  const list = (Array.isArray(outputs) ? outputs : [outputs]) as readonly Tensor[]
  checkOptionNames('grad', options, gradOptions)
  const createGraph = options.createGraph ?? false
  const results: Map<GradNode | Tensor, Tensor> = new Map()
  const keys = inputs.map((input, i) => {
    const edge = edgeOf('grad', `input ${i}`, input)
    return isLeaf(edge) ? edge.leaf : edge
  })
  const targets = new Set(keys)
  const keep = (key: GradNode | Tensor, g: Tensor): void => {
    const former = results.get(key)
    results.set(key, former === undefined ? (createGraph ? g : g.alias()) : accumulate(former, g, createGraph))
  }
  const gather = (): (Tensor | undefined)[] => {
    walk(
      list.map((output, i) => {
        const edge = edgeOf('grad', `output ${i}`, output)
        return { edge, g: checkGradient('grad', output, options.gradients?.[i], createGraph) }
      }),
      {
        createGraph,
        retainGraph: options.retainGraph ?? createGraph,
        targets,
        atNode: (node, g) => {
          if (targets.has(node)) keep(node, g)
        },
        atLeaf: (leaf, g) => {
          if (targets.has(leaf)) keep(leaf, g)
        },
      },
    )
    const taken: Set<Tensor> = new Set()
    return keys.map((key, i) => {
      const result = results.get(key)
      if (result === undefined && options.allowUnused !== true) {
        throw new GradientError(
          `grad: no output depends on input ${i} (${inputs[i]?.describe()}); allowUnused gives undefined instead`,
        )
      }
      if (result === undefined || !taken.has(result)) {
        if (result !== undefined) taken.add(result)
        return result
      }
      return createGraph ? result : result.alias()
    })
  }
  return withGradMode(createGraph, () => (createGraph ? gather() : tidy(gather)))
}

/**
 * Walks the graph of `ys`, of gradients `gs`, for who has it inside, and frees it. Gives the gradients by the leaves, added up;
 * those of which `takes` gives false are left to it, piece by piece.
 */
export function gradientsInside(
  ys: readonly Tensor[],
  gs: readonly Tensor[],
  takes: (leaf: Tensor, piece: Tensor, from: GradNode | undefined) => boolean = () => true,
): Map<Tensor, Tensor> {
  const results: Map<Tensor, Tensor> = new Map()
  const roots = ys.flatMap(({ edge }, i) => (edge === undefined ? [] : [{ edge, g: (gs[i] as Tensor).alias() }]))
  walk(roots, {
    createGraph: false,
    retainGraph: false,
    targets: undefined,
    atNode: () => undefined,
    atLeaf: (leaf, piece, from) => {
      if (!takes(leaf, piece, from)) return
      const former = results.get(leaf)
      results.set(leaf, former === undefined ? piece.alias() : accumulate(former, piece, false))
    },
  })
  return results
}

let recomputing = 0

/**
 * Whether code runs for the second time, inside the backward pass of a `checkpoint`: side effects of the forward pass
 * (running statistics) must not be repeated.
 */
export function isRecomputing(): boolean {
  return recomputing > 0
}

/** The graph step of a recomputed piece. */
class CheckpointNode implements GradNode {
  readonly id: number
  readonly name = 'checkpoint'
  readonly opaque = true
  readonly precision: Precision | undefined = scopedPrecision()
  readonly edges: readonly (GradNode | Leaf | undefined)[]
  readonly #fn: (...inputs: Tensor[]) => Tensor
  readonly #draws: DrawRecorder
  #inputs: readonly SavedTensor[]
  released = false

  constructor(fn: (...inputs: Tensor[]) => Tensor, inputs: readonly Tensor[], draws: DrawRecorder) {
    this.id = nodeNumber()
    this.#fn = fn
    this.#draws = draws
    this.edges = inputs.map((input) => input.edge)
    this.#inputs = inputs.map((input) => new SavedTensor(input))
  }

  get saved(): readonly TensorCore[] {
    return this.#inputs.map(({ tensor }) => tensor)
  }

  backward(g: Tensor, _wanted: readonly boolean[], context: WalkContext): readonly (Tensor | undefined)[] {
    if (this.released)
      throw new GradientError('backward: the graph through checkpoint was freed by an earlier backward')
    if (context.createGraph) throw new GradientError('backward: checkpoint has no gradient under createGraph')
    recomputing++
    try {
      const inputs = this.#inputs.map((saved, i) => {
        const copy = saved.read('checkpoint', `input ${i}`).alias()
        copy.requiresGrad = this.edges[i] !== undefined
        return copy
      })
      const y = this.#draws.replay(() => enableGrad(() => this.#fn(...inputs)))
      const results = gradientsInside([y], [g], (leaf, piece) => {
        if (inputs.includes(leaf)) return true
        context.accumulate(leaf, piece)
        return false
      })
      return inputs.map((input) => results.get(input))
    } finally {
      recomputing--
    }
  }

  release(): void {
    this.released = true
    for (const { tensor } of this.#inputs) tensor.dispose()
    this.#inputs = []
  }
}

function alone(y: Tensor): Tensor {
  if (typeof y?.alias !== 'function') {
    throw new ArgumentError(`checkpoint: fn expects a function that gives one Tensor, got one that gives ${typeof y}`)
  }
  return y.alias()
}

/**
 * Runs `fn(...inputs)` without saving anything for its gradient but the inputs, and runs it again in the backward pass:
 * memory for time (Chen et al., "Training deep nets with sublinear memory cost", 2016). Parameters that `fn` uses get
 * their gradients; random numbers repeat; running statistics of batch norm are updated once.
 *
 * @param fn gives one tensor and depends on nothing that changes between the two runs.
 */
export function checkpoint(fn: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]): Tensor {
  checkSynchronous('checkpoint', fn)
  for (const [i, input] of inputs.entries()) {
    if (typeof input?.describe !== 'function')
      throw new ArgumentError(`checkpoint: input ${i} expects a Tensor, got ${typeof input}`)
  }
  if (!isGradEnabled()) return fn(...inputs)
  const draws = new DrawRecorder()
  // A handle of its own, since what `fn` gives may be a tensor that was there before, such as one of the inputs.
  const output = noGrad(() => tidy(() => alone(draws.record(() => fn(...inputs)))))
  output.node = new CheckpointNode(fn, inputs, draws)
  return output
}
