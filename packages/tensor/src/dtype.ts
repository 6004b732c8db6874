/** Element types of tensors. `bool` is stored as one byte, 0 or 1. */
export type DType = 'float32' | 'float64' | 'int32' | 'uint8' | 'bool'

/** The typed array that holds elements of dtype `D` outside a backend. */
export type TypedArray = Float32Array | Float64Array | Int32Array | Uint8Array

interface DTypeInfo {
  /** Bytes per element. */
  readonly bytes: number
  readonly array: {
    new (source: number | ArrayLike<number>): TypedArray
    new (buffer: ArrayBufferLike, offset: number, length: number): TypedArray
  }
  /** Whether gradients may flow through tensors of this dtype. */
  readonly float: boolean
}

/** What each dtype is made of. */
export const dtypes: Readonly<Record<DType, DTypeInfo>> = {
  float32: { bytes: 4, array: Float32Array, float: true },
  float64: { bytes: 8, array: Float64Array, float: true },
  int32: { bytes: 4, array: Int32Array, float: false },
  uint8: { bytes: 1, array: Uint8Array, float: false },
  bool: { bytes: 1, array: Uint8Array, float: false },
}

/** Whether `value` names a dtype. */
export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(dtypes, value)
}

/** Whether gradients may flow through tensors of `dtype`. */
export function isFloat(dtype: DType): boolean {
  return dtypes[dtype].float
}

/** A typed array of `length` zeros. */
export function zeroArray(dtype: DType, length: number): TypedArray {
  return new dtypes[dtype].array(length)
}
