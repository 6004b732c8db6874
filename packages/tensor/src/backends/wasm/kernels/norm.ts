/** Normalisation and its gradients; here batch, instance and group norm, whose statistics run down the columns. */

import { type Expr, formulaKey } from '../../../formula.ts'
import type { Buffer, GivenNorm, NormExtents } from '../../backend.ts'
import { f32x4, i32, type Local } from '../asm.ts'
import { type Engine, forFloat32, type Kernels } from '../engine.ts'
import { formulaOf } from '../formula-value.ts'
import { multiplyAdd } from '../math.ts'
import {
  type ColumnKernel,
  type Columns,
  clear,
  coefficient,
  foldColumns,
  planColumns,
  reciprocal,
  runColumns,
  widening,
} from './columns.ts'
import { type Grads, gradRows, normalizeRows } from './norm-rows.ts'
import { alongRow, inRows, least, type Strip } from './rows.ts'
import { normCoefficients } from './weights.ts'

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

/** out = (x - mean) * scale + offset, these being the rows of coefficients. */
const affine: ColumnKernel = {
  key: 'affine',
  coefficients: 3,
  slots: 0,
  emit(b, unit, fma) {
    const [x, out] = unit.sources as [Local<'i32'>, Local<'i32'>]
    inRows(b, i32.const(0), unit.count, unit.stride, unit.bytes, (strip, at, cells) => {
      const mean = coefficient(b, unit, 0, strip, at)
      const scale = coefficient(b, unit, 1, strip, at)
      const offset = coefficient(b, unit, 2, strip, at)
      for (const cell of cells) {
        const d = f32x4.sub(strip.load(i32.add(x, cell)), mean)
        b.emit(strip.store(i32.add(out, cell), multiplyAdd(fma, d, scale, offset)))
      }
    })
  },
}

/**
 * out = act((x - mean) * scale + offset + residual), the last two if asked. Each step is rounded, as in the formulas of the ops.
 */
const given = (residual: boolean, act: Expr | null): ColumnKernel => ({
  key: `given ${residual} ${act && formulaKey(act)}`,
  coefficients: 3,
  slots: 0,
  emit(b, unit) {
    const [x, out, added] = unit.sources as [Local<'i32'>, Local<'i32'>, Local<'i32'>]
    inRows(b, i32.const(0), unit.count, unit.stride, unit.bytes, (strip, at, cells) => {
      const [mean, scale, offset] = [0, 1, 2].map((k) => coefficient(b, unit, k, strip, at)) as [
        Local<'v128'>,
        Local<'v128'>,
        Local<'v128'>,
      ]
      for (const cell of cells) {
        const y = f32x4.add(f32x4.mul(f32x4.sub(strip.load(i32.add(x, cell)), mean), scale), offset)
        const sum = residual ? f32x4.add(y, strip.load(i32.add(added, cell))) : y
        b.emit(strip.store(i32.add(out, cell), act ? formulaOf(b, act, sum) : sum))
      }
    })
  },
})

/** For each column: the sum of g and the sum of g (x - mean). */
const gradientSums: ColumnKernel = {
  key: 'gradient sums',
  coefficients: 4,
  slots: 2,
  emit(b, unit) {
    const [g, x] = unit.sources as [Local<'i32'>, Local<'i32'>]
    clear(b, unit)
    foldColumns(
      b,
      'sum',
      unit,
      unit.count,
      unit.slots,
      (strip, at) => coefficient(b, unit, 0, strip, at),
      (strip, cell, mean) => {
        const value = b.let(strip.load(i32.add(g, cell)))
        return [value, f32x4.mul(value, f32x4.sub(strip.load(i32.add(x, cell)), mean))]
      },
    )
  },
}

/** out = g * scale - offset - (x - mean) * slope; the rows of coefficients are mean, scale, offset, slope. */
const gradient: ColumnKernel = {
  key: 'gradient',
  coefficients: 4,
  slots: 0,
  emit(b, unit) {
    const [g, x, out] = unit.sources as [Local<'i32'>, Local<'i32'>, Local<'i32'>]
    inRows(b, i32.const(0), unit.count, unit.stride, unit.bytes, (strip, at, cells) => {
      const [mean, scale, offset, slope] = [0, 1, 2, 3].map((k) => coefficient(b, unit, k, strip, at)) as [
        Local<'v128'>,
        Local<'v128'>,
        Local<'v128'>,
        Local<'v128'>,
      ]
      for (const cell of cells) {
        const u = f32x4.sub(f32x4.mul(strip.load(i32.add(g, cell)), scale), offset)
        const d = f32x4.mul(f32x4.sub(strip.load(i32.add(x, cell)), mean), slope)
        b.emit(strip.store(i32.add(out, cell), f32x4.sub(u, d)))
      }
    })
  },
}

/** Numbers that stand for a missing weight or bias, or those of the buffer. */
function valuesOf(engine: Engine, buffer: Buffer | null, length: number, value: number): Float32Array {
  return buffer ? engine.heap.floats(engine.ptr(buffer), length) : new Float32Array(length).fill(value)
}

/** Rows that lie in one piece each and share all weights: layer norm. */
function isRowwise([, b, c]: NormExtents): boolean {
  return b === 1 && c === 1
}

/** The plan for extents [a, b, c, d], several rows side by side if they are narrow. */
function planOf([a, b, c, d]: NormExtents): { plan: Columns; factor: number } {
  const factor = widening(b, c * d)
  return { plan: planColumns(a, b / factor, c * d * factor), factor }
}

/** The normalisations of the wasm backend; `plain` serves dtypes other than float32. */
export function normKernels(
  engine: Engine,
  plain: Pick<Kernels, 'normalize' | 'normalizeGrad'>,
): Pick<Kernels, 'normalize' | 'normalizeGrad' | 'normalizeGiven'> {
  const normalizeGiven: Kernels['normalizeGiven'] = (x, norm, residual, act) =>
    x.dtype === 'float32' ? normalizeByGiven(engine, x, norm, residual, act) : undefined
  const own = forFloat32(plain, {
    normalize(x, weight, bias, extents, eps) {
      const [a, , c] = extents
      const output = engine.alloc('float32', x.length)
      const mean = engine.alloc('float32', a * c)
      const variance = engine.alloc('float32', a * c)
      const forward = isRowwise(extents) ? normalizeRows : normalizeColumns
      forward(engine, x, weight, bias, extents, eps, output, mean, variance)
      return { output, mean, variance }
    },
    normalizeGrad(g, x, weight, mean, variance, extents, eps) {
      const size = extents[2] * extents[3]
      const grads = {
        x: engine.alloc('float32', x.length),
        weight: engine.alloc('float32', size),
        bias: engine.alloc('float32', size),
      }
      const backward = isRowwise(extents) ? gradRows : gradColumns
      backward(engine, g, x, weight, mean, variance, extents, eps, grads)
      return grads
    },
  })
  return { ...own, normalizeGiven }
}

function normalizeByGiven(
  engine: Engine,
  x: Buffer,
  norm: GivenNorm,
  residual: Buffer | null,
  act: Expr | null,
): Buffer {
  const out = engine.alloc('float32', x.length)
  if (x.length === 0) return out
  const channels = norm.mean.length
  const { plan, factor } = planOf([1, x.length / channels, channels, 1])
  const sources = [x, out, residual].flatMap((buffer) => (buffer ? [engine.ptr(buffer)] : []))
  runColumns(engine, given(residual !== null, act), plan, sources, normCoefficients(engine, norm, factor), 0)
  return out
}

function normalizeColumns(
  engine: Engine,
  x: Buffer,
  weight: Buffer | null,
  bias: Buffer | null,
  extents: NormExtents,
  eps: number,
  output: Buffer,
  mean: Buffer,
  variance: Buffer,
): void {
  const [a, b, c, d] = extents
  const { plan, factor } = planOf(extents)
  const { rows, columns, chunks, chunkRows } = plan
  const sums = engine.workspace(a * chunks * 3 * columns * 4)
  const coefficients = engine.workspace(a * 3 * columns * 4)
  runColumns(engine, statistics, plan, [engine.ptr(x)], 0, sums)

  const parts = engine.heap.floats(sums, a * chunks * 3 * columns)
  const rowsOf = engine.heap.floats(coefficients, a * 3 * columns)
  const means = engine.heap.floats(engine.ptr(mean), a * c)
  const variances = engine.heap.floats(engine.ptr(variance), a * c)
  const weights = valuesOf(engine, weight, c * d, 1)
  const biases = valuesOf(engine, bias, c * d, 0)
  const cells = b * d
  for (let ia = 0; ia < a; ia++) {
    for (let ic = 0; ic < c; ic++) {
      // Parallel variances (Chan, Golub and LeVeque, 1979): first the mean of the chunks' means, then the spread.
      let average = 0
      let squares = 0
      for (const pass of [0, 1]) {
        for (let chunk = 0; chunk < chunks; chunk++) {
          const n = Math.min(chunkRows, rows - chunk * chunkRows)
          const at = (ia * chunks + chunk) * 3 * columns
          for (let k = 0; k < factor; k++) {
            for (let column = at + (k * c + ic) * d; column < at + (k * c + ic + 1) * d; column++) {
              const rest = parts[column + columns]! / n
              const local = parts[column]! + rest
              if (pass === 0) average += (local * n) / cells
              else squares += parts[column + 2 * columns]! + n * ((local - average) ** 2 - rest * rest)
            }
          }
        }
      }
      const spread = Math.max(0, squares / cells)
      means[ia * c + ic] = average
      variances[ia * c + ic] = spread
      const center = means[ia * c + ic]!
      const scale = 1 / Math.sqrt(spread + eps)
      for (let id = 0; id < d; id++) {
        const at = ic * d + id
        const factorOf = scale * weights[at]!
        for (let k = 0; k < factor; k++) {
          const column = ia * 3 * columns + k * c * d + at
          rowsOf[column] = center
          rowsOf[column + columns] = factorOf
          // What rounding has taken from the mean comes back here.
          rowsOf[column + 2 * columns] = biases[at]! - (average - center) * factorOf
        }
      }
    }
  }
  runColumns(engine, affine, plan, [engine.ptr(x), engine.ptr(output)], coefficients, 0)
}

function gradColumns(
  engine: Engine,
  g: Buffer,
  x: Buffer,
  weight: Buffer | null,
  mean: Buffer,
  variance: Buffer,
  extents: NormExtents,
  eps: number,
  grads: Grads,
): void {
  const [a, b, c, d] = extents
  const { plan, factor } = planOf(extents)
  const { columns, chunks } = plan
  const sums = engine.workspace(a * chunks * 2 * columns * 4)
  const coefficients = engine.workspace(a * 4 * columns * 4)
  const { f32: memory } = engine.heap
  for (let ia = 0; ia < a; ia++) {
    const [to, from] = [(coefficients >>> 2) + ia * 4 * columns, (engine.ptr(mean) >>> 2) + ia * c]
    for (let column = 0; column < columns; column++) {
      memory[to + column] = memory[from + (Math.floor(column / d) % c)]!
    }
  }
  runColumns(engine, gradientSums, plan, [engine.ptr(g), engine.ptr(x)], coefficients, sums)

  const parts = engine.heap.floats(sums, a * chunks * 2 * columns)
  const rowsOf = engine.heap.floats(coefficients, a * 4 * columns)
  const variances = engine.heap.floats(engine.ptr(variance), a * c)
  const weights = valuesOf(engine, weight, c * d, 1)
  const byWeight = new Float64Array(c * d)
  const byBias = new Float64Array(c * d)
  const cells = b * d
  for (let ia = 0; ia < a; ia++) {
    for (let ic = 0; ic < c; ic++) {
      const scale = 1 / Math.sqrt(variances[ia * c + ic]! + eps)
      let sumU = 0
      let sumUH = 0
      for (let at = ic * d; at < (ic + 1) * d; at++) {
        let sumG = 0
        let sumGX = 0
        for (let chunk = 0; chunk < chunks; chunk++) {
          const start = (ia * chunks + chunk) * 2 * columns
          for (let column = start + at; column < start + columns; column += c * d) {
            sumG += parts[column]!
            sumGX += parts[column + columns]!
          }
        }
        byBias[at]! += sumG
        byWeight[at]! += sumGX * scale
        sumU += sumG * weights[at]!
        sumUH += sumGX * scale * weights[at]!
      }
      for (let at = ic * d; at < (ic + 1) * d; at++) {
        for (let k = 0; k < factor; k++) {
          const column = ia * 4 * columns + k * c * d + at
          rowsOf[column + columns] = scale * weights[at]!
          rowsOf[column + 2 * columns] = (scale * sumU) / cells
          rowsOf[column + 3 * columns] = (scale * scale * sumUH) / cells
        }
      }
    }
  }
  engine.heap.floats(engine.ptr(grads.weight), c * d).set(byWeight)
  engine.heap.floats(engine.ptr(grads.bias), c * d).set(byBias)
  runColumns(engine, gradient, plan, [engine.ptr(g), engine.ptr(x), engine.ptr(grads.x)], coefficients, 0)
}
