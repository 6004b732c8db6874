/**
 * Handing out memory: blocks that are multiples of 64 bytes and 64-byte aligned, and a workspace for temporaries.
 *
 * Free blocks hang in lists by size class and merge with their neighbours; a request takes the best of the first few
 * blocks of its class and then the first of a larger class, so both directions take constant time and a loop that repeats
 * its requests finds the same blocks again. Bookkeeping is on the JavaScript side: a stray write of a kernel cannot break
 * it.
 */
const align = 64
/** Blocks looked at within the class of a request before a larger class is tried. */
const searchLength = 16

/** A run of bytes. `before` and `after` are its neighbours in memory, `prev` and `next` those in its list. */
export class Block {
  readonly home: Allocator
  ptr: number
  size: number
  free = false
  /** Whether it holds zeros, since its memory was never handed out before. */
  blank = false
  before: Block | null = null
  after: Block | null = null
  prev: Block | null = null
  next: Block | null = null

  constructor(home: Allocator, ptr: number, size: number) {
    this.home = home
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

/** Bytes of the block that a request for `bytes` takes. */
function roomFor(bytes: number): number {
  return Math.max(align, Math.ceil(bytes / align) * align)
}

/** Hands out memory, which `grow` finds. */
export abstract class Allocator {
  readonly #lists: (Block | null)[] = new Array(classes).fill(null)
  /** Bit per class: whether its list has blocks. */
  readonly #filled = new Int32Array((classes + 31) >>> 5)
  /** The block that was added last, or what was cut from its end. */
  #last: Block | null = null
  #used = 0
  #peak = 0
  // The workspace: one block that grows to the largest need; `#spill` holds what did not fit in it this time.
  #arena: Block | null = null
  #arenaTop = 0
  #arenaNeed = 0
  #spill: Block[] = []
  #spilled = 0

  /** Adds memory in which a block of `size` bytes fits, or throws; `bytes` were asked. */
  protected abstract grow(size: number, bytes: number): void

  /** Memory to hand out. What follows on the memory that was added last is joined to it. */
  protected add(ptr: number, size: number): void {
    const last = this.#last
    const follows = last !== null && last.ptr + last.size === ptr
    if (follows && last.free) {
      this.#remove(last)
      last.size += size
      this.#insert(last)
      return
    }
    const block = new Block(this, ptr, size)
    if (follows) {
      block.before = last
      last.after = block
    }
    this.#last = block
    this.#insert(block)
  }

  /** Free bytes at the end of the memory that was added last. */
  protected get room(): number {
    return this.#last?.free ? this.#last.size : 0
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

  /** A block of at least `bytes` bytes; its contents are whatever they were, or zeros where it says that it is blank. */
  alloc(bytes: number): Block {
    const size = roomFor(bytes)
    let block = this.#find(size)
    while (block === null) {
      this.grow(size, bytes)
      block = this.#find(size)
    }
    this.#remove(block)
    const rest = block.size - size
    if (rest > 0) {
      const tail = new Block(this, block.ptr + size, rest)
      block.size = size
      tail.before = block
      tail.after = block.after
      if (tail.after) tail.after.before = tail
      if (this.#last === block) this.#last = tail
      block.after = tail
      this.#insert(tail)
    }
    this.#used += size
    if (this.#used > this.#peak) this.#peak = this.#used
    block.blank = false
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
    const size = roomFor(bytes)
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
    if (this.#last === after) this.#last = block
  }

  #find(size: number): Block | null {
    // Units beyond that are not counted in 32 bits.
    if (size >= align * 2 ** 31) return null
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
}
