/** State dicts as safetensors: which tensor dtype a file's element type becomes, and the way back. */
import { ArgumentError, type Backend, type DType, isFloat, readOptions, type Tensor, tensor } from '@convnets/tensor'
import { decode, tensorDType, type Values } from './decode.ts'
import type { FileDType } from './dtypes.ts'
import { MAX_FLOAT16, toBfloat16Bits, toFloat16Bits } from './half.ts'
import { parseSafetensors, type SafetensorsEntry, serializeSafetensors } from './safetensors.ts'

/** A state dict: tensors by checkpoint key. */
export type StateDict = Map<string, Tensor>

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
 * F16 and BF16 become float32 (exactly), integers of other widths int32 if every value fits, BOOL takes any non-zero byte
 * for true; F64, F32, I32 and U8 stay what they are. Throws `FormatError` for a file that breaks the rules (see
 * `parseSafetensors`) and `DTypeError` for 64-bit integers that do not fit; no tensor is left behind then.
 */
export function readSafetensors(
  bytes: Uint8Array,
  options: ReadOptions = {},
): { tensors: StateDict; metadata: Map<string, string> } {
  const { backend, file } = readOptions('readSafetensors', options, { backend: undefined, file: 'safetensors' })
  const { entries, metadata } = parseSafetensors(bytes, { file })
  const tensors: StateDict = new Map()
  try {
    for (const [name, { dtype: fileDType, shape, bytes }] of entries) {
      const what = `${file}: tensor ${JSON.stringify(name)}`
      const dtype = tensorDType(fileDType, what)
      tensors.set(
        name,
        tensor(decode(fileDType, bytes, what), { shape: [...shape], dtype, ...(backend && { backend }) }),
      )
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

/** Throws `ArgumentError` for what is no 16-bit format. */
export function checkHalf(op: string, dtype: unknown): void {
  if (dtype === undefined || dtype === 'F16' || dtype === 'BF16') return
  throw new ArgumentError(`${op}: dtype expects 'F16' or 'BF16', got ${JSON.stringify(dtype)}`)
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

/** The element type that a tensor's values are stored as. */
export function storedAs(dtype: DType, half: 'F16' | 'BF16' | undefined): FileDType {
  return half && isFloat(dtype) ? half : fileDTypeOf[dtype]
}

/** A tensor's values as they are stored. Throws `ArgumentError` for values beyond the range of F16. */
export function storedBytes(
  op: string,
  name: string,
  dtype: DType,
  values: Values,
  half: 'F16' | 'BF16' | undefined,
): Uint8Array {
  let stored: ArrayBufferView = values
  if (half && isFloat(dtype)) {
    const floats = values as Float32Array | Float64Array
    if (half === 'F16') checkRange(floats, `${op}: tensor ${JSON.stringify(name)}`)
    stored = half === 'F16' ? toFloat16Bits(floats) : toBfloat16Bits(floats)
  }
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength)
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
  options: WriteOptions = {},
): Promise<Uint8Array> {
  const { metadata, dtype } = readOptions('writeSafetensors', options, { metadata: undefined, dtype: undefined })
  checkHalf('writeSafetensors', dtype)
  const sources = [...tensors]
  const values = await Promise.all(sources.map(([, source]) => source.data()))
  const entries = new Map(
    sources.map(([name, source], i): [string, SafetensorsEntry] => [
      name,
      {
        dtype: storedAs(source.dtype, dtype),
        shape: source.shape,
        bytes: storedBytes('writeSafetensors', name, source.dtype, values[i]!, dtype),
      },
    ]),
  )
  return serializeSafetensors(entries, metadata ? { metadata } : {})
}
