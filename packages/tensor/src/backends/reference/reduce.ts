import type { TypedArray } from '../../dtype.ts'
import type { Rows } from '../backend.ts'

/** Whether `a` goes before `b` in an order: larger first or smaller first. */
type Before = (a: number, b: number) => boolean

/** Reduces the middle axis. Sums are taken in float64; NaN wins over every number. */
export function reduce(kind: 'sum' | 'max' | 'min', x: TypedArray, [outer, size, inner]: Rows, out: TypedArray): void {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const start = o * size * inner + i
      const end = start + size * inner
      let result = kind === 'sum' ? 0 : kind === 'max' ? -Infinity : Infinity
      for (let at = start; at < end; at += inner) {
        const value = x[at]!
        if (kind === 'sum') result += value
        else if (Number.isNaN(value) || (kind === 'max' ? value > result : value < result)) result = value
      }
      out[o * inner + i] = result
    }
  }
}

/** Where the largest or smallest element of the middle axis is; the first among equals, NaN before every number. */
export function argReduce(kind: 'max' | 'min', x: TypedArray, [outer, size, inner]: Rows, out: TypedArray): void {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const start = o * size * inner + i
      let best = 0
      for (let s = 1; s < size; s++) {
        const value = x[start + s * inner]!
        const top = x[start + best * inner]!
        if (Number.isNaN(top)) break
        if (Number.isNaN(value) || (kind === 'max' ? value > top : value < top)) best = s
      }
      out[o * inner + i] = best
    }
  }
}

// NaN counts as the largest of all numbers in either order, as in PyTorch.
const larger: Before = (a, b) => a > b || (Number.isNaN(a) && !Number.isNaN(b))
const smaller: Before = (a, b) => a < b || (!Number.isNaN(a) && Number.isNaN(b))

/** Up to this many results are kept in order while scanning; for more, sorting is faster. */
const insertionLimit = 32

/** Positions (outer, k, inner) of the k largest or smallest elements along the middle axis, best first. */
export function topk(x: TypedArray, [outer, size, inner]: Rows, k: number, largest: boolean, out: TypedArray): void {
  const before = largest ? larger : smaller
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const start = o * size * inner + i
      const value = (position: number): number => x[start + position * inner]!
      const target = o * k * inner + i
      if (k <= insertionLimit) {
        for (let s = 0; s < size; s++) {
          let place = Math.min(s, k)
          while (place > 0 && before(value(s), value(out[target + (place - 1) * inner]!))) {
            if (place < k) out[target + place * inner] = out[target + (place - 1) * inner]!
            place--
          }
          if (place < k) out[target + place * inner] = s
        }
      } else {
        const order = Int32Array.from({ length: size }, (_, position) => position)
        order.sort((a, b) => (before(value(a), value(b)) ? -1 : before(value(b), value(a)) ? 1 : 0))
        for (let j = 0; j < k; j++) out[target + j * inner] = order[j]!
      }
    }
  }
}
