/** What kernels over whole images are told of them, in one order for those who call and those who are called. */
import type { Local } from '../asm.ts'
import type { DirectSpec } from './direct.ts'

const names = [
  'height',
  'width',
  'outHeight',
  'outWidth',
  'padTop',
  'padLeft',
  'outImage',
  'outRow',
  'outColumn',
  'residual',
] as const

/** How many arguments they are. */
export const placementCount: number = names.length

/** The arguments: sizes of input and output in pixels, padding, bytes between outputs, and the ending's residual. */
export function placementArgs(s: DirectSpec): number[] {
  const sizes = [s.inHeight, s.inWidth, s.outHeight, s.outWidth, s.padTop, s.padLeft]
  return [...sizes, s.outImage, s.outRow, s.outColumn, s.ending?.residual ?? 0]
}

/** The parameters of the kernel that they arrive in. */
export function placementLocals(params: readonly Local<'i32'>[]): Record<(typeof names)[number], Local<'i32'>> {
  return Object.fromEntries(names.map((name, i) => [name, params[i]])) as Record<(typeof names)[number], Local<'i32'>>
}
