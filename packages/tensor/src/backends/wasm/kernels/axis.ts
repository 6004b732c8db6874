/** Kernels that go along one axis several times: softmax and its kin, and where the largest element is. */
import type { Rows } from '../../backend.ts'
import { type FunctionBuilder, f32x4, i32, i32x4, ints, type Local, type Value, v128 } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { alongRow, type Fold, foldRow, folds, least, type Strip, type Vector } from './rows.ts'
import { eachUnit } from './tile.ts'

/** Elements that are worth a wake-up of another thread. */
export const grainElements = 8000
/** Bytes of neighbouring columns that a unit of work has, where the axis is not the innermost one. */
const columnBytes = 64

/** The elements along the axis: of one row, or of four columns (or one) at a time. `cell` is a byte offset. */
export interface Axis {
  /** The fold of the terms, in all lanes or, for columns, of each lane. */
  fold(fold: Fold, term: (strip: Strip, cell: Local<'i32'>) => Vector): Local<'v128'>
  each(body: (strip: Strip, cell: Local<'i32'>) => void): void
  /** The positions of the lanes of a strip along the axis, as integers. */
  position(strip: Strip, cell: Local<'i32'>): Vector
}

/** A row of `bytes` bytes. */
export function rowAxis(b: FunctionBuilder, start: Value<'i32'>, bytes: Value<'i32'>): Axis {
  const cellAt = (at: Local<'i32'>) => b.let(i32.add(start, at))
  return {
    // Maxima take long one after the other; exponentials have enough to do.
    fold: (fold, term) =>
      foldRow(b, fold, bytes, 1, (strip, at) => [term(strip, cellAt(at))], fold === 'sum' ? 1 : 4)[0]!,
    each: (body) => alongRow(b, bytes, (strip, at) => body(strip, cellAt(at))),
    position(strip, cell) {
      const first = i32.shrU(i32.sub(cell, start), 2)
      return i32x4.add(i32x4.splat(first), i32x4.const(...[0, 1, 2, 3].map((lane) => 4 * strip.index + lane)))
    },
  }
}

function columnAxis(
  b: FunctionBuilder,
  strip: Strip,
  start: Value<'i32'>,
  stride: Value<'i32'>,
  size: Value<'i32'>,
): Axis {
  const each: Axis['each'] = (body) => {
    const cell = b.let(start)
    const left = b.let(size)
    b.repeat(left, () => {
      body(strip, cell)
      b.add(cell, stride)
    })
  }
  return {
    each,
    fold(fold, term) {
      const { combine, start } = folds[fold]
      const sum = b.let(f32x4.const(start))
      each((strip, cell) => b.set(sum, combine(sum, term(strip, cell))))
      return sum
    },
    position: (_, cell) => i32x4.splat(i32.divU(i32.sub(cell, start), stride)),
  }
}

/**
 * Emits what is to be done along one axis; `arrays` are pointers, the last one to the result. `store` stores lanes that
 * are one result for the whole axis.
 */
export type AxisCode = (
  b: FunctionBuilder,
  axis: Axis,
  arrays: readonly [first: Local<'i32'>, second: Local<'i32'>, out: Local<'i32'>],
  store: (value: Vector) => void,
) => void

/** Runs code over [outer, size, inner] along the middle axis. */
export function alongAxis(
  engine: Engine,
  key: string,
  code: AxisCode,
  [outer, size, inner]: Rows,
  first: number,
  second: number,
  out: number,
): void {
  const inRow = inner === 1
  const kernel = engine.kernel(`${key} ${inRow}`, (m) => {
    m.func('run', ints(7), (b, first, second, out, size, stride, from, to) => {
      eachUnit(b, from, to, (unit) => {
        const arrays = [first, second, out] as const
        if (inRow) {
          const bytes = b.let(i32.shl(size, 2))
          const axis = rowAxis(b, b.let(i32.mul(unit, bytes)), bytes)
          code(b, axis, arrays, (value) => b.emit(v128.store32Lane(i32.add(out, i32.shl(unit, 2)), value, 0)))
          return
        }
        const tiles = b.let(i32.divU(i32.add(stride, columnBytes - 1), columnBytes))
        const tile = b.let(i32.mul(i32.remU(unit, tiles), columnBytes))
        const row = b.let(i32.mul(i32.divU(unit, tiles), stride))
        const bytes = b.let(least(i32.const(columnBytes), i32.sub(stride, tile)))
        alongRow(b, bytes, (strip, at) => {
          const column = b.let(i32.add(tile, at))
          const start = b.let(i32.add(i32.mul(row, size), column))
          code(b, columnAxis(b, strip, start, stride, size), arrays, (value) =>
            b.emit(strip.store(i32.add(out, i32.add(row, column)), value)),
          )
        })
      })
    })
  })
  const columns = Math.ceil((inner * 4) / columnBytes)
  const work = inRow ? size : size * Math.min(inner, columnBytes / 4)
  engine.parallel(kernel, [first, second, out, size, inner * 4], outer * columns, Math.ceil(grainElements / work))
}
