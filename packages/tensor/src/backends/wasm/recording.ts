/**
 * Recordings: what a function of tensors did on the engine, to be done again without the JavaScript that led to it.
 *
 * A recording is a list of steps. Most are launches of kernels, whose arguments are pointers; so everything that the
 * function made lies in memory that belongs to the recording, and is used in the same order each time. A backend call that
 * looked at memory from JavaScript, or wrote to it, is done again as a whole. What is derived from weights is not recorded
 * but needed: a recording is good as long as the tensors from outside and what is derived from them are as they were.
 */
import { dtypes } from '../../dtype.ts'
import { ArgumentError } from '../../errors.ts'
import type { Buffer, Recorded } from '../backend.ts'
import { Allocator, Block } from './allocator.ts'
import type { Derived, WasmBuffer } from './derived.ts'
import type { Engine } from './engine.ts'
import type { Heap } from './memory.ts'

/** Bytes that are taken from the heap at a time. */
const chunkBytes = 2 ** 22

/** Memory of a recording: blocks within blocks of the heap. */
class Region extends Allocator {
  readonly #heap: Heap
  readonly #chunks: Block[] = []
  #closed = false

  constructor(heap: Heap) {
    super()
    this.#heap = heap
  }

  protected override grow(size: number): void {
    const chunk = this.#chunk(size)
    this.#chunks.push(chunk)
    this.add(chunk.ptr, chunk.size)
  }

  #chunk(size: number): Block {
    if (size >= chunkBytes) return this.#heap.alloc(size)
    try {
      return this.#heap.alloc(chunkBytes)
    } catch {
      return this.#heap.alloc(size)
    }
  }

  override free(block: Block): void {
    super.free(block)
    if (this.#closed) this.close()
  }

  /** Bytes of buffers. */
  get held(): number {
    return this.used - this.workspaceBytes
  }

  /** Gives all memory back, once no buffer lies in it. */
  close(): void {
    this.#closed = true
    if (this.held === 0) for (const chunk of this.#chunks.splice(0)) this.#heap.free(chunk)
  }
}

/** A backend call to be done again. */
export interface Again {
  readonly call: () => void
  /** Puts the call's buffers back where they were; gives them. */
  restore(): WasmBuffer[]
  /** The next of the buffers that the call makes. */
  alloc(): WasmBuffer
}

function again(
  call: () => void,
  made: readonly WasmBuffer[],
  places: readonly (readonly [WasmBuffer, Block])[],
): Again {
  let next = 0
  return {
    call,
    restore() {
      next = 0
      for (const [buffer, block] of places) {
        buffer.block = block
        // Other numbers than last time.
        buffer.version++
      }
      return places.map(([buffer]) => buffer)
    },
    alloc: () => made[next++] as WasmBuffer,
  }
}

export class Recording {
  readonly region: Region
  readonly #engine: Engine
  readonly #steps: (() => void)[] = []
  /** Blocks that nothing else may use as long as the recording lives. */
  readonly #lasting: Block[] = []
  /** Buffers from outside, and their versions when they were first met. */
  readonly #outer: Map<WasmBuffer, number> = new Map()
  readonly #derived: Set<Derived> = new Set()
  readonly #own: WeakSet<WasmBuffer> = new WeakSet()
  readonly #conditions: string
  // Of the running backend call: where its steps begin, and its buffers.
  #from = 0
  #made: WasmBuffer[] = []
  readonly #places: Map<WasmBuffer, Block> = new Map()

  constructor(engine: Engine) {
    this.#engine = engine
    this.region = new Region(engine.heap)
    this.#conditions = conditionsOf(engine)
  }

  // --- what the engine tells while it is recorded ---

  step(step: () => void): void {
    this.#steps.push(step)
  }

  /** A backend call begins, or has ended; `call` would do it again. */
  begin(): void {
    this.#from = this.#steps.length
    this.#made = []
    this.#places.clear()
    this.#engine.heap.touched = false
  }

  end(call: () => void): void {
    if (!this.#engine.heap.touched) return
    this.#steps.length = this.#from
    const calls = again(call, this.#made, [...this.#places])
    this.#steps.push(() => this.#engine.doAgain(calls))
  }

  /** A buffer was made. */
  made(buffer: WasmBuffer): void {
    this.#own.add(buffer)
    this.#made.push(buffer)
    this.met(buffer)
  }

  /** A buffer was used. */
  met(buffer: WasmBuffer): void {
    if (!this.#own.has(buffer)) {
      if (!this.#outer.has(buffer)) this.#outer.set(buffer, buffer.version)
    } else if (buffer.block !== null && !this.#places.has(buffer)) {
      this.#places.set(buffer, new Block(this.region, buffer.block.ptr, buffer.block.size))
    }
  }

  /** Whether the buffer was made in the recording. */
  owns(buffer: WasmBuffer): boolean {
    return this.#own.has(buffer)
  }

  /** What was derived from buffers from outside. */
  needs(derived: Derived): void {
    this.#derived.add(derived)
  }

  /** Memory that holds what it holds as long as the recording lives. */
  lasting(bytes: number): number {
    const block = this.#engine.heap.alloc(bytes)
    this.#lasting.push(block)
    return block.ptr
  }

  // --- afterwards ---

  /** Whether a buffer from outside has been changed. */
  get hasChanged(): boolean {
    return [...this.#outer].some(([{ version }, before]) => version !== before)
  }

  /** Whether doing it again gives what the function would give. */
  get isGood(): boolean {
    for (const [buffer, version] of this.#outer) if (buffer.block === null || buffer.version !== version) return false
    for (const derived of this.#derived) if (derived.gone) return false
    return conditionsOf(this.#engine) === this.#conditions
  }

  replay(): void {
    for (const step of this.#steps) step()
  }

  close(): void {
    for (const block of this.#lasting.splice(0)) this.#engine.heap.free(block)
    this.#steps.length = 0
    this.region.close()
  }
}

/** What decides which kernels run, beside shapes. */
function conditionsOf({ pool, precision, turbo }: Engine): string {
  return `${pool.threads} ${precision} ${turbo}`
}

/** Copies a buffer's bytes from one place of the memory to another. */
function copyBytes(engine: Engine, from: number, to: number, { dtype, length }: Buffer): void {
  const bytes = length * dtypes[dtype].bytes
  engine.heap.u8.copyWithin(to, from, from + bytes)
}

/** `record` of the backend's contract. */
export function recordOn(
  engine: Engine,
  inputs: readonly Buffer[],
  fn: (inputs: readonly Buffer[]) => readonly Buffer[],
): Recorded {
  const recording = new Recording(engine)
  const own: WasmBuffer[] = []
  try {
    engine.withRecording(recording, () => {
      for (const { dtype, length } of inputs) own.push(engine.alloc(dtype, length))
    })
    const into = own.map(({ ptr }) => ptr)
    const enter = (buffers: readonly Buffer[]) => {
      for (const [i, buffer] of buffers.entries()) copyBytes(engine, engine.ptr(buffer), into[i] as number, buffer)
    }
    enter(inputs)
    const results = engine.withRecording(recording, () => fn(own))
    if (recording.hasChanged) {
      throw new ArgumentError('record: fn expects to change no tensor in place, and it changed one from outside')
    }
    const from = results.map((buffer) => engine.ptr(buffer))
    const copies = (): Buffer[] =>
      results.map(({ dtype, length }, i) => {
        const copy = engine.alloc(dtype, length)
        copyBytes(engine, from[i] as number, copy.ptr, copy)
        return copy
      })
    return {
      outputs: copies(),
      get held() {
        return recording.region.held
      },
      replay(buffers) {
        if (!recording.isGood) return undefined
        enter(buffers)
        recording.replay()
        // Calls that are done again as a whole may have run out of memory, and freed what others after them needed.
        return recording.isGood ? copies() : undefined
      },
      dispose: () => recording.close(),
    }
  } catch (error) {
    for (const buffer of own) if (buffer.block !== null) engine.free(buffer)
    recording.close()
    throw error
  }
}
