import { expect } from 'vitest'
import type { Buffer } from '../../src/backends/backend.ts'
import { loops } from '../../src/backends/reference/loops.ts'
import type { Block } from '../../src/backends/wasm/allocator.ts'
import { Engine } from '../../src/backends/wasm/engine.ts'
import type { Generator } from '../../src/random.ts'
import { normals } from '../numbers.ts'

/** Bytes of no-man's-land behind every block. */
const gap = 256
const poison = 0x7fc0dead

/**
 * An engine whose memory is NaN wherever no kernel has a right to be: around and between buffers, in workspace that was
 * not written yet, in the remainder of every block. A kernel that uses what it should not read gives NaN; one that
 * writes where it should not is found by `check`.
 */
export class GuardedEngine {
  readonly engine: Engine
  readonly plain: ReturnType<typeof loops>
  private readonly pages: number
  private ranges: [from: number, to: number][] = []
  private temporary: Block[] = []
  private live: Buffer[] = []

  /** `pages` of 64 KiB must suffice for every case: memory that grows is not poisoned. */
  constructor(pages: number) {
    this.pages = pages
    this.engine = new Engine({ threads: 1, initialPages: pages })
    this.plain = loops(this.engine)
    const { heap } = this.engine
    // Once all of it was handed out, no block is taken for zeros where it is poisoned.
    heap.free(heap.alloc(heap.reserved - 192))
    const { alloc } = heap
    heap.alloc = (bytes) => {
      const block = alloc.call(heap, bytes + gap)
      this.ranges.push([block.ptr, block.ptr + bytes])
      return block
    }
    heap.workspace = (bytes) => {
      const block = heap.alloc(bytes)
      this.temporary.push(block)
      return block.ptr
    }
  }

  /** A buffer of normal numbers, rounded to float32. */
  normals(random: Generator, length: number): Buffer {
    const buffer = this.engine.alloc('float32', length)
    this.engine.array(buffer).set(normals(random, length))
    this.live.push(buffer)
    return buffer
  }

  array(buffer: Buffer): Float32Array {
    return this.engine.array(buffer) as Float32Array
  }

  /** Runs one case on clean memory and checks that nothing was written out of bounds. */
  case(body: () => void): void {
    const { heap } = this.engine
    this.ranges = []
    this.live = []
    new Int32Array(heap.buffer).fill(poison)
    body()
    expect(heap.reserved).toBe(this.pages * 65536)
    const words = new Int32Array(heap.buffer)
    const allowed = this.ranges.sort(([a], [b]) => a - b)
    let at = 0
    for (const [from, to] of [...allowed, [words.length * 4, 0] as const]) {
      for (let word = at >>> 2; word < from >>> 2; word++) {
        if (words[word] !== poison) expect.fail(`byte ${word * 4} was written, which belongs to no buffer`)
      }
      at = Math.max(at, Math.ceil(to / 4) * 4)
    }
    for (const buffer of this.live) this.engine.free(buffer)
    for (const block of this.temporary.splice(0)) heap.free(block)
  }

  /** Keeps a result until the end of the case. */
  keep(buffer: Buffer): Float32Array {
    this.live.push(buffer)
    return this.array(buffer)
  }
}
