import { describe, expect, it } from 'vitest'
import { random as fill } from '../../src/backends/reference/random.ts'
import { randomKernels } from '../../src/backends/wasm/kernels/random.ts'
import { engine, expectSameBits, guarded, plain } from './kernels.ts'

const { random } = guarded(randomKernels(engine, plain))

describe('random', () => {
  it('draws the numbers of the reference for any seed and place, beyond 32 bits too', () => {
    const places: [seed: number, offset: number][] = [
      [0, 0],
      [1234567890123456, 3],
      [2 ** 32, 2 ** 32 - 2],
      [Number.MAX_SAFE_INTEGER, 2 ** 40 + 1],
    ]
    for (const [seed, offset] of places) {
      for (const length of [1, 4, 15, 16, 17, 1003]) {
        for (const kind of ['uniform', 'normal'] as const) {
          const expected = new Float64Array(length)
          fill(kind, seed, offset, expected)
          const out = random(kind, 'float32', length, { seed, offset })
          const error = expected.map((value, i) => Math.abs(engine.array(out)[i]! - value))
          expect(Math.max(...error)).toBeLessThanOrEqual(kind === 'uniform' ? 0 : 1.5e-6)
          engine.free(out)
        }
      }
    }
  })

  it('writes to no other buffer', () => {
    const buffers = Array.from({ length: 3 }, () => engine.alloc('float32', 5))
    for (const buffer of buffers) engine.array(buffer).fill(7)
    engine.free(buffers[1]!)
    const out = random('uniform', 'float32', 5, { seed: 1, offset: 1 })
    for (const buffer of [buffers[0]!, buffers[2]!]) expect([...engine.array(buffer)]).toEqual([7, 7, 7, 7, 7])
    for (const buffer of [buffers[0]!, buffers[2]!, out]) engine.free(buffer)
  })

  it('gives the same bits on any number of threads', () => {
    for (const kind of ['uniform', 'normal'] as const)
      expectSameBits(() => random(kind, 'float32', 5001, { seed: 9, offset: 9 }))
  })
})
