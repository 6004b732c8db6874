/** Tensors as checkpoints describe them: a view of a storage, whose bytes lie outside the pickle. */
import { elementCount, type FileDType } from '../dtypes.ts'
import { kindOf, type PickleFail, PickleObject, PickleTuple, type PickleValue } from '../pickle/values.ts'
import { reach } from '../strided.ts'

/** A run of elements in the file; several tensors may view the same. */
export class Storage extends PickleObject {
  readonly kind = 'a storage'
  /** Missing for the storage of bytes whose dtype the tensor says. */
  readonly dtype: FileDType | undefined
  /** The record or the run of bytes that holds it. */
  readonly key: string
  /** Where it begins in there, in bytes, and how many it has. */
  readonly offset: number
  readonly bytes: number

  constructor(key: string, dtype: FileDType | undefined, offset: number, bytes: number) {
    super()
    this.key = key
    this.dtype = dtype
    this.offset = offset
    this.bytes = bytes
  }
}

/** A tensor of a checkpoint. Offset and strides count elements. */
export class TensorView extends PickleObject {
  readonly kind = 'a tensor'
  readonly storage: Storage
  readonly dtype: FileDType
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]

  constructor(
    storage: Storage,
    dtype: FileDType,
    offset: number,
    shape: readonly number[],
    strides: readonly number[],
  ) {
    super()
    this.storage = storage
    this.dtype = dtype
    this.offset = offset
    this.shape = shape
    this.strides = strides
  }
}

/** PyTorch itself stops at 64. */
const MAX_RANK = 64

function integers(value: PickleValue | undefined, what: string, fail: PickleFail): number[] {
  if (!(value instanceof PickleTuple)) return fail(`a tuple as ${what}`, kindOf(value))
  if (value.items.length > MAX_RANK) return fail(`at most ${MAX_RANK} axes`, `${value.items.length}`)
  return value.items.map((item) => integer(item, what, fail))
}

/** A non-negative integer. */
export function integer(value: PickleValue | undefined, what: string, fail: PickleFail): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  return fail(`non-negative integers as ${what}`, kindOf(value))
}

/**
 * Makes a tensor of what the pickle says of it. A view must lie within its storage and have no more elements than it, so
 * that a few bytes with a stride of 0 do not become a tensor of gigabytes.
 */
export function makeView(
  storage: PickleValue | undefined,
  offsetValue: PickleValue | undefined,
  shapeValue: PickleValue | undefined,
  stridesValue: PickleValue | undefined,
  options: {
    readonly dtype?: FileDType | undefined
    readonly itemSize: (dtype: FileDType) => number
    maxElements: number
  },
  fail: PickleFail,
): TensorView {
  if (!(storage instanceof Storage)) return fail('a storage for a tensor', kindOf(storage))
  const dtype = options.dtype ?? storage.dtype ?? fail('a storage with a dtype', 'one of bytes alone')
  const offset = integer(offsetValue, 'the offset of a tensor', fail)
  const shape = integers(shapeValue, 'the shape of a tensor', fail)
  const strides = integers(stridesValue, 'the strides of a tensor', fail)
  if (strides.length !== shape.length) fail(`${shape.length} strides`, `${strides.length}`)
  const shown = `a tensor of shape (${shape.join(', ')})`
  const count = elementCount(shape)
  if (count === undefined || count > options.maxElements) {
    return fail(`tensors of at most ${options.maxElements} elements`, shown)
  }
  const available = Math.floor(storage.bytes / options.itemSize(dtype))
  if (count > available) fail(`a view of at most the ${available} elements of its storage`, `${shown}`)
  const end = offset + reach(shape, strides)
  if (!Number.isSafeInteger(end) || end > available) {
    const seen = `${shown}, strides (${strides.join(', ')}) from element ${offset} on`
    fail(`a view within the ${available} elements of its storage`, seen)
  }
  return new TensorView(storage, dtype, offset, shape, strides)
}
