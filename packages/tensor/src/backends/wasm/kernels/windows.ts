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
  readonly sources: readonly Local<'i32'>[]
  readonly outs: readonly Local<'i32'>[]
  /** Byte offset of the result. */
  readonly at: Local<'i32'>
  /** Number of the result's cell in its image. */
  readonly position: Local<'i32'>
  /** Number of the first source cell in its image, or -1 if there is none. */
  readonly first: Value<'i32'>
  /**
   * Walks the source cells row by row. `cell` is given a byte offset, the number of the cell in its image and its
   * weight along the row; `rowEnd` the weight of the row.
   */
  walk(
    cell: (at: Local<'i32'>, position: Local<'i32'>, weight: Value<'v128'>) => void,
    rowEnd?: (weight: Value<'v128'>) => void,
  ): void
}

const entryBytes = 12
/** Strips of channels that share a walk over the window. */
const unroll = 4
/** Source elements that are worth a wake-up of another thread. */
const grain = 25_000

/** Writes a band to memory: for each result the start and end of its cells and where their weights lie. */
function table(engine: Engine, band: Band): number {
  const count = band.reduce((sum, { weights }) => sum + weights.length, 0)
  const ptr = engine.workspace(band.length * entryBytes + count * 4)
  const { i32: words, f32: floats } = engine.heap
  let entry = ptr >>> 2
  let to = entry + band.length * 3
  for (const { start, weights } of band) {
    words[entry++] = start
    words[entry++] = start + weights.length
    words[entry++] = to * 4
    for (const weight of weights) floats[to++] = weight
  }
  return ptr
}

function cellsOf(band: Band): number {
  return band.reduce((sum, { weights }) => sum + weights.length, 0)
}

/** Runs code for every result; `sources` and `outs` are pointers to at most two arrays each. */
export function runWindows(
  engine: Engine,
  key: string,
  code: (b: FunctionBuilder, window: Window) => void,
  plan: WindowPlan,
  sources: readonly number[],
  outs: readonly number[],
): void {
  const kernel = engine.kernel(`windows ${key}`, (m) => {
    const params = ints(13)
    m.func('run', params, (b, s0, s1, o0, o1, rows, columns, height, width, toHeight, toWidth, pixel, from, to) => {
      eachUnit(b, from, to, (unit) => {
        const y = b.let(i32.remU(unit, toHeight))
        const image = b.let(i32.mul(i32.mul(i32.divU(unit, toHeight), i32.mul(height, width)), pixel))
        const [top, bottom, rowWeights] = entry(b, rows, y)
        const x = b.let(i32.const(0))
        const out = b.let(i32.mul(i32.mul(unit, toWidth), pixel))
        b.for(x, toWidth, 1, () => {
          const [left, right, columnWeights] = entry(b, columns, x)
          const position = b.let(i32.add(i32.mul(y, toWidth), x))
          const empty = i32.or(i32.eq(top, bottom), i32.eq(left, right))
          alongGroups(
            b,
            pixel,
            (strips, channel) => {
              code(b, {
                strips,
                sources: [s0, s1],
                outs: [o0, o1],
                at: b.let(i32.add(out, channel)),
                position,
                first: select(empty, i32.const(-1), i32.add(i32.mul(top, width), left)),
                walk(cell, rowEnd) {
                  const row = b.let(top)
                  const rowWeight = b.let(rowWeights)
                  b.for(row, bottom, 1, () => {
                    const source = b.let(i32.add(i32.mul(row, width), left))
                    const at = b.let(i32.add(i32.add(image, channel), i32.mul(source, pixel)))
                    const column = b.let(left)
                    const weight = b.let(columnWeights)
                    b.for(column, right, 1, () => {
                      cell(at, source, v128.load32Splat(weight))
                      b.add(at, pixel)
                      b.add(source, 1)
                      b.add(weight, 4)
                    })
                    rowEnd?.(v128.load32Splat(rowWeight))
                    b.add(rowWeight, 4)
                  })
                },
              })
            },
            unroll,
          )
          b.add(out, pixel)
        })
      })
    })
  })
  const { batch, height, width, channels } = plan
  const [rows, columns] = [table(engine, plan.rows), table(engine, plan.columns)]
  const [s0 = 0, s1 = 0] = sources
  const [o0 = 0, o1 = 0] = outs
  const [toHeight, toWidth] = [plan.rows.length, plan.columns.length]
  const work = (cellsOf(plan.rows) / toHeight) * cellsOf(plan.columns) * channels
  engine.parallel(
    kernel,
    [s0, s1, o0, o1, rows, columns, height, width, toHeight, toWidth, channels * 4],
    batch * toHeight,
    Math.ceil(grain / (work + 1)),
  )
}

function entry(b: FunctionBuilder, table: Local<'i32'>, i: Local<'i32'>): [Local<'i32'>, Local<'i32'>, Local<'i32'>] {
  const at = b.let(i32.add(table, i32.mul(i, entryBytes)))
  return [b.let(i32.load(at)), b.let(i32.load(at, 4)), b.let(i32.load(at, 8))]
}
