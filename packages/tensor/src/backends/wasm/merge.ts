/** Steps through the loops of a walk. */
import type { Walk } from '../../loops.ts'

/**
 * Calls `visit` for each step of the loops `dims` of a walk, with `pointers` moved accordingly; `sizes` are the bytes of
 * the operands' elements.
 */
export function forEachStep(
  { extents, strides }: Walk,
  dims: readonly number[],
  sizes: readonly number[],
  pointers: number[],
  visit: () => void,
): void {
  const step = (at: number): void => {
    const d = dims[at]
    if (d === undefined) {
      visit()
      return
    }
    const extent = extents[d] as number
    const bytes = strides.map((own, k) => (own[d] as number) * (sizes[k] as number))
    for (let i = 0; i < extent; i++) {
      step(at + 1)
      for (let k = 0; k < bytes.length; k++) pointers[k]! += bytes[k] as number
    }
    for (let k = 0; k < bytes.length; k++) pointers[k]! -= (bytes[k] as number) * extent
  }
  step(0)
}

/** The longest loop of a walk, those in `except` left out; -1 if there is none. */
export function longestLoop({ extents }: Walk, ...except: readonly number[]): number {
  let longest = -1
  for (let d = 0; d < extents.length; d++) {
    if (!except.includes(d) && (longest < 0 || (extents[d] as number) > (extents[longest] as number))) longest = d
  }
  return longest
}
