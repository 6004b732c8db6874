import { describe, expect, it } from 'vitest'
import type { Block } from '../../src/backends/wasm/allocator.ts'
import { i32, ints, memory } from '../../src/backends/wasm/asm.ts'
import { Engine } from '../../src/backends/wasm/engine.ts'
import { Heap } from '../../src/backends/wasm/memory.ts'
import { BackendError, DisposedError, OutOfMemoryError } from '../../src/errors.ts'
import { numbers } from './random.ts'

describe('heap', () => {
  it('gives aligned blocks that do not overlap, whatever the order of requests', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = numbers(seed)
      const heap = new Heap({ initialPages: 2, maximumPages: 512 })
      const live: { block: Block; bytes: number; mark: number }[] = []
      for (let step = 0; step < 600; step++) {
        if (live.length > 0 && random() < 0.45) {
          const [{ block, bytes, mark }] = live.splice(Math.floor(random() * live.length), 1) as [(typeof live)[0]]
          const contents = heap.u8.subarray(block.ptr, block.ptr + bytes)
          expect(contents.every((byte) => byte === mark)).toBe(true)
          heap.free(block)
        } else {
          const bytes = Math.floor(2 ** (random() * 16))
          const block = heap.alloc(bytes)
          const mark = step & 255
          expect(block.ptr % 64).toBe(0)
          expect(block.ptr).toBeGreaterThan(0)
          expect(block.ptr + bytes + 64).toBeLessThanOrEqual(heap.reserved)
          heap.u8.fill(mark, block.ptr, block.ptr + bytes)
          live.push({ block, bytes, mark })
        }
      }
      for (const { block } of live) heap.free(block)
      expect(heap.used).toBe(0)
      // All is one block again: nothing but the two spare lines is missing.
      const before = heap.reserved
      const all = heap.alloc(before - 128)
      expect(heap.reserved).toBe(before)
      heap.free(all)
    }
  })

  it('does not grow when a loop repeats its requests', () => {
    const random = numbers(7)
    const heap = new Heap({ initialPages: 2 })
    const sizes = Array.from({ length: 60 }, () => Math.floor(2 ** (6 + random() * 14)))
    const order = sizes.map((_, i) => i).sort(() => random() - 0.5)
    const round = (): number => {
      const blocks = sizes.map((size) => heap.alloc(size))
      for (const i of order) heap.free(blocks[i] as Block)
      return heap.reserved
    }
    round()
    const settled = round()
    for (let i = 0; i < 100; i++) expect(round()).toBe(settled)
  })

  it('says what was asked and what is in use when it is full, and stays usable', () => {
    const heap = new Heap({ initialPages: 1, maximumPages: 4 })
    const kept = heap.alloc(100_000)
    heap.u8.fill(7, kept.ptr, kept.ptr + 100_000)
    const used = heap.used
    expect(() => heap.alloc(200_000)).toThrow(OutOfMemoryError)
    expect(() => heap.alloc(200_000)).toThrow(/200000 bytes asked, \d+ of at most 262144 bytes in use/)
    expect(() => heap.alloc(2 ** 40)).toThrow(OutOfMemoryError)
    expect(heap.used).toBe(used)
    const fits = heap.alloc(150_000)
    expect(heap.u8.subarray(kept.ptr, kept.ptr + 100_000).every((byte) => byte === 7)).toBe(true)
    heap.free(fits)
    heap.free(kept)
    expect(heap.used).toBe(0)
  })

  it('reaches beyond 2 GiB with unsigned pointers', () => {
    const heap = new Heap({ initialPages: 1 })
    const low = heap.alloc(2.5 * 2 ** 30)
    const high = heap.alloc(1000)
    expect(Math.max(low.ptr, high.ptr)).toBeGreaterThan(2 ** 31)
    const top = Math.max(low.ptr, high.ptr)
    heap.f32[top >>> 2] = 3
    expect(heap.floats(top, 1)[0]).toBe(3)
  })

  it('keeps a workspace that settles at the largest need', () => {
    const heap = new Heap({ initialPages: 1 })
    const call = (sizes: number[]): number[] => {
      const mark = heap.mark()
      const pointers = sizes.map((size) => heap.workspace(size))
      for (const [i, ptr] of pointers.entries()) heap.u8.fill(i + 1, ptr, ptr + (sizes[i] as number))
      for (const [i, ptr] of pointers.entries()) {
        const own = heap.u8.subarray(ptr, ptr + (sizes[i] as number))
        expect(own.every((byte) => byte === i + 1)).toBe(true)
      }
      heap.release(mark)
      return pointers
    }
    call([100, 70_000, 5000])
    call([100, 70_000, 5000])
    const used = heap.used
    const first = call([100, 70_000, 5000])
    expect(call([100, 70_000, 5000])).toEqual(first)
    expect(heap.used).toBe(used)
  })
})

describe('engine', () => {
  it('counts live buffers, bytes and the peak', () => {
    const engine = new Engine({ initialPages: 4, threads: 1 })
    const a = engine.alloc('float32', 1000)
    const b = engine.alloc('bool', 10)
    expect(engine.memory).toMatchObject({ bytes: 4010, buffers: 2, peakBytes: 4010 })
    engine.free(a)
    expect(engine.memory).toMatchObject({ bytes: 10, buffers: 1, peakBytes: 4010 })
    engine.resetPeak()
    expect(engine.memory.peakBytes).toBe(10)
    engine.free(b)
    expect(() => engine.free(b)).toThrow(DisposedError)
    expect(() => engine.array(b)).toThrow(DisposedError)
    expect(() => engine.own({ dtype: 'float32', length: 1, version: 0 })).toThrow(BackendError)
  })

  it('takes back what a failing call allocated, and its workspace', () => {
    const engine = new Engine({ initialPages: 4, threads: 1 })
    const ok = engine.guard(() => engine.alloc('float32', 8))
    const fails = engine.guard(() => {
      ok()
      engine.alloc('float64', 100)
      engine.workspace(1000)
      throw new Error('no')
    })
    const kept = ok()
    const before = engine.memory
    expect(fails).toThrow('no')
    expect(engine.memory.bytes).toBe(before.bytes)
    expect(engine.memory.buffers).toBe(1)
    expect(engine.heap.mark()).toBe(0)
    engine.free(kept)
  })

  it('computes what derives from a buffer once per version of its contents', () => {
    const engine = new Engine({ initialPages: 4, threads: 1 })
    const weight = engine.alloc('float32', 4)
    let packed = 0
    const pack = (): number =>
      engine.derived(weight, 'packed', 64, (ptr) => {
        packed++
        engine.heap.floats(ptr, 4).set(engine.array(weight))
      })
    const first = pack()
    expect(pack()).toBe(first)
    expect(packed).toBe(1)
    weight.version++
    pack()
    expect(packed).toBe(2)
    engine.free(weight)
    expect(engine.heap.used).toBe(0)
  })

  it('knows whether what was in use at the peak may stay in use', () => {
    const heap = new Heap({ initialPages: 16, maximumPages: 64 })
    const use = (bytes: number): boolean => {
      const block = heap.alloc(bytes)
      const { canHoldPeak } = heap
      heap.free(block)
      return canHoldPeak && heap.canHoldPeak
    }
    expect(use(2 ** 21)).toBe(true)
    expect(use(3.4 * 2 ** 20)).toBe(true)
    expect(use(3.7 * 2 ** 20)).toBe(false)
    heap.resetPeak()
    expect(heap.canHoldPeak).toBe(true)
  })

  it('gives up what derives from buffers when memory runs out, but not what the running call works with', () => {
    const engine = new Engine({ initialPages: 4, maximumPages: 4, threads: 1 })
    const weights = Array.from({ length: 3 }, () => engine.alloc('float32', 4))
    const packed = [0, 0, 0]
    const size = 60_000
    const pack = (i: number): number =>
      engine.derived(weights[i] as (typeof weights)[0], 'packed', size, (ptr) => {
        packed[i] = (packed[i] ?? 0) + 1
        engine.heap.u8.fill(i, ptr, ptr + size)
      })
    const call = engine.guard((...which: number[]) => which.map(pack))
    for (const i of [0, 1, 2, 1, 0]) call(i)
    expect(packed).toEqual([1, 1, 1])
    // 262 kB hold three packs and 82 kB more: the pack not asked for the longest, that of weight 2, makes way.
    const large = engine.alloc('float32', 25_000)
    call(0)
    call(1)
    expect(packed).toEqual([1, 1, 1])
    expect(engine.memory.derivedBytes).toBe(2 * 60_032)
    call(2)
    expect(packed).toEqual([1, 1, 2])
    // A call that wants all three at once cannot have them, since none of its own may make way.
    expect(() => call(0, 1, 2)).toThrow(OutOfMemoryError)
    engine.free(large)
    const pointers = call(0, 1, 2)
    for (const [i, ptr] of pointers.entries())
      expect(engine.heap.u8.subarray(ptr, ptr + size).every((b) => b === i)).toBe(true)
    for (const weight of weights) engine.free(weight)
    expect(engine.heap.used).toBe(0)
    expect(engine.memory.derivedBytes).toBe(0)
    expect(() => engine.alloc('float32', 70_000)).toThrow(OutOfMemoryError)
  })

  it('reports a kernel that does not compile by name', () => {
    const engine = new Engine({ initialPages: 4, threads: 1 })
    expect(() =>
      engine.kernel('broken', (m) => m.func('run', ['i32'], (b) => void b.emit({ type: 'void', code: [0xff] }))),
    ).toThrow(/kernel broken does not compile/)
  })
})

describe('threads', () => {
  it('copy within memory that has just grown', async () => {
    const engine = new Engine({ threads: 3, initialPages: 2 })
    await engine.pool.start()
    const kernel = engine.kernel('copy of units', (m) => {
      m.func('run', ints(4), (b, x, y, from, to) => {
        const start = b.let(i32.shl(from, 12))
        b.emit(memory.copy(i32.add(y, start), i32.add(x, start), i32.sub(i32.shl(to, 12), start)))
      })
    })
    const units = 48
    for (let round = 0; round < 100; round++) {
      const before = engine.heap.reserved
      const [x, y] = [0, 0].map(() => engine.alloc('uint8', units * 4096))
      engine.array(x!).fill(round + 1)
      engine.parallel(kernel, [engine.ptr(x!), engine.ptr(y!)], units, 1)
      expect(engine.array(y!).every((value) => value === round + 1)).toBe(true)
      // Every quarter of what there is, so not in every round.
      if (round === 0) expect(engine.heap.reserved).toBeGreaterThan(before)
    }
    expect(engine.heap.reserved).toBeGreaterThan(100 * units * 8192)
    engine.pool.threads = 1
  })
})
