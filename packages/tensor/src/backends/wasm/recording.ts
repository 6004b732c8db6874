/**
 * Recordings: what functions of tensors did on the engine, to be done again without the JavaScript that led to it.
 *
 * A passage is a list of steps. Most are launches of kernels, whose arguments are pointers; so everything that its function
 * made lies in memory that belongs to the recording, and is used in the same order each time. A backend call that looked at
 * memory from JavaScript, or wrote to it, is done again as a whole. What is derived from tensors from outside is not
 * recorded but needed, and computed anew where they have changed.
 */
import { dtypes } from '../../dtype.ts'
import type { Buffer, Passage, Recording } from '../backend.ts'
import { Block } from './allocator.ts'
import type { Derived, WasmBuffer } from './derived.ts'
import type { Engine } from './engine.ts'
import { Region } from './region.ts'

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

type Fn = (inputs: readonly Buffer[]) => readonly Buffer[]

/** What one function did. */
class WasmPassage implements Passage {
  readonly outputs: readonly Buffer[]
  readonly steps: (() => void)[] = []
  /** Buffers from outside, as they were when they were first met. */
  readonly outer: Map<WasmBuffer, { readonly version: number; readonly block: Block | null }> = new Map()
  /** What was derived from them. */
  readonly derived: Set<Derived> = new Set()
  readonly #recording: WasmRecording
  readonly #engine: Engine
  readonly #conditions: string
  /** Where the inputs go, and where the results are. */
  readonly #into: readonly number[]
  readonly #results: readonly { readonly buffer: Buffer; readonly ptr: number }[]
  /** Buffers from outside that it changes. */
  readonly #changed: readonly WasmBuffer[]
  readonly #lends: boolean

  constructor(recording: WasmRecording, engine: Engine, inputs: readonly Buffer[], fn: Fn, lends: boolean) {
    this.#recording = recording
    this.#engine = engine
    this.#conditions = conditionsOf(engine)
    this.#lends = lends
    const own = recording.write(this, () => inputs.map(({ dtype, length }) => engine.alloc(dtype, length)))
    this.#into = own.map(({ ptr }) => ptr)
    this.#enter(inputs)
    try {
      const results = recording.write(this, () => fn(own))
      this.#results = results.map((buffer) => ({ buffer, ptr: engine.ptr(buffer) }))
    } catch (error) {
      for (const buffer of own) if (buffer.block !== null) engine.free(buffer)
      throw error
    }
    this.#changed = [...this.outer.keys()].filter((buffer) => this.hasChanged(buffer))
    this.outputs = this.#give()
  }

  /** Whether a buffer from outside has been changed since the passage began. */
  hasChanged(buffer: WasmBuffer): boolean {
    const met = this.outer.get(buffer)
    return met !== undefined && met.version !== buffer.version
  }

  isGood(): boolean {
    if (this.#recording.isClosed || conditionsOf(this.#engine) !== this.#conditions) return false
    for (const [buffer, { block }] of this.outer) {
      if (buffer.block !== block) return false
      buffer.pending?.()
    }
    for (const derived of this.derived) this.#engine.refresh(derived)
    // Who computes anew may have run out of memory, and freed what others need.
    for (const { gone } of this.derived) if (gone) return false
    return true
  }

  replay(inputs: readonly Buffer[]): readonly Buffer[] {
    this.#recording.takeBack()
    this.#enter(inputs)
    this.#recording.run(this.steps)
    for (const buffer of this.#changed) buffer.version++
    return this.#give()
  }

  /** Copies the inputs to where they go. */
  #enter(inputs: readonly Buffer[]): void {
    for (const [i, buffer] of inputs.entries()) this.#copy(this.#engine.ptr(buffer), this.#into[i] as number, buffer)
  }

  /** The results as buffers of the caller's: copies, or lent. */
  #give(): Buffer[] {
    return this.#results.map(({ buffer, ptr }) => {
      if (this.#lends && this.#recording.owns(buffer)) return this.#recording.lend(buffer, ptr)
      const copy = this.#engine.alloc(buffer.dtype, buffer.length)
      this.#copy(ptr, copy.ptr, copy)
      return copy
    })
  }

  #copy(from: number, to: number, buffer: Buffer): void {
    this.#engine.heap.u8.copyWithin(to, from, from + bytesOf(buffer))
  }
}

export class WasmRecording implements Recording {
  readonly region: Region
  /** Whether tensors from outside are other ones in each pass, as weights in training are. */
  readonly changing: boolean
  readonly #engine: Engine
  readonly #isBusy: () => boolean
  /** The passage that is written. */
  #passage: WasmPassage | undefined
  /** Blocks that nothing else may use as long as the recording lives. */
  readonly #lasting: Block[] = []
  readonly #own: WeakSet<WasmBuffer> = new WeakSet()
  /** What passages have derived from buffers from outside. */
  readonly #needed: Set<Derived> = new Set()
  /** Buffers on memory that is used again. */
  #lent: WasmBuffer[] = []
  #isWorking = false
  #closed = false
  // Of the running backend call: where its steps begin, and its buffers.
  #from = 0
  #made: WasmBuffer[] = []
  readonly #places: Map<WasmBuffer, Block> = new Map()

  constructor(engine: Engine, { changing, isBusy }: { changing: boolean; isBusy: () => boolean }) {
    this.#engine = engine
    this.changing = changing
    this.#isBusy = isBusy
    this.region = new Region(engine.heap)
    engine.recordings.add(this)
  }

  // --- the contract ---

  passage(inputs: readonly Buffer[], fn: Fn, { lends = false }: { lends?: boolean } = {}): Passage {
    return new WasmPassage(this, this.#engine, inputs, fn, lends)
  }

  owns(buffer: Buffer): boolean {
    return this.#own.has(buffer as WasmBuffer)
  }

  heldBeside(buffers: Iterable<Buffer>): number {
    let { held } = this.region
    for (const { block } of new Set(buffers as Iterable<WasmBuffer>))
      if (block?.home === this.region) held -= block.size
    return held
  }

  dispose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#engine.recordings.delete(this)
    for (const block of this.#lasting.splice(0)) this.#engine.heap.free(block)
    this.region.close()
  }

  // --- what the engine tells while a passage is written ---

  step(step: () => void): void {
    this.#passage?.steps.push(step)
  }

  /** A backend call begins, or has ended; `call` would do it again. */
  begin(): void {
    this.#from = this.#passage?.steps.length ?? 0
    this.#made = []
    this.#places.clear()
    this.#engine.heap.touched = false
  }

  end(call: () => void): void {
    const steps = this.#passage?.steps
    if (!this.#engine.heap.touched || steps === undefined) return
    steps.length = this.#from
    const calls = again(call, this.#made, [...this.#places])
    steps.push(() => this.#engine.doAgain(calls))
  }

  /** A buffer was made. */
  made(buffer: WasmBuffer): void {
    this.#own.add(buffer)
    this.#made.push(buffer)
    this.met(buffer)
  }

  /** A buffer was used. */
  met(buffer: WasmBuffer): void {
    const { version, block } = buffer
    if (this.#own.has(buffer)) {
      if (block !== null && !this.#places.has(buffer)) {
        this.#places.set(buffer, new Block(this.region, block.ptr, block.size))
      }
    } else if (this.#passage?.outer.has(buffer) === false) this.#passage.outer.set(buffer, { version, block })
  }

  /** Whether the contents of a buffer are the recording's doing. */
  makes(buffer: WasmBuffer): boolean {
    return this.#own.has(buffer) || this.#passage?.hasChanged(buffer) === true
  }

  /** What was derived from buffers from outside. */
  needs(derived: Derived): void {
    derived.pinned = true
    this.#needed.add(derived)
    this.#passage?.derived.add(derived)
  }

  /** Memory that holds what it holds as long as the recording lives. */
  lasting(bytes: number): number {
    const block = this.#engine.heap.alloc(bytes)
    this.#lasting.push(block)
    return block.ptr
  }

  // --- what passages ask for ---

  get isClosed(): boolean {
    return this.#closed
  }

  /** Whether its memory may be had for something else. */
  get isIdle(): boolean {
    return !this.#isWorking && !this.#isBusy() && this.region.held === 0
  }

  /** Runs `fn` and writes down what it does. */
  write<T>(passage: WasmPassage, fn: () => T): T {
    this.#passage = passage
    try {
      return this.#working(() => this.#engine.withRecording(this, fn))
    } finally {
      this.#passage = undefined
    }
  }

  run(steps: readonly (() => void)[]): void {
    this.#engine.recordings.delete(this)
    this.#engine.recordings.add(this)
    this.#working(() => {
      for (const step of steps) step()
    })
  }

  /** Runs `fn`, while nothing that the recording needs is freed for others' memory. */
  #working<T>(fn: () => T): T {
    for (const derived of this.#needed) derived.pinned = true
    this.#isWorking = true
    try {
      return fn()
    } finally {
      for (const derived of this.#needed) derived.pinned = false
      this.#isWorking = false
    }
  }

  /** A buffer on memory of the recording, good until `takeBack`. */
  lend(like: Buffer, ptr: number): WasmBuffer {
    const buffer = this.#engine.bufferOn(this.region.lend(ptr, bytesOf(like)), like.dtype, like.length)
    this.#lent.push(buffer)
    return buffer
  }

  /** Puts what was lent, and is still in use, somewhere else. */
  takeBack(): void {
    for (const buffer of this.#lent) this.#engine.moveOut(buffer, this.region)
    this.#lent = []
  }
}

function bytesOf({ dtype, length }: Buffer): number {
  return length * dtypes[dtype].bytes
}

/** What decides which kernels run, beside shapes. */
function conditionsOf({ pool, precision, turbo }: Engine): string {
  return `${pool.threads} ${precision} ${turbo}`
}
