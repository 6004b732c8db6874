import { describe, expect, it } from 'vitest'
import { map, update } from '../../src/backends/reference/elementwise.ts'
import { erf, pow, roundHalfEven } from '../../src/backends/reference/functions.ts'
import type { TypedArray } from '../../src/dtype.ts'
import { type Expr, f } from '../../src/formula.ts'
import { expectClose, forSeeds, normals } from '../numbers.ts'

const x = f.input(0)
const y = f.input(1)

function apply(formula: Expr, operands: readonly TypedArray[], params: readonly number[], out: TypedArray): TypedArray {
  const views = operands.map((data) => ({ data, offset: 0, strides: [1] }))
  map(formula, views, params, [out.length], out, false)
  return out
}

function at(formula: Expr, ...values: number[]): number {
  const operands = values.map((value) => Float64Array.of(value))
  return apply(formula, operands, [], new Float64Array(1))[0]!
}

describe('scalar functions', () => {
  it('computes erf to 1e-15 of its value on both sides of the seam at 2', () => {
    const known: [number, number][] = [
      [1e-10, 1.1283791670955126e-10],
      [0.1, 0.1124629160182849],
      [0.5, 0.5204998778130465],
      [1, 0.8427007929497149],
      [1.5, 0.9661051464753108],
      [1.9999999, 0.9953222629522538],
      [2, 0.9953222650189527],
      [2.0000001, 0.9953222670856509],
      [3, 0.9999779095030014],
      [5.5, 0.9999999999999927],
      [Infinity, 1],
    ]
    for (const [a, value] of known) {
      expect(Math.abs(erf(a) / value - 1)).toBeLessThan(1e-15)
      expect(erf(-a)).toBe(-erf(a))
    }
    expect(erf(Number.NaN)).toBeNaN()
    expect(erf(-0)).toBe(-0)
  })

  it('rounds halves to even and keeps the sign of zero', () => {
    const cases = [-2.5, -1.5, -1.2, -0.5, -0.3, -0, 0, 0.5, 1.5, 2.5, 2.6, 2251799813685249.5, Infinity]
    expect(cases.map(roundHalfEven)).toEqual([-2, -2, -1, -0, -0, -0, 0, 0, 2, 2, 3, 2251799813685250, Infinity])
    expect(roundHalfEven(Number.NaN)).toBeNaN()
    expect(roundHalfEven(-Infinity)).toBe(-Infinity)
  })

  it('raises to powers as C does', () => {
    expect(pow(1, Number.NaN)).toBe(1)
    expect(pow(-1, -Infinity)).toBe(1)
    expect(pow(Number.NaN, 0)).toBe(1)
    expect(pow(-2, 0.5)).toBeNaN()
    expect(pow(-2, 3)).toBe(-8)
  })
})

describe('map', () => {
  it('evaluates every node of a formula', () => {
    forSeeds(5, (random) => {
      const [a, b] = [normals(random, 700), normals(random, 700)]
      const formula = f.select(
        f.or(f.lt(x, y), f.and(f.gt(x, 1), f.not(f.ge(y, 0)))),
        f.mul(f.exp(x), f.add(y, f.param(0))),
        f.sub(f.tanh(f.div(x, 3)), f.abs(f.min(x, y))),
      )
      const expected = a.map((p, i) => {
        const q = b[i]!
        return p < q || (p > 1 && q < 0) ? Math.exp(p) * (q + 0.25) : Math.tanh(p / 3) - Math.abs(Math.min(p, q))
      })
      expect(apply(formula, [a, b], [0.25], new Float64Array(700))).toEqual(expected)
    })
  })

  it('keeps a NaN in the first operand of min and max, and orders NaN nowhere', () => {
    expect(at(f.max(x, y), Number.NaN, 1)).toBeNaN()
    expect(at(f.max(x, y), 1, Number.NaN)).toBe(1)
    expect(at(f.min(x, y), Number.NaN, 1)).toBeNaN()
    expect([at(f.le(x, y), Number.NaN, 1), at(f.ne(x, x), Number.NaN), at(f.not(x), Number.NaN)]).toEqual([0, 1, 0])
  })

  it('rounds every step to float32 when only float32 floats take part', () => {
    const third = Float32Array.of(1 / 3)
    expect(apply(f.eq(x, 1 / 3), [third], [], new Uint8Array(1))[0]).toBe(1)
    expect(apply(f.sub(f.add(x, 1e-9), x), [Float32Array.of(1)], [], new Float32Array(1))[0]).toBe(0)
    expect(apply(f.sub(f.add(x, 1e-9), x), [Float64Array.of(1)], [], new Float64Array(1))[0]).toBeCloseTo(1e-9, 15)
    expect(apply(f.div(x, 3), [Int32Array.of(1)], [], new Float64Array(1))[0]).toBe(1 / 3)
  })

  it('truncates towards zero into integers and stores truth as 0 and 1', () => {
    const values = Float32Array.of(-1.9, -0.5, 0, 0.5, 1.9)
    expect([...apply(x, [values], [], new Int32Array(5))]).toEqual([-1, 0, 0, 0, 1])
    const truth = new Uint8Array(5)
    map(x, [{ data: values, offset: 0, strides: [1] }], [], [5], truth, true)
    expect([...truth]).toEqual([1, 1, 0, 1, 1])
  })

  it('walks operands by their strides', () => {
    const matrix = Float64Array.from({ length: 12 }, (_, i) => i)
    const out = new Float64Array(6)
    // Columns 1 and 3 of a 3 x 4 matrix, transposed, plus a row repeated.
    map(
      f.add(x, y),
      [
        { data: matrix, offset: 1, strides: [2, 4] },
        { data: Float64Array.of(100, 200, 300), offset: 0, strides: [0, 1] },
      ],
      [],
      [2, 3],
      out,
      false,
    )
    expect([...out]).toEqual([101, 205, 309, 103, 207, 311])
  })

  it('gives one element for no extents and none for an empty extent', () => {
    const scalar = new Float64Array(1)
    map(f.add(x, 1), [{ data: Float64Array.of(5, 7), offset: 1, strides: [] }], [], [], scalar, false)
    expect(scalar[0]).toBe(8)
    map(f.add(x, 1), [{ data: Float64Array.of(5), offset: 0, strides: [1] }], [], [0], new Float64Array(0), false)
  })
})

describe('update', () => {
  it('reads all values from before', () => {
    forSeeds(3, (random) => {
      const [p, m, g] = [normals(random, 600), normals(random, 600), normals(random, 600)]
      const momentum = f.add(f.mul(0.9, f.input(1)), f.input(2))
      const expectedM = m.map((value, i) => 0.9 * value + g[i]!)
      const expectedP = p.map((value, i) => value - 0.1 * expectedM[i]!)
      update([f.sub(f.input(0), f.mul(f.param(0), momentum)), momentum], [p, m], [g], [0.1])
      expectClose(p, expectedP, 1e-15)
      expectClose(m, expectedM, 1e-15)
    })
  })
})
