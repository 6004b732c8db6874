import { FormatError } from '@convnets/tensor'
import { expect } from 'vitest'

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

/** The error that `read` throws, which must be a `FormatError` with a place in the file; undefined if it throws none. */
export function formatErrorOf(what: string, read: () => unknown): FormatError | undefined {
  try {
    read()
  } catch (error) {
    expect(error, what).toBeInstanceOf(FormatError)
    return error as FormatError
  }
  return undefined
}
