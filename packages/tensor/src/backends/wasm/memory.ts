/**
 * The memory of the wasm backend: one `WebAssembly.Memory`, shared between threads where the host allows it, with an
 * allocator of its own.
 */
import { OutOfMemoryError } from '../../errors.ts'
import { Allocator, type Block } from './allocator.ts'

const pageBytes = 65536
const maxPages = 65536
/** The first line stays empty, so that no block has pointer 0; the last one, so that a vector load that starts in a block never traps. */
const line = 64
/** Memory that blocks need, with what lies between them where they stay: by a tenth more for ResNet-50. */
const gaps = 1.15

/** Options of a heap; the defaults are right except in tests of running out of memory. */
export interface HeapOptions {
  /** Pages of 64 KiB at the start. */
  readonly initialPages?: number
  /** Pages the heap may grow to; at most 65536 (4 GiB). */
  readonly maximumPages?: number
  /** Only keeps the books: nothing is reserved, there is no limit, and views are of scratch memory. For `planWasm`. */
  readonly imaginary?: boolean
}

/** Memory that grows and holds nothing. */
const nowhere = { buffer: new ArrayBuffer(0), grow: () => 0 } as unknown as WebAssembly.Memory
/** Pages of an imaginary heap (128 GiB): as many as block sizes of fewer than 2^31 units can count. */
const manyPages = 2 ** 21 - 1

function newMemory(initial: number, maximum: number): { memory: WebAssembly.Memory; shared: boolean; pages: number } {
  const shared = typeof SharedArrayBuffer === 'function'
  // Some hosts refuse to reserve 4 GiB of addresses: ask for less until they agree.
  for (let pages = maximum; ; pages = Math.max(initial, pages >>> 1)) {
    try {
      return { memory: new WebAssembly.Memory({ initial, maximum: pages, shared }), shared, pages }
    } catch (error) {
      if (pages === initial) throw new OutOfMemoryError(`wasm: cannot reserve memory (${(error as Error).message})`)
    }
  }
}

/** The heap. Pointers are byte offsets, unsigned; typed-array views are good until the next allocation. */
export class Heap extends Allocator {
  readonly memory: WebAssembly.Memory
  readonly shared: boolean
  /** Asked when memory runs out: frees something that can be made again and says so, or says that nothing is left. */
  relief: (() => boolean) | undefined
  /** Set whenever somebody takes a view of the memory, to look at it or to change it from JavaScript. */
  touched = false
  readonly #maximum: number
  readonly #imaginary: boolean
  #pages: number
  /** Where the memory begins that was never handed out. */
  #blank = 0
  #buffer: ArrayBufferLike
  #f32: Float32Array
  #i32: Int32Array
  #u8: Uint8Array

  constructor(options: HeapOptions = {}) {
    super()
    const initial = options.initialPages ?? 256
    this.#imaginary = options.imaginary ?? false
    this.#pages = initial
    const made = this.#imaginary
      ? { memory: nowhere, shared: typeof SharedArrayBuffer === 'function', pages: manyPages }
      : newMemory(initial, Math.min(options.maximumPages ?? maxPages, maxPages))
    this.memory = made.memory
    this.shared = made.shared
    this.#maximum = made.pages
    this.#buffer = made.memory.buffer
    this.#f32 = new Float32Array(this.#buffer)
    this.#i32 = new Int32Array(this.#buffer)
    this.#u8 = new Uint8Array(this.#buffer)
    this.add(line, initial * pageBytes - 2 * line)
  }

  /** Bytes of the heap, used or not. */
  get reserved(): number {
    return this.#pages * pageBytes
  }

  /**
   * Whether what was in use at the peak, beside what is in use now, may stay in use: with a share more, as blocks leave gaps
   * when they are not handed out anew each time.
   */
  get canHoldPeak(): boolean {
    return this.used + (this.peak - this.used) * gaps <= this.#maximum * pageBytes
  }

  /** All of the memory as float32; index with `ptr >>> 2`. Good until the next allocation. */
  get f32(): Float32Array {
    this.touched = true
    return this.#f32
  }

  /** All of the memory as int32; index with `ptr >>> 2`. Good until the next allocation. */
  get i32(): Int32Array {
    this.touched = true
    return this.#i32
  }

  /** All of the memory as bytes. Good until the next allocation. */
  get u8(): Uint8Array {
    this.touched = true
    return this.#u8
  }

  /** `length` float32 at `ptr`. Good until the next allocation. */
  floats(ptr: number, length: number): Float32Array {
    this.touched = true
    return this.#imaginary ? new Float32Array(length) : new Float32Array(this.#buffer, ptr, length)
  }

  /** `length` int32 at `ptr`. Good until the next allocation. */
  ints(ptr: number, length: number): Int32Array {
    this.touched = true
    return this.#imaginary ? new Int32Array(length) : new Int32Array(this.#buffer, ptr, length)
  }

  /** The ArrayBuffer behind the memory as it is now. Good until the next allocation. */
  get buffer(): ArrayBufferLike {
    this.touched = true
    return this.#buffer
  }

  override alloc(bytes: number): Block {
    const block = super.alloc(bytes)
    block.blank = block.ptr >= this.#blank
    this.#blank = Math.max(this.#blank, block.ptr + block.size)
    return block
  }

  protected override grow(size: number, bytes: number): void {
    try {
      this.#grow(size, bytes)
    } catch (error) {
      if (this.relief?.() !== true) throw error
    }
  }

  /** Grows the memory so that a free block of `size` bytes exists. */
  #grow(size: number, asked: number): void {
    const now = this.reserved
    const needed = Math.ceil((size - this.room) / pageBytes)
    const left = this.#maximum - now / pageBytes
    const fail = (): never => {
      const limit = this.#maximum * pageBytes
      throw new OutOfMemoryError(
        `wasm: out of memory: ${asked} bytes asked, ${this.used} of at most ${limit} bytes in use; what is made outside of tidy() is in use until dispose()`,
      )
    }
    if (needed > left) fail()
    // A quarter more than there is (at most 256 MiB), so that growing stays rare.
    const spare = Math.min(Math.ceil(now / pageBytes / 4), 4096)
    let pages = Math.min(Math.max(needed, spare), left)
    for (;;) {
      try {
        this.memory.grow(pages)
        break
      } catch {
        if (pages === needed) fail()
        pages = needed
      }
    }
    this.#pages += pages
    this.#buffer = this.memory.buffer
    this.#f32 = new Float32Array(this.#buffer)
    this.#i32 = new Int32Array(this.#buffer)
    this.#u8 = new Uint8Array(this.#buffer)
    this.add(now - line, pages * pageBytes)
  }
}
