/** Normalisation and its gradients, by the statistics of what is normalised or by given ones. */
import { type Expr, formulaKey } from '../../../formula.ts'
import type { Buffer, GivenNorm, NormExtents } from '../../backend.ts'
import { f32x4, i32, type Local } from '../asm.ts'
import { type Engine, forFloat32, type Kernels } from '../engine.ts'
import { formulaOf } from '../formula-value.ts'
import { type ColumnKernel, runColumns } from './columns.ts'
import {
  coefficients,
  type Grads,
  gradColumns,
  normalizeColumns,
  planOf,
  storeCells,
  type Three,
} from './norm-columns.ts'
import { gradRows, normalizeRows } from './norm-rows.ts'
import { inRows } from './rows.ts'
import { normCoefficients } from './weights.ts'

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
      const [mean, scale, offset] = coefficients(b, unit, [0, 1, 2], strip, at) as Three
      storeCells(b, strip, out, cells, (cell) => {
        const y = f32x4.add(f32x4.mul(f32x4.sub(strip.load(i32.add(x, cell)), mean), scale), offset)
        const sum = residual ? f32x4.add(y, strip.load(i32.add(added, cell))) : y
        return act ? formulaOf(b, act, sum) : sum
      })
    })
  },
})

/** Rows that lie in one piece each and share all weights: layer norm. */
function isRowwise([, b, c]: NormExtents): boolean {
  return b === 1 && c === 1
}

/** The normalisations of the wasm backend; `plain` serves dtypes other than float32. */
export function normKernels(
  engine: Engine,
  plain: Pick<Kernels, 'normalize' | 'normalizeGrad'>,
): Pick<Kernels, 'normalize' | 'normalizeGrad' | 'normalizeGiven' | 'normalizeBatch' | 'normalizeBatchGrad'> {
  const normalizeGiven: Kernels['normalizeGiven'] = (x, norm, residual, act) =>
    x.dtype === 'float32' ? normalizeByGiven(engine, x, norm, residual, act) : undefined
  const own = forFloat32(plain, {
    normalize(x, weight, bias, extents, eps) {
      const [a, , c] = extents
      const output = engine.alloc('float32', x.length)
      const mean = engine.alloc('float32', a * c)
      const variance = engine.alloc('float32', a * c)
      const results = { output, mean, variance }
      const forward = isRowwise(extents) ? normalizeRows : normalizeColumns
      forward(engine, x, weight, bias, extents, eps, results)
      return results
    },
    normalizeGrad(g, x, weight, mean, variance, extents, eps) {
      const grads = allocGrads(engine, x.length, extents[2] * extents[3])
      const backward = isRowwise(extents) ? gradRows : gradColumns
      backward(engine, g, x, weight, { mean, variance }, extents, eps, grads)
      return grads
    },
  })
  return {
    ...own,
    normalizeGiven,
    normalizeBatch(x, weight, bias, channels, eps, act, running) {
      const results = {
        output: engine.alloc('float32', x.length),
        mean: engine.alloc('float32', channels),
        variance: engine.alloc('float32', channels),
        affine: engine.alloc('float32', 2 * channels),
      }
      normalizeColumns(engine, x, weight, bias, [1, x.length / channels, channels, 1], eps, results, act, running)
      return results
    },
    normalizeBatchGrad(g, x, weight, statistics, eps, act) {
      const channels = statistics.mean.length
      const grads = allocGrads(engine, x.length, channels)
      gradColumns(engine, g, x, weight, statistics, [1, x.length / channels, channels, 1], eps, grads, act)
      return grads
    },
  }
}

function allocGrads(engine: Engine, length: number, parameters: number): Grads {
  return {
    x: engine.alloc('float32', length),
    weight: engine.alloc('float32', parameters),
    bias: engine.alloc('float32', parameters),
  }
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
