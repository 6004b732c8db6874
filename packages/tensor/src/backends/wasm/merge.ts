/** Strided walks with as few loops as possible. */

/** Loops of a walk, innermost first. */
export interface Walk {
  readonly extents: readonly number[]
  /** Strides in elements: `strides[k][d]` is that of operand k in loop d. */
  readonly strides: readonly (readonly number[])[]
}

/**
 * The same walk with extents of 1 dropped and loops merged where every operand goes on as evenly as inside the inner
 * one. `extents` and `strides` are outermost first. No extent may be 0.
 */
export function mergeLoops(extents: readonly number[], strides: readonly (readonly number[])[]): Walk {
  const merged: number[] = []
  const steps: number[][] = strides.map(() => [])
  for (let d = extents.length - 1; d >= 0; d--) {
    const extent = extents[d] as number
    if (extent === 1) continue
    const last = merged.length - 1
    if (last >= 0 && strides.every((own, k) => own[d] === (steps[k]![last] as number) * (merged[last] as number))) {
      merged[last]! *= extent
      continue
    }
    merged.push(extent)
    for (let k = 0; k < strides.length; k++) steps[k]!.push(strides[k]![d] as number)
  }
  return { extents: merged, strides: steps }
}

/** Row-major strides of a dense walk, outermost first. */
export function denseStrides(extents: readonly number[]): number[] {
  const strides = new Array<number>(extents.length)
  let stride = 1
  for (let d = extents.length - 1; d >= 0; d--) {
    strides[d] = stride
    stride *= extents[d] as number
  }
  return strides
}

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
