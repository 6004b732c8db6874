import type { TypedArray } from '../../dtype.ts'
import { ArgumentError } from '../../errors.ts'
import { blockSize, count, locate, type Strided } from './strided.ts'

const offsets = new Uint32Array(blockSize)
const otherOffsets = new Uint32Array(blockSize)

/** Copies `source` to `target`, element by element over `extents`. */
export function copy(source: Strided, target: Strided, extents: readonly number[]): void {
  const total = count(extents)
  for (let from = 0; from < total; from += blockSize) {
    const length = Math.min(blockSize, total - from)
    locate(source.offset, source.strides, extents, from, length, offsets)
    locate(target.offset, target.strides, extents, from, length, otherOffsets)
    for (let i = 0; i < length; i++) target.data[otherOffsets[i]!] = source.data[offsets[i]!]!
  }
}

/** Throws an `ArgumentError` that names `op` unless `index` points into an axis of `size` elements. */
export function checkIndex(op: string, index: number, size: number): void {
  if (index < 0 || index >= size) {
    throw new ArgumentError(`${op}: index expects values from 0 to ${size - 1}, got ${index}`)
  }
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
  const total = count(extents)
  for (let from = 0; from < total; from += blockSize) {
    const length = Math.min(blockSize, total - from)
    locate(source.offset, source.strides, extents, from, length, offsets)
    locate(index.offset, index.strides, extents, from, length, otherOffsets)
    for (let i = 0; i < length; i++) {
      const at = index.data[otherOffsets[i]!]!
      checkIndex('gather', at, axisSize)
      out[from + i] = source.data[offsets[i]! + at * axisStride]!
    }
  }
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
  const total = count(extents)
  for (let from = 0; from < total; from += blockSize) {
    const length = Math.min(blockSize, total - from)
    locate(0, strides, extents, from, length, offsets)
    locate(index.offset, index.strides, extents, from, length, otherOffsets)
    for (let i = 0; i < length; i++) {
      const at = index.data[otherOffsets[i]!]!
      checkIndex('scatterAdd', at, axisSize)
      out[offsets[i]! + at * axisStride]! += values[from + i]!
    }
  }
}
