/**
 * The engine of the wasm backend: buffers in the heap, kernels that are emitted, compiled once and cached, and the way
 * a kernel is run on one thread or on several.
 */
import { type DType, dtypes, type TypedArray } from '../../dtype.ts'
import { BackendError, DisposedError } from '../../errors.ts'
import { type Precision, scopedPrecision } from '../../precision.ts'
import type { Backend, BackendMemory, Buffer } from '../backend.ts'
import type { Allocator, Block } from './allocator.ts'
import type { ModuleBuilder } from './asm.ts'
import { asks, type Derived, DerivedCache, WasmBuffer } from './derived.ts'
import { hasRelaxedSimd, type Kernel, KernelCache, message } from './kernel-cache.ts'
import { Heap, type HeapOptions } from './memory.ts'
import { Pool, runAlone } from './pool.ts'
import type { Again, WasmRecording } from './recording.ts'
import type { Region } from './region.ts'

/** Everything of the contract that is a method of every backend. */
export type Kernels = Omit<Backend, 'name' | 'arrived' | 'record'>

/** Methods that may leave a call to the plain loops by giving undefined. */
type Attempts<K extends keyof Kernels> = {
  [N in K]: (...args: Parameters<NonNullable<Kernels[N]>>) => ReturnType<NonNullable<Kernels[N]>> | undefined
}

/** Methods for float32 operands that are not empty; what they do not take runs the loops of `plain`. */
export function forFloat32<K extends keyof Kernels>(plain: Pick<Kernels, K>, methods: Attempts<K>): Pick<Kernels, K> {
  type Call = (first: Buffer, ...rest: unknown[]) => unknown
  const calls = (Object.keys(methods) as K[]).map((name) => {
    const [fast, slow] = [methods[name], plain[name]] as unknown as [Call, Call]
    const call: Call = (first, ...rest) =>
      (first.dtype === 'float32' && first.length > 0 ? fast(first, ...rest) : undefined) ?? slow(first, ...rest)
    return [name, call]
  })
  return Object.fromEntries(calls) as Pick<Kernels, K>
}

/** What may be chosen about an engine. */
export interface EngineOptions extends HeapOptions {
  /** Threads at most, the calling one included; by default one per core, at most 8. */
  readonly threads?: number
}

/** Everything is made when it is first asked for: an engine that is never used reserves no memory. */
export class Engine {
  /** Whether pairs of vectors become vectors of twice the width, see `turbo.ts`. */
  turbo = false
  readonly #options: EngineOptions
  #precision: Precision = 'fast'
  #heap: Heap | undefined
  #pool: Pool | undefined
  #fma: boolean | undefined
  readonly #kernels = new KernelCache()
  #bytes = 0
  #buffers = 0
  #peak = 0
  readonly #derived = new DerivedCache()
  /** Recordings that hold memory, those not used the longest first. */
  readonly recordings: Set<WasmRecording> = new Set()
  /** What is recorded now, and what of a recording is done again. */
  #recording: WasmRecording | undefined
  #again: Again | undefined
  /** Number of the backend call that runs now, or ran last. */
  #call = 0
  /** Buffers made by the backend calls that run now, so that a failing one leaves none behind. */
  readonly #made: WasmBuffer[] = []
  #depth = 0

  constructor(options: EngineOptions = {}) {
    this.#options = options
  }

  /** What holds now: that of the surrounding `withPrecision`, or the one that was set. */
  get precision(): Precision {
    return scopedPrecision() ?? this.#precision
  }

  set precision(precision: Precision) {
    this.#precision = precision
  }

  get heap(): Heap {
    if (this.#heap === undefined) {
      this.#heap = new Heap(this.#options)
      this.#heap.relief = () => this.#derived.drop(this.#depth > 0 ? this.#call : -1) || this.#dropRecording()
    }
    return this.#heap
  }

  get pool(): Pool {
    this.#pool ??= new Pool(this.heap, this.#options.threads)
    return this.#pool
  }

  /**
   * Whether kernels may use the fused multiply-add of relaxed SIMD. Constant over the life of the engine, as it rounds
   * differently from a product and a sum.
   */
  get fma(): boolean {
    this.#fma ??= hasRelaxedSimd()
    return this.#fma
  }

  /** Takes over from another engine what decides which kernels run. */
  assume({ precision, turbo }: Engine): void {
    this.precision = precision
    this.turbo = turbo
  }

  // --- buffers ---

  /** A buffer whose contents are undefined. */
  alloc(dtype: DType, length: number): WasmBuffer {
    if (this.#again) return this.#again.alloc()
    const buffer = this.bufferOn(this.#place.alloc(length * dtypes[dtype].bytes), dtype, length)
    this.#recording?.made(buffer)
    if (this.#depth > 0) this.#made.push(buffer)
    return buffer
  }

  /** A buffer on this block, which is freed with it. */
  bufferOn(block: Block, dtype: DType, length: number): WasmBuffer {
    this.#bytes += length * dtypes[dtype].bytes
    this.#buffers++
    if (this.#bytes > this.#peak) this.#peak = this.#bytes
    return new WasmBuffer(dtype, length, block)
  }

  /** Moves a buffer that lies in `region` out of it. */
  moveOut(buffer: WasmBuffer, region: Region): void {
    const { block } = buffer
    if (block?.home !== region) return
    buffer.block = this.heap.alloc(block.size)
    this.heap.u8.copyWithin(buffer.block.ptr, block.ptr, block.ptr + block.size)
    region.free(block)
  }

  free(buffer: Buffer): void {
    if (this.#again) return
    const own = this.own(buffer)
    if (own.block === null) throw new DisposedError('wasm: buffer expects live memory, got a freed one')
    own.block.home.free(own.block)
    own.block = null
    this.#derived.forget(own)
    this.#bytes -= own.length * dtypes[own.dtype].bytes
    this.#buffers--
  }

  /** The buffer as this backend's own; another backend's is an error. */
  own(buffer: Buffer): WasmBuffer {
    if (!(buffer instanceof WasmBuffer))
      throw new BackendError('wasm: buffer expects one made by this backend, got that of another')
    this.#recording?.met(buffer)
    return buffer
  }

  /** Byte offset of a buffer in the heap, plus `offset` elements. */
  ptr(buffer: Buffer, offset = 0): number {
    const own = this.own(buffer)
    return own.ptr + offset * dtypes[own.dtype].bytes
  }

  /** The contents, not copied; good until the next allocation. */
  array(buffer: Buffer): TypedArray {
    const own = this.own(buffer)
    const memory = this.heap.buffer
    return new dtypes[own.dtype].array(memory, own.ptr, own.length)
  }

  /**
   * What `fill` writes to `bytes` bytes of memory, computed from the contents of `buffer` and kept until they change, the
   * buffer is freed, or memory runs out: packed and transformed weights. Good until the running backend call ends.
   * `others` are what it is computed from as well.
   */
  derived(
    buffer: Buffer,
    key: string,
    bytes: number,
    fill: (ptr: number) => void,
    others: readonly Buffer[] = [],
  ): number {
    const own = this.own(buffer)
    const recording = this.#recording
    if (recording === undefined) return this.#derived.of(own, key, bytes, fill, others, this.#call, this.heap).block.ptr
    if ([own, ...others.map((other) => this.own(other))].some((one) => recording.makes(one))) {
      // It will be other numbers next time.
      const ptr = recording.lasting(bytes)
      fill(ptr)
      return ptr
    }
    const entry = this.unrecorded(() => this.#derived.of(own, key, bytes, fill, others, this.#call, this.heap))
    recording.needs(entry)
    return entry.block.ptr
  }

  /**
   * Whether it is asked for the third time, or more often, what `derived(buffer, key)` gives for the same contents. Then it is worth
   * keeping. Most buffers are used once, and weights in a step of training with checkpoints twice before they change. What is
   * recorded is used again, and if weights do not change meanwhile, it is kept.
   */
  isRecurring(buffer: Buffer, key: string): boolean {
    const own = this.own(buffer)
    const recording = this.#recording
    if (recording === undefined) return asks(own, key) > 2
    return !recording.makes(own) && (!recording.changing || asks(own, key) > 2)
  }

  /** Computes anew what was derived from buffers that have changed since. */
  refresh(derived: Derived): void {
    this.guard(() => this.#derived.refresh(derived, this.#call))()
  }

  /** Where buffers and workspace come from. */
  get #place(): Allocator {
    return this.#recording?.region ?? this.heap
  }

  /** Where the workspace stands; `release` gives back what was taken since. */
  mark(): number {
    return this.#place.mark()
  }

  release(mark: number): void {
    this.#place.release(mark)
  }

  /** Memory for temporaries of the running backend call; given back when it ends. Contents undefined. */
  workspace(bytes: number): number {
    return this.#place.workspace(bytes)
  }

  /** Workspace that holds what `write` puts there, which depends on shapes and on where buffers are, and on nothing else. */
  constants(bytes: number, write: (ptr: number) => void): number {
    const ptr = this.#recording?.lasting(bytes) ?? this.workspace(bytes)
    const { touched } = this.heap
    write(ptr)
    this.heap.touched = touched
    return ptr
  }

  get memory(): BackendMemory {
    return {
      bytes: this.#bytes,
      buffers: this.#buffers,
      peakBytes: this.#peak,
      heldBytes: this.heap.used,
      peakHeldBytes: this.heap.peak,
      derivedBytes: this.#derived.bytes,
      workspaceBytes: this.heap.workspaceBytes,
      reservedBytes: this.heap.reserved,
    }
  }

  resetPeak(): void {
    this.#peak = this.#bytes
    this.#heap?.resetPeak()
  }

  /** Methods as backend calls; see `guard`. */
  guarded(methods: Kernels): Kernels {
    const calls = Object.entries(methods).map(([name, method]) => [
      name,
      this.guard(method as (...args: unknown[]) => unknown),
    ])
    return Object.fromEntries(calls) as unknown as Kernels
  }

  /** `method` as a backend call: its workspace is given back at the end and, if it throws, also what it allocated. */
  guard<A extends readonly unknown[], R>(method: (...args: A) => R): (...args: A) => R {
    return (...args) => {
      const recording = this.#depth === 0 ? this.#recording : undefined
      recording?.begin()
      const mark = this.mark()
      const made = this.#made.length
      if (this.#depth === 0) this.#call++
      this.#depth++
      try {
        const result = method(...args)
        recording?.end(() => method(...args))
        return result
      } catch (error) {
        for (const buffer of this.#made.splice(made)) if (buffer.block) this.free(buffer)
        throw error
      } finally {
        this.#depth--
        this.release(mark)
        if (this.#depth === 0) this.#made.length = 0
      }
    }
  }

  // --- recording ---

  /** Runs `fn` and writes down in `recording` what it does, where it is given, or has nothing in it written down. */
  withRecording<T>(recording: WasmRecording | undefined, fn: () => T): T {
    const former = this.#recording
    this.#recording = recording
    try {
      return fn()
    } finally {
      this.#recording = former
    }
  }

  /** Runs `fn`, which is done once and need not be done again with what is recorded. */
  unrecorded<T>(fn: () => T): T {
    return this.#recording === undefined ? fn() : this.withRecording(undefined, fn)
  }

  /** Says that the running backend call depends on more than memory: what is recorded does all of it again. */
  whole(): void {
    this.heap.touched = true
  }

  /** Frees the recording that was not used the longest, of those that nobody needs now; false where there is none. */
  #dropRecording(): boolean {
    for (const recording of this.recordings) {
      if (!recording.isIdle) continue
      recording.dispose()
      return true
    }
    return false
  }

  /** Whether something is recorded. */
  get isRecording(): boolean {
    return this.#recording !== undefined
  }

  /** Runs a backend call that was recorded: buffers that it makes are those of then. */
  doAgain(again: Again): void {
    const restored = again.restore()
    this.#again = again
    try {
      this.guard(again.call)()
    } finally {
      this.#again = undefined
      for (const buffer of restored) {
        this.#derived.forget(buffer)
        buffer.block = null
      }
    }
  }

  // --- kernels ---

  /**
   * The kernel named `key`; if there is none yet, `build` adds its functions to a module. The entry is the function
   * named `run`; memory is imported. Everything that `build` depends on must be part of the key.
   */
  kernel(key: string, build: (m: ModuleBuilder) => void): Kernel {
    return this.#kernels.of(key, build, this.fma, this.heap)
  }

  /** Compiles all kernels anew, on all threads, since the host's compiler has been told to do it differently. */
  recompile(): void {
    this.#pool?.forget()
    this.#kernels.recompile(this.heap)
    while (this.#derived.drop(-1));
  }

  /** Calls a kernel on this thread. */
  run(kernel: Kernel, ...args: number[]): void {
    this.#recording?.step(() => this.run(kernel, ...args))
    try {
      kernel.run(...args)
    } catch (cause) {
      throw failure(kernel, cause)
    }
  }

  /**
   * Calls `kernel.run(...args, from, to, thread)` for parts that together cover [0, units) once, on several threads if
   * there are at least two parts of `grain` units. A part must write only what belongs to its units, so that the results
   * are the same for any number of threads; what `thread` (less than `pool.threads`) is for is scratch memory. Choose
   * `grain` so that so many units take about 10 microseconds; it may be less than 1.
   */
  parallel(kernel: Kernel, args: readonly number[], units: number, grain: number): void {
    if (units <= 0) return
    if (this.#recording) {
      const copy = args.slice()
      this.#recording.step(() => this.parallel(kernel, copy, units, grain))
    }
    const parts = units < 2 ? 1 : Math.floor(units / grain)
    try {
      if (parts < 2 || !this.pool.run(kernel, args, units, parts)) runAlone(kernel, args, units)
    } catch (cause) {
      throw failure(kernel, cause)
    }
  }
}

function failure(kernel: Kernel, cause: unknown): BackendError {
  if (cause instanceof BackendError) return cause
  return new BackendError(`wasm: kernel ${kernel.key} failed: ${message(cause)}`, { cause })
}
