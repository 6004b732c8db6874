/**
 * What every tensor is underneath its methods: a shape, a share of a buffer, and a place in the gradient graph.
 * `tensor.ts` adds the methods; ops and the gradient walk need only this.
 */
import type { Backend, Buffer } from './backends/backend.ts'
import { type DType, isFloat } from './dtype.ts'
import { ArgumentError, BackendError, DisposedError, DTypeError, GradientError } from './errors.ts'
import type { Precision } from './precision.ts'
import { enter, leave, lift, type ScopeMember } from './scope.ts'
import { type Shape, sameShape, show, sizeOf } from './shape.ts'
import type { Tensor } from './tensor.ts'

/** A buffer and the number of handles that share it. */
export class Storage {
  readonly backend: Backend
  readonly #buffer: Buffer
  #handles = 0

  constructor(backend: Backend, buffer: Buffer) {
    this.backend = backend
    this.#buffer = buffer
  }

  get buffer(): Buffer {
    this.#buffer.pending?.()
    return this.#buffer
  }

  /** The buffer for somebody who overwrites all of it: what was still to be written never is. */
  get overwritten(): Buffer {
    this.#buffer.pending = undefined
    return this.#buffer
  }

  /** Leaves it to `write` to overwrite all of the buffer, as soon as somebody looks at it and unless somebody overwrites it. */
  overwriteLater(write: (buffer: Buffer) => void): void {
    this.#buffer.pending = () => {
      write(this.#buffer)
      this.#buffer.pending = undefined
    }
  }

  get shared(): boolean {
    return this.#handles > 1
  }

  retain(): void {
    this.#handles++
  }

  release(): void {
    if (--this.#handles === 0) this.backend.free(this.#buffer)
  }
}

/** A step of the gradient graph: how a tensor came to be, and how its gradient goes on to what it was made from. */
export interface GradNode {
  /** Nodes made later have larger numbers, so that a walk by falling number meets every user of a tensor before it. */
  readonly id: number
  /** Op name, for messages. */
  readonly name: string
  /** Under which it was computed, and its gradient will be; undefined where that was left to the backend. */
  readonly precision: Precision | undefined
  /** By input: the node that made it, the leaf that collects its gradient, or undefined where none is wanted. */
  readonly edges: readonly (GradNode | Leaf | undefined)[]
  /** Whether it may meet leaves that its edges do not show: those that a function inside uses. */
  readonly opaque?: boolean
  /** Gradients by the inputs, given the gradient of the output; only those by edges in `wanted` are used. */
  backward(g: Tensor, wanted: readonly boolean[], walk: WalkContext): readonly (Tensor | undefined)[]
  /** Frees what was saved. A node that has been released cannot be walked again. */
  release(): void
  readonly released: boolean
  /** Tensors saved for the gradient. */
  readonly saved: readonly TensorCore[]
}

/** A tensor that collects its gradient. */
export interface Leaf {
  readonly leaf: Tensor
}

/** What a node may ask of the walk it takes part in. */
export interface WalkContext {
  readonly createGraph: boolean
  /** Hands on a gradient for a leaf that an opaque node met. */
  accumulate(leaf: Tensor, g: Tensor): void
}

export function isLeaf(edge: GradNode | Leaf): edge is Leaf {
  return 'leaf' in edge
}

/** These nodes and all that lie under them. */
export function nodesUnder(roots: Iterable<GradNode>): Set<GradNode> {
  const nodes: Set<GradNode> = new Set()
  const open = [...roots]
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (nodes.has(node)) continue
    nodes.add(node)
    for (const edge of node.edges) if (edge !== undefined && !isLeaf(edge)) open.push(edge)
  }
  return nodes
}

let nextNode = 1

/** Number for a new graph step. */
export function nodeNumber(): number {
  return nextNode++
}

let nextId = 1
let liveHandles = 0

const finalizer = new FinalizationRegistry<Storage>((storage) => {
  liveHandles--
  storage.release()
})

/** Tensor handles alive, over all backends. */
export function liveTensors(): number {
  return liveHandles
}

export abstract class TensorCore implements ScopeMember {
  /** Number of this handle, for messages. */
  readonly id: number
  /** Logical extents: (N, C, H, W) for images. */
  readonly shape: Shape
  readonly dtype: DType
  #storage: Storage
  #disposed = false
  #kept = false
  /** Whether the finalizer frees it. Handles in a scope cannot be lost, and most of them never leave it. */
  #watched = false
  #requiresGrad = false
  #leaf: Tensor | undefined
  /** The graph step that made this tensor. */
  node: GradNode | undefined
  #grad: Tensor | undefined

  constructor(storage: Storage, shape: Shape, dtype: DType) {
    this.id = nextId++
    this.shape = shape
    this.dtype = dtype
    this.#storage = storage
    storage.retain()
    liveHandles++
    enter(this)
  }

  /** Another handle of the same class on `storage`. */
  make(storage: Storage, shape: Shape, dtype: DType): Tensor {
    const Self = this.constructor as new (storage: Storage, shape: Shape, dtype: DType) => Tensor
    return new Self(storage, shape, dtype)
  }

  /** A tensor of this one's class and backend on a fresh buffer. */
  makeFrom(buffer: Buffer, shape: Shape): Tensor {
    return this.make(new Storage(this.backend, buffer), shape, buffer.dtype)
  }

  /** A handle of its own on the same elements, outside the graph. Costs no memory. */
  alias(shape: Shape = this.shape): Tensor {
    return this.make(this.storage, shape, this.dtype)
  }

  /** A handle of its own at the same place in the graph, for a gradient step to read later. */
  saveForGradient(): Tensor {
    const saved = this.alias()
    lift(saved)
    saved.node = this.node
    saved.#leaf = this.#leaf ?? (this.#requiresGrad ? (this as unknown as Tensor) : undefined)
    return saved
  }

  /** Where a gradient of this tensor goes: the step that made it, the leaf that collects it, or nowhere. */
  get edge(): GradNode | Leaf | undefined {
    if (this.node !== undefined) return this.node
    const leaf = this.#leaf ?? (this.#requiresGrad ? (this as unknown as Tensor) : undefined)
    return leaf === undefined ? undefined : { leaf }
  }

  get storage(): Storage {
    if (this.#disposed) throw new DisposedError(`tensor: ${this.describe()} was used after it was freed`)
    return this.#storage
  }

  /** Puts the same elements, on another backend, under this handle; what else shares the former storage keeps it. */
  relocate(storage: Storage): void {
    const former = this.storage
    storage.retain()
    this.#storage = storage
    finalizer.unregister(this)
    finalizer.register(this, storage, this)
    former.release()
  }

  get backend(): Backend {
    return this.#storage.backend
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape)
  }

  get disposed(): boolean {
    return this.#disposed
  }

  get kept(): boolean {
    return this.#kept
  }

  /** Tensor #12 (2, 3) float32 made by relu. */
  describe(): string {
    const maker = this.node === undefined ? '' : ` made by ${this.node.name}`
    return `Tensor #${this.id} ${show(this.shape)} ${this.dtype}${maker}`
  }

  /** Whether gradients flow to or through this tensor. */
  get requiresGrad(): boolean {
    return this.#requiresGrad || this.node !== undefined || this.#leaf !== undefined
  }

  /**
   * Asks for the gradient of a leaf (a tensor that no op made) or stops asking.
   * @throws DTypeError for integer tensors, GradientError for a tensor that an op made.
   */
  set requiresGrad(value: boolean) {
    if (value && !isFloat(this.dtype)) {
      throw new DTypeError(`requiresGrad: expects a float tensor, got ${this.describe()}`)
    }
    if (this.node !== undefined) {
      if (value) return
      throw new GradientError(`requiresGrad: ${this.describe()} is no leaf; use detach() to cut it off`)
    }
    this.#requiresGrad = value
  }

  /** The gradient that `backward()` collected, of this tensor's shape; undefined before that and after `zeroGrad`. */
  get grad(): Tensor | undefined {
    return this.#grad
  }

  /** Replaces the gradient; the former one is freed. The new one belongs to this tensor. */
  set grad(g: Tensor | undefined) {
    if (g === this.#grad) return
    if (g !== undefined && (!sameShape(g.shape, this.shape) || g.dtype !== this.dtype)) {
      throw new ArgumentError(`grad: ${this.describe()} expects a gradient of its shape and dtype, got ${g.describe()}`)
    }
    if (g !== undefined && g.backend !== this.backend) {
      throw new BackendError(`grad: ${this.describe()} lies on ${this.backend.name}, its gradient on ${g.backend.name}`)
    }
    this.#grad?.dispose()
    this.#grad = g?.keep()
  }

  /** Takes this tensor out of all scopes: it lives until `dispose`. Gives the tensor itself. */
  keep(): this {
    if (this.#kept) return this
    this.#kept = true
    leave(this)
    this.outlive()
    this.holds((member) => (member as TensorCore).keep())
    return this
  }

  outlive(): void {
    if (this.#watched || this.#disposed) return
    this.#watched = true
    finalizer.register(this, this.#storage, this)
  }

  holds(visit: (member: ScopeMember) => void): void {
    if (this.#grad !== undefined) visit(this.#grad)
    if (this.node === undefined) return
    for (const node of nodesUnder([this.node])) for (const tensor of node.saved) visit(tensor)
  }

  /** Frees this handle (and its gradient); the memory goes with the last handle on it. Doing it twice is harmless. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    liveHandles--
    if (this.#watched) finalizer.unregister(this)
    leave(this)
    this.node = undefined
    this.#grad?.dispose()
    this.#grad = undefined
    this.#storage.release()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
