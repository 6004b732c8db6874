/**
 * Loops over rows of floats that the kernels of normalisation, reduction and softmax share. All sizes and offsets are
 * in bytes. Nothing here uses fused products, so results are the same on every machine.
 */
import { type FunctionBuilder, f32x4, i32, type Local, select, type Value, v128 } from '../asm.ts'

export type Vector = Value<'v128'>
type Address = Value<'i32'>

/** Four floats of a row, or one that is left over at its end: in lane 0, with zeros in the others. */
export interface Strip {
  readonly floats: 4 | 1
  /** Place among the strips of an unrolled turn. */
  readonly index: number
  load(address: Address): Vector
  store(address: Address, value: Vector): Value<'void'>
}

function fourFloats(index: number): Strip {
  return {
    floats: 4,
    index,
    load: (address) => v128.load(address, 16 * index),
    store: (address, value) => v128.store(address, value, 16 * index),
  }
}

const oneFloat: Strip = {
  floats: 1,
  index: 0,
  load: (address) => v128.load32Zero(address),
  store: (address, value) => v128.store32Lane(address, value, 0),
}

/**
 * `body` for all strips of a row of `bytes` bytes, `at` bytes from its start: `unroll` of them together as long as they
 * last, then one at a time.
 */
export function alongGroups(
  b: FunctionBuilder,
  bytes: Value<'i32'>,
  body: (strips: readonly Strip[], at: Local<'i32'>) => void,
  unroll: number,
): void {
  const at = b.let(i32.const(0))
  const turn = (step: number, strips: readonly Strip[]): void => {
    const to = b.let(i32.and(bytes, -step))
    b.for(at, to, step, () => body(strips, at))
  }
  const strips = Array.from({ length: unroll }, (_, index) => fourFloats(index))
  if (unroll > 1) turn(16 * unroll, strips)
  turn(16, strips.slice(0, 1))
  turn(4, [oneFloat])
}

/** As `alongGroups`, strip by strip. */
export function alongRow(
  b: FunctionBuilder,
  bytes: Value<'i32'>,
  body: (strip: Strip, at: Local<'i32'>) => void,
  unroll = 1,
): void {
  alongGroups(
    b,
    bytes,
    (strips, at) => {
      for (const strip of strips) body(strip, at)
    },
    unroll,
  )
}

/** Rows that are walked side by side, so that what is kept per column is loaded and stored once for all of them. */
const sideBySide = 4

/**
 * `body` for all cells of `count` rows that are `stride` apart and `bytes` long, the first of them `from` bytes away. It
 * is given the strip, its place in the row and, for one or more rows, the strip's distance.
 */
export function inRows(
  b: FunctionBuilder,
  from: Value<'i32'>,
  count: Value<'i32'>,
  stride: Value<'i32'>,
  bytes: Value<'i32'>,
  body: (strip: Strip, at: Local<'i32'>, cells: readonly Local<'i32'>[]) => void,
): void {
  const row = b.let(i32.const(0))
  const start = b.let(from)
  for (const rows of [sideBySide, 1]) {
    const to = b.let(i32.and(count, -rows))
    b.for(row, to, rows, () => {
      const starts: Local<'i32'>[] = []
      for (let i = 0; i < rows; i++) {
        starts.push(b.let(start))
        b.add(start, stride)
      }
      alongRow(b, bytes, (strip, at) => {
        const cells = starts.map((start) => b.let(i32.add(start, at)))
        body(strip, at, cells)
      })
    })
  }
}

export type Fold = 'sum' | 'max' | 'min'

/** How numbers are put together, and what a fold starts with. NaN wins in `max` and `min`. */
export const folds: Readonly<Record<Fold, { combine: (a: Vector, b: Vector) => Vector; start: number }>> = {
  sum: { combine: f32x4.add, start: 0 },
  max: { combine: f32x4.max, start: -Infinity },
  min: { combine: f32x4.min, start: Infinity },
}

/**
 * Folds what `terms` gives for each strip of a row over the whole row: `count` results, each in all lanes. Lanes 1 to 3
 * of the terms of a single float do not count.
 */
export function foldRow(
  b: FunctionBuilder,
  fold: Fold,
  bytes: Value<'i32'>,
  count: number,
  terms: (strip: Strip, at: Local<'i32'>) => readonly Vector[],
  unroll = 1,
): Local<'v128'>[] {
  const { combine, start } = folds[fold]
  // Of each result: an accumulator per unrolled strip and, last, one for the single floats.
  const sums = Array.from({ length: count }, () => Array.from({ length: unroll + 1 }, () => b.let(f32x4.const(start))))
  const place = (strip: Strip): number => (strip.floats === 1 ? unroll : strip.index)
  alongRow(
    b,
    bytes,
    (strip, at) => {
      for (const [k, term] of terms(strip, at).entries()) {
        const sum = sums[k]![place(strip)]!
        b.set(sum, combine(sum, term))
      }
    },
    unroll,
  )
  return sums.map((list) => {
    const rest = list.pop()!
    const lanes = b.let(list.slice(1).reduce<Vector>(combine, list[0]!))
    b.set(lanes, combine(lanes, v128.shuffle32(lanes, lanes, [2, 3, 0, 1])))
    b.set(lanes, combine(lanes, v128.shuffle32(lanes, lanes, [1, 0, 3, 2])))
    b.set(lanes, combine(lanes, v128.shuffle32(rest, rest, [0, 0, 0, 0])))
    return lanes
  })
}

/** The lesser of two unsigned numbers. */
export function least(a: Value<'i32'>, c: Value<'i32'>): Value<'i32'> {
  return select(i32.ltU(a, c), a, c)
}
