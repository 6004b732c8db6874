import { afterEach, describe, expect, it, vi } from 'vitest'
import { f } from '../../src/formula.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.resetModules()
})

describe('the wasm backend', () => {
  it('reserves and compiles nothing before its first use', async () => {
    let memories = 0
    let modules = 0
    vi.stubGlobal('WebAssembly', {
      ...Object.fromEntries(
        Object.getOwnPropertyNames(WebAssembly).map((name) => [name, Reflect.get(WebAssembly, name)]),
      ),
      Memory: class extends WebAssembly.Memory {
        constructor(descriptor: WebAssembly.MemoryDescriptor) {
          super(descriptor)
          memories++
        }
      },
      Module: class extends WebAssembly.Module {
        constructor(bytes: BufferSource) {
          super(bytes)
          modules++
        }
      },
    })
    const { wasm } = await import('../../src/backends/wasm/wasm.ts')
    expect([memories, modules]).toEqual([0, 0])
    // A method that was taken off before works as well.
    const { fill, map, readSync } = wasm
    const x = fill('float32', 5, 2)
    expect(memories).toBe(1)
    const view = { buffer: x, offset: 0, strides: [1] }
    expect([...readSync(map(f.mul(f.input(0), f.input(0)), [view], [], [5], 'float32'))]).toEqual([4, 4, 4, 4, 4])
    expect(memories).toBe(1)
    expect(modules).toBeGreaterThan(0)
  })

  it('stores, reads, writes and counts', async () => {
    const { wasm } = await import('../../src/backends/wasm/wasm.ts')
    const data = new Int32Array([3, 1, 2])
    const x = wasm.upload('int32', data)
    data.fill(0)
    expect(wasm.readSync(x)).toEqual(new Int32Array([3, 1, 2]))
    expect(x.version).toBe(0)
    wasm.write(x, new Int32Array([7, 8, 9]))
    expect(x.version).toBe(1)
    const copy = await wasm.read(x)
    wasm.write(x, new Int32Array([0, 0, 0]))
    expect(copy).toEqual(new Int32Array([7, 8, 9]))
    expect(wasm.memory()).toMatchObject({ bytes: 12, buffers: 1, peakBytes: 12 })
    wasm.free(x)
    expect(wasm.memory()).toMatchObject({ bytes: 0, buffers: 0, peakBytes: 12 })
    wasm.resetPeak()
    expect(wasm.memory().peakBytes).toBe(0)
  })

  it('has a settable number of threads', async () => {
    const { getThreads, setThreads } = await import('../../src/backends/wasm/wasm.ts')
    expect(getThreads()).toBeGreaterThanOrEqual(1)
    expect(getThreads()).toBeLessThanOrEqual(8)
    setThreads(3)
    expect(getThreads()).toBe(3)
    setThreads(1)
    expect(getThreads()).toBe(1)
  })

  it('leaves nothing behind when a kernel fails', async () => {
    const { wasm } = await import('../../src/backends/wasm/wasm.ts')
    const x = wasm.upload('float32', new Float32Array(12))
    const index = wasm.upload('int32', new Int32Array([0, 1, 9]))
    const before = wasm.memory().bytes
    expect(() =>
      wasm.gather({ buffer: x, offset: 0, strides: [0] }, { buffer: index, offset: 0, strides: [1] }, 1, 3, [3]),
    ).toThrow()
    expect(wasm.memory()).toMatchObject({ bytes: before, buffers: 2 })
  })

  it('works on one thread and grows where there is no shared memory', async () => {
    vi.stubGlobal('SharedArrayBuffer', undefined)
    const { wasm, getThreads, wasmEngine } = await import('../../src/backends/wasm/wasm.ts')
    expect(getThreads()).toBe(1)
    expect(wasmEngine().heap.shared).toBe(false)
    const x = wasm.upload(
      'float32',
      Float32Array.from({ length: 1000 }, (_, i) => i),
    )
    const view = { buffer: x, offset: 0, strides: [1] }
    // Each result makes the memory grow; views of the old memory would be empty.
    for (const length of [1e6, 3e6, 6e6]) {
      const y = wasm.fill('float64', length, 1.5)
      const sum = wasm.map(f.add(f.input(0), f.param(0)), [view], [0.5], [1000], 'float32')
      expect(wasm.readSync(sum)[999]).toBe(999.5)
      const wide = wasm.map(f.mul(f.input(0), 2), [{ buffer: y, offset: 0, strides: [1] }], [], [length], 'float64')
      expect(wasm.readSync(wide)[length - 1]).toBe(3)
      for (const buffer of [y, sum, wide]) wasm.free(buffer)
    }
    expect(wasm.memory().reservedBytes).toBeGreaterThan(9e7)
  })
})
