import { afterEach, describe, expect, it, vi } from 'vitest'
import { f32x4, i32, v128 } from '../../src/backends/wasm/asm.ts'
import { Engine } from '../../src/backends/wasm/engine.ts'
import { disableTurbo, enableTurbo, type TurboRefusal } from '../../src/backends/wasm/turbo.ts'
import { wasmEngine } from '../../src/backends/wasm/wasm.ts'

const able = process.arch === 'x64' && Number.parseInt(process.versions.v8, 10) >= 13

afterEach(() => {
  disableTurbo()
  vi.unstubAllGlobals()
})

/** The reason for which turbo is refused where `process` looks like this. */
function reasonWhere(changes: object | undefined): TurboRefusal | undefined {
  const { process } = globalThis
  vi.stubGlobal('process', changes && Object.create(process, Object.getOwnPropertyDescriptors(changes)))
  try {
    const turbo = enableTurbo()
    expect(wasmEngine().turbo).toBe(turbo.enabled)
    if (turbo.enabled) return undefined
    expect(turbo.message).toMatch(/^enableTurbo: nothing was changed: ./)
    return turbo.reason
  } finally {
    vi.unstubAllGlobals()
  }
}

describe('enableTurbo', () => {
  it('says why it has no effect outside of Node, on other processors and on an older V8', () => {
    expect(reasonWhere(undefined)).toBe('host')
    expect(reasonWhere({ getBuiltinModule: () => undefined })).toBe('host')
    expect(reasonWhere({ arch: 'arm64' })).toBe('cpu')
    expect(reasonWhere({ arch: 'x64', versions: { ...process.versions, v8: '12.4.254.21-node.57' } })).toBe('engine')
    expect(reasonWhere({ arch: 'x64', versions: { node: '1.0.0' } })).toBe('engine')
  })

  // A V8 without the flag, as one that has dropped it: the self-test finds no gain. V8 notes the unknown flag on stderr.
  it.skipIf(able)('finds no gain where the flag does nothing, and puts everything back', () => {
    const flags: string[] = []
    const getBuiltinModule = () => ({ setFlagsFromString: (flag: string) => flags.push(flag) })
    const versions = { ...process.versions, v8: '13.0.1' }
    expect(reasonWhere({ arch: 'x64', versions, getBuiltinModule })).toBe('speed')
    expect(flags.filter((flag) => flag.includes('revectorize'))).toEqual([
      '--experimental-wasm-revectorize',
      '--no-experimental-wasm-revectorize',
    ])
    expect(flags.filter((flag) => flag.includes('liftoff')).at(-1)).toBe('--liftoff')
  })

  it.skipIf(!able)('is taken back by disableTurbo, and may be had again', () => {
    expect(enableTurbo()).toMatchObject({ enabled: true })
    expect(wasmEngine().turbo).toBe(true)
    disableTurbo()
    expect(wasmEngine().turbo).toBe(false)
    expect(enableTurbo()).toMatchObject({ enabled: true })
  })
})

describe('an engine whose kernels are compiled anew', () => {
  it('gives the same kernels, with other bytes, on all threads', () => {
    const engine = new Engine({ threads: 2, initialPages: 64 })
    const square = engine.kernel('square', (m) =>
      m.func('run', ['i32', 'i32', 'i32'], (b, x, from, to) => {
        b.for(b.let(i32.mul(from, 16)), i32.mul(to, 16), 16, (p) => {
          const at = b.let(i32.add(x, p))
          const value = b.let(v128.load(at))
          const turns = b.let(i32.const(2000))
          b.repeat(turns, () => b.set(value, f32x4.mul(value, -1)))
          b.emit(v128.store(at, f32x4.mul(value, value)))
        })
      }),
    )
    const units = 5000
    const x = engine.alloc('float32', units * 4)
    const codes = new Set<string>()
    for (let edition = 0; edition < 3; edition++) {
      codes.add(square.code.join())
      expect(square.code.length).toBeLessThan(1000)
      for (let i = 0; i < 5; i++) {
        engine.array(x).fill(3)
        engine.parallel(square, [x.ptr], units, 100)
        expect(engine.array(x).every((value) => value === 9)).toBe(true)
      }
      engine.recompile()
    }
    expect(codes.size).toBe(3)
    engine.free(x)
    expect(engine.heap.used).toBe(0)
    engine.pool.threads = 1
  })
})
