/**
 * TensorFlow.js layers models: `model.json` with a manifest of weights, and files of their bytes one after another.
 *
 * TensorFlow.js, tfjs-core/src/io/types.ts (`WeightsManifestConfig`) and io_utils.ts (`decodeWeights`, quantization). The
 * names become PyTorch's and the kernels get PyTorch's order of axes; see `keras.ts`.
 */
import { FormatError } from '@convnets/tensor'
import { elementCount, type FileDType, itemSize } from '../dtypes.ts'
import type { WeightEntry, WeightsFile } from '../entry.ts'
import { float16ToFloat32 } from '../half.ts'
import type { Json } from '../json-scanner.ts'
import { members, readJson, show } from '../json-text.ts'
import type { Located } from '../locate.ts'
import type { ByteSource } from '../source.ts'
import { convertKeras } from './keras.ts'

const dtypes: ReadonlyMap<unknown, FileDType> = new Map<unknown, FileDType>([
  ['float32', 'F32'],
  ['int32', 'I32'],
  ['bool', 'BOOL'],
])

/** How numbers are stored in fewer bits: as halves, or as integers that scale and minimum make numbers of. */
interface Quantization {
  readonly stored: FileDType
  readonly scale: number
  readonly min: number
}

const storedTypes: ReadonlyMap<unknown, FileDType> = new Map<unknown, FileDType>([
  ['uint8', 'U8'],
  ['uint16', 'U16'],
  ['float16', 'F16'],
])

type Fail = (expected: string, got: Json | undefined) => never

function readQuantization(value: Json | undefined, fail: Fail): Quantization | undefined {
  if (value === undefined) return undefined
  const facts = members(value) ?? fail('an object as quantization', value)
  const stored =
    storedTypes.get(facts.get('dtype')) ?? fail('quantization to uint8, uint16 or float16', facts.get('dtype'))
  if (stored === 'F16') return { stored, scale: 1, min: 0 }
  const [scale, min] = [facts.get('scale'), facts.get('min')]
  if (typeof scale !== 'number' || typeof min !== 'number')
    return fail('numbers as scale and min', [scale ?? null, min ?? null])
  return { stored, scale, min }
}

function dequantize(bytes: Uint8Array, { stored, scale, min }: Quantization, dtype: FileDType): Uint8Array {
  const aligned = new Uint8Array(bytes).buffer
  const integers = stored === 'U8' ? bytes : new Uint16Array(aligned)
  const values =
    stored === 'F16' ? float16ToFloat32(new Uint16Array(aligned)) : Float32Array.from(integers, (q) => q * scale + min)
  return new Uint8Array(dtype === 'I32' ? Int32Array.from(values, Math.round).buffer : values.buffer)
}

/** Files that are read as if they were one. */
class Shards {
  readonly #files: readonly ByteSource[]
  readonly size: number

  constructor(files: readonly ByteSource[]) {
    this.#files = files
    this.size = files.reduce((sum, file) => sum + file.size, 0)
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length)
    let start = 0
    for (const file of this.#files) {
      const from = Math.max(offset, start)
      const to = Math.min(offset + length, start + file.size)
      if (from < to) bytes.set(await file.read(from - start, to - from), from - offset)
      start += file.size
    }
    return bytes
  }
}

interface Group {
  readonly paths: readonly string[]
  readonly weights: readonly Json[]
}

function readGroups(value: Json, fail: Fail): Group[] {
  if (!Array.isArray(value)) return fail('a list as weightsManifest', value)
  return value.map((item: Json) => {
    const group = members(item)
    const [paths, weights] = [group?.get('paths'), group?.get('weights')]
    if (!Array.isArray(paths) || !paths.every((path) => typeof path === 'string') || !Array.isArray(weights)) {
      return fail('lists of paths and weights in weightsManifest', item)
    }
    return { paths: paths as string[], weights }
  })
}

const MAX_SHARDS = 10_000

/** The weights of a group of shards, as the manifest lists them. */
function readWeights(group: Group, shards: Shards, fail: Fail): Map<string, WeightEntry> {
  const entries = new Map<string, WeightEntry>()
  let offset = 0
  for (const item of group.weights) {
    const weight = members(item) ?? fail('objects as weights', item)
    const name = weight.get('name')
    if (typeof name !== 'string') return fail('text as name of a weight', name)
    if (entries.has(name)) return fail('every weight once', name)
    const dtype =
      dtypes.get(weight.get('dtype')) ?? fail(`float32, int32 or bool as dtype of ${name}`, weight.get('dtype'))
    const shape = weight.get('shape')
    const whole =
      Array.isArray(shape) && shape.length <= 32 && shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0)
    if (!whole) return fail(`non-negative integers as shape of ${name}`, shape)
    const quantization = readQuantization(weight.get('quantization'), fail)
    const stored = (elementCount(shape as number[]) ?? Number.NaN) * itemSize(quantization?.stored ?? dtype)
    if (!(offset + stored <= shards.size)) {
      return fail(`${name} to end within the ${shards.size} bytes of ${group.paths.join(', ')}`, offset + stored)
    }
    const at = offset
    offset += stored
    entries.set(name, {
      dtype,
      shape: shape as number[],
      bytes: elementCount(shape as number[])! * itemSize(dtype),
      async read() {
        const bytes = await shards.read(at, stored)
        return quantization ? dequantize(bytes, quantization, dtype) : bytes
      },
    })
  }
  if (offset !== shards.size) fail(`weights that fill the ${shards.size} bytes of ${group.paths.join(', ')}`, offset)
  return entries
}

/** Opens a TensorFlow.js layers model; undefined if the file is none. */
export async function openTfjs({ source, sibling }: Located): Promise<WeightsFile | undefined> {
  const manifest = members(await readJson(source))?.get('weightsManifest')
  if (manifest === undefined) return undefined
  const fail: Fail = (expected, got) => {
    throw new FormatError({ file: source.name, offset: 0, expected, got: show(got) })
  }
  const files: ByteSource[] = []
  const close = async (): Promise<void> => {
    for (const file of files) await file.close()
  }
  try {
    const groups = readGroups(manifest, fail)
    if (groups.reduce((count, { paths }) => count + paths.length, 0) > MAX_SHARDS)
      fail(`at most ${MAX_SHARDS} shards`, 'more')
    const entries = new Map<string, WeightEntry>()
    for (const group of groups) {
      const shards: ByteSource[] = []
      for (const path of group.paths) {
        const { source: shard } = await (sibling ?? fail('a path or an address, beside which the shards lie', 'bytes'))(
          path,
        )
        shards.push(shard)
        files.push(shard)
      }
      for (const [name, entry] of readWeights(group, new Shards(shards), fail)) {
        if (entries.has(name)) fail('every weight once', name)
        entries.set(name, entry)
      }
    }
    return {
      format: 'tfjs',
      file: source.name,
      metadata: new Map(),
      entries: convertKeras(entries),
      verify: async () => {},
      async close() {
        await close()
        await source.close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}
