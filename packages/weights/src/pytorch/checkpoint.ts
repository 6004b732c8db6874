/** PyTorch checkpoints as files of weights, and everything else they hold as plain data. */
import { FormatError } from '@convnets/tensor'
import { byteSize, itemSize } from '../dtypes.ts'
import type { WeightEntry, WeightsFile } from '../entry.ts'
import { PickleDict, PickleGlobal, PickleSet, PickleTuple, type PickleValue } from '../pickle/values.ts'
import type { ByteSource } from '../source.ts'
import { gather, reach } from '../strided.ts'
import type { Container } from './container.ts'
import { findState } from './state-dict.ts'
import { TensorView } from './tensor-view.ts'

/** What a checkpoint can hold: dicts are Maps, lists and tuples arrays, tensors entries that can be read. */
export type CheckpointValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | WeightEntry
  | readonly CheckpointValue[]
  | ReadonlyMap<string | number | bigint | boolean | null, CheckpointValue>

/** All tensors together may take this many times the bytes of their storages: tied weights do, bombs of views do more. */
const MAX_SHARING = 8

function entryOf(view: TensorView, container: Container): WeightEntry {
  const { dtype, shape, strides, offset, storage } = view
  const size = itemSize(dtype)
  return {
    dtype,
    shape,
    bytes: byteSize(dtype, shape)!,
    async read() {
      const length = reach(shape, strides) * size
      return gather(await container.read(storage, offset * size, length), size, shape, strides)
    },
  }
}

function checkSharing(tensors: Iterable<TensorView>, file: string): void {
  const storages = new Map<string, number>()
  let total = 0
  for (const { storage, dtype, shape } of tensors) {
    storages.set(storage.key, Math.max(storages.get(storage.key) ?? 0, storage.bytes))
    total += byteSize(dtype, shape)!
  }
  const stored = [...storages.values()].reduce((sum, bytes) => sum + bytes, 0)
  if (total > MAX_SHARING * stored) {
    const expected = `tensors of at most ${MAX_SHARING} times the ${stored} bytes of their storages`
    throw new FormatError({ file, offset: 0, expected, got: `${total} bytes` })
  }
}

/** A checkpoint as a file of weights; `select` names the keys that lead to the state dict. */
export function checkpointFile(
  container: Container,
  source: ByteSource,
  select: readonly string[] | undefined,
): WeightsFile {
  const { tensors, facts } = findState(container.value, select, source.name)
  checkSharing(tensors.values(), source.name)
  return {
    format: 'pytorch',
    file: source.name,
    metadata: facts,
    entries: new Map([...tensors].map(([key, view]) => [key, entryOf(view, container)])),
    verify: (signal) => container.verify(signal),
    close: () => source.close(),
  }
}

const MAX_DEPTH = 200

/** Everything in a checkpoint. What stands in two places is converted once; what contains itself is refused. */
export function checkpointValue(container: Container, file: string): CheckpointValue {
  const made = new Map<object, CheckpointValue>()
  const convert = (value: PickleValue, depth: number): CheckpointValue => {
    if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
    const known = made.get(value)
    if (known !== undefined) return known
    if (depth > MAX_DEPTH) {
      throw new FormatError({ file, offset: 0, expected: `values at most ${MAX_DEPTH} deep`, got: 'deeper ones' })
    }
    const result = build(value, depth)
    made.set(value, result)
    return result
  }
  const build = (value: PickleValue & object, depth: number): CheckpointValue => {
    const inner = (item: PickleValue): CheckpointValue => convert(item, depth + 1)
    if (value instanceof TensorView) return entryOf(value, container)
    if (value instanceof PickleTuple) return value.items.map(inner)
    if (value instanceof PickleSet) return [...value.items]
    if (value instanceof PickleDict) return new Map([...value.entries].map(([key, item]) => [key, inner(item)]))
    if (value instanceof PickleGlobal) return value.kind
    if (Array.isArray(value)) return (value as readonly PickleValue[]).map(inner)
    throw new FormatError({ file, offset: 0, expected: 'tensors', got: 'a storage without tensor' })
  }
  return convert(container.value, 0)
}
