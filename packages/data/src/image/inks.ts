/** Printing inks to light. */

/** CMYK to RGB as Pillow does it, without colour profiles: what cyan and black leave of red, and so on. */
export function inksToColours(inks: Uint8Array): Uint8Array {
  const result = new Uint8Array((inks.length / 4) * 3)
  for (let from = 0, to = 0; from < inks.length; from += 4, to += 3) {
    const light = 255 - inks[from + 3]!
    for (let c = 0; c < 3; c++) {
      const product = inks[from + c]! * light + 128
      result[to + c] = Math.max(0, light - (((product >> 8) + product) >> 8))
    }
  }
  return result
}
