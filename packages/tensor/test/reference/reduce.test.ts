import { describe, expect, it } from 'vitest'
import type { Rows } from '../../src/backends/backend.ts'
import { argReduce, reduce, topk } from '../../src/backends/reference/reduce.ts'
import { between, expectClose, forSeeds, normals } from '../numbers.ts'

/** The middle axis as plain arrays, one per (outer, inner). */
function lines(x: Float64Array, [outer, size, inner]: Rows): number[][] {
  return Array.from({ length: outer * inner }, (_, line) => {
    const start = Math.floor(line / inner) * size * inner + (line % inner)
    return Array.from({ length: size }, (_, s) => x[start + s * inner]!)
  })
}

describe('reduce', () => {
  it('agrees with reductions of plain arrays', () => {
    forSeeds(20, (random) => {
      const rows: Rows = [between(random, 1, 5), between(random, 1, 40), between(random, 1, 5)]
      const x = normals(random, rows[0] * rows[1] * rows[2])
      const out = new Float64Array(rows[0] * rows[2])
      reduce('sum', x, rows, out)
      expectClose(
        out,
        lines(x, rows).map((line) => line.reduce((a, b) => a + b)),
        1e-14,
      )
      reduce('max', x, rows, out)
      expect([...out]).toEqual(lines(x, rows).map((line) => Math.max(...line)))
      reduce('min', x, rows, out)
      expect([...out]).toEqual(lines(x, rows).map((line) => Math.min(...line)))
      argReduce('max', x, rows, out)
      expect([...out]).toEqual(lines(x, rows).map((line) => line.indexOf(Math.max(...line))))
    })
  })

  it('sums float32 in float64', () => {
    const out = new Float32Array(1)
    reduce('sum', new Float32Array(10_000_000).fill(0.1), [1, 10_000_000, 1], out)
    expect(out[0]).toBe(Math.fround(10_000_000 * Math.fround(0.1)))
  })

  it('lets NaN win and the first of equals be it', () => {
    const out = new Float64Array(1)
    for (const kind of ['max', 'min'] as const) {
      reduce(kind, Float64Array.of(1, Number.NaN, 2, -3), [1, 4, 1], out)
      expect(out[0]).toBeNaN()
      argReduce(kind, Float64Array.of(1, Number.NaN, 9, Number.NaN, -9), [1, 5, 1], out)
      expect(out[0]).toBe(1)
      argReduce(kind, Float64Array.of(5, 5, 5), [1, 3, 1], out)
      expect(out[0]).toBe(0)
    }
  })

  it('is 0 for the sum of nothing', () => {
    const out = Float64Array.of(7)
    reduce('sum', new Float64Array(0), [1, 0, 1], out)
    expect(out[0]).toBe(0)
  })
})

describe('topk', () => {
  it('is a stable sort cut short, for few and for many results', () => {
    forSeeds(20, (random) => {
      const rows: Rows = [between(random, 1, 3), between(random, 1, 80), between(random, 1, 3)]
      const x = Float64Array.from({ length: rows[0] * rows[1] * rows[2] }, () => random.integer(20))
      const k = between(random, 1, rows[1])
      for (const largest of [true, false]) {
        const out = new Int32Array(rows[0] * k * rows[2])
        topk(x, rows, k, largest, out)
        for (const [line, values] of lines(x, rows).entries()) {
          const order = values.map((_, i) => i).sort((a, b) => (largest ? -1 : 1) * (values[a]! - values[b]!) || a - b)
          const start = Math.floor(line / rows[2]) * k * rows[2] + (line % rows[2])
          for (let j = 0; j < k; j++) expect(out[start + j * rows[2]]).toBe(order[j])
        }
      }
    })
  })

  it('takes NaN for the largest number', () => {
    const x = Float64Array.of(1, Number.NaN, Infinity, -1)
    const out = new Int32Array(4)
    topk(x, [1, 4, 1], 4, true, out)
    expect([...out]).toEqual([1, 2, 0, 3])
    topk(x, [1, 4, 1], 4, false, out)
    expect([...out]).toEqual([3, 0, 2, 1])
  })
})
