/** State dicts as safetensors: which tensor dtype a file's element type becomes, and the way back. */
import { ArgumentError, type Backend, type DType, DTypeError, isFloat, type Tensor, tensor } from '@convnets/tensor'
import { bfloat16ToFloat32, float16ToFloat32, MAX_FLOAT16, toBfloat16Bits, toFloat16Bits } from './half.ts'
import { type FileDType, parseSafetensors, type SafetensorsEntry, serializeSafetensors } from './safetensors.ts'

/** A state dict: tensors by checkpoint key. */
export type StateDict = Map<string, Tensor>

type Values = Float32Array | Float64Array | Int32Array | Uint8Array

/** The elements of an entry in an array of their own, which may lie at any address of the file. */
function elements<T>(bytes: Uint8Array, array: new (buffer: ArrayBuffer) => T): T {
  return new array(new Uint8Array(bytes).buffer)
}

/** 64-bit integers as 32-bit ones. Throws `DTypeError` for a value that does not fit. */
function narrow(bytes: Uint8Array, what: string): Int32Array {
  const wide = elements(bytes, BigInt64Array)
  const values = new Int32Array(wide.length)
  for (let i = 0; i < wide.length; i++) {
    values[i] = Number(wide[i])
    if (BigInt(values[i]!) !== wide[i]) {
      throw new DTypeError(`${what} of I64 expects values that fit into int32, got ${wide[i]} at flat index ${i}`)
    }
  }
  return values
}

interface Decoder {
  readonly dtype: DType
  readonly decode: (bytes: Uint8Array, what: string) => Values
}

const decoders: Readonly<Record<FileDType, Decoder>> = {
  F64: { dtype: 'float64', decode: (bytes) => elements(bytes, Float64Array) },
  F32: { dtype: 'float32', decode: (bytes) => elements(bytes, Float32Array) },
  F16: { dtype: 'float32', decode: (bytes) => float16ToFloat32(elements(bytes, Uint16Array)) },
  BF16: { dtype: 'float32', decode: (bytes) => bfloat16ToFloat32(elements(bytes, Uint16Array)) },
  I64: { dtype: 'int32', decode: narrow },
  I32: { dtype: 'int32', decode: (bytes) => elements(bytes, Int32Array) },
  U8: { dtype: 'uint8', decode: (bytes) => bytes },
  BOOL: { dtype: 'bool', decode: (bytes) => bytes.map((byte) => (byte === 0 ? 0 : 1)) },
}

const fileDTypeOf: Readonly<Record<DType, FileDType>> = {
  float64: 'F64',
  float32: 'F32',
  int32: 'I32',
  uint8: 'U8',
  bool: 'BOOL',
}

/** Where the tensors of a file go, and what to call the file in messages. */
export interface ReadOptions {
  /** Backend of the tensors; the default backend if absent. */
  readonly backend?: Backend
  /** Name in messages. */
  readonly file?: string
}

/**
 * Reads the bytes of a safetensors file into tensors that the caller owns, in the order of their data.
 *
 * F16 and BF16 become float32 (exactly), I64 becomes int32 if every value fits, BOOL takes any non-zero byte for true;
 * F64, F32, I32 and U8 stay what they are. Throws `FormatError` for a file that breaks the rules (see
 * `parseSafetensors`) and `DTypeError` for 64-bit integers that do not fit; no tensor is left behind then.
 */
export function readSafetensors(
  bytes: Uint8Array,
  { backend, file = 'safetensors' }: ReadOptions = {},
): { tensors: StateDict; metadata: Map<string, string> } {
  const { entries, metadata } = parseSafetensors(bytes, { file })
  const tensors: StateDict = new Map()
  try {
    for (const [name, { dtype: fileDType, shape, bytes }] of entries) {
      const { dtype, decode } = decoders[fileDType]
      const values = decode(bytes, `${file}: tensor ${JSON.stringify(name)}`)
      tensors.set(name, tensor(values, { shape: [...shape], dtype, ...(backend && { backend }) }))
    }
  } catch (error) {
    for (const made of tensors.values()) made.dispose()
    throw error
  }
  return { tensors, metadata }
}

/** How tensors are written. */
export interface WriteOptions {
  /** Free text by key, written in this order. */
  readonly metadata?: ReadonlyMap<string, string>
  /** Store float32 and float64 tensors in 16 bits, each value rounded to the nearest. */
  readonly dtype?: 'F16' | 'BF16'
}

/** Finite values beyond the range of binary16 would turn into infinities, and a network into NaN. */
function checkRange(values: Float32Array | Float64Array, what: string): void {
  const i = values.findIndex((value) => Number.isFinite(value) && Math.abs(value) >= MAX_FLOAT16 + 16)
  if (i >= 0) {
    throw new ArgumentError(
      `${what} expects values within ${MAX_FLOAT16} for F16, got ${values[i]} at flat index ${i}; BF16 would hold it`,
    )
  }
}

function encode(name: string, source: Tensor, values: Values, half: 'F16' | 'BF16' | undefined): SafetensorsEntry {
  const { shape } = source
  let dtype = fileDTypeOf[source.dtype]
  let stored: ArrayBufferView = values
  if (half && isFloat(source.dtype)) {
    const floats = values as Float32Array | Float64Array
    if (half === 'F16') checkRange(floats, `writeSafetensors: tensor ${JSON.stringify(name)}`)
    stored = half === 'F16' ? toFloat16Bits(floats) : toBfloat16Bits(floats)
    dtype = half
  }
  return { dtype, shape, bytes: new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength) }
}

/**
 * Writes tensors as the bytes of a safetensors file, equal to those of the reference serializer.
 *
 * float64, float32, int32, uint8 and bool become F64, F32, I32, U8 and BOOL. All tensors are read at the moment of the
 * call, so what happens to them while the promise is pending does not reach the file. Rejects with `ArgumentError` for
 * names that a file cannot hold, and for values beyond the range of F16.
 */
export async function writeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  { metadata, dtype }: WriteOptions = {},
): Promise<Uint8Array> {
  if (dtype !== undefined && dtype !== 'F16' && dtype !== 'BF16') {
    throw new ArgumentError(`writeSafetensors: dtype expects 'F16' or 'BF16', got ${JSON.stringify(dtype)}`)
  }
  const sources = [...tensors]
  const values = await Promise.all(sources.map(([, source]) => source.data()))
  const entries = new Map(sources.map(([name, source], i) => [name, encode(name, source, values[i]!, dtype)]))
  return serializeSafetensors(entries, metadata ? { metadata } : {})
}
