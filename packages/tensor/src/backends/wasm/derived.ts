/** Buffers of the wasm backend, and what is computed from their contents and kept as long as they do not change. */
import type { DType } from '../../dtype.ts'
import { DisposedError } from '../../errors.ts'
import type { Buffer } from '../backend.ts'
import type { Block } from './allocator.ts'
import type { Heap } from './memory.ts'

interface Source {
  readonly buffer: Buffer
  readonly version: number
}

/** Whether it was computed from its owner and these buffers as they are now. */
function isFresh({ owner, version, sources }: Derived, others: readonly Buffer[]): boolean {
  const same = (buffer: Buffer, source: Source | undefined) =>
    buffer === source?.buffer && buffer.version === source.version
  return version === owner.version && others.every((buffer, i) => same(buffer, sources[i]))
}

/** What was computed from the contents of a buffer. */
export interface Derived {
  readonly owner: WasmBuffer
  readonly key: string
  readonly block: Block
  /** Computes it. */
  fill: (ptr: number) => void
  /** Of the contents that it was computed from. */
  version: number
  /** Other buffers that it was computed from, and their versions. */
  sources: readonly Source[]
  /** The backend call that asked for it last. */
  call: number
  /** Whether it is needed now. */
  pinned: boolean
  /** Whether it was freed. */
  gone: boolean
}

/** A buffer in the heap. */
export class WasmBuffer implements Buffer {
  readonly dtype: DType
  readonly length: number
  version = 0
  pending: (() => void) | undefined = undefined
  /** Null once freed. */
  block: Block | null
  /** What was computed from the contents and is kept as long as they do not change, by key. */
  derived: Map<string, Derived> | null = null
  /** By key, how often something was computed that might have been kept, and for which version. */
  asked: Map<string, { version: number; times: number }> | null = null

  constructor(dtype: DType, length: number, block: Block) {
    this.dtype = dtype
    this.length = length
    this.block = block
  }

  /** Byte offset in the heap. */
  get ptr(): number {
    const block = this.block
    if (block === null) throw new DisposedError('wasm: buffer expects live memory, got a freed one')
    return block.ptr
  }
}

/** How often what `derived` keeps under `key` was asked for since the contents changed, this time included. */
export function asks(buffer: WasmBuffer, key: string): number {
  buffer.asked ??= new Map()
  const asked = buffer.asked.get(key)
  if (asked?.version === buffer.version) return ++asked.times
  buffer.asked.set(key, { version: buffer.version, times: 1 })
  return 1
}

/** All that is derived. */
export class DerivedCache {
  #bytes = 0
  /** What was not asked for the longest first. */
  readonly #kept: Set<Derived> = new Set()

  get bytes(): number {
    return this.#bytes
  }

  /** What `fill` writes to `bytes` bytes of `heap`, or wrote; see `Engine.derived`. `call` is the running backend call. */
  of(
    own: WasmBuffer,
    key: string,
    bytes: number,
    fill: (ptr: number) => void,
    others: readonly Buffer[],
    call: number,
    heap: Heap,
  ): Derived {
    own.derived ??= new Map()
    let entry = own.derived.get(key)
    if (entry === undefined) {
      entry = {
        owner: own,
        key,
        block: heap.alloc(bytes),
        fill,
        version: -1,
        sources: [],
        call,
        pinned: false,
        gone: false,
      }
      own.derived.set(key, entry)
      this.#bytes += entry.block.size
    }
    this.#kept.delete(entry)
    this.#kept.add(entry)
    entry.call = call
    if (isFresh(entry, others)) return entry
    entry.fill = fill
    this.#compute(entry, others)
    return entry
  }

  /** Computes an entry anew where the buffers that it was computed from have changed; for `call`. */
  refresh(entry: Derived, call: number): void {
    const buffers = entry.sources.map(({ buffer }) => buffer)
    if (entry.gone || isFresh(entry, buffers)) return
    entry.call = call
    this.#compute(entry, buffers)
  }

  #compute(entry: Derived, others: readonly Buffer[]): void {
    try {
      entry.fill(entry.block.ptr)
    } catch (error) {
      this.#free(entry)
      entry.owner.derived?.delete(entry.key)
      throw error
    }
    entry.version = entry.owner.version
    entry.sources = others.map((other) => ({ buffer: other, version: other.version }))
  }

  /** Frees all that was derived from a buffer. */
  forget(buffer: WasmBuffer): void {
    if (buffer.derived) for (const entry of buffer.derived.values()) this.#free(entry)
    buffer.derived = null
  }

  /** Frees what was not asked for the longest and not by `call`, for it can be computed again; false where nothing is left. */
  drop(call: number): boolean {
    for (const entry of this.#kept) {
      if (entry.pinned || entry.call === call) continue
      entry.owner.derived?.delete(entry.key)
      this.#free(entry)
      return true
    }
    return false
  }

  #free(entry: Derived): void {
    entry.gone = true
    this.#bytes -= entry.block.size
    this.#kept.delete(entry)
    entry.block.home.free(entry.block)
  }
}
