/**
 * Several outputs by one thread: what they share is read once. A convolution or a product of matrices reads two numbers for
 * every multiplication with one output per thread, and five for four with four, as many as kernels of gpu.js can give.
 */
import type { Source } from './source.ts'

/** Outputs below which threads would become too few. */
const enough = 1 << 14

/** How many neighbours one thread computes of `length` outputs, whose innermost axis has `inner`. */
export function cellsOf(length: number, inner: number): 1 | 4 {
  return inner % 4 === 0 && length >= enough ? 4 : 1
}

/** Sums that start with `first` of each. */
export function sumsOf(s: Source, cells: number, first: (cell: number) => string | number): string[] {
  return Array.from({ length: cells }, (_, cell) => s.float(first(cell)))
}

/** Adds the products of `shared` and what each sum has for itself. */
export function addProducts(s: Source, sums: readonly string[], shared: string, own: (cell: number) => string): void {
  const factor = sums.length === 1 ? shared : s.float(shared)
  for (const [cell, sum] of sums.entries()) s.push(`${sum} += ${factor} * ${own(cell)};`)
}
