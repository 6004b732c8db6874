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

/**
 * As `alongGroups`, strip by strip. What `body` returns is emitted when it has been there for all strips of the turn: only
 * where their loads come before their stores do compilers mix their instructions, so that none waits for the other.
 */
export function alongRow(
  b: FunctionBuilder,
  bytes: Value<'i32'>,
  body: (strip: Strip, at: Local<'i32'>) => Value<'void'> | undefined,
  unroll = 1,
): void {
  alongGroups(
    b,
    bytes,
    (strips, at) => {
      const stores = strips.map((strip) => body(strip, at))
      for (const store of stores) if (store) b.emit(store)
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

/**
 * How numbers are put together, and what a fold starts with. NaN wins in `max` and `min`. `peak` is the maximum where there
 * is no NaN, for an eighth of the instructions of `max`.
 */
export const folds: Readonly<Record<Fold | 'peak', { combine: (a: Vector, b: Vector) => Vector; start: number }>> = {
  sum: { combine: f32x4.add, start: 0 },
  max: { combine: f32x4.max, start: -Infinity },
  min: { combine: f32x4.min, start: Infinity },
  peak: { combine: f32x4.pmax, start: -Infinity },
}

/**
 * Folds what `terms` gives for each strip of a row over the whole row: `count` results, each in all lanes. Lanes 1 to 3
 * of the terms of a single float do not count. Strips that are unrolled are folded by pairs first, as compilers mix the
 * instructions only of what meets in one result. `store` stores terms, if it is given.
 */
export function foldRow(
  b: FunctionBuilder,
  fold: keyof typeof folds,
  bytes: Value<'i32'>,
  count: number,
  terms: (strip: Strip, at: Local<'i32'>) => readonly Vector[],
  unroll = 1,
  store?: (strip: Strip, at: Local<'i32'>, ...terms: readonly Local<'v128'>[]) => Value<'void'>,
): Local<'v128'>[] {
  const { combine, start } = folds[fold]
  const begin = () => Array.from({ length: count }, () => b.let(f32x4.const(start)))
  const [sums, rest] = [begin(), begin()]
  alongGroups(
    b,
    bytes,
    (strips, at) => {
      const kept = strips.map((strip) => terms(strip, at).map((term) => b.let(term)))
      for (const [k, sum] of (strips[0]!.floats === 4 ? sums : rest).entries()) {
        const values = kept.map((list) => list[k]!)
        b.set(sum, combine(sum, pairwise(combine, values)))
      }
      if (store) for (const [i, list] of kept.entries()) b.emit(store(strips[i]!, at, ...list))
    },
    unroll,
  )
  return sums.map((sum, k) => {
    b.set(sum, combine(sum, v128.shuffle32(sum, sum, [2, 3, 0, 1])))
    b.set(sum, combine(sum, v128.shuffle32(sum, sum, [1, 0, 3, 2])))
    b.set(sum, combine(sum, v128.shuffle32(rest[k]!, rest[k]!, [0, 0, 0, 0])))
    return sum
  })
}

/** Folds a list by pairs, pairs of pairs and so on. */
function pairwise(combine: (a: Vector, b: Vector) => Vector, list: readonly Vector[]): Vector {
  if (list.length === 1) return list[0]!
  const half = list.length >> 1
  return combine(pairwise(combine, list.slice(0, half)), pairwise(combine, list.slice(half)))
}

/** The lesser of two unsigned numbers. */
export function least(a: Value<'i32'>, c: Value<'i32'>): Value<'i32'> {
  return select(i32.ltU(a, c), a, c)
}
