/** Which tensor dtype a file's element type becomes, and its values. */
import { type DType, DTypeError } from '@convnets/tensor'
import type { FileDType } from './dtypes.ts'
import { bfloat16ToFloat32, float16ToFloat32 } from './half.ts'

export type Values = Float32Array | Float64Array | Int32Array | Uint8Array

type ArrayType<T> = {
  new (buffer: ArrayBuffer, offset: number, length: number): T
  readonly BYTES_PER_ELEMENT: number
}

/** Bytes as elements, in their own memory if it is aligned and in a copy if not. */
function elements<T>(bytes: Uint8Array, array: ArrayType<T>): T {
  const size = array.BYTES_PER_ELEMENT
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)
  return new array(aligned.buffer as ArrayBuffer, aligned.byteOffset, bytes.length / size)
}

/** Integers as 32-bit ones. Throws `DTypeError` for a value that does not fit. */
function narrow(
  wide: BigInt64Array | BigUint64Array | Uint32Array,
  dtype: FileDType,
  what: string,
): Int32Array<ArrayBuffer> {
  const values = new Int32Array(wide.length)
  for (let i = 0; i < wide.length; i++) {
    values[i] = Number(wide[i])
    if (BigInt(values[i]!) !== BigInt(wide[i]!)) {
      throw new DTypeError(`${what} of ${dtype} expects values that fit into int32, got ${wide[i]} at flat index ${i}`)
    }
  }
  return values
}

interface Decoder {
  readonly dtype: DType
  readonly decode: (bytes: Uint8Array, what: string) => Values
}

const decoders: Readonly<Record<FileDType, Decoder | undefined>> = {
  F64: { dtype: 'float64', decode: (bytes) => elements(bytes, Float64Array) },
  F32: { dtype: 'float32', decode: (bytes) => elements(bytes, Float32Array) },
  F16: { dtype: 'float32', decode: (bytes) => float16ToFloat32(elements(bytes, Uint16Array)) },
  BF16: { dtype: 'float32', decode: (bytes) => bfloat16ToFloat32(elements(bytes, Uint16Array)) },
  I64: { dtype: 'int32', decode: (bytes, what) => narrow(elements(bytes, BigInt64Array), 'I64', what) },
  U64: { dtype: 'int32', decode: (bytes, what) => narrow(elements(bytes, BigUint64Array), 'U64', what) },
  U32: { dtype: 'int32', decode: (bytes, what) => narrow(elements(bytes, Uint32Array), 'U32', what) },
  I32: { dtype: 'int32', decode: (bytes) => elements(bytes, Int32Array) },
  I16: { dtype: 'int32', decode: (bytes) => Int32Array.from(elements(bytes, Int16Array)) },
  U16: { dtype: 'int32', decode: (bytes) => Int32Array.from(elements(bytes, Uint16Array)) },
  I8: { dtype: 'int32', decode: (bytes) => Int32Array.from(elements(bytes, Int8Array)) },
  U8: { dtype: 'uint8', decode: (bytes) => bytes },
  BOOL: { dtype: 'bool', decode: (bytes) => bytes.map((byte) => (byte === 0 ? 0 : 1)) },
  C64: undefined,
}

/** Element types whose values may not fit, so that it takes reading them to know whether a file can be loaded. */
export const mayOverflow: ReadonlySet<FileDType> = new Set(['I64', 'U64', 'U32'])

/** The dtype of tensors made of a file's element type. Throws `DTypeError` where there is none. */
export function tensorDType(dtype: FileDType, what: string): DType {
  return decoderOf(dtype, what).dtype
}

/**
 * Values of little-endian elements; they may share memory with the bytes. F16 and BF16 become float32 (exactly), integers
 * of other widths int32 if every value fits, and any non-zero byte of a BOOL is true. Throws `DTypeError`.
 */
export function decode(dtype: FileDType, bytes: Uint8Array, what: string): Values {
  return decoderOf(dtype, what).decode(bytes, what)
}

function decoderOf(dtype: FileDType, what: string): Decoder {
  const decoder = decoders[dtype]
  if (!decoder) throw new DTypeError(`${what} expects real numbers, got complex ones (${dtype})`)
  return decoder
}
