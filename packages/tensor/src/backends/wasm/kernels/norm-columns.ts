/** Batch, instance and group norm and their gradients: statistics run down the columns. */
import { type Expr, formulaKey } from '../../../formula.ts'
import type { Buffer, NormExtents, RunningNorm } from '../../backend.ts'
import { type FunctionBuilder, f32x4, i32, type Local, type Value } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { costOf, formulaOf } from '../formula-value.ts'
import { multiplyAdd } from '../math.ts'
import {
  type ColumnKernel,
  type Columns,
  clear,
  coefficient,
  foldColumns,
  inPairs,
  planColumns,
  reciprocal,
  runColumns,
  type Unit,
  widening,
} from './columns.ts'
import { type Channels, finishGradient, finishStatistics, moveOn, spreadRow } from './norm-finish.ts'
import { alongRow, inRows, least, type Strip } from './rows.ts'

/** Rows whose mean the others of a chunk are measured from. */
const pilotRows = 32

/**
 * For each column of a chunk: a shift s, the sum of x - s and the sum of (x - s)^2. The shift is the mean of the
 * chunk's first p rows. Then n / p times the variance of the n rows of the chunk is at least (s - mean)^2, so taking the
 * variance from these sums costs a few bits at worst, whatever the numbers are, and they are read once.
 */
const statistics: ColumnKernel = {
  key: 'statistics',
  coefficients: 0,
  slots: 3,
  emit(b, unit) {
    const [x] = unit.sources as [Local<'i32'>]
    const [shift, sum, squares] = unit.slots as [Local<'i32'>, Local<'i32'>, Local<'i32'>]
    const value = (strip: Strip, cell: Local<'i32'>) => strip.load(i32.add(x, cell))
    const pilot = b.let(least(i32.const(pilotRows), unit.count))
    clear(b, unit)
    foldColumns(
      b,
      'sum',
      unit,
      pilot,
      [shift],
      () => null,
      (strip, cell) => [value(strip, cell)],
    )
    const share = b.let(reciprocal(pilot))
    alongRow(b, unit.bytes, (strip, at) => {
      const place = b.let(i32.add(shift, at))
      b.emit(strip.store(place, f32x4.mul(strip.load(place), share)))
    })
    foldColumns(
      b,
      'sum',
      unit,
      unit.count,
      [sum, squares],
      (strip, at) => b.let(strip.load(i32.add(shift, at))),
      (strip, cell, shift) => {
        const d = b.let(f32x4.sub(value(strip, cell), shift))
        return [d, f32x4.mul(d, d)]
      },
    )
  },
}

/** out = act((x - mean) * scale + offset), these being the rows of coefficients. */
const affineOf = (act: Expr | null): ColumnKernel => ({
  key: `affine ${act && formulaKey(act)}`,
  coefficients: 3,
  slots: 0,
  emit(b, unit, fma) {
    const [x, out] = unit.sources as [Local<'i32'>, Local<'i32'>]
    inRows(b, i32.const(0), unit.count, unit.stride, unit.bytes, (strip, at, cells) => {
      const [mean, scale, offset] = coefficients(b, unit, [0, 1, 2], strip, at) as Three
      storeCells(b, strip, out, cells, (cell) => {
        const y = multiplyAdd(fma, f32x4.sub(strip.load(i32.add(x, cell)), mean), scale, offset)
        return act ? formulaOf(b, act, y) : y
      })
    })
  },
})

/** Rows of coefficients of a gradient: the mean; with an activation, scale and offset of its operand; three of `gradient`. */
const gradientRows = (act: Expr | null): number => (act ? 6 : 4)

/** The gradient of the norm's result, from that of the activation's result if there is one. */
function passed(
  b: FunctionBuilder,
  fma: boolean,
  act: Expr | null,
  g: Value<'v128'>,
  centred: Value<'v128'>,
  operand: readonly Local<'v128'>[],
): Value<'v128'> {
  if (act === null) return g
  const [scale, offset] = operand as [Local<'v128'>, Local<'v128'>]
  return formulaOf(b, act, g, multiplyAdd(fma, centred, scale, offset))
}

/**
 * Instructions for four elements of an activation's gradient from which it is worth its way through memory: SiLU's, of 53,
 * computed twice makes a training step of EfficientNet-B0 7 % longer; ReLU's has 7.
 */
const costly = 12

/**
 * For each column: the sum of g and the sum of g (x - mean), g being what has passed the activation; stored if asked, where a
 * third array is given for it.
 */
const gradientSums = (act: Expr | null, stores: boolean): ColumnKernel => ({
  key: `gradient sums ${stores} ${act && formulaKey(act)}`,
  coefficients: gradientRows(act),
  slots: 2,
  emit(b, unit, fma) {
    const [g, x, out] = unit.sources as [Local<'i32'>, Local<'i32'>, Local<'i32'>]
    clear(b, unit)
    foldColumns(
      b,
      'sum',
      unit,
      unit.count,
      unit.slots,
      (strip, at) => coefficients(b, unit, act ? [0, 1, 2] : [0], strip, at),
      (strip, cell, [mean, ...operand]) => {
        const centred = b.let(f32x4.sub(strip.load(i32.add(x, cell)), mean!))
        const value = b.let(passed(b, fma, act, strip.load(i32.add(g, cell)), centred, operand))
        return [value, f32x4.mul(value, centred)]
      },
      stores ? (strip, cell, [value]) => strip.store(i32.add(out, cell), value!) : undefined,
    )
  },
})

/**
 * out = g * scale - offset - (x - mean) * slope, g being what has passed the activation; the coefficients are the last three of
 * `rows`. `out` may be where g is.
 */
const gradient = (act: Expr | null, rows: number): ColumnKernel => ({
  key: `gradient ${rows} ${act && formulaKey(act)}`,
  coefficients: rows,
  slots: 0,
  emit(b, unit, fma) {
    const [g, x, out] = unit.sources as [Local<'i32'>, Local<'i32'>, Local<'i32'>]
    const end = rows - 3
    inRows(b, i32.const(0), unit.count, unit.stride, unit.bytes, (strip, at, cells) => {
      const [mean, ...operand] = coefficients(b, unit, act ? [0, 1, 2] : [0], strip, at)
      const [scale, offset, slope] = coefficients(b, unit, [end, end + 1, end + 2], strip, at) as Three
      storeCells(b, strip, out, cells, (cell) => {
        const centred = b.let(f32x4.sub(strip.load(i32.add(x, cell)), mean!))
        const value = passed(b, fma, act, strip.load(i32.add(g, cell)), centred, operand)
        return f32x4.sub(f32x4.sub(f32x4.mul(value, scale), offset), f32x4.mul(centred, slope))
      })
    })
  },
})

export type Three = [Local<'v128'>, Local<'v128'>, Local<'v128'>]

/** Several rows of coefficients; see `coefficient`. */
export function coefficients(
  b: FunctionBuilder,
  unit: Unit,
  rows: readonly number[],
  strip: Strip,
  at: Local<'i32'>,
): Local<'v128'>[] {
  return rows.map((row) => coefficient(b, unit, row, strip, at))
}

/** Stores what `value` gives for each of the cells. */
export function storeCells(
  b: FunctionBuilder,
  strip: Strip,
  out: Local<'i32'>,
  cells: readonly Local<'i32'>[],
  value: (cell: Local<'i32'>) => Value<'v128'>,
): void {
  for (const pair of inPairs(cells)) {
    const values = pair.map((cell) => b.let(value(cell)))
    for (const [i, cell] of pair.entries()) b.emit(strip.store(i32.add(out, cell), values[i]!))
  }
}

/** The plan for extents [a, b, c, d], several rows side by side if they are narrow. */
export function planOf([a, b, c, d]: NormExtents): { plan: Columns; factor: number } {
  const factor = widening(b, c * d)
  return { plan: planColumns(a, b / factor, c * d * factor), factor }
}

function channelsOf(extents: NormExtents): Channels {
  const [a, b, c, d] = extents
  return { ...planOf(extents), a, c, d, cells: b * d }
}

/** What `normalizeGrad` gives. */
export interface Grads {
  readonly x: Buffer
  readonly weight: Buffer
  readonly bias: Buffer
}

/** Where results go. `affine`: scale and offset of each column, of batch norm alone. */
export interface NormResults {
  readonly output: Buffer
  readonly mean: Buffer
  readonly variance: Buffer
  readonly affine?: Buffer
}

/** As the contract's `normalize` or, with `affine`, its `normalizeBatch`. */
export function normalizeColumns(
  engine: Engine,
  x: Buffer,
  weight: Buffer | null,
  bias: Buffer | null,
  extents: NormExtents,
  eps: number,
  { output, mean, variance, affine }: NormResults,
  act: Expr | null = null,
  running: RunningNorm | null = null,
): void {
  const channels = channelsOf(extents)
  const { plan, a, cells } = channels
  const sums = engine.workspace(a * plan.chunks * 3 * plan.columns * 4)
  const rows = engine.workspace(a * 3 * plan.columns * 4)
  const ptr = (buffer: Buffer | null | undefined): number | null => (buffer ? engine.ptr(buffer) : null)
  const places = { mean: engine.ptr(mean), variance: engine.ptr(variance) }
  runColumns(engine, statistics, plan, [engine.ptr(x)], 0, sums)
  const given = { weight: ptr(weight), bias: ptr(bias), affine: ptr(affine) }
  finishStatistics(engine, channels, { sums, rows, ...places, ...given }, eps)
  runColumns(engine, affineOf(act), plan, [engine.ptr(x), engine.ptr(output)], rows, 0)
  if (running) moveOn(engine, running, places.mean, places.variance, cells)
}

/** As the contract's `normalizeGrad` or, with `affine`, its `normalizeBatchGrad`. */
export function gradColumns(
  engine: Engine,
  g: Buffer,
  x: Buffer,
  weight: Buffer | null,
  { mean, variance, affine }: Omit<NormResults, 'output'>,
  extents: NormExtents,
  eps: number,
  grads: Grads,
  act: Expr | null = null,
): void {
  const channels = channelsOf(extents)
  const { plan, a, c } = channels
  const { columns, chunks } = plan
  const sums = engine.workspace(a * chunks * 2 * columns * 4)
  const all = gradientRows(act)
  const rows = engine.workspace(a * all * columns * 4)
  spreadRow(engine, channels, engine.ptr(mean), rows, all)
  if (act && affine) {
    for (const k of [0, 1]) {
      spreadRow(engine, channels, engine.ptr(affine, k * c), rows + (k + 1) * columns * 4, all)
    }
  }
  const [from, input, to] = [g, x, grads.x].map((buffer) => engine.ptr(buffer)) as [number, number, number]
  const stores = act !== null && costOf(act) > costly
  runColumns(engine, gradientSums(act, stores), plan, stores ? [from, input, to] : [from, input], rows, sums)
  const places = {
    sums,
    rows,
    variance: engine.ptr(variance),
    weight: weight && engine.ptr(weight),
    byWeight: engine.ptr(grads.weight),
    byBias: engine.ptr(grads.bias),
  }
  finishGradient(engine, channels, places, all, eps)
  runColumns(engine, gradient(stores ? null : act, all), plan, [stores ? to : from, input, to], rows, 0)
}
