/** Names of published weights: `hf:owner/name` and `torchvision:Enum.TAG`. */
import { ArgumentError } from '@convnets/tensor'
import type { Checksum } from './checksum.ts'

/** Facts of published weights, as a row of a model's table has them: `resnet50.weights.IMAGENET1K_V2`. */
export interface RemoteWeights extends Checksum {
  readonly url: string
}

/** What is known of a model and its published weights: `ModelEntry` of `@convnets/blocks`. */
export interface WeightsTable {
  readonly name: string
  readonly weights: Readonly<Record<string, RemoteWeights>>
}

const HUB = 'https://huggingface.co'

/** Files of a repository on the hub that may be its weights, best first. */
const hubFiles: readonly string[] = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
]

export const isHubName = (text: string): boolean => text.startsWith('hf:')
export const isTorchvisionName = (text: string): boolean => text.startsWith('torchvision:')

/**
 * Addresses that `hf:owner/name[@revision][:file]` may mean, best first. `endpoint` is the hub (default the public one).
 * Throws `ArgumentError` for a name of another form.
 */
export function hubUrls(name: string, endpoint: string = HUB): string[] {
  const word = '[A-Za-z0-9](?:[A-Za-z0-9._-]{0,95})'
  const form = new RegExp(`^hf:(${word})/(${word})(?:@([A-Za-z0-9._/-]{1,100}))?(?::([A-Za-z0-9._/-]{1,200}))?$`)
  const [, owner, repository, revision = 'main', file] = form.exec(name) ?? []
  const climbs = [revision, file ?? ''].some((path) => path.split('/').includes('..') || path.startsWith('/'))
  if (owner === undefined || repository === undefined || climbs) {
    throw new ArgumentError(`loadWeights: source expects hf:owner/name[@revision][:file], got ${JSON.stringify(name)}`)
  }
  const base = `${endpoint.replace(/\/$/, '')}/${owner}/${repository}/resolve/${encodeURIComponent(revision)}`
  return (file === undefined ? hubFiles : [file]).map((path) => `${base}/${path}`)
}

/**
 * The row that `torchvision:Enum.TAG` means among the models of `from`. torchvision calls the weights of `resnet50`
 * `ResNet50_Weights`: the same letters in another case. `DEFAULT` is its best, the first whose name is in capitals as all of
 * torchvision's are. Throws `ArgumentError` with what there is.
 */
export function torchvisionWeights(name: string, from: readonly (readonly WeightsTable[])[] = []): RemoteWeights {
  const [, model, tag] = /^torchvision:([A-Za-z0-9_]+)_Weights\.([A-Za-z0-9_]+)$/.exec(name) ?? []
  const refuse = (expected: string): never => {
    throw new ArgumentError(`loadWeights: source ${JSON.stringify(name)} expects ${expected}`)
  }
  if (model === undefined || tag === undefined) return refuse('the form torchvision:ResNet50_Weights.IMAGENET1K_V2')
  const tables = from.flat()
  if (tables.length === 0) return refuse('the models to look in, as in { from: [modern] }')
  const table = tables.find((entry) => entry.name.toLowerCase() === model.toLowerCase())
  if (!table) return refuse(`a model of the lists in from; none of ${tables.length} is called ${model.toLowerCase()}`)
  const tags = Object.keys(table.weights)
  const found = tag === 'DEFAULT' ? tags.find((key) => /^[A-Z]/.test(key)) : tags.find((key) => key === tag)
  if (found === undefined) return refuse(`one of the weights of ${table.name} (${tags.join(', ') || 'there are none'})`)
  return table.weights[found]!
}
