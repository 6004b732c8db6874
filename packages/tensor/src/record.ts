/**
 * Functions that are recorded: run once, and from then on done again without the JavaScript between the kernels. Graph
 * runtimes do the same before they run, CUDA's graphs by capture and replay.
 */
import type { Backend, Recorded as Plan } from './backends/backend.ts'
import { Storage, TensorCore } from './core.ts'
import { ArgumentError, BackendError, DisposedError, GradientError } from './errors.ts'
import { isGradEnabled, noGrad } from './grad-mode.ts'
import { checkTensors, type Meta } from './op.ts'
import { readOptions } from './options.ts'
import { DrawRecorder } from './random.ts'
import { tidy } from './scope.ts'
import { checkInteger } from './shape.ts'
import type { Tensor } from './tensor.ts'
import { watcher } from './watch.ts'

export interface RecordOptions {
  /**
   * For what `fn` depends on besides its inputs and the numbers of other tensors: flags, layers, settings. Called when `fn` is
   * recorded; what it gives is called before the recording is done again and tells whether it still holds. Default: it does.
   *
   * ```ts
   * record(fn, { guard: () => { const was = settings.scale; return () => settings.scale === was } })
   * ```
   */
  readonly guard?: () => () => boolean
  /** Recordings that are kept, one for each set of shapes and dtypes of the inputs; the one not used the longest goes. Default 8. */
  readonly limit?: number
}

/** A recorded function. */
export interface RecordedFunction<A extends readonly Tensor[], R> {
  /** What `fn` gives for these inputs, as tensors of its own, without gradient. */
  (...inputs: A): R
  /** Recordings that are kept at the moment. */
  readonly recordings: number
  /** Frees the memory of all recordings. The function stays usable: it is recorded anew when it is called. */
  dispose(): void
  [Symbol.dispose](): void
}

/** A recording, and what it was made under. */
interface Entry {
  readonly plan: Plan
  /** Whether what the guard looks at is as it was. */
  readonly holds: () => boolean
  /** The result, with positions in the list of outputs in the place of tensors. */
  readonly result: unknown
  readonly metas: readonly Meta[]
}

/** Gives back what functions hold that nobody has any more. */
const forgotten = /* @__PURE__ */ new FinalizationRegistry<ReadonlyMap<string, Entry>>((entries) => {
  for (const { plan } of entries.values()) plan.dispose()
})

/** Depth of functions that are recorded now: those inside are a part of the outermost. */
let depth = 0

/**
 * `fn` recorded: the first call with inputs of given shapes and dtypes runs it, twice, and writes down what the backend does;
 * the following ones do that again, with other numbers, without running `fn`. Results are the same to the bit, and networks of
 * many small layers 1.05 to 1.3 times as fast. It costs the memory of `fn`'s intermediate results, which is held until
 * `dispose`.
 *
 * `fn` gives tensors, in arrays and plain objects if it likes. It runs without gradients, may use other tensors and must
 * not change them, and neither reads numbers nor draws random ones. It is recorded anew when a tensor that it uses has been
 * changed or freed, when precision, threads or turbo are other ones, and when `options.guard` says so; what else it
 * depends on, it depends on as it was. Under `watchOps` it runs as it is written.
 *
 * ```ts
 * const run = record((x: Tensor) => softmax(conv2d(x, weight).flatten(1), 1))
 * const y = run(x)
 * ```
 *
 * @throws ArgumentError, when it is recorded, if `fn` does what cannot be done again, and as long as it keeps tensors that it
 * does not return; BackendError if the backend of the inputs has no recordings (`wasm` has); GradientError for inputs that
 * require a gradient outside `noGrad`.
 */
export function record<A extends readonly Tensor[], R>(
  fn: (...inputs: A) => R,
  options: RecordOptions = {},
): RecordedFunction<A, R> {
  if (typeof fn !== 'function') throw new ArgumentError(`record: fn expects a function, got ${typeof fn}`)
  const { guard, limit } = readOptions('record', options, { guard: () => () => true, limit: 8 })
  checkInteger('record', 'limit', limit, 1)
  /** By shapes, those that were not used the longest first. */
  const entries: Map<string, Entry> = new Map()
  const drop = (key: string): void => {
    entries.get(key)?.plan.dispose()
    entries.delete(key)
  }
  const call = (...inputs: A): R => {
    const backend = backendOf(inputs)
    if (depth > 0 || watcher() !== undefined) return noGrad(() => tidy(() => fn(...inputs)))
    const key = `${backend.name} ${inputs.map(({ shape, dtype }) => `${shape} ${dtype}`).join(', ')}`
    const known = entries.get(key)
    if (known !== undefined) {
      entries.delete(key)
      entries.set(key, known)
      const buffers = known.holds() ? known.plan.replay(inputs.map(({ storage }) => storage.buffer)) : undefined
      if (buffers !== undefined) return result(known, inputs, backend, buffers) as R
      drop(key)
    }
    const entry = recorded(fn as (...inputs: readonly Tensor[]) => unknown, inputs, backend, guard())
    entries.set(key, entry)
    if (entries.size > limit) drop(entries.keys().next().value as string)
    return result(entry, inputs, backend, entry.plan.outputs) as R
  }
  const dispose = (): void => {
    for (const key of [...entries.keys()]) drop(key)
  }
  forgotten.register(call, entries)
  return Object.defineProperties(call, {
    recordings: { get: () => entries.size },
    dispose: { value: dispose },
    [Symbol.dispose]: { value: dispose },
  }) as RecordedFunction<A, R>
}

/** The backend that all inputs lie on, if it makes recordings. */
function backendOf(inputs: readonly Tensor[]): Backend {
  const [first] = inputs
  if (first === undefined) throw new ArgumentError('record: the function expects at least one tensor, got none')
  inputs.forEach((input, i) => {
    checkTensors('record', { [`input ${i}`]: input })
    if (input.disposed) throw new DisposedError(`record: input ${i} (${input.describe()}) was used after it was freed`)
    if (input.backend !== first.backend) {
      throw new BackendError(
        `record: inputs lie on different backends, ${first.backend.name} and ${input.backend.name}`,
      )
    }
    if (isGradEnabled() && input.requiresGrad) {
      throw new GradientError(
        `record: input ${i} requires a gradient, which recordings have not; use noGrad or detach() it`,
      )
    }
  })
  if (first.backend.record === undefined) {
    throw new BackendError(
      `record: expects inputs on a backend that makes recordings, such as wasm, got ${first.backend.name}`,
    )
  }
  return first.backend
}

function recorded(
  fn: (...inputs: readonly Tensor[]) => unknown,
  inputs: readonly Tensor[],
  backend: Backend,
  holds: () => boolean,
): Entry {
  const first = inputs[0] as Tensor
  const draws = new DrawRecorder()
  const outputs: Tensor[] = []
  /** Tensors with smaller numbers come from outside and belong to somebody else. */
  let start = Number.POSITIVE_INFINITY
  let given: unknown
  let plan: Plan | undefined
  depth++
  try {
    // Once beforehand, so that what is done once is done: kernels compiled, weights packed, numbers written that were put off.
    noGrad(() => tidy(() => void tidy(() => fn(...inputs))))
    plan = (backend.record as NonNullable<Backend['record']>)(
      inputs.map(({ storage }) => storage.buffer),
      (buffers) => {
        tidy(() => {
          const own = buffers.map((buffer, i) =>
            first.make(new Storage(backend, buffer), inputs[i]!.shape, buffer.dtype),
          )
          start = own[0]!.id
          given = noGrad(() => draws.record(() => fn(...own)))
          return given
        })
        given = emptied(given, outputs)
        const strange = outputs.find((output) => output.backend !== backend)
        if (strange !== undefined) {
          throw new BackendError(`record: fn gives a tensor on ${strange.backend.name} for inputs on ${backend.name}`)
        }
        return outputs.map(({ storage }) => storage.buffer)
      },
    )
  } finally {
    depth--
    for (const output of outputs) if (output.id >= start) output.dispose()
  }
  let problem: string | undefined
  if (draws.drew) problem = 'to draw no random numbers, since they would be the same each time'
  else if (plan.held > 0) problem = `to keep no tensors but those it returns, and it keeps ${plan.held} bytes`
  if (problem !== undefined) {
    for (const buffer of plan.outputs) backend.free(buffer)
    plan.dispose()
    throw new ArgumentError(`record: fn expects ${problem}`)
  }
  return { plan, holds, result: given, metas: outputs.map(({ shape, dtype }) => ({ shape, dtype })) }
}

/** Where a tensor stands in a result. */
class Place {
  readonly index: number

  constructor(index: number) {
    this.index = index
  }
}

/** A result with places for its tensors, which are added to `outputs`. */
function emptied(value: unknown, outputs: Tensor[]): unknown {
  if (value instanceof TensorCore) return new Place(outputs.push(value as Tensor) - 1)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => emptied(item, outputs))
  if (value instanceof Promise || Object.getPrototypeOf(value) !== Object.prototype) {
    const got = value instanceof Promise ? 'a promise' : `an object of class ${value.constructor?.name}`
    throw new ArgumentError(`record: fn expects to return tensors, in arrays and plain objects, got ${got}`)
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, emptied(item, outputs)]))
}

/** The result with tensors on these buffers. */
function result(
  { result, metas }: Entry,
  inputs: readonly Tensor[],
  backend: Backend,
  buffers: readonly Plan['outputs'][number][],
): unknown {
  const fill = (value: unknown): unknown => {
    if (value instanceof Place) {
      const { shape, dtype } = metas[value.index] as Meta
      return (inputs[0] as Tensor).make(new Storage(backend, buffers[value.index]!), shape, dtype)
    }
    if (Array.isArray(value)) return value.map(fill)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item)]))
  }
  return fill(result)
}
