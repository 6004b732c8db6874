/** Kernels that go along one axis several times: softmax and its kin, and where the largest element is. */
import type { Rows } from '../../backend.ts'
import { type FunctionBuilder, f32x4, i32, i32x4, ints, type Local, type Value, v128 } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { alongRow, foldRow, folds, least, type Strip, type Vector } from './rows.ts'
import { eachUnit } from './tile.ts'

/** Elements that are worth a wake-up of another thread. */
export const grainElements = 8000
/** Strips of a row that are worked on together: maxima one after the other take three times as long. */
const together = 4
/** Bytes of neighbouring columns that a unit of work has, where the axis is not the innermost one. */
const columnBytes = 64

/** The elements along the axis: of one row, or of four columns (or one) at a time. `cell` is a byte offset. */
export interface Axis {
  /** The fold of the terms, in all lanes or, for columns, of each lane. `store` may store terms. */
  fold(
    fold: keyof typeof folds,
    term: (strip: Strip, cell: Local<'i32'>) => Vector,
    store?: (strip: Strip, cell: Local<'i32'>, term: Local<'v128'>) => Value<'void'>,
  ): Local<'v128'>
  /** `body` gives what stores its result. */
  each(body: (strip: Strip, cell: Local<'i32'>) => Value<'void'>): void
  /** Has the same place of the next row brought to the cache, while there is enough to compute in this one. */
  touch(strip: Strip, address: Value<'i32'>): void
  /** The positions of the lanes of a strip along the axis, as integers. */
  position(strip: Strip, cell: Local<'i32'>): Vector
}

/** A row of `bytes` bytes, the last of which ends at `end`. */
export function rowAxis(b: FunctionBuilder, start: Value<'i32'>, bytes: Value<'i32'>, end: Value<'i32'>): Axis {
  const ahead = b.let(i32.mul(i32.ltU(i32.add(start, bytes), end), bytes))
  const cellAt = (at: Local<'i32'>) => b.let(i32.add(start, at))
  return {
    fold: (fold, term, store) =>
      foldRow(
        b,
        fold,
        bytes,
        1,
        (strip, at) => [term(strip, cellAt(at))],
        together,
        store && ((strip, at, value) => store(strip, cellAt(at), value!)),
      )[0]!,
    each: (body) => alongRow(b, bytes, (strip, at) => body(strip, cellAt(at)), together),
    touch(strip, address) {
      if (strip.floats === 4 && strip.index === 0) b.let(i32.load(i32.add(address, ahead)))
    },
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
  const each = (body: (strip: Strip, cell: Local<'i32'>) => Value<'void'> | undefined): void => {
    const cell = b.let(start)
    const left = b.let(size)
    b.repeat(left, () => {
      const store = body(strip, cell)
      if (store) b.emit(store)
      b.add(cell, stride)
    })
  }
  return {
    each,
    fold(fold, term, store) {
      const { combine, start } = folds[fold]
      const sum = b.let(f32x4.const(start))
      each((strip, cell) => {
        const value = b.let(term(strip, cell))
        b.set(sum, combine(sum, value))
        return store?.(strip, cell, value)
      })
      return sum
    },
    touch() {},
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
          const axis = rowAxis(b, b.let(i32.mul(unit, bytes)), bytes, i32.mul(to, bytes))
          const store = (value: Vector) => b.emit(v128.store32Lane(i32.add(out, i32.shl(unit, 2)), value, 0))
          code(b, axis, arrays, store)
          return
        }
        const tiles = b.let(i32.divU(i32.add(stride, columnBytes - 1), columnBytes))
        const tile = b.let(i32.mul(i32.remU(unit, tiles), columnBytes))
        const row = b.let(i32.mul(i32.divU(unit, tiles), stride))
        const bytes = b.let(least(i32.const(columnBytes), i32.sub(stride, tile)))
        alongRow(b, bytes, (strip, at) => {
          const column = b.let(i32.add(tile, at))
          const start = b.let(i32.add(i32.mul(row, size), column))
          const store = (value: Vector) => b.emit(strip.store(i32.add(out, i32.add(row, column)), value))
          code(b, columnAxis(b, strip, start, stride, size), arrays, store)
        })
      })
    })
  })
  const columns = Math.ceil((inner * 4) / columnBytes)
  const work = inRow ? size : size * Math.min(inner, columnBytes / 4)
  engine.parallel(kernel, [first, second, out, size, inner * 4], outer * columns, Math.ceil(grainElements / work))
}
