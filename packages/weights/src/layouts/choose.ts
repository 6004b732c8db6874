/** Which layout's keys a file has, seen from the model it is to be loaded into. */
import { ArgumentError, type Shape } from '@convnets/tensor'
import type { WeightEntry } from '../entry.ts'
import { compare, type Offer, type Offered } from '../plan.ts'
import { type Layout, layouts } from './layouts.ts'

/** How keys of a file become keys of a model; see `LoadOptions.mapKeys`. */
export type MapKeys = 'auto' | 'none' | ((key: string) => string | undefined)

type Entries = ReadonlyMap<string, Pick<WeightEntry, 'shape'>>

function rename(entries: Entries, name: (key: string) => string | undefined): Map<string, Offered> {
  const offer = new Map<string, Offered>()
  for (const [from, { shape }] of entries) {
    const key = name(from)
    if (key === undefined) continue
    const other = offer.get(key)
    if (other) {
      throw new ArgumentError(
        `loadWeights: mapKeys expects a name of its own for every key, got ${key} for ${other.from} and ${from}`,
      )
    }
    offer.set(key, { from, shape })
  }
  return offer
}

/** A prefix that stands before every key, `backbone.` or the like. */
function commonPrefix(keys: Iterable<string>): string | undefined {
  const [first, ...rest] = keys
  const prefix = first?.slice(0, first.indexOf('.') + 1)
  return prefix && rest.every((key) => key.startsWith(prefix)) ? prefix : undefined
}

/** The offer with shapes adapted where a layout has the same numbers in another shape, or one class more. */
function adapt(offer: Offer, own: ReadonlyMap<string, Shape>, { flattens, background }: Layout): Offer {
  const size = (shape: Shape): number => shape.reduce((product, dim) => product * dim, 1)
  return new Map(
    [...offer].map(([key, offered]): [string, Offered] => {
      const want = own.get(key)
      const { shape } = offered
      if (!want || String(want) === String(shape)) return [key, offered]
      if (flattens?.test(key) && size(want) === size(shape)) return [key, { ...offered, shape: want }]
      const oneMore = shape[0] === (want[0] ?? 0) + 1 && String(shape.slice(1)) === String(want.slice(1))
      return background?.test(key) && oneMore ? [key, { ...offered, shape: want, skipRows: 1 }] : [key, offered]
    }),
  )
}

/** Decides what is offered to the model: by `mapKeys`, or by the first layout that leaves nothing missing. */
export function chooseOffer(
  own: ReadonlyMap<string, Shape>,
  entries: Entries,
  mapKeys: MapKeys,
): { offer: Offer; layout?: string } {
  if (typeof mapKeys === 'function') return { offer: rename(entries, mapKeys) }
  if (mapKeys !== 'auto' && mapKeys !== 'none') {
    throw new ArgumentError(`loadWeights: mapKeys expects 'auto', 'none' or a function, got ${String(mapKeys)}`)
  }
  const offer = rename(entries, (key) => key)
  const misfit = (candidate: Offer): number => {
    const { missing, unexpected, mismatched } = compare(own, candidate)
    return missing.length + unexpected.length + mismatched.length
  }
  let best: { offer: Offer; layout?: string } = { offer }
  let least = misfit(offer)
  if (mapKeys === 'none' || least === 0) return best
  const keys = new Set(entries.keys())
  const prefix = commonPrefix(keys)
  const unwrapped: readonly string[] = prefix === undefined ? [''] : ['', prefix]
  for (const start of unwrapped) {
    const inner = new Set([...keys].map((key) => key.slice(start.length)))
    const candidates: readonly (Layout | undefined)[] = [
      undefined,
      ...layouts.filter((layout) => layout.matches(inner)),
    ]
    for (const layout of candidates) {
      const names = new Map<string, string>()
      for (const key of keys) {
        const name = layout ? layout.rename(key.slice(start.length)) : key.slice(start.length)
        if (name !== undefined) names.set(key, name)
      }
      // A layout that gives two keys one name is not this file's.
      if (new Set(names.values()).size < names.size) continue
      const plain = rename(entries, (key) => names.get(key))
      const candidate = layout ? adapt(plain, own, layout) : plain
      const count = misfit(candidate)
      if (count >= least) continue
      const label = [start && `prefix ${start}`, layout?.name].filter(Boolean).join(', ')
      best = { offer: candidate, layout: label }
      least = count
    }
  }
  return best
}
