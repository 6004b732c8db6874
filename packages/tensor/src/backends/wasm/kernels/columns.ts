/**
 * Kernels that walk down the columns of [outer, rows, columns]: sums for each column, and what is then done to each
 * cell with them.
 *
 * The rows are cut into chunks, the columns into tiles whose sums stay in the first-level cache; a unit of work is one
 * chunk of one tile. Chunks depend on the shape alone, so results do not depend on who does which.
 */
import { type FunctionBuilder, f32, f32x4, i32, ints, type Local, memory, type Value } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { alongRow, type Fold, folds, inRows, least, type Strip, type Vector } from './rows.ts'
import { eachUnit } from './tile.ts'

/** How the work is cut. */
export interface Columns {
  readonly outer: number
  readonly rows: number
  readonly columns: number
  readonly chunkRows: number
  readonly chunks: number
}

/** Columns of a tile. */
const tileColumns = 512
const minChunk = 128
const maxChunk = 2048
/** Rows that are added up before they join the rest: sums of few and then of few sums keep their digits. */
const blockRows = 128
/** Units that keep all threads busy. */
const enoughUnits = 64
/** Floats that are worth a wake-up of another thread. */
export const grainFloats = 25_000

export function planColumns(outer: number, rows: number, columns: number): Columns {
  const tiles = Math.ceil(columns / tileColumns)
  const wanted = Math.min(Math.ceil(enoughUnits / (outer * tiles)), Math.ceil(rows / minChunk))
  const chunkRows = Math.min(maxChunk, Math.ceil(rows / wanted / 4) * 4)
  return { outer, rows, columns, chunkRows, chunks: Math.ceil(rows / chunkRows) }
}

/** How many rows may be laid side by side, so that narrow rows still fill vectors. */
export function widening(rows: number, columns: number): number {
  let factor = 1
  while (columns * factor < 16 && rows % (factor * 2) === 0) factor *= 2
  return factor
}

/** A unit of work, in the code of its kernel. Pointers are to the first of its cells. */
export interface Unit {
  readonly sources: readonly Local<'i32'>[]
  /** The coefficients of its columns; row k of them is k * `stride` bytes further. */
  readonly coefficients: Local<'i32'>
  readonly slots: readonly Local<'i32'>[]
  /** As many rows for sums in the making, if the chunk has more than one block. */
  readonly scratch: readonly Local<'i32'>[] | null
  readonly count: Local<'i32'>
  readonly stride: Local<'i32'>
  readonly bytes: Local<'i32'>
}

export interface ColumnKernel {
  readonly key: string
  /** Rows of coefficients, for each outer index: [outer, coefficients, columns]. */
  readonly coefficients: number
  /** Rows of results, for each chunk: [outer, chunks, slots, columns]. */
  readonly slots: number
  readonly emit: (b: FunctionBuilder, unit: Unit, fma: boolean) => void
}

/** Runs a kernel over up to three arrays of the plan's shape. */
export function runColumns(
  engine: Engine,
  { key, coefficients, slots, emit }: ColumnKernel,
  plan: Columns,
  sources: readonly number[],
  coefficientsAt: number,
  out: number,
): void {
  const { outer, rows, columns, chunkRows, chunks } = plan
  const blocks = chunkRows > blockRows
  const kernel = engine.kernel(`columns ${key} ${blocks}`, (m) => {
    m.func('run', ints(12), (b, s0, s1, s2, coefs, out, scratch, rows, stride, chunkRows, chunks, from, to) => {
      const tileBytes = tileColumns * 4
      const tiles = b.let(i32.divU(i32.add(stride, tileBytes - 1), tileBytes))
      eachUnit(b, from, to, (unit) => {
        const tile = b.let(i32.mul(i32.remU(unit, tiles), tileBytes))
        const part = b.let(i32.divU(unit, tiles))
        const outer = b.let(i32.divU(part, chunks))
        const first = b.let(i32.mul(i32.remU(part, chunks), chunkRows))
        const at = b.let(i32.add(i32.mul(i32.add(i32.mul(outer, rows), first), stride), tile))
        const rowsOf = (base: Local<'i32'>): Local<'i32'>[] =>
          Array.from({ length: slots }, (_, k) =>
            b.let(i32.add(i32.add(base, tile), i32.mul(i32.add(i32.mul(part, slots), k), stride))),
          )
        const place: Unit = {
          sources: [s0, s1, s2].slice(0, sources.length).map((source) => b.let(i32.add(source, at))),
          coefficients: b.let(i32.add(i32.add(coefs, tile), i32.mul(i32.mul(outer, coefficients), stride))),
          slots: rowsOf(out),
          scratch: blocks ? rowsOf(scratch) : null,
          count: b.let(least(chunkRows, i32.sub(rows, first))),
          stride,
          bytes: b.let(least(i32.const(tileBytes), i32.sub(stride, tile))),
        }
        emit(b, place, engine.fma)
      })
    })
  })
  const scratch = blocks ? engine.workspace(outer * chunks * slots * columns * 4) : 0
  const [s0 = 0, s1 = 0, s2 = 0] = sources
  engine.parallel(
    kernel,
    [s0, s1, s2, coefficientsAt, out, scratch, rows, columns * 4, chunkRows, chunks],
    outer * chunks * Math.ceil(columns / tileColumns),
    Math.ceil(grainFloats / (chunkRows * Math.min(columns, tileColumns))),
  )
}

/**
 * Folds the terms of the first `count` cells of each column into slots, which must hold something to begin with.
 * `prepare` is done once for the cells side by side; what it gives is handed to `terms`. `store` stores terms, if it is given.
 */
export function foldColumns<C>(
  b: FunctionBuilder,
  fold: Fold,
  unit: Unit,
  count: Value<'i32'>,
  slots: readonly Local<'i32'>[],
  prepare: (strip: Strip, at: Local<'i32'>) => C,
  terms: (strip: Strip, cell: Local<'i32'>, prepared: C) => readonly Vector[],
  store?: (strip: Strip, cell: Local<'i32'>, terms: readonly Local<'v128'>[]) => Value<'void'>,
): void {
  const { combine } = folds[fold]
  const into = (slots: readonly Value<'i32'>[], strip: Strip, at: Local<'i32'>, values: readonly Vector[]): void => {
    for (const [k, slot] of slots.entries()) {
      const place = b.let(i32.add(slot, at))
      b.emit(strip.store(place, combine(strip.load(place), values[k]!)))
    }
  }
  const run = (from: Value<'i32'>, count: Value<'i32'>, slots: readonly Value<'i32'>[]): void =>
    inRows(b, from, count, unit.stride, unit.bytes, (strip, at, cells) => {
      const prepared = prepare(strip, at)
      const kept: Local<'v128'>[][] = []
      for (const pair of inPairs(cells)) {
        const values = pair.map((cell) => terms(strip, cell, prepared).map((term) => b.let(term)))
        if (store) for (const [i, cell] of pair.entries()) b.emit(store(strip, cell, values[i]!))
        kept.push(...values)
      }
      const sums = kept.reduce((a, c) => a.map((sum, k) => b.let(combine(sum, c[k]!))))
      into(slots, strip, at, sums)
    })
  if (fold !== 'sum' || unit.scratch === null) {
    run(i32.const(0), count, slots)
    return
  }
  const blocks = unit.scratch.slice(0, slots.length)
  const row = b.let(i32.const(0))
  b.for(row, count, blockRows, () => {
    clear(b, unit, blocks)
    run(i32.mul(row, unit.stride), least(i32.const(blockRows), i32.sub(count, row)), blocks)
    alongRow(b, unit.bytes, (strip, at) => {
      const values = blocks.map((block) => strip.load(i32.add(block, at)))
      into(slots, strip, at, values)
    })
  })
}

/**
 * Cells two by two: compilers mix the instructions of those whose loads come before the stores, and have registers for two
 * that take many.
 */
export function inPairs<T>(cells: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(cells.length / 2) }, (_, i) => cells.slice(2 * i, 2 * i + 2))
}

/** Sets slots to zero. */
export function clear(b: FunctionBuilder, unit: Unit, slots: readonly Local<'i32'>[] = unit.slots): void {
  for (const slot of slots) b.emit(memory.fill(slot, 0, unit.bytes))
}

/** A vector of the numbers in a row of coefficients that belong to the strip. */
export function coefficient(b: FunctionBuilder, unit: Unit, k: number, strip: Strip, at: Local<'i32'>): Local<'v128'> {
  return b.let(strip.load(i32.add(i32.add(unit.coefficients, i32.mul(unit.stride, k)), at)))
}

/** 1 / x in all lanes, for a number of cells. */
export function reciprocal(count: Value<'i32'>): Vector {
  return f32x4.div(1, f32x4.splat(f32.fromI32(count)))
}
