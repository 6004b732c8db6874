import { expect } from 'vitest'
import type { Buffer } from '../../src/backends/backend.ts'
import { loops } from '../../src/backends/reference/loops.ts'
import { reference } from '../../src/backends/reference/reference.ts'
import type { ModuleBuilder } from '../../src/backends/wasm/asm.ts'
import { Engine, type Kernels } from '../../src/backends/wasm/engine.ts'
import type { TypedArray } from '../../src/dtype.ts'
import { expectClose } from '../numbers.ts'

/** Engine of this test file, one thread until it is told otherwise. */
export const engine: Engine = new Engine({ threads: 1 })

/** That engine as hosts without relaxed SIMD have it; its kernels go by other names. */
export const unfused: Engine = new Proxy(engine, {
  get(target, name) {
    if (name === 'fma') return false
    if (name === 'kernel') {
      return (key: string, build: (m: ModuleBuilder) => void) => {
        // The engine tells the code of kernels, too.
        Object.defineProperty(target, 'fma', { value: false, configurable: true })
        try {
          return target.kernel(`unfused ${key}`, build)
        } finally {
          Reflect.deleteProperty(target, 'fma')
        }
      }
    }
    const value = Reflect.get(target, name, target) as unknown
    return typeof value === 'function' ? value.bind(target) : value
  },
})

/** The plain loops on that engine's memory. */
export const plain: ReturnType<typeof loops> = loops(engine)

/** A buffer of the engine: int32 for integers, float32 for everything else. */
export function upload(data: TypedArray): Buffer {
  const buffer = engine.alloc(data instanceof Int32Array ? 'int32' : 'float32', data.length)
  engine.array(buffer).set(data)
  return buffer
}

/** A family of kernels as the backend calls it: what it does not need is given back. */
export function guarded<K extends Partial<Kernels>>(kernels: K): K {
  return Object.fromEntries(
    Object.entries(kernels).map(([name, method]) => [name, engine.guard(method as (...args: unknown[]) => unknown)]),
  ) as unknown as K
}

/** What a kernel gives: a buffer or several by name, null where one was not asked for. */
type Result = Buffer | Record<string, Buffer | null>

function named(result: Result): Record<string, Buffer> {
  if ('dtype' in result && typeof result.dtype === 'string') return { result: result as Buffer }
  return Object.fromEntries(
    Object.entries(result as Record<string, Buffer | null>).filter(([, buffer]) => buffer),
  ) as never
}

/**
 * Runs a kernel on float32 copies of `inputs` and on float64 copies in the reference backend, and expects equal results
 * up to `tolerance` times the largest value (per result, if given by name); int32 results must be the same.
 */
export function expectLikeReference(
  inputs: readonly (TypedArray | null)[],
  run: (kernels: Kernels, ...buffers: Buffer[]) => Result,
  family: Partial<Kernels>,
  tolerance: number | Readonly<Record<string, number>>,
): void {
  const own = inputs.map((data) => (data === null ? (null as unknown as Buffer) : upload(data)))
  // The reference sees the numbers after their rounding to float32.
  const exact = inputs.map((data, i) => {
    if (data === null) return null as unknown as Buffer
    if (data instanceof Int32Array) return reference.upload('int32', data)
    return reference.upload('float64', Float64Array.from(engine.array(own[i]!)))
  })
  const results = named(run(family as Kernels, ...own))
  const expected = named(run(reference as unknown as Kernels, ...exact))
  expect(Object.keys(results).sort()).toEqual(Object.keys(expected).sort())
  for (const [name, buffer] of Object.entries(results)) {
    const limit = typeof tolerance === 'number' ? tolerance : tolerance[name]!
    expectClose(engine.array(buffer), reference.readSync(expected[name]!), buffer.dtype === 'int32' ? 0 : limit)
    engine.free(buffer)
  }
  for (const buffer of own) if (buffer) engine.free(buffer)
  for (const buffer of [...exact, ...Object.values(expected)]) if (buffer) reference.free(buffer)
}

/** The bytes of what `run` gives. */
function bytesOf(run: () => Result): Uint8Array[] {
  return Object.values(named(run())).map((buffer) => {
    const array = engine.array(buffer)
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength).slice()
    engine.free(buffer)
    return bytes
  })
}

/**
 * Expects the same bytes from `run` whether its units are done in one go, one by one from the last to the first, or by
 * two or three threads.
 */
export function expectSameBits(run: () => Result): void {
  const once = bytesOf(run)
  const expectSame = (name: string): void => {
    const same = bytesOf(run).every((bytes, i) => bytes.every((value, at) => value === once[i]![at]))
    expect(same, name).toBe(true)
  }
  const { parallel } = engine
  try {
    engine.parallel = (kernel, args, units) => {
      for (let unit = units - 1; unit >= 0; unit--) kernel.run(...args, unit, unit + 1)
    }
    expectSame('units one by one')
    for (const threads of [2, 3]) {
      engine.pool.threads = threads
      engine.parallel = (kernel, args, units) => parallel.call(engine, kernel, args, units, 1)
      // Threads come up after some work has been done.
      for (let turn = 0; turn < 4; turn++) expectSame(`${threads} threads`)
    }
  } finally {
    engine.parallel = parallel
    engine.pool.threads = 1
  }
}
