/** All networks by name, without what it takes to read their weights. */
import { type ImageModel, type ImageOutput, type ModelEntry, type ModelOptions, nearest } from '@convnets/blocks'
import { classic } from '@convnets/models-classic'
import { modern } from '@convnets/models-modern'
import { UsageError } from './failure.ts'

/** A network of either package. */
export type Network = ModelEntry<ModelOptions, ImageModel<ImageOutput>>

/** The tables of both packages. */
export const tables: readonly (readonly Network[])[] = [classic, modern]

/** The network that the user calls `name`. Throws `UsageError` with the nearest names if there is none. */
export function networkOf(name: string): Network {
  const all = tables.flat()
  const entry = all.find((known) => known.name === name)
  if (entry !== undefined) return entry
  const near = nearest(
    name,
    all.map((known) => known.name),
  )
  throw new UsageError(
    `There is no model called '${name}'; the nearest names are ${near.join(', ')} (\`convnets models\` lists all).`,
  )
}

/** Shape of the images that a network is made for. */
export function nativeInput({ inputSize }: Network): readonly [number, number, number] {
  return [3, ...inputSize]
}

/** The network for images of `input`, and what is needed to build it. */
export function build(entry: Network, [channels]: readonly [number, number, number]): ImageModel<ImageOutput> {
  return entry(channels === 3 ? {} : { inChannels: channels })
}
