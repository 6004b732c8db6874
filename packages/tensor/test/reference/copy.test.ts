import { describe, expect, it } from 'vitest'
import { copy, gather, scatterAdd } from '../../src/backends/reference/copy.ts'
import { ArgumentError } from '../../src/errors.ts'
import { between, dot, forSeeds, normals } from '../numbers.ts'

describe('copy', () => {
  it('transposes and reverses', () => {
    const data = Float64Array.from({ length: 6 }, (_, i) => i)
    const out = new Float64Array(6)
    copy({ data, offset: 5, strides: [-1, -3] }, { data: out, offset: 0, strides: [2, 1] }, [3, 2])
    expect([...out]).toEqual([5, 2, 4, 1, 3, 0])
  })

  it('moves any permutation of four axes there and back', () => {
    forSeeds(20, (random) => {
      const extents = Array.from({ length: 4 }, () => between(random, 1, 7))
      const order = [...random.permutation(4)]
      const dense = [1, 1, 1, 1]
      for (let axis = 2; axis >= 0; axis--) dense[axis] = dense[axis + 1]! * extents[axis + 1]!
      const moved = [0, 0, 0, 0]
      let stride = 1
      for (const axis of order) {
        moved[axis] = stride
        stride *= extents[axis]!
      }
      const data = normals(random, stride)
      const [there, back] = [new Float64Array(stride), new Float64Array(stride)]
      copy({ data, offset: 0, strides: dense }, { data: there, offset: 0, strides: moved }, extents)
      copy({ data: there, offset: 0, strides: moved }, { data: back, offset: 0, strides: dense }, extents)
      expect(back).toEqual(data)
      const at = extents.map((extent) => random.integer(extent))
      const place = (strides: readonly number[]): number => dot(at, strides)
      expect(there[place(moved)]).toBe(data[place(dense)])
    })
  })
})

describe('gather and scatterAdd', () => {
  it('takes rows, and adds them back where they came from', () => {
    const table = Float64Array.from({ length: 8 }, (_, i) => i * 10)
    const index = { data: Int32Array.of(3, 0, 3), offset: 0, strides: [1, 0] }
    const rows = new Float64Array(6)
    gather({ data: table, offset: 0, strides: [0, 1] }, index, 2, 4, [3, 2], rows)
    expect([...rows]).toEqual([60, 70, 0, 10, 60, 70])
    const sums = new Float64Array(8).fill(9)
    scatterAdd(Float64Array.of(1, 2, 3, 4, 5, 6), index, [0, 1], 2, 4, [3, 2], sums)
    expect([...sums]).toEqual([3, 4, 0, 0, 0, 0, 6, 8])
  })

  it('are each other’s transpose', () => {
    forSeeds(20, (random) => {
      const [outer, size, inner, picks] = [
        between(random, 1, 5),
        between(random, 1, 5),
        between(random, 1, 5),
        between(random, 1, 90),
      ]
      const extents = [outer, picks, inner]
      const source = normals(random, outer * size * inner)
      const index = {
        data: Int32Array.from({ length: outer * picks * inner }, () => random.integer(size)),
        offset: 0,
        strides: [picks * inner, inner, 1],
      }
      const strides = [size * inner, 0, 1]
      const out = new Float64Array(outer * picks * inner)
      gather({ data: source, offset: 0, strides }, index, inner, size, extents, out)
      const values = normals(random, out.length)
      const back = new Float64Array(source.length)
      scatterAdd(values, index, strides, inner, size, extents, back)
      expect(dot(out, values)).toBeCloseTo(dot(source, back), 9)
    })
  })

  it('refuses an index outside the axis', () => {
    const source = { data: new Float64Array(4), offset: 0, strides: [0] }
    for (const bad of [-1, 4]) {
      const index = { data: Int32Array.of(bad), offset: 0, strides: [1] }
      expect(() => gather(source, index, 1, 4, [1], new Float64Array(1))).toThrow(ArgumentError)
      expect(() => gather(source, index, 1, 4, [1], new Float64Array(1))).toThrow(
        `gather: index expects values from 0 to 3, got ${bad}`,
      )
      expect(() => scatterAdd(new Float64Array(1), index, [0], 1, 4, [1], new Float64Array(4))).toThrow(ArgumentError)
    }
  })
})
