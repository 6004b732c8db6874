/** Which layout's names a file has, seen from the model it is to be loaded into. */
import { ArgumentError, type Shape } from '@convnets/tensor'
import { elementCount } from '../dtypes.ts'
import type { WeightEntry } from '../entry.ts'
import { compare, type Offer, type Offered } from '../plan.ts'
import { type Layout, layouts, type Rename } from './layouts.ts'

/** How keys of a file become keys of a model; see `LoadOptions.mapKeys`. */
export type MapKeys = 'auto' | 'none' | ((key: string) => string | undefined)

type Entries = ReadonlyMap<string, Pick<WeightEntry, 'shape'>>

/** What is offered under new names. Throws `ArgumentError` if two keys get the same. */
function rename(entries: Entries, name: Rename): Map<string, Offered> {
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

/** A way to read keys: a layout, or none, behind a prefix. */
interface Reading {
  readonly layout: Layout | undefined
  readonly prefix: string
  /** Common names by keys; keys without one are left out. */
  readonly common: ReadonlyMap<string, string>
}

/** All ways to read keys: as they are, by each layout that they may be of, and all of that without their prefix. */
function* readings(keys: ReadonlySet<string>, prefixes: readonly string[]): Generator<Reading> {
  for (const prefix of prefixes) {
    const inner = new Set([...keys].map((key) => key.slice(prefix.length)))
    for (const layout of [undefined, ...layouts]) {
      const translate: Rename | undefined = layout ? layout.match(inner) : (key) => key
      if (!translate) continue
      const common = new Map<string, string>()
      for (const key of keys) {
        const name = translate(key.slice(prefix.length))
        if (name !== undefined) common.set(key, name)
      }
      // A layout that gives two keys one name is not that of these keys.
      if (new Set(common.values()).size === common.size) yield { layout, prefix, common }
    }
  }
}

/** The tensors of a file by the keys of a model, both read in some way. */
function match(entries: Entries, file: Reading, own: ReadonlyMap<string, Shape>, model: Reading): Offer {
  const keys = new Map([...model.common].map(([key, common]) => [common, key]))
  const flattens = [file.layout?.flattens, model.layout?.flattens]
  const offer = new Map<string, Offered>()
  for (const [from, { shape }] of entries) {
    const common = file.common.get(from)
    if (common === undefined) continue
    const key = keys.get(common)
    const want = key === undefined ? undefined : own.get(key)
    const reshaped =
      want !== undefined &&
      flattens.some((pattern) => pattern?.test(common)) &&
      elementCount(want) === elementCount(shape)
    offer.set(key ?? from, { from, shape: reshaped ? want : shape })
  }
  return offer
}

/** Names for a background that TensorFlow's ImageNet classifiers have in front of the 1000 classes. */
const BACKGROUND = 'background class left out'
const CLASSES = 1000

/** The offer without the background class, if the classifiers of all that differ have one. */
function withoutBackground(own: ReadonlyMap<string, Shape>, offer: Offer): Offer | undefined {
  const { mismatched } = compare(own, offer)
  const isBackground = (expected: Shape, got: Shape): boolean =>
    expected[0] === CLASSES && got[0] === CLASSES + 1 && String(expected.slice(1)) === String(got.slice(1))
  if (mismatched.length === 0 || !mismatched.every(({ expected, got }) => isBackground(expected, got))) return undefined
  const adapted = new Map(offer)
  for (const { key, expected } of mismatched) adapted.set(key, { ...offer.get(key)!, shape: expected, skipRows: 1 })
  return adapted
}

/** Decides what is offered to the model: by `mapKeys`, or by the reading of both sides' keys that leaves least over. */
export function chooseOffer(
  own: ReadonlyMap<string, Shape>,
  entries: Entries,
  mapKeys: MapKeys,
): { offer: Offer; layout?: string } {
  if (typeof mapKeys === 'function') return { offer: rename(entries, mapKeys) }
  if (mapKeys !== 'auto' && mapKeys !== 'none') {
    throw new ArgumentError(`loadWeights: mapKeys expects 'auto', 'none' or a function, got ${String(mapKeys)}`)
  }
  const misfit = (candidate: Offer): number => {
    const { missing, unexpected, mismatched } = compare(own, candidate)
    return missing.length + unexpected.length + mismatched.length
  }
  const offer = rename(entries, (key) => key)
  let best: { offer: Offer; layout?: string } = { offer }
  let least = misfit(offer)
  if (mapKeys === 'none' || least === 0) return best
  const consider = (candidate: Offer, labels: readonly (string | undefined)[]): void => {
    const count = misfit(candidate)
    if (count >= least) return
    best = { offer: candidate, layout: labels.filter(Boolean).join(', ') }
    least = count
  }
  const keys = new Set(entries.keys())
  const prefix = commonPrefix(keys)
  const models = [...readings(new Set(own.keys()), [''])]
  for (const file of readings(keys, prefix === undefined ? [''] : ['', prefix])) {
    for (const model of models) {
      const candidate = match(entries, file, own, model)
      const labels = [file.prefix && `prefix ${file.prefix}`, (file.layout ?? model.layout)?.name]
      consider(candidate, labels)
      const adapted = withoutBackground(own, candidate)
      if (adapted) consider(adapted, [...labels, BACKGROUND])
    }
  }
  return best
}
