/** Memory of a recording: blocks within blocks of the heap. */
import { Allocator, Block } from './allocator.ts'
import type { Heap } from './memory.ts'

/** Bytes that are taken from the heap at a time. */
const chunkBytes = 2 ** 22

export class Region extends Allocator {
  readonly #heap: Heap
  readonly #chunks: Block[] = []
  /** Blocks on memory that the recording uses again. */
  readonly #lent: Set<Block> = new Set()
  #lentBytes = 0
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

  /** A block on memory of the region that is not handed out for it. */
  lend(ptr: number, size: number): Block {
    const block = new Block(this, ptr, size)
    this.#lent.add(block)
    this.#lentBytes += size
    return block
  }

  override free(block: Block): void {
    if (this.#lent.delete(block)) this.#lentBytes -= block.size
    else super.free(block)
    if (this.#closed) this.close()
  }

  /** Bytes of buffers. */
  get held(): number {
    return this.used - this.workspaceBytes + this.#lentBytes
  }

  /** Bytes that it has of the heap. */
  get bytes(): number {
    return this.#chunks.reduce((sum, { size }) => sum + size, 0)
  }

  /** Gives all memory back, once no buffer lies in it. */
  close(): void {
    this.#closed = true
    if (this.held === 0) for (const chunk of this.#chunks.splice(0)) this.#heap.free(chunk)
  }
}
