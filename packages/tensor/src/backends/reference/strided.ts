import type { TypedArray } from '../../dtype.ts'

/** A strided way through an array: a `View` whose buffer has been opened. */
export interface Strided {
  readonly data: TypedArray
  readonly offset: number
  readonly strides: readonly number[]
}

/** Elements that the strided kernels handle at a time. */
export const blockSize = 256

/** Number of elements of a walk over `extents`. */
export function count(extents: readonly number[]): number {
  return extents.reduce((product, extent) => product * extent, 1)
}

/** Writes where elements `from` to `from + length - 1` of a row-major walk over `extents` lie: out[0] to out[length - 1]. */
export function locate(
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
