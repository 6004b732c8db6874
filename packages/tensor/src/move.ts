/** Models, optimizers and averages from one backend to another, in place. */
import type { Backend } from './backends/backend.ts'
import { Storage } from './core.ts'
import { isDType } from './dtype.ts'
import { ArgumentError, BackendError, GradientError } from './errors.ts'
import { Tensor } from './tensor.ts'

/** What `moveTo` moves: modules, optimizers, moving averages, and whatever else keeps tensors of its own. */
export interface Movable {
  /** The tensors that belong to it, each of them a leaf; their gradients need not be told. */
  ownTensors(): Iterable<Tensor>
}

/** A value of any kind, in a message. */
const kind = (value: unknown): string =>
  typeof value === 'object' && value !== null
    ? `an object of class ${value.constructor?.name ?? 'null'}`
    : String(value)

/** The tensors that are to move, with their gradients, each once. */
function collect(items: readonly (Tensor | Movable)[]): Set<Tensor> {
  const tensors: Set<Tensor> = new Set()
  for (const [i, item] of items.entries()) {
    if (!(item instanceof Tensor) && typeof item?.ownTensors !== 'function') {
      throw new ArgumentError(
        `moveTo: item ${i} expects a tensor, a module, an optimizer or the like, got ${kind(item)}`,
      )
    }
    for (const tensor of item instanceof Tensor ? [item] : item.ownTensors()) {
      if (tensor.node !== undefined) {
        throw new GradientError(
          `moveTo: item ${i} expects leaves, got ${tensor.describe()}; moved() copies results of ops`,
        )
      }
      tensors.add(tensor)
      if (tensor.grad !== undefined) tensors.add(tensor.grad)
    }
  }
  return tensors
}

/** One buffer that moves, the tensors on it, and the change count that it must still have at the end. */
interface Journey {
  readonly from: Storage
  readonly version: number
  readonly travellers: Tensor[]
}

function journeys(tensors: ReadonlySet<Tensor>, target: Backend): Journey[] {
  const found: Map<Storage, Journey> = new Map()
  for (const tensor of tensors) {
    const from = tensor.storage
    if (from.backend === target) continue
    const journey = found.get(from) ?? { from, version: from.buffer.version, travellers: [] }
    journey.travellers.push(tensor)
    found.set(from, journey)
  }
  return [...found.values()]
}

/** Throws if anyone has touched what travels. */
function checkUntouched({ from, version, travellers }: Journey): void {
  for (const tensor of travellers) {
    if (tensor.disposed || tensor.storage !== from || from.buffer.version !== version) {
      const what = tensor.disposed ? 'freed' : tensor.storage !== from ? 'moved elsewhere' : 'changed'
      throw new BackendError(
        `moveTo: ${tensor.describe()} was ${what} while it moved, nothing was moved; await moveTo before the next step`,
      )
    }
  }
}

/**
 * Moves models, optimizers, moving averages and tensors to another backend, from any backend to any, in place and all at
 * once: `await moveTo(backend, model, optimizer, ema)`. Tensors stay the objects that they are, with their gradients, so
 * that optimizers and averages still hold the parameters of the model; the memory that they leave is freed. Nothing is
 * computed, so that a run goes on with the same numbers. What a graph or `detach()` holds of them stays where it is.
 *
 * Needs the memory for both places and for a copy on the host until all has arrived.
 *
 * @throws ArgumentError, GradientError or BackendError for what cannot move; what reading, memory or the device throws
 * (`DeviceLostError`); BackendError if something was changed in the meantime. Nothing has been moved then.
 */
export async function moveTo(backend: Backend, ...items: readonly (Tensor | Movable)[]): Promise<void> {
  if (typeof backend?.upload !== 'function') {
    throw new ArgumentError(
      `moveTo: backend expects a backend, got ${isDType(backend) ? `${backend}, a dtype` : kind(backend)}`,
    )
  }
  const all = journeys(collect(items), backend)
  const contents = await Promise.all(all.map(({ from }) => from.backend.read(from.buffer)))
  const made: Storage[] = []
  try {
    for (const [i, { from }] of all.entries()) {
      made.push(new Storage(backend, backend.upload(from.buffer.dtype, contents[i] as (typeof contents)[number])))
    }
    contents.length = 0
    await backend.arrived?.(made.map(({ buffer }) => buffer))
    for (const journey of all) checkUntouched(journey)
  } catch (error) {
    for (const { buffer } of made) backend.free(buffer)
    throw error
  }
  for (const [i, { travellers }] of all.entries()) {
    for (const tensor of travellers) tensor.relocate(made[i] as Storage)
  }
}
