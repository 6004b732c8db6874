/**
 * Functions that are recorded: run once, and from then on done again without the JavaScript between the kernels. Graph
 * runtimes do the same before they run, CUDA's graphs by capture and replay.
 */

import type { Backend } from './backends/backend.ts'
import { ArgumentError, BackendError, DisposedError, GradientError } from './errors.ts'
import { isGradEnabled, withGradMode } from './grad-mode.ts'
import { checkTensors } from './op.ts'
import { readOptions } from './options.ts'
import { emptied, filled, Recorded } from './recorded.ts'
import { tidy } from './scope.ts'
import { checkInteger } from './shape.ts'
import { checkSynchronous } from './synchronous.ts'
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
  /**
   * Results have gradients, as those of `fn` would: the backward pass is recorded, too. `fn` may use tensors that are other ones
   * each time, as weights in training are. A function is asked at each call. Default false: `fn` runs under `noGrad`.
   */
  readonly gradient?: boolean | (() => boolean)
}

/** Kinds of inputs that are remembered before they are recorded. */
const maxRuns = 64

/** A recorded function. */
export interface RecordedFunction<A extends readonly Tensor[], R> {
  /** What `fn` gives for these inputs, as tensors of its own. */
  (...inputs: A): R
  /** Recordings that are kept at the moment. */
  readonly recordings: number
  /** Frees the memory of all recordings. The function stays usable: it is recorded anew when it is called. */
  dispose(): void
  [Symbol.dispose](): void
}

/** Gives back what functions hold that nobody has any more. */
const forgotten = /* @__PURE__ */ new FinalizationRegistry<ReadonlyMap<string, Recorded>>((entries) => {
  for (const entry of entries.values()) entry.dispose()
})

/** Depth of functions that run now: those inside are a part of the outermost. */
let depth = 0

/**
 * `fn` recorded: the first call with inputs of given shapes and dtypes runs it, the second one (with `gradient` the third)
 * writes down what the backend does meanwhile, and the following ones do that again, with other numbers, without running
 * `fn`. Results are the same to the bit, and networks of many small layers 1.05 to 1.4 times as fast. It costs the memory of
 * `fn`'s intermediate results, which is held until `dispose`, or until memory is short; with `gradient`, nothing is recorded
 * where that would be most of what there is.
 *
 * `fn` gives tensors, in arrays and plain objects if it likes. It may use other tensors and change them in place, and draw
 * tensors of random numbers, which are other ones in each pass. It reads no numbers and draws none by themselves. It is
 * recorded anew when a tensor that it uses has been freed, when precision, threads or turbo are other ones, and when
 * `options.guard` says so; what else it depends on, it depends on as it was. Under `watchOps` it runs as it is written.
 *
 * With `gradient`, a pass that still waits for its backward pass needs the memory: meanwhile, other calls run `fn` as it is
 * written. Its gradient can be taken once, and has none itself (`createGraph`).
 *
 * ```ts
 * const run = record((x: Tensor) => softmax(conv2d(x, weight).flatten(1), 1))
 * const y = run(x)
 * ```
 *
 * @throws ArgumentError, when it is recorded, if `fn` does what cannot be done again, and as long as it keeps tensors that it
 * does not return; BackendError if the backend of the inputs has no recordings (`wasm` has); GradientError for inputs that
 * require a gradient outside `noGrad`, without `gradient`.
 */
export function record<A extends readonly Tensor[], R>(
  fn: (...inputs: A) => R,
  options: RecordOptions = {},
): RecordedFunction<A, R> {
  checkSynchronous('record', fn)
  const chosen = readOptions('record', options, { guard: () => () => true, limit: 8, gradient: false })
  const { guard, limit } = chosen
  checkInteger('record', 'limit', limit, 1)
  if (typeof guard !== 'function') throw new ArgumentError(`record: guard expects a function, got ${typeof guard}`)
  if (typeof chosen.gradient !== 'boolean' && typeof chosen.gradient !== 'function') {
    throw new ArgumentError(
      `record: gradient expects true, false or a function that gives them, got ${String(chosen.gradient)}`,
    )
  }
  const run = fn as (...inputs: readonly Tensor[]) => unknown
  /** By inputs, those that were not used the longest first. */
  const entries: Map<string, Recorded> = new Map()
  /** How often the function ran as it is written, by inputs. */
  const runs: Map<string, number> = new Map()
  const drop = (key: string): void => {
    entries.get(key)?.dispose()
    entries.delete(key)
  }
  const add = (key: string, entry: Recorded): void => {
    entries.set(key, entry)
    for (const [other, { waits }] of entries) {
      if (entries.size <= limit) break
      if (!waits) drop(other)
    }
  }
  const call = (...inputs: A): R => {
    const wanted = typeof chosen.gradient === 'function' ? chosen.gradient() : chosen.gradient
    const gradient = wanted && isGradEnabled()
    const backend = backendOf(inputs, wanted)
    if (depth > 0 || watcher() !== undefined) return asWritten(run, inputs, gradient) as R
    const kinds = inputs.map(({ shape, dtype, requiresGrad }) => `${shape} ${dtype} ${gradient && requiresGrad}`)
    const key = `${backend.name} ${gradient} ${kinds.join(', ')}`
    const known = entries.get(key)
    if (known?.waits) return asWritten(run, inputs, gradient) as R
    if (known !== undefined) {
      entries.delete(key)
      entries.set(key, known)
      const again = known.again(inputs, call)
      if (again !== undefined) return again.result as R
      drop(key)
    }
    const times = (runs.get(key) ?? 0) + 1
    runs.delete(key)
    if (times <= (gradient ? 2 : 1)) {
      runs.set(key, times)
      if (runs.size > maxRuns) runs.delete(runs.keys().next().value as string)
      return asWritten(run, inputs, gradient) as R
    }
    const entry = alone(() => Recorded.of(run, inputs, backend, { guard, gradient }))
    if (entry === undefined) return asWritten(run, inputs, gradient) as R
    const result = entry.first(inputs, call)
    add(key, entry)
    return result as R
  }
  const dispose = (): void => {
    for (const key of [...entries.keys()]) drop(key)
    runs.clear()
  }
  forgotten.register(call, entries)
  return Object.defineProperties(call, {
    recordings: { get: () => entries.size },
    dispose: { value: dispose },
    [Symbol.dispose]: { value: dispose },
  }) as RecordedFunction<A, R>
}

/** Runs `fn`, in which recorded functions are a part of what is recorded around them. */
function alone<T>(fn: () => T): T {
  depth++
  try {
    return fn()
  } finally {
    depth--
  }
}

/** What the function gives for these inputs, as tensors of their own, by running it. */
function asWritten(fn: (...inputs: Tensor[]) => unknown, inputs: readonly Tensor[], gradient: boolean): unknown {
  return withGradMode(gradient, () =>
    tidy(() => {
      const own = inputs.map((input) => input.saveForGradient())
      const tensors: Tensor[] = []
      const given = emptied(
        tidy(() => alone(() => fn(...own))),
        tensors,
      )
      // Those that were there before belong to somebody else.
      const start = own[own.length - 1]!.id
      return filled(
        given,
        tensors.map((tensor) => (tensor.id > start ? tensor : tensor.clone())),
      )
    }),
  )
}

/** The backend that all inputs lie on, if it makes recordings. */
function backendOf(inputs: readonly Tensor[], gradient: boolean): Backend {
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
    if (!gradient && isGradEnabled() && input.requiresGrad) {
      throw new GradientError(
        `record: input ${i} requires a gradient, which results have with { gradient: true } (those of compiled models in training mode); use noGrad or detach() it`,
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
