import { describe, expect, it } from 'vitest'
import type { Buffer } from '../../src/backends/backend.ts'
import type { Kernels } from '../../src/backends/wasm/engine.ts'
import { gatherKernels } from '../../src/backends/wasm/kernels/gather.ts'
import { ArgumentError } from '../../src/errors.ts'
import { Generator } from '../../src/random.ts'
import { between, forSeeds, normals } from '../numbers.ts'
import { engine, expectLikeReference, expectSameBits, guarded, plain, upload } from './kernels.ts'

const family = guarded(gatherKernels(engine, plain))

/** Which of the calls fell back on the plain loops. */
const plainCalls: string[] = []
const watched = guarded(
  gatherKernels(engine, {
    gather: (...args) => {
      plainCalls.push('gather')
      return plain.gather(...args)
    },
    scatterAdd: (...args) => {
      plainCalls.push('scatterAdd')
      return plain.scatterAdd(...args)
    },
  }),
)

describe('gather and scatterAdd', () => {
  it('agree with float64 for rows of any length, along any axis', () => {
    forSeeds(40, (random) => {
      const [outer, size, picks, inner] = [6, 9, 40, 30].map((most) => between(random, 1, most)) as [
        number,
        number,
        number,
        number,
      ]
      const index = Int32Array.from({ length: outer * picks }, () => random.integer(size))
      const extents = [outer, picks, inner]
      const strides = [size * inner, 0, 1]
      const shared = random.integer(2) === 0
      const indexStrides = [shared ? 0 : picks, 1, 0]
      const gather = (k: Kernels, source: Buffer, index: Buffer) =>
        k.gather(
          { buffer: source, offset: 0, strides },
          { buffer: index, offset: 0, strides: indexStrides },
          inner,
          size,
          extents,
        )
      expectLikeReference([normals(random, outer * size * inner), index], gather, family, 0)
      expectLikeReference(
        [normals(random, outer * picks * inner), index],
        (k, values, index) => {
          const view = { buffer: index, offset: 0, strides: indexStrides }
          return k.scatterAdd(values, view, strides, inner, size, extents, outer * size * inner)
        },
        family,
        1e-6,
      )
    })
  })

  it('move rows in pieces, of bytes too, and only scattered elements one by one', () => {
    const table = engine.alloc('uint8', 5 * 40)
    engine.array(table).set(Uint8Array.from({ length: 200 }, (_, i) => i))
    const index = upload(Int32Array.of(4, 0, 4))
    const rows = watched.gather(
      { buffer: table, offset: 0, strides: [0, 1] },
      { buffer: index, offset: 0, strides: [1, 0] },
      40,
      5,
      [3, 40],
    )
    expect([...engine.array(rows)]).toEqual(
      [4, 0, 4].flatMap((row) => Array.from({ length: 40 }, (_, i) => row * 40 + i)),
    )
    expect(plainCalls).toEqual([])
    for (const buffer of [table, index, rows]) engine.free(buffer)
  })

  it('refuse an index outside the axis and leave nothing behind', () => {
    const source = upload(new Float32Array(64))
    for (const bad of [-1, 4]) {
      const index = upload(Int32Array.of(0, bad))
      const before = engine.memory.buffers
      const view = { buffer: index, offset: 0, strides: [1, 0] }
      expect(() => family.gather({ buffer: source, offset: 0, strides: [0, 1] }, view, 16, 4, [2, 16])).toThrow(
        `gather: index expects values from 0 to 3, got ${bad}`,
      )
      expect(() => family.scatterAdd(source, view, [0, 1], 16, 4, [2, 16], 64)).toThrow(ArgumentError)
      expect(engine.memory.buffers).toBe(before)
      engine.free(index)
    }
    engine.free(source)
  })

  it('give the same bits on any number of threads', () => {
    const random = new Generator(1)
    const source = upload(normals(random, 400 * 333))
    const index = upload(Int32Array.from({ length: 400 }, () => random.integer(7)))
    const view = { buffer: index, offset: 0, strides: [1, 0] }
    expectSameBits(() => family.gather({ buffer: source, offset: 0, strides: [0, 1] }, view, 333, 7, [400, 333]))
    expectSameBits(() => family.scatterAdd(source, view, [0, 1], 333, 7, [400, 333], 7 * 333))
    for (const buffer of [source, index]) engine.free(buffer)
  })
})
