import { describe, expect, it } from 'vitest'
import type { Rows } from '../../src/backends/backend.ts'
import { reduceKernels } from '../../src/backends/wasm/kernels/reduce.ts'
import { Generator } from '../../src/random.ts'
import { between, forSeeds, normals } from '../numbers.ts'
import { engine, expectLikeReference, expectSameBits, guarded, plain, upload } from './kernels.ts'

const family = guarded(reduceKernels(engine, plain))

/** Shapes on both sides of every seam: pieces, chunks, tiles, vectors, rows side by side. */
const shapes: Rows[] = [
  [1, 1, 1],
  [3, 5, 1],
  [2, 8193, 1],
  [1, 70_001, 1],
  [257, 16, 1],
  [1, 7, 5],
  [1, 4096, 3],
  [1, 4099, 2],
  [2, 1027, 17],
  [1, 130, 1029],
  [5, 49, 64],
  [3, 2, 513],
]

describe('reduce', () => {
  it('agrees with float64 on every shape', () => {
    forSeeds(30, (random) => {
      const rows: Rows = shapes[random.integer(60)] ?? [
        between(random, 1, 9),
        between(random, 1, 300),
        between(random, 1, 70),
      ]
      const x = normals(random, rows[0] * rows[1] * rows[2])
      for (const kind of ['sum', 'max', 'min'] as const) {
        expectLikeReference([x], (k, x) => k.reduce(kind, x, rows), family, kind === 'sum' ? 2e-6 : 0)
      }
    })
  })

  it('agrees on the shapes at the seams', () => {
    for (const rows of shapes) {
      const x = normals(new Generator(1), rows[0] * rows[1] * rows[2])
      for (const kind of ['sum', 'max', 'min'] as const) {
        expectLikeReference([x], (k, x) => k.reduce(kind, x, rows), family, kind === 'sum' ? 2e-6 : 0)
      }
    }
  })

  it('keeps its digits in long sums', () => {
    const x = new Float32Array(1_000_000).fill(0.1)
    for (const rows of [
      [1, 1_000_000, 1],
      [1, 10_000, 100],
      [1, 500_000, 2],
    ] as const) {
      expectLikeReference([x], (k, x) => k.reduce('sum', x, rows), family, 5e-7)
    }
  })

  it('lets NaN win wherever it stands', () => {
    for (const rows of [
      [1, 37, 1],
      [1, 37, 6],
    ] as const) {
      for (let at = 0; at < 37; at++) {
        const x = normals(new Generator(2), 37 * rows[2])
        x[at * rows[2]] = Number.NaN
        for (const kind of ['max', 'min'] as const) {
          const buffer = upload(x)
          const out = family.reduce(kind, buffer, rows)
          expect(engine.array(out)[0]).toBeNaN()
          if (rows[2] > 1) expect(engine.array(out)[1]).not.toBeNaN()
          engine.free(out)
          engine.free(buffer)
        }
      }
    }
  })

  it('finds the first of the largest and smallest, and the first NaN', () => {
    forSeeds(30, (random) => {
      const rows: Rows = shapes[random.integer(20)] ?? [
        between(random, 1, 9),
        between(random, 1, 90),
        [1, 1, between(random, 2, 40)][random.integer(3)]!,
      ]
      // Few different numbers, so that there are equals.
      const x = normals(random, rows[0] * rows[1] * rows[2]).map((value) => Math.round(value * 2))
      if (random.integer(2) === 0) for (let i = 0; i < 3; i++) x[random.integer(x.length)] = Number.NaN
      for (const kind of ['max', 'min'] as const) {
        expectLikeReference([x], (k, x) => k.argReduce(kind, x, rows), family, 0)
      }
    })
  })

  it('gives the same bits on any number of threads', () => {
    for (const rows of [
      [3, 40_000, 1],
      [2, 3000, 24],
      [64, 49, 40],
    ] as const) {
      const x = upload(normals(new Generator(3), rows[0] * rows[1] * rows[2]))
      expectSameBits(() => family.reduce('sum', x, rows))
      expectSameBits(() => family.argReduce('max', x, rows))
      engine.free(x)
    }
  })
})
