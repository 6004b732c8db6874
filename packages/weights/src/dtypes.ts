/** Element types of files, under the names that safetensors gives them, and their sizes. */

/** Element types of the files that this package reads. Complex ones can be listed and converted, but make no tensors. */
export type FileDType =
  | 'U64'
  | 'I64'
  | 'F64'
  | 'C64'
  | 'F32'
  | 'U32'
  | 'I32'
  | 'BF16'
  | 'F16'
  | 'U16'
  | 'I16'
  | 'I8'
  | 'U8'
  | 'BOOL'

/** Bytes per element, in the order in which the reference serializer lays tensors out: larger alignments come first. */
const sizes: Readonly<Record<FileDType, number>> = {
  U64: 8,
  I64: 8,
  F64: 8,
  C64: 8,
  F32: 4,
  U32: 4,
  I32: 4,
  BF16: 2,
  F16: 2,
  U16: 2,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
}

const order: readonly string[] = Object.keys(sizes)

/** All of them, in that order. */
export const fileDTypes: readonly FileDType[] = order as readonly FileDType[]

export function isFileDType(name: string): name is FileDType {
  return Object.hasOwn(sizes, name)
}

/** Bytes of one element. */
export function itemSize(dtype: FileDType): number {
  return sizes[dtype]
}

/** Place in the order of data in a safetensors file. */
export function dtypeRank(dtype: FileDType): number {
  return order.indexOf(dtype)
}

/** Elements of a shape, or undefined if the product leaves the exact integers on the way. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1
  for (const dim of shape) {
    count *= dim
    if (!Number.isSafeInteger(count)) return undefined
  }
  return count
}

/** Bytes of a tensor, or undefined if they leave the exact integers. */
export function byteSize(dtype: FileDType, shape: readonly number[]): number | undefined {
  const size = (elementCount(shape) ?? Number.NaN) * sizes[dtype]
  return Number.isSafeInteger(size) ? size : undefined
}
