import type { TypedArray } from '../../dtype.ts'
import { ArgumentError } from '../../errors.ts'
import { inBlocks, type Strided, type Way } from './strided.ts'

/** Copies `source` to `target`, element by element over `extents`. */
export function copy(source: Strided, target: Strided, extents: readonly number[]): void {
  inBlocks(extents, [source, target], (_, length, [from, to]) => {
    for (let i = 0; i < length; i++) target.data[to![i]!] = source.data[from![i]!]!
  })
}

/** Throws an `ArgumentError` that names `op` unless `index` points into an axis of `size` elements. */
function checkIndex(op: string, index: number, size: number): void {
  if (index < 0 || index >= size) {
    throw new ArgumentError(`${op}: index expects values from 0 to ${size - 1}, got ${index}`)
  }
}

/**
 * Where the elements lie that an index picks: `visit` is given the element's number in a walk over `extents` and its
 * place on `way`, moved along the axis by the index.
 */
export function forEachPicked(
  op: string,
  way: Way,
  index: Strided,
  axisStride: number,
  axisSize: number,
  extents: readonly number[],
  visit: (i: number, place: number) => void,
): void {
  inBlocks(extents, [way, index], (from, length, [places, indices]) => {
    for (let i = 0; i < length; i++) {
      const at = index.data[indices![i]!]!
      checkIndex(op, at, axisSize)
      visit(from + i, places![i]! + at * axisStride)
    }
  })
}

/** out[i] = source[offset + sum(i_d * strides_d) + index[i] * axisStride], dense over `extents`. */
export function gather(
  source: Strided,
  index: Strided,
  axisStride: number,
  axisSize: number,
  extents: readonly number[],
  out: TypedArray,
): void {
  forEachPicked('gather', source, index, axisStride, axisSize, extents, (i, place) => {
    out[i] = source.data[place]!
  })
}

/** out[sum(i_d * strides_d) + index[i] * axisStride] += values[i], after `out` has been set to zero. */
export function scatterAdd(
  values: TypedArray,
  index: Strided,
  strides: readonly number[],
  axisStride: number,
  axisSize: number,
  extents: readonly number[],
  out: TypedArray,
): void {
  out.fill(0)
  forEachPicked('scatterAdd', { offset: 0, strides }, index, axisStride, axisSize, extents, (i, place) => {
    out[place]! += values[i]!
  })
}
