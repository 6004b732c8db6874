/** Sums, maxima and minima along an axis, and where these are. */

import type { Rows } from '../../backend.ts'
import { reduce as plainReduce } from '../../reference/reduce.ts'
import { f32, f32x4, i32, i32x4, ints, type Local, memory, v128 } from '../asm.ts'
import type { WasmBuffer } from '../derived.ts'
import type { Engine, Kernels } from '../engine.ts'
import { type AxisCode, alongAxis } from './axis.ts'
import { type ColumnKernel, clear, foldColumns, grainFloats, planColumns, runColumns, widening } from './columns.ts'
import { type Fold, foldRow, least, type Strip } from './rows.ts'
import { eachUnit } from './tile.ts'

/** Floats that one thread folds at a time, in four sums of 32 sums of eight: all so short that they keep their digits. */
const pieceFloats = 1024

/** Positions are compared as float32. */
const largestSize = 2 ** 24

/** The first position that holds the largest or smallest value; if that is NaN, the first NaN. */
function positionOf(kind: 'max' | 'min'): AxisCode {
  return (b, axis, [x], store) => {
    const load = (strip: Strip, cell: Local<'i32'>) => strip.load(i32.add(x, cell))
    const best = axis.fold(kind, load)
    const first = axis.fold('min', (strip, cell) => {
      const value = b.let(load(strip, cell))
      const found = v128.or(f32x4.eq(value, best), f32x4.ne(value, value))
      return v128.bitselect(f32x4.fromI32(axis.position(strip, cell)), f32x4.const(Infinity), found)
    })
    store(i32x4.fromF32(first))
  }
}

/** The reductions of the wasm backend; `plain` serves dtypes other than float32. */
export function reduceKernels(
  engine: Engine,
  plain: Pick<Kernels, 'reduce' | 'argReduce'>,
): Pick<Kernels, 'reduce' | 'argReduce'> {
  return {
    reduce(kind, x, rows) {
      if (x.dtype !== 'float32' || x.length === 0) return plain.reduce(kind, x, rows)
      const out = engine.alloc('float32', rows[0] * rows[2])
      if (rows[2] === 1) alongRows(engine, kind, engine.ptr(x), rows, out)
      else downColumns(engine, kind, engine.ptr(x), rows, out)
      return out
    },
    argReduce(kind, x, rows) {
      if (x.dtype !== 'float32' || x.length === 0 || rows[1] > largestSize) return plain.argReduce(kind, x, rows)
      const out = engine.alloc('int32', rows[0] * rows[2])
      alongAxis(engine, `arg ${kind}`, positionOf(kind), rows, engine.ptr(x), 0, out.ptr)
      return out
    },
  }
}

/** Reduces rows that lie in one piece, cut into pieces if they are long. */
function alongRows(engine: Engine, kind: Fold, x: number, [outer, size]: Rows, out: WasmBuffer): void {
  const kernel = engine.kernel(`reduce ${kind}`, (m) => {
    m.func('run', ints(6), (b, x, out, bytes, pieces, from, to) => {
      eachUnit(b, from, to, (unit) => {
        const start = b.let(i32.mul(i32.remU(unit, pieces), pieceFloats * 4))
        const at = b.let(i32.add(x, i32.add(i32.mul(i32.divU(unit, pieces), bytes), start)))
        const length = b.let(least(i32.const(pieceFloats * 4), i32.sub(bytes, start)))
        const [result] = foldRow(b, kind, length, 1, (strip, place) => [strip.load(i32.add(at, place))], 8)
        b.emit(f32.store(i32.add(out, i32.shl(unit, 2)), f32x4.extract(result!, 0)))
      })
    })
  })
  const pieces = Math.ceil(size / pieceFloats)
  const parts = pieces > 1 ? engine.workspace(outer * pieces * 4) : out.ptr
  const grain = Math.ceil(grainFloats / Math.min(size, pieceFloats))
  engine.parallel(kernel, [x, parts, size * 4, pieces], outer * pieces, grain)
  if (pieces > 1) finish(engine, kind, parts, [outer, pieces, 1], out)
}

const kernels: Record<Fold, ColumnKernel> = {
  sum: columnKernel('sum'),
  max: columnKernel('max'),
  min: columnKernel('min'),
}

function columnKernel(kind: Fold): ColumnKernel {
  return {
    key: kind,
    coefficients: 0,
    slots: 1,
    emit(b, unit) {
      const source = unit.sources[0]!
      if (kind === 'sum') clear(b, unit)
      // The first row is as good a start as any.
      else b.emit(memory.copy(unit.slots[0]!, source, unit.bytes))
      const load = (cell: typeof source) => i32.add(source, cell)
      foldColumns(
        b,
        kind,
        unit,
        unit.count,
        unit.slots,
        () => null,
        (strip, cell) => [strip.load(load(cell))],
      )
    },
  }
}

/** Reduces rows that lie side by side. */
function downColumns(engine: Engine, kind: Fold, x: number, [outer, size, inner]: Rows, out: WasmBuffer): void {
  const factor = widening(size, inner)
  const plan = planColumns(outer, size / factor, inner * factor)
  const whole = plan.chunks === 1 && factor === 1
  const parts = whole ? out.ptr : engine.workspace(outer * plan.chunks * plan.columns * 4)
  runColumns(engine, kernels[kind], plan, [x], 0, parts)
  if (!whole) finish(engine, kind, parts, [outer, plan.chunks * factor, inner], out)
}

/** Reduces the results of the parts: few numbers, in float64. */
function finish(engine: Engine, kind: Fold, parts: number, rows: Rows, out: WasmBuffer): void {
  plainReduce(
    kind,
    engine.heap.floats(parts, rows[0] * rows[1] * rows[2]),
    rows,
    engine.heap.floats(out.ptr, out.length),
  )
}
