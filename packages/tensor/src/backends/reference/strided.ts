import type { TypedArray } from '../../dtype.ts'

/** A strided way through memory. */
export interface Way {
  readonly offset: number
  readonly strides: readonly number[]
}

/** A strided way through an array: a `View` whose buffer has been opened. */
export interface Strided extends Way {
  readonly data: TypedArray
}

/** Elements that the strided kernels handle at a time. */
export const blockSize = 256
/** Where the elements of a block lie, on each way. */
const places: Uint32Array[] = []

/** Number of elements of a walk over `extents`. */
export function count(extents: readonly number[]): number {
  return extents.reduce((product, extent) => product * extent, 1)
}

/**
 * A row-major walk over `extents` on several ways at once, block by block: `visit` is given the number of the block's
 * first element, how many there are, and their places on each way.
 */
export function inBlocks(
  extents: readonly number[],
  ways: readonly Way[],
  visit: (from: number, length: number, places: readonly Uint32Array[]) => void,
): void {
  const total = count(extents)
  while (places.length < ways.length) places.push(new Uint32Array(blockSize))
  for (let from = 0; from < total; from += blockSize) {
    const length = Math.min(blockSize, total - from)
    for (const [k, { offset, strides }] of ways.entries()) locate(offset, strides, extents, from, length, places[k]!)
    visit(from, length, places)
  }
}

/** Writes where elements `from` to `from + length - 1` of a row-major walk over `extents` lie: out[0] to out[length - 1]. */
function locate(
  offset: number,
  strides: readonly number[],
  extents: readonly number[],
  from: number,
  length: number,
  out: Uint32Array,
): void {
  const last = extents.length - 1
  const runLength = extents[last] ?? 1
  const step = strides[last] ?? 0
  let done = 0
  while (done < length) {
    // Find the element once, then follow the innermost axis to its end.
    let rest = from + done
    let at = offset
    for (let axis = last; axis >= 0; axis--) {
      const extent = extents[axis]!
      at += (rest % extent) * strides[axis]!
      rest = Math.floor(rest / extent)
    }
    const end = Math.min(length, done + runLength - ((from + done) % runLength))
    for (; done < end; done++, at += step) out[done] = at
  }
}
