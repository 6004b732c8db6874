/**
 * Kernels whose results are made of a rectangle of source cells each: pooling, resampling and their gradients, all of
 * them in the direction that gathers, so that every result is written once, by one thread, in one order.
 */
import { type FunctionBuilder, i32, ints, type Local, select, type Value, v128 } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { alongGroups, type Strip } from './rows.ts'
import { eachUnit } from './tile.ts'

/** One axis: result i is made of the source cells from `start` on, one for each weight. */
export type Band = readonly { readonly start: number; readonly weights: readonly number[] }[]

/** The axis seen from the source: of which results each of its `size` cells is a part. */
export function transposed(band: Band, size: number): Band {
  const columns = Array.from({ length: size }, () => ({ start: 0, weights: [] as number[] }))
  for (const [i, { start, weights }] of band.entries()) {
    for (const [k, weight] of weights.entries()) {
      const column = columns[start + k]!
      if (column.weights.length === 0) column.start = i
      while (column.weights.length < i - column.start) column.weights.push(0)
      column.weights.push(weight)
    }
  }
  return columns
}

/** Extents of source and result, each (batch, height, width, channels). */
export interface WindowPlan {
  readonly batch: number
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly rows: Band
  readonly columns: Band
}

/** What code is emitted with: a few strips of channels of one result. */
export interface Window {
  readonly strips: readonly Strip[]
  readonly outs: readonly Local<'i32'>[]
  /** Byte offset of the result. */
  readonly at: Local<'i32'>
  /** Number of the result's cell in its image. */
  readonly position: Local<'i32'>
  /** Number of the first source cell in its image, or -1 if there is none. */
  readonly first: Value<'i32'>
  /**
   * Walks the source cells row by row. `cell` is given the addresses of the cell in both sources, its number in its image
   * and its weight along the row; `rowEnd` the weight of the row.
   */
  walk(
    cell: (places: readonly Value<'i32'>[], position: Value<'i32'>, weight: Value<'v128'>) => void,
    rowEnd?: (weight: Value<'v128'>) => void,
  ): void
}

type Walk = Window['walk']

const entryBytes = 12
/** Strips of channels that share a walk over the window. */
const unroll = 4
/** Cells of a window, at most, that are walked without loops: those of one strip fill the registers. */
const unrolledCells = 9
/** Source elements that are worth a wake-up of another thread. */
const grain = 25_000
/** Bytes of a source that is not in a cache, and of the rows of windows that the cache next to the core holds. */
const [uncached, cached] = [2 ** 24, 2 ** 18]
/** Bytes that come to the cache together, and from the first of such lines that are asked for in one turn to the last. */
const line = 64
const turn = 7 * line

/** Writes a band to memory: for each result the start and end of its cells and where their weights lie. */
function table(engine: Engine, band: Band): number {
  return engine.constants(band.length * entryBytes + cellsOf(band) * 4, (ptr) => {
    const { i32: words, f32: floats } = engine.heap
    let entry = ptr >>> 2
    let to = entry + band.length * 3
    for (const { start, weights } of band) {
      words[entry++] = start
      words[entry++] = start + weights.length
      words[entry++] = to * 4
      for (const weight of weights) floats[to++] = weight
    }
  })
}

function cellsOf(band: Band): number {
  return band.reduce((sum, { weights }) => sum + weights.length, 0)
}

/**
 * Has memory from `upper` to `lower` brought to the cache, as far as that was not done before: misses overlap only where
 * few instructions lie between them, and windows have many. `come` is where the last line of the next turn begins, or -1
 * if nothing is to be brought.
 */
function bring(b: FunctionBuilder, come: Local<'i32'>, upper: Value<'i32'>, lower: Value<'i32'>): void {
  const first = b.let(i32.add(upper, turn))
  b.if(i32.ltU(come, first), () => b.set(come, first))
  b.for(come, lower, turn + line, () => {
    const start = b.let(i32.sub(come, turn))
    for (let at = 0; at <= turn; at += line) b.let(i32.load(start, at))
  })
}

/** Cells of the window in the middle. */
function sizeOf(band: Band): number {
  return band[band.length >> 1]?.weights.length ?? 0
}

/**
 * Runs code for every result; `sources` and `outs` are pointers to at most two arrays each. `apart`: strips are better
 * worked on one after the other, each with all its cells, where windows are small. Weights would be loaded for each strip.
 */
export function runWindows(
  engine: Engine,
  key: string,
  code: (b: FunctionBuilder, window: Window) => void,
  plan: WindowPlan,
  sources: readonly number[],
  outs: readonly number[],
  apart = false,
): void {
  // Most windows are like the one in the middle.
  const [tall, wide] = [sizeOf(plan.rows), sizeOf(plan.columns)]
  const unrolls = apart && tall * wide <= unrolledCells
  const kernel = engine.kernel(`windows ${key} ${unrolls && [tall, wide]}`, (m) => {
    const params = ints(14)
    m.func(
      'run',
      params,
      (b, s0, s1, o0, o1, rows, columns, height, width, toHeight, toWidth, pixel, come, from, to) => {
        const distance = b.let(i32.sub(s1, s0))
        const rowBytes = b.let(i32.mul(width, pixel))
        eachUnit(b, from, to, (unit) => {
          const y = b.let(i32.remU(unit, toHeight))
          const image = b.let(i32.add(s0, i32.mul(i32.mul(i32.divU(unit, toHeight), height), rowBytes)))
          const [top, bottom, rowWeights] = entry(b, rows, y)
          bring(b, come, i32.add(image, i32.mul(top, rowBytes)), i32.add(image, i32.mul(bottom, rowBytes)))
          const x = b.let(i32.const(0))
          const out = b.let(i32.mul(i32.mul(unit, toWidth), pixel))
          b.for(x, toWidth, 1, () => {
            const [left, right, columnWeights] = entry(b, columns, x)
            const position = b.let(i32.add(i32.mul(y, toWidth), x))
            const empty = i32.or(i32.eq(top, bottom), i32.eq(left, right))
            const corner = i32.add(i32.mul(top, width), left)
            const places = (at: Value<'i32'>) => [at, i32.add(at, distance)]
            const along = (unrolled: boolean) => {
              const body = (all: readonly Strip[], channel: Local<'i32'>): void => {
                const at = b.let(i32.add(out, channel))
                const first = select(empty, i32.const(-1), corner)
                const addressOf = (source: Local<'i32'>) =>
                  b.let(i32.add(i32.add(image, channel), i32.mul(source, pixel)))
                const loops: Walk = (cell, rowEnd) => {
                  const row = b.let(top)
                  const rowWeight = b.let(rowWeights)
                  b.for(row, bottom, 1, () => {
                    const source = b.let(i32.add(i32.mul(row, width), left))
                    const at = addressOf(source)
                    const column = b.let(left)
                    const weight = b.let(columnWeights)
                    b.for(column, right, 1, () => {
                      cell(places(at), source, v128.load32Splat(weight))
                      b.add(at, pixel)
                      b.add(source, 1)
                      b.add(weight, 4)
                    })
                    rowEnd?.(v128.load32Splat(rowWeight))
                    b.add(rowWeight, 4)
                  })
                }
                const cells: Walk = (cell, rowEnd) => {
                  const source = b.let(corner)
                  const at = addressOf(source)
                  for (let row = 0; row < tall; row++) {
                    for (let column = 0; column < wide; column++) {
                      const place = i32.add(at, i32.mul(pixel, column))
                      cell(places(place), i32.add(source, column), v128.load32Splat(columnWeights, 4 * column))
                    }
                    rowEnd?.(v128.load32Splat(rowWeights, 4 * row))
                    b.add(source, width)
                    b.add(at, rowBytes)
                  }
                }
                for (const strips of unrolled ? all.map((strip) => [strip]) : [all]) {
                  code(b, { strips, outs: [o0, o1], at, position, first, walk: unrolled ? cells : loops })
                }
              }
              alongGroups(b, pixel, body, unroll)
            }
            const usual = i32.and(i32.eq(i32.sub(bottom, top), tall), i32.eq(i32.sub(right, left), wide))
            if (unrolls)
              b.if(
                usual,
                () => along(true),
                () => along(false),
              )
            else along(false)
            b.add(out, pixel)
          })
        })
      },
    )
  })
  const { batch, height, width, channels } = plan
  const [rows, columns] = [table(engine, plan.rows), table(engine, plan.columns)]
  const [s0 = 0, s1 = 0] = sources
  const [o0 = 0, o1 = 0] = outs
  const [toHeight, toWidth] = [plan.rows.length, plan.columns.length]
  const rowBytes = width * channels * 4
  const far = batch * height * rowBytes > uncached && tall * rowBytes < cached
  const work = (cellsOf(plan.rows) / toHeight) * cellsOf(plan.columns) * channels
  engine.parallel(
    kernel,
    [s0, s1, o0, o1, rows, columns, height, width, toHeight, toWidth, channels * 4, far ? 0 : -1],
    batch * toHeight,
    Math.ceil(grain / (work + 1)),
  )
}

function entry(b: FunctionBuilder, table: Local<'i32'>, i: Local<'i32'>): [Local<'i32'>, Local<'i32'>, Local<'i32'>] {
  const at = b.let(i32.add(table, i32.mul(i, entryBytes)))
  return [b.let(i32.load(at)), b.let(i32.load(at, 4)), b.let(i32.load(at, 8))]
}
