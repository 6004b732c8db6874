/**
 * safetensors files in several parts: an index (`model.safetensors.index.json`) says which part holds which tensor.
 *
 * Hugging Face Transformers, `get_checkpoint_shard_files`. Parts may also be PyTorch checkpoints
 * (`pytorch_model.bin.index.json`), which this package does not read in parts.
 */
import { FormatError } from '@convnets/tensor'
import type { WeightEntry, WeightsFile } from './entry.ts'
import { members, readJson, show } from './json-text.ts'
import type { Located } from './locate.ts'
import { openSafetensors } from './safetensors.ts'

const MAX_SHARDS = 1000

/** Opens the parts that an index names; undefined if the file is no index. Every tensor must lie where the index says. */
export async function openSharded({ source, sibling }: Located): Promise<WeightsFile | undefined> {
  const index = members(await readJson(source))
  const map = members(index?.get('weight_map'))
  if (!map) return undefined
  const fail = (expected: string, got: string): never => {
    throw new FormatError({ file: source.name, offset: 0, expected, got })
  }
  if (!sibling) return fail('a path or an address, beside which the parts lie', 'bytes')
  const names = [...new Set(map.values())]
  if (names.length > MAX_SHARDS) fail(`at most ${MAX_SHARDS} parts`, `${names.length}`)
  const parts = new Map<string, WeightsFile>()
  const close = async (): Promise<void> => {
    for (const part of parts.values()) await part.close()
    await source.close()
  }
  try {
    for (const name of names) {
      if (typeof name !== 'string' || !name.endsWith('.safetensors')) {
        return fail('parts that are safetensors files', show(name))
      }
      const { source: part } = await sibling(name)
      try {
        parts.set(name, await openSafetensors(part))
      } catch (error) {
        await part.close()
        throw error
      }
    }
    const entries = new Map<string, WeightEntry>()
    for (const [key, name] of map) {
      const entry = parts.get(name as string)?.entries.get(key)
      entries.set(key, entry ?? fail(`tensor ${show(key)} in ${show(name)}`, 'none'))
    }
    const listed = [...parts.values()].reduce((count, part) => count + part.entries.size, 0)
    if (listed !== entries.size) fail(`an index of all ${listed} tensors of the parts`, `one of ${entries.size}`)
    const metadata = new Map([...parts.values()].flatMap((part) => [...part.metadata]))
    return { format: 'safetensors', file: source.name, metadata, entries, verify: async () => {}, close }
  } catch (error) {
    for (const part of parts.values()) await part.close()
    throw error
  }
}
