/**
 * The one door: every op checks its arguments, runs on the backend of its inputs and is recorded for the gradient here.
 *
 * An op is a value. `infer` checks and gives the shape and dtype of the result, `forward` runs kernels, `backward` is
 * written with ops, so that it can be recorded and differentiated again.
 */
import type { Backend, Buffer } from './backends/backend.ts'
import { type GradNode, type Leaf, nodeNumber, Storage, TensorCore, type WalkContext } from './core.ts'
import { type DType, isFloat } from './dtype.ts'
import { ArgumentError, BackendError, DisposedError, DTypeError, GradientError } from './errors.ts'
import { isGradEnabled } from './grad-mode.ts'
import { type Precision, scopedPrecision } from './precision.ts'
import type { Shape } from './shape.ts'
import type { Tensor } from './tensor.ts'
import { watcher } from './watch.ts'

/** Shape and dtype of a tensor that is still to be made. */
export interface Meta {
  readonly shape: Shape
  readonly dtype: DType
}

/** Inputs of an op by position; optional ones may be missing. */
export type Inputs = readonly (Tensor | undefined)[]

/** Result of a forward pass; `extra` are outputs that carry no gradient (statistics, indices), saved for the gradient. */
export interface Forward {
  readonly output: Buffer
  readonly extra: readonly (Meta & { readonly buffer: Buffer })[]
}

/** What the gradient reads besides shapes; everything else is freed as soon as its user lets go of it. */
export interface Saves {
  /** Positions of inputs. */
  readonly inputs?: readonly number[]
  readonly output?: boolean
}

/** What a gradient has at hand. */
interface Saved<A> {
  readonly attrs: A
  /** Shapes and dtypes of all inputs. */
  readonly metas: readonly (Meta | undefined)[]
  /** By input: whether its gradient is asked for. */
  readonly needs: readonly boolean[]
  /** A saved input. */
  input(i: number): Tensor
  /** A saved input that may be missing. */
  optionalInput(i: number): Tensor | undefined
  /** The saved output. */
  readonly output: Tensor
  extra(i: number): Tensor
}

export interface Op<A> {
  readonly name: string
  /** Checks inputs and attributes and gives the shape and dtype of the output. */
  infer(inputs: Inputs, attrs: A): Meta
  forward(inputs: Inputs, attrs: A, out: Meta, backend: Backend): Buffer | Forward
  /** What to save, given which inputs want a gradient. Nothing by default. */
  saves?(attrs: A, needs: readonly boolean[]): Saves
  /** Gradients by input; undefined where none flows. Missing: the op has no gradient. */
  backward?(g: Tensor, saved: Saved<A>): readonly (Tensor | undefined)[]
}

function notTensor(op: string, argument: string, value: unknown): ArgumentError {
  const got = Array.isArray(value)
    ? 'an array'
    : value === null || value === undefined
      ? String(value)
      : `${typeof value === 'object' ? 'an' : 'a'} ${typeof value}`
  return new ArgumentError(`${op}: ${argument} expects a Tensor, got ${got}`)
}

/** Checks that arguments are tensors, by name, before anything is asked of them. */
export function checkTensors(op: string, inputs: Readonly<Record<string, unknown>>): void {
  for (const argument in inputs) checkTensor(op, argument, inputs[argument])
}

/** Checks that an argument is a tensor. */
export function checkTensor(op: string, argument: string, value: unknown): void {
  if (!(value instanceof TensorCore)) throw notTensor(op, argument, value)
}

/** Checks that an argument, if it is there, is a tensor. */
export function checkOptionalTensor(op: string, argument: string, value: unknown): void {
  if (value !== undefined) checkTensor(op, argument, value)
}

/** Checks that an input is a live tensor. */
function checkInput(op: string, input: unknown, position: number): void {
  if (!(input instanceof TensorCore)) throw notTensor(op, `input ${position}`, input)
  if (input.disposed)
    throw new DisposedError(`${op}: input ${position} (${input.describe()}) was used after it was freed`)
}

function commonBackend(op: string, inputs: Inputs): { backend: Backend; first: Tensor } {
  let first: Tensor | undefined
  for (const input of inputs) {
    if (input === undefined) continue
    first ??= input
    if (input.backend !== first.backend) {
      throw new BackendError(
        `${op}: inputs lie on different backends, ${first.backend.name} and ${input.backend.name}; move one with to()`,
      )
    }
  }
  if (first === undefined) throw new ArgumentError(`${op}: expects at least one tensor, got none`)
  return { backend: first.backend, first }
}

/** Whether an op of these inputs is recorded for a gradient. */
export function records(inputs: Inputs): boolean {
  return isGradEnabled() && inputs.some((input) => input?.requiresGrad === true)
}

/** Runs an op. `extra` holds the outputs that carry no gradient, as handles of the caller's. */
export function run<A>(op: Op<A>, inputs: Inputs, attrs: A): { output: Tensor; extra: Tensor[] } {
  inputs.forEach((input, i) => {
    if (input !== undefined) checkInput(op.name, input, i)
  })
  const { backend, first } = commonBackend(op.name, inputs)
  const meta = op.infer(inputs, attrs)
  const watch = watcher()
  watch?.begin?.(op.name)
  const result = op.forward(inputs, attrs, meta, backend)
  const { output: buffer, extra: extras } = 'output' in result ? result : { output: result, extra: [] }
  const output = first.make(new Storage(backend, buffer), meta.shape, meta.dtype)
  const extra = extras.map((e) => first.make(new Storage(backend, e.buffer), e.shape, e.dtype))
  if (isFloat(meta.dtype) && records(inputs)) {
    record(op, inputs, attrs, output, extra)
  }
  watch?.end?.({ name: op.name, inputs, attrs, output, extra, view: false })
  return { output, extra }
}

/** Runs an op of one output. */
export function apply<A>(op: Op<A>, inputs: Inputs, attrs: A): Tensor {
  const { output, extra } = run(op, inputs, attrs)
  for (const tensor of extra) tensor.dispose()
  return output
}

/**
 * A handle on `x`'s buffer under another shape: how reshaping costs nothing. `infer` has made sure that the elements
 * lie in the same order.
 */
export function applyView<A>(op: Op<A>, x: Tensor, attrs: A, shape: Shape): Tensor {
  checkInput(op.name, x, 0)
  const watch = watcher()
  watch?.begin?.(op.name)
  const output = x.alias(shape)
  if (isGradEnabled() && x.requiresGrad) record(op, [x], attrs, output, [])
  watch?.end?.({ name: op.name, inputs: [x], attrs, output, extra: [], view: true })
  return output
}

function record<A>(op: Op<A>, inputs: Inputs, attrs: A, output: Tensor, extra: readonly Tensor[]): void {
  const edges = inputs.map((input) => input?.edge)
  const needs = edges.map((edge) => edge !== undefined)
  const what = op.saves?.(attrs, needs) ?? {}
  const node = new OpNode(op, attrs, inputs, edges)
  output.node = node
  node.save(inputs, what, output, extra)
}

/** The graph step of an op. */
class OpNode<A> implements GradNode {
  readonly id: number
  readonly precision: Precision | undefined = scopedPrecision()
  readonly edges: readonly (GradNode | Leaf | undefined)[]
  readonly #op: Op<A>
  readonly #attrs: A
  readonly #metas: readonly (Meta | undefined)[]
  /** By position. */
  #inputs: (SavedTensor | undefined)[] = []
  #output: SavedTensor | undefined
  #extra: SavedTensor[] = []
  released = false

  constructor(op: Op<A>, attrs: A, inputs: Inputs, edges: readonly (GradNode | Leaf | undefined)[]) {
    this.id = nodeNumber()
    this.edges = edges
    this.#op = op
    this.#attrs = attrs
    this.#metas = inputs.map((input) => input && { shape: input.shape, dtype: input.dtype })
  }

  get name(): string {
    return this.#op.name
  }

  save(inputs: Inputs, what: Saves, output: Tensor, extra: readonly Tensor[]): void {
    for (const i of what.inputs ?? []) {
      const input = inputs[i]
      if (input !== undefined) this.#inputs[i] = new SavedTensor(input)
    }
    if (what.output === true) this.#output = new SavedTensor(output)
    for (const tensor of extra) this.#extra.push(new SavedTensor(tensor))
  }

  get saved(): TensorCore[] {
    const tensors: TensorCore[] = []
    const add = (saved: SavedTensor | undefined): void => {
      const tensor = saved?.tensor
      if (tensor) tensors.push(tensor)
    }
    for (const saved of this.#inputs) add(saved)
    for (const saved of this.#extra) add(saved)
    add(this.#output)
    return tensors
  }

  backward(g: Tensor, wanted: readonly boolean[], walk: WalkContext): readonly (Tensor | undefined)[] {
    const { name } = this.#op
    if (this.released) {
      throw new GradientError(
        `backward: the graph through ${name} was freed by an earlier backward; pass retainGraph to walk it twice`,
      )
    }
    if (this.#op.backward === undefined) {
      const order = walk.createGraph ? ' under createGraph' : ''
      throw new GradientError(`backward: ${name} has no gradient${order}`)
    }
    const get = (saved: SavedTensor | undefined, what: string): Tensor => {
      if (saved === undefined) throw new GradientError(`backward: ${name} did not save its ${what}`)
      return saved.read(name, what)
    }
    return this.#op.backward(g, {
      attrs: this.#attrs,
      metas: this.#metas,
      needs: wanted,
      input: (i) => get(this.#inputs[i], `input ${i}`),
      optionalInput: (i) => (this.#metas[i] === undefined ? undefined : get(this.#inputs[i], `input ${i}`)),
      extra: (i) => get(this.#extra[i], `extra output ${i}`),
      output: this.#output === undefined ? (undefined as unknown as Tensor) : this.#output.read(name, 'output'),
    })
  }

  release(): void {
    this.released = true
    for (const tensor of this.saved) tensor.dispose()
    this.#inputs = []
    this.#output = undefined
    this.#extra = []
  }
}

/** A handle for the gradient, and the version of its contents at that time. */
export class SavedTensor {
  readonly tensor: Tensor
  readonly #version: number

  constructor(source: Tensor) {
    this.tensor = source.saveForGradient()
    this.#version = source.storage.buffer.version
  }

  read(op: string, what: string): Tensor {
    if (this.tensor.disposed) {
      throw new GradientError(`backward: ${what} of ${op} was freed with its scope; run backward inside the same tidy`)
    }
    if (this.tensor.storage.buffer.version !== this.#version) {
      throw new GradientError(
        `backward: ${what} of ${op} (${this.tensor.describe()}) was changed in place since the forward pass`,
      )
    }
    return this.tensor
  }
}

// --- checks that many ops share ---

/** Input `i`, which must be there. */
export function required(op: string, inputs: Inputs, i: number): Tensor {
  const input = inputs[i]
  if (input === undefined) throw notTensor(op, `input ${i}`, input)
  return input
}

/** Checks that a tensor is of a float dtype. */
export function checkFloat(op: string, argument: string, x: Meta): DType {
  if (!isFloat(x.dtype)) throw new DTypeError(`${op}: ${argument} expects float32 or float64, got ${x.dtype}`)
  return x.dtype
}

/** Checks that a tensor has the dtype of the op's main input. */
export function checkDType(op: string, argument: string, x: Meta, dtype: DType): void {
  if (x.dtype !== dtype) throw new DTypeError(`${op}: ${argument} expects ${dtype}, got ${x.dtype}`)
}
