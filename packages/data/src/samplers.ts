/** In which order an epoch goes through a dataset, and which samples it takes. */
import { ArgumentError, checkOptionNames, type Generator, optionNames, readOptions } from '@convnets/tensor'

/** An order of samples. `DataLoader` hands over a generator that follows from its seed and the number of the epoch. */
export interface Sampler {
  /** Samples per epoch. */
  readonly length: number
  /** Indices of the dataset, `length` of them; the same for a generator in the same state. */
  order(generator: Generator): ArrayLike<number>
}

function checkCount(where: string, name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new ArgumentError(`${where}: ${name} expects an integer from ${least}, got ${value}`)
  }
}

/** 0 to `length - 1`, as PyTorch's `SequentialSampler`. */
export function sequentialSampler(length: number): Sampler {
  checkCount('sequentialSampler', 'length', length, 1)
  return { length, order: () => Int32Array.from({ length }, (_, i) => i) }
}

/**
 * 0 to `length - 1`, shuffled anew in every epoch; with `replacement`, `samples` draws (default `length`) of which any may
 * repeat. As PyTorch's `RandomSampler`.
 */
export function randomSampler(length: number, options: { replacement?: boolean; samples?: number } = {}): Sampler {
  const where = 'randomSampler'
  const { replacement, samples } = readOptions(where, options, { replacement: false, samples: length })
  checkCount(where, 'length', length, 1)
  checkCount(where, 'samples', samples, 1)
  return {
    length: samples,
    order(generator) {
      if (replacement) return Int32Array.from({ length: samples }, () => generator.integer(length))
      const order = new Int32Array(samples)
      // More samples than there are go round again, in another order.
      for (let at = 0; at < samples; at += length) {
        order.set(generator.permutation(length).subarray(0, samples - at), at)
      }
      return order
    },
  }
}

/** Index of the first entry of ascending `sums` that is above `value`. */
function above(sums: Float64Array, value: number): number {
  let [low, high] = [0, sums.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (sums[middle]! > value) high = middle
    else low = middle + 1
  }
  return low
}

/**
 * `samples` draws (default one per weight) in which sample i comes with probability `weights[i]` over their sum, as
 * PyTorch's `WeightedRandomSampler`: against classes of unequal size, weigh each sample by one over the size of its class.
 * Without `replacement` (default true) none comes twice: each draw is among those left (Efraimidis and Spirakis, "Weighted
 * random sampling with a reservoir", 2006).
 */
export function weightedSampler(
  weights: ArrayLike<number>,
  options: { replacement?: boolean; samples?: number } = {},
): Sampler {
  const where = 'weightedSampler'
  const { replacement, samples } = readOptions(where, options, { replacement: true, samples: weights.length })
  const own = Float64Array.from(weights)
  const wrong = own.findIndex((weight) => !(weight >= 0 && Number.isFinite(weight)))
  if (wrong >= 0) {
    throw new ArgumentError(`${where}: weights expects finite numbers from 0, got ${own[wrong]} at index ${wrong}`)
  }
  checkCount(where, 'samples', samples, 1)
  let total = 0
  const sums = own.map((weight) => {
    total += weight
    return total
  })
  const possible = own.reduce((count, weight) => count + (weight > 0 ? 1 : 0), 0)
  if (possible === 0 || !Number.isFinite(total)) {
    throw new ArgumentError(`${where}: weights expects a positive, finite sum, got ${total}`)
  }
  if (!replacement && samples > possible) {
    throw new ArgumentError(`${where}: samples expects at most the ${possible} positive weights, got ${samples}`)
  }
  return {
    length: samples,
    order(generator) {
      if (replacement) return Int32Array.from({ length: samples }, () => above(sums, generator.uniform() * total))
      // An exponential waiting time per sample, at the rate of its weight: who comes first is drawn first.
      const arrival = own.map((weight) => -Math.log(1 - generator.uniform()) / weight)
      const order = Int32Array.from(own.keys()).filter((i) => own[i]! > 0)
      return order.sort((a, b) => arrival[a]! - arrival[b]! || a - b).subarray(0, samples)
    },
  }
}

/**
 * All samples, shuffled so that every class is spread evenly over the epoch: a batch of B holds of a class with share p
 * about p B samples, give or take less than one for the class and one for each of the others' roundings. `labels[i]` is the
 * class of sample i.
 */
export function stratifiedSampler(labels: ArrayLike<number>): Sampler {
  const where = 'stratifiedSampler'
  const length = labels.length
  checkCount(where, 'number of labels', length, 1)
  const members = new Map<number, number[]>()
  for (let i = 0; i < length; i++) {
    const label = labels[i]!
    if (!Number.isInteger(label))
      throw new ArgumentError(`${where}: labels expects integers, got ${label} at index ${i}`)
    const known = members.get(label)
    if (known) known.push(i)
    else members.set(label, [i])
  }
  const classes = [...members].sort(([a], [b]) => a - b).map(([, indices]) => indices)
  return {
    length,
    order(generator) {
      // A class of n samples stands at (k + u) / n of the epoch, k = 0 to n - 1, with one chance u per class.
      const place = new Float64Array(length)
      for (const indices of classes) {
        const shift = generator.uniform()
        const shuffled = generator.permutation(indices.length)
        for (const [k, j] of shuffled.entries()) place[indices[j]!] = (k + shift) / indices.length
      }
      return Int32Array.from(place.keys()).sort((a, b) => place[a]! - place[b]! || a - b)
    },
  }
}

/** Which part of the samples is one process's. */
export interface DistributedOptions {
  /** Number of this process, from 0. */
  readonly rank: number
  /** Number of processes. */
  readonly worldSize: number
  /** Leave out what does not divide evenly, instead of repeating the first samples (default false). */
  readonly dropLast?: boolean
}

const distributedOptions = optionNames<DistributedOptions>({ rank: true, worldSize: true, dropLast: true })

/**
 * The share of one of several processes that train together: of another sampler's order the samples rank, rank +
 * worldSize, rank + 2 worldSize and so on, equally many for every rank, as PyTorch's `DistributedSampler`: what is missing
 * at the end is taken from the beginning, or with `dropLast` the tail is left out. All processes need loaders of the same
 * seed.
 */
export function distributedSampler(sampler: Sampler, options: DistributedOptions): Sampler {
  const where = 'distributedSampler'
  checkOptionNames(where, options, distributedOptions)
  const { rank, worldSize, dropLast = false } = options
  checkCount(where, 'worldSize', worldSize, 1)
  checkCount(where, 'rank', rank, 0)
  if (rank >= worldSize) throw new ArgumentError(`${where}: rank expects an integer below ${worldSize}, got ${rank}`)
  const share = sampler.length / worldSize
  const length = dropLast ? Math.floor(share) : Math.ceil(share)
  if (length === 0) {
    throw new ArgumentError(
      `${where}: dropLast expects at least one sample for each of ${worldSize} ranks, got ${sampler.length} in all`,
    )
  }
  return {
    length,
    order(generator) {
      const all = sampler.order(generator)
      return Int32Array.from({ length }, (_, i) => all[(rank + i * worldSize) % all.length]!)
    },
  }
}
