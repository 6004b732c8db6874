/**
 * The memory of the wasm backend: one `WebAssembly.Memory`, shared between threads where the host allows it, with an
 * allocator of its own.
 *
 * Blocks are multiples of 64 bytes and 64-byte aligned. Free blocks hang in lists by size class and merge with their
 * neighbours; a request takes the best of the first few blocks of its class and then the first of a larger class, so
 * both directions take constant time and a loop that repeats its requests finds the same blocks again. Bookkeeping is
 * on the JavaScript side: a stray write of a kernel cannot break it.
 */
import { OutOfMemoryError } from '../../errors.ts'

const pageBytes = 65536
const maxPages = 65536
const align = 64
/** Blocks looked at within the class of a request before a larger class is tried. */
const searchLength = 16

/** A run of bytes of the heap. `before` and `after` are its neighbours in memory, `prev` and `next` those in its list. */
export class Block {
  ptr: number
  size: number
  free = false
  /** Whether it holds zeros, since its memory was never handed out before. */
  blank = false
  before: Block | null = null
  after: Block | null = null
  prev: Block | null = null
  next: Block | null = null

  constructor(ptr: number, size: number) {
    this.ptr = ptr
    this.size = size
  }
}

/** Size class of a block: exact up to 16 units of 64 bytes, then eight classes per power of two. */
function classOf(size: number): number {
  const units = size / align
  if (units < 16) return units
  const log = 31 - Math.clz32(units)
  return 16 + (log - 4) * 8 + ((units >>> (log - 3)) & 7)
}

const classes = 16 + (30 - 4 + 1) * 8

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
export class Heap {
  readonly memory: WebAssembly.Memory
  readonly shared: boolean
  /** Asked when memory runs out: frees something that can be made again and says so, or says that nothing is left. */
  relief: (() => boolean) | undefined
  readonly #maximum: number
  readonly #imaginary: boolean
  #pages: number
  readonly #lists: (Block | null)[] = new Array(classes).fill(null)
  /** Bit per class: whether its list has blocks. */
  readonly #filled = new Int32Array((classes + 31) >>> 5)
  /** The last block of the heap. */
  #last: Block
  /** Where the memory begins that was never handed out. */
  #blank = 0
  #used = 0
  #peak = 0
  #buffer: ArrayBufferLike
  #f32: Float32Array
  #i32: Int32Array
  #u8: Uint8Array
  // The workspace: one block that grows to the largest need; `#spill` holds what did not fit in it this time.
  #arena: Block | null = null
  #arenaTop = 0
  #arenaNeed = 0
  #spill: Block[] = []
  #spilled = 0

  constructor(options: HeapOptions = {}) {
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
    // The first line stays empty, so that no block has pointer 0; the last one, so that a vector load that starts in a
    // block never traps.
    this.#last = new Block(align, initial * pageBytes - 2 * align)
    this.#insert(this.#last)
  }

  /** Bytes of the heap, used or not. */
  get reserved(): number {
    return this.#pages * pageBytes
  }

  /** Bytes in blocks that are handed out, the workspace included. */
  get used(): number {
    return this.#used
  }

  /** Largest value of `used` since the start or the last `resetPeak`. */
  get peak(): number {
    return this.#peak
  }

  /** Bytes of the workspace. */
  get workspaceBytes(): number {
    return this.#arena?.size ?? 0
  }

  resetPeak(): void {
    this.#peak = this.#used
  }

  /** All of the memory as float32; index with `ptr >>> 2`. Good until the next allocation. */
  get f32(): Float32Array {
    return this.#f32
  }

  /** All of the memory as int32; index with `ptr >>> 2`. Good until the next allocation. */
  get i32(): Int32Array {
    return this.#i32
  }

  /** All of the memory as bytes. Good until the next allocation. */
  get u8(): Uint8Array {
    return this.#u8
  }

  /** `length` float32 at `ptr`. Good until the next allocation. */
  floats(ptr: number, length: number): Float32Array {
    return this.#imaginary ? new Float32Array(length) : new Float32Array(this.#buffer, ptr, length)
  }

  /** `length` int32 at `ptr`. Good until the next allocation. */
  ints(ptr: number, length: number): Int32Array {
    return this.#imaginary ? new Int32Array(length) : new Int32Array(this.#buffer, ptr, length)
  }

  /** The ArrayBuffer behind the memory as it is now. Good until the next allocation. */
  get buffer(): ArrayBufferLike {
    return this.#buffer
  }

  /** A block of at least `bytes` bytes; its contents are whatever they were, or zeros where it says that it is blank. */
  alloc(bytes: number): Block {
    const size = Math.max(align, Math.ceil(bytes / align) * align)
    let block = size <= this.#maximum * pageBytes ? this.#find(size) : null
    while (block === null) {
      try {
        this.#grow(size, bytes)
      } catch (error) {
        if (this.relief?.() !== true) throw error
      }
      block = this.#find(size)
    }
    this.#remove(block)
    const rest = block.size - size
    if (rest > 0) {
      const tail = new Block(block.ptr + size, rest)
      block.size = size
      tail.before = block
      tail.after = block.after
      if (tail.after) tail.after.before = tail
      else this.#last = tail
      block.after = tail
      this.#insert(tail)
    }
    this.#used += size
    if (this.#used > this.#peak) this.#peak = this.#used
    block.blank = block.ptr >= this.#blank
    this.#blank = Math.max(this.#blank, block.ptr + size)
    return block
  }

  /** Gives a block back. */
  free(block: Block): void {
    this.#used -= block.size
    let whole = block
    const before = block.before
    if (before?.free) {
      this.#remove(before)
      this.#absorb(before)
      whole = before
    }
    if (whole.after?.free) {
      this.#remove(whole.after)
      this.#absorb(whole)
    }
    this.#insert(whole)
  }

  /** Where the workspace stands; `release` gives back what was taken since. */
  mark(): number {
    return this.#arenaTop + this.#spilled
  }

  /** Memory for a kernel's temporaries, good until the backend call ends; 64-byte aligned, contents undefined. */
  workspace(bytes: number): number {
    const size = Math.max(align, Math.ceil(bytes / align) * align)
    const top = this.#arenaTop + this.#spilled
    if (top === 0 && (this.#arena === null || this.#arena.size < Math.max(size, this.#arenaNeed))) {
      if (this.#arena) this.free(this.#arena)
      this.#arena = null
      this.#arena = this.alloc(Math.max(size, this.#arenaNeed))
    }
    this.#arenaNeed = Math.max(this.#arenaNeed, top + size)
    const arena = this.#arena as Block
    if (this.#spilled === 0 && this.#arenaTop + size <= arena.size) {
      this.#arenaTop += size
      return arena.ptr + this.#arenaTop - size
    }
    const block = this.alloc(size)
    this.#spill.push(block)
    this.#spilled += size
    return block.ptr
  }

  /** Gives back the workspace taken since `mark`. */
  release(mark: number): void {
    while (this.#spilled > 0 && this.#arenaTop + this.#spilled > mark) {
      const block = this.#spill.pop() as Block
      this.#spilled -= block.size
      this.free(block)
    }
    if (this.#arenaTop > mark) this.#arenaTop = mark
  }

  /** Merges `block` with the free block after it. */
  #absorb(block: Block): void {
    const after = block.after as Block
    block.size += after.size
    block.after = after.after
    if (block.after) block.after.before = block
    else this.#last = block
  }

  #find(size: number): Block | null {
    const first = classOf(size)
    let best: Block | null = null
    let block = this.#lists[first] ?? null
    for (let i = 0; block !== null && i < searchLength; i++, block = block.next) {
      if (block.size === size) return block
      if (block.size > size && (best === null || block.size < best.size)) best = block
    }
    if (best !== null) return best
    const next = first + 1
    for (let word = next >>> 5; word < this.#filled.length; word++) {
      let bits = this.#filled[word] as number
      if (word === next >>> 5) bits &= -1 << (next & 31)
      if (bits !== 0) return this.#lists[word * 32 + 31 - Math.clz32(bits & -bits)] ?? null
    }
    // Only the unsearched rest of the request's own class is left.
    for (; block !== null; block = block.next) if (block.size >= size) return block
    return null
  }

  #insert(block: Block): void {
    const at = classOf(block.size)
    const head = this.#lists[at] ?? null
    block.free = true
    block.prev = null
    block.next = head
    if (head) head.prev = block
    this.#lists[at] = block
    this.#filled[at >>> 5]! |= 1 << (at & 31)
  }

  #remove(block: Block): void {
    const at = classOf(block.size)
    if (block.prev) block.prev.next = block.next
    else this.#lists[at] = block.next
    if (block.next) block.next.prev = block.prev
    if (this.#lists[at] === null) this.#filled[at >>> 5]! &= ~(1 << (at & 31))
    block.free = false
    block.prev = null
    block.next = null
  }

  /** Grows the memory so that a free block of `size` bytes exists. */
  #grow(size: number, asked: number): void {
    const now = this.reserved
    const room = this.#last.free ? this.#last.size : 0
    const needed = Math.ceil((size - room) / pageBytes)
    const left = this.#maximum - now / pageBytes
    const fail = (): never => {
      const limit = this.#maximum * pageBytes
      throw new OutOfMemoryError(
        `wasm: out of memory: ${asked} bytes asked, ${this.#used} of at most ${limit} bytes in use`,
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
    const added = pages * pageBytes
    const last = this.#last
    if (last.free) {
      this.#remove(last)
      last.size += added
      this.#insert(last)
      return
    }
    const block = new Block(last.ptr + last.size, added)
    block.before = last
    last.after = block
    this.#last = block
    this.#insert(block)
  }
}
