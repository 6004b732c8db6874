/**
 * Sums and extremes. A long sum is cut into pieces that threads add side by side, and the sums of the pieces are added
 * after that: faster, and more exact in float32 than one long row of additions.
 */
import type { Backend } from '../backend.ts'
import { addProducts, cellsOf, sumsOf } from './cells.ts'
import type { Device, Launch } from './device.ts'
import type { Source } from './source.ts'
import type { GpuBuffer } from './storage.ts'

const product = (extents: readonly number[]): number => extents.reduce((n, extent) => n * extent, 1)

/** Threads beyond which cutting gains nothing. */
const enoughThreads = 1 << 16
/** Cells that a piece has at least. */
const pieceLength = 32

/** Adds a value, or the product of `value` and what each of several neighbours has for itself. */
type Add = (value: string, own?: (cell: number) => string) => void

export interface Sum {
  readonly op: string
  /** Extents of the result. */
  readonly kept: readonly number[]
  /** Extents that are added up. */
  readonly reduced: readonly number[]
  readonly inputs: readonly GpuBuffer[]
  readonly tables?: readonly Float32Array[]
  /** Writes the statements of one cell and gives what it adds, by `add`. */
  readonly term: (s: Source, kept: readonly string[], reduced: readonly string[], add: Add) => void
  /** Whether `term` adds products, so that one thread may compute several neighbours along the last extent. */
  readonly products?: boolean
  /** What becomes of the sum. Default: itself. `at` reads the inputs, where `finishReads` says that it does. */
  readonly finish?: (
    s: Source,
    sum: string,
    kept: readonly string[],
    at: (k: number, index: string) => string,
  ) => string
  readonly finishReads?: boolean
  readonly dtype?: GpuBuffer['dtype']
}

/** A buffer of sums of `term` over `reduced`, one for each cell of `kept`. */
export function sumOver(device: Device, sum: Sum): GpuBuffer {
  const {
    op,
    kept,
    reduced,
    inputs,
    tables = [],
    term,
    finish = (_, x) => x,
    finishReads = false,
    products = false,
    dtype = 'float32',
  } = sum
  const results = product(kept)
  const cut = reduced.indexOf(Math.max(...reduced))
  const length = reduced[cut] ?? 1
  const cells = product(reduced)
  const wanted = Math.min(
    Math.floor(Math.sqrt(cells)),
    Math.ceil(cells / pieceLength),
    Math.ceil(enoughThreads / results),
  )
  const piece = Math.ceil(length / Math.max(1, Math.min(wanted, length)))
  const pieces = Math.max(1, Math.ceil(length / piece))

  const neighbours = products ? cellsOf(pieces * results, kept.at(-1) ?? 1) : 1

  const added = (s: Source, keptAt: readonly string[], number: string | undefined): string[] => {
    const totals = sumsOf(s, neighbours, () => 0)
    const add: Add = (value, own) => {
      if (own !== undefined) addProducts(s, totals, value, own)
      else s.push(`${totals[0]} += ${value};`)
    }
    const each = (axis: number, at: readonly string[]): void => {
      if (axis === reduced.length) term(s, keptAt, at, add)
      else if (reduced[axis] === 1) each(axis + 1, [...at, '0'])
      else if (axis !== cut || number === undefined) {
        s.loop(reduced[axis] as number, (k) => each(axis + 1, [...at, k]))
      } else {
        s.loop(piece, (k) => {
          const here = s.int(`${number} * ${piece} + ${k}`)
          s.when(`${here} < ${length}`, () => each(axis + 1, [...at, here]))
        })
      }
    }
    each(0, [])
    return totals
  }

  if (pieces === 1) {
    const element: Launch['element'] = (s) => {
      const at = s.coordinates(s.i, kept)
      return added(s, at, undefined).map((total) => finish(s, total, at, (k, index) => s.at(k, index)))
    }
    return device.make(dtype, results, { op, cells: neighbours, inputs, tables, element })
  }
  const partial = device.make('float32', pieces * results, {
    op,
    cells: neighbours,
    inputs,
    tables,
    element(s) {
      const [number, ...keptAt] = s.coordinates(s.i, [pieces, ...kept]) as readonly [string, ...string[]]
      return added(s, keptAt, number)
    },
  })
  const result = device.make(dtype, results, {
    op,
    inputs: finishReads ? [partial, ...inputs] : [partial],
    element(s) {
      const total = s.float(0)
      s.loop(pieces, (k) => s.push(`${total} += ${s.at(0, `${k} * ${results} + i`)};`))
      return finish(s, total, finishReads ? s.coordinates(s.i, kept) : [], (k, index) => s.at(k + 1, index))
    },
  })
  device.free(partial)
  return result
}

/** The condition that `a` is NaN. */
const notANumber = (a: string): string => `${a} !== ${a}`

function extreme(
  device: Device,
  kind: 'max' | 'min',
  x: GpuBuffer,
  [outer, size, inner]: readonly [number, number, number],
): GpuBuffer {
  if (size === 0) {
    const value = kind === 'max' ? -Infinity : Infinity
    return device.make(x.dtype, outer * inner, { op: kind, inputs: [], element: (s) => s.param(value) })
  }
  const pieces = size > 256 && outer * inner < enoughThreads ? Math.ceil(Math.sqrt(size)) : 1
  const piece = Math.ceil(size / pieces)
  const partial = device.make(x.dtype, outer * pieces * inner, {
    op: kind,
    inputs: [x],
    element(s) {
      const [o, p, i] = s.coordinates(s.i, [outer, pieces, inner]) as readonly [string, string, string]
      const place = (at: string): string => s.place([o, at, i], [size * inner, inner, 1])
      // The last pieces may be shorter, or have only what others have too.
      const first = s.int(s.place([p], [piece]))
      s.when(`${first} > ${size - 1}`, () => s.set(first, String(size - 1)))
      const best = s.float(s.at(0, place(first)))
      s.loop(piece, (k) => {
        const at = s.int(`${first} + ${k}`)
        s.when(`${at} < ${size}`, () => {
          const value = s.float(s.at(0, place(at)))
          s.when(`${value} ${kind === 'max' ? '>' : '<'} ${best} || ${notANumber(value)}`, () => s.set(best, value))
        })
      })
      return best
    },
  })
  if (pieces === 1) return partial
  const result = extreme(device, kind, partial, [outer, pieces, inner])
  device.free(partial)
  return result
}

export function reduceKernels(device: Device): Pick<Backend, 'reduce' | 'argReduce' | 'topk'> {
  return {
    reduce(kind, x, rows) {
      const input = device.own(x)
      if (kind !== 'sum') return extreme(device, kind, input, rows)
      const [outer, size, inner] = rows
      return sumOver(device, {
        op: 'sum',
        kept: [outer, inner],
        reduced: [size],
        inputs: [input],
        dtype: input.dtype,
        term: (s, [o, i], [k], add) => add(s.at(0, s.dense([o as string, k as string, i as string], rows))),
      })
    },
    argReduce(kind, x, [outer, size, inner]) {
      return device.make('int32', outer * inner, {
        op: `arg${kind}`,
        inputs: [device.own(x)],
        element(s) {
          const [o, i] = s.coordinates(s.i, [outer, inner]) as readonly [string, string]
          const place = (at: string): string => s.place([o, at, i], [size * inner, inner, 1])
          const best = s.float(s.at(0, place('0')))
          const found = s.int(0)
          s.loop(size, (k) => {
            const value = s.float(s.at(0, place(k)))
            const better = `${value} ${kind === 'max' ? '>' : '<'} ${best} || ${notANumber(value)}`
            s.when(`(${better}) && ${best} === ${best}`, () => {
              s.set(best, value)
              s.set(found, k)
            })
          })
          return found
        },
      })
    },
    topk(x, [outer, size, inner], k, largest) {
      return device.make('int32', outer * k * inner, {
        op: 'topk',
        inputs: [device.own(x)],
        element(s) {
          const [o, rank, i] = s.coordinates(s.i, [outer, k, inner]) as readonly [string, string, string]
          const place = (at: string): string => s.place([o, at, i], [size * inner, inner, 1])
          // NaN is the largest number of all; so ordered, each round finds the best one that comes after the last.
          const [one, zero] = [s.param(1), s.param(0)]
          const last = s.int(-1)
          const lastValue = s.float(s.param(0))
          const lastNaN = s.float(zero)
          s.loop(k, (round) => {
            s.when(`${round} <= ${rank}`, () => {
              const found = s.int(-1)
              const best = s.float(s.param(0))
              const bestNaN = s.float(zero)
              s.loop(size, (at) => {
                const value = s.float(s.at(0, place(at)))
                const nan = s.float(`(${notANumber(value)} ? ${one} : ${zero})`)
                const [ahead, behind] = largest ? ['>', '<'] : ['<', '>']
                const before = (a: string, aNaN: string, b: string, bNaN: string): string =>
                  `(${aNaN} ${ahead} ${bNaN} || (${aNaN} === ${bNaN} && ${a} ${ahead} ${b}))`
                const after = `(${nan} ${behind} ${lastNaN} || (${nan} === ${lastNaN} && ${value} ${behind} ${lastValue}))`
                const equal = `(${nan} === ${lastNaN} && (${nan} > 0 || ${value} === ${lastValue}) && ${at} > ${last})`
                const open = `(${last} < 0 || ${after} || ${equal})`
                s.when(`${open} && (${found} < 0 || ${before(value, nan, best, bestNaN)})`, () => {
                  s.set(found, at)
                  s.set(best, value)
                  s.set(bestNaN, nan)
                })
              })
              s.set(last, found)
              s.set(lastValue, best)
              s.set(lastNaN, bestNaN)
            })
          })
          return last
        },
      })
    },
  }
}
