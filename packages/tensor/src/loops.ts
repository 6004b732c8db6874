/** Strided walks with as few loops as possible: for the ops, which lay them out, and for backends that want no others. */

/** The loops of a walk. */
export interface Walk {
  readonly extents: number[]
  /** Strides in elements: `strides[k][d]` is that of operand k in loop d. */
  readonly strides: number[][]
}

/**
 * A walk, innermost loop first, with extents of 1 dropped and loops merged where every operand goes on as evenly as
 * inside the inner one. `order` names the loops, outermost first; by default they are as they come. Where an extent is
 * 0, so is one of the result.
 */
export function mergeLoops(
  extents: readonly number[],
  strides: readonly (readonly number[])[],
  order?: readonly number[],
): Walk {
  const merged: number[] = []
  const steps: number[][] = strides.map(() => [])
  for (let place = extents.length - 1; place >= 0; place--) {
    const d = order === undefined ? place : (order[place] as number)
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
