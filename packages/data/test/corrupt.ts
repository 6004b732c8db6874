/** All prefixes of a file that are shorter than it. */
export function* truncations(file: Uint8Array): Generator<{ what: string; bytes: Uint8Array }> {
  for (let length = 0; length < file.length; length++) {
    yield { what: `cut to ${length} bytes`, bytes: file.slice(0, length) }
  }
}

/** The file with one bit turned over, for every bit. */
export function* bitFlips(file: Uint8Array): Generator<{ what: string; at: number; bytes: Uint8Array }> {
  for (let at = 0; at < file.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const bytes = file.slice()
      bytes[at]! ^= 1 << bit
      yield { what: `bit ${bit} of byte ${at} flipped`, at, bytes }
    }
  }
}

/** An idx file: element type, sizes, and the bytes of the elements. */
export function idxFile(type: number, shape: readonly number[], data: Iterable<number>): Uint8Array {
  const sizes = shape.flatMap((dim) => [24, 16, 8, 0].map((shift) => (dim >>> shift) & 255))
  return Uint8Array.from([0, 0, type, shape.length, ...sizes, ...data])
}

/** What `call` throws or rejects with; undefined if nothing. */
export async function failureOf(call: () => unknown): Promise<unknown> {
  try {
    await call()
  } catch (error) {
    return error
  }
  return undefined
}
