/** Pooling and its gradients. */
import type { PoolSpec, Windows } from '../../backend.ts'
import { type FunctionBuilder, f32x4, i32, i32x4, v128 } from '../asm.ts'
import { type Engine, forFloat32, type Kernels } from '../engine.ts'
import { multiplyAdd } from '../math.ts'
import { adjoint, resample } from './interpolate.ts'
import { type Band, runWindows, type Window, type WindowPlan } from './windows.ts'

type Method = 'avgPool' | 'avgPoolGrad' | 'maxPool' | 'maxPoolGrad'

/** The largest value, NaN before every number. */
function largest(b: FunctionBuilder, { strips, outs, at, walk }: Window): void {
  const best = strips.map(() => b.let(f32x4.const(-Infinity)))
  // NaN if a number is, and only then: infinite squares add up to infinity. From 1, sums and products do not become denormal.
  const odd = strips.map(() => b.let(f32x4.const(1)))
  walk(([cell]) => {
    const place = b.let(cell!)
    for (const [k, strip] of strips.entries()) {
      const value = b.let(strip.load(place))
      b.set(best[k]!, f32x4.pmax(best[k]!, value))
      b.set(odd[k]!, multiplyAdd(b.fma, value, value, odd[k]!))
    }
  })
  const place = b.let(i32.add(outs[0]!, at))
  for (const [k, strip] of strips.entries()) b.emit(strip.store(place, v128.or(best[k]!, f32x4.ne(odd[k]!, odd[k]!))))
}

/** The largest value and its position: the first among equals, NaN before every number, the last NaN. */
function maxima(b: FunctionBuilder, { strips, outs, at, first, walk }: Window, relaxed: boolean): void {
  const choose = relaxed ? i32x4.laneselect : v128.bitselect
  const best = strips.map(() => b.let(f32x4.const(-Infinity)))
  const start = b.let(i32x4.splat(first))
  const where = strips.map(() => b.let(start))
  walk(([cell], position) => {
    const place = b.let(cell!)
    const here = b.let(i32x4.splat(position))
    for (const [k, strip] of strips.entries()) {
      const value = b.let(strip.load(place))
      const better = b.let(v128.or(f32x4.gt(value, best[k]!), f32x4.ne(value, value)))
      b.set(best[k]!, choose(value, best[k]!, better))
      b.set(where[k]!, choose(here, where[k]!, better))
    }
  })
  const [values, indices] = outs.map((out) => b.let(i32.add(out, at)))
  for (const [k, strip] of strips.entries()) {
    b.emit(strip.store(values!, best[k]!), strip.store(indices!, where[k]!))
  }
}

/** The sum of the gradients of those windows whose maximum the cell is. */
function maximaGrad(b: FunctionBuilder, { strips, outs, at, position, walk }: Window): void {
  const sums = strips.map(() => b.let(f32x4.const(0)))
  const here = b.let(i32x4.splat(position))
  walk((cells) => {
    const [g, indices] = cells.map((cell) => b.let(cell))
    for (const [k, strip] of strips.entries()) {
      const own = v128.and(strip.load(g!), i32x4.eq(strip.load(indices!), here))
      b.set(sums[k]!, f32x4.add(sums[k]!, own))
    }
  })
  const place = b.let(i32.add(outs[0]!, at))
  for (const [k, strip] of strips.entries()) b.emit(strip.store(place, sums[k]!))
}

function bandOf({ starts, ends, counts }: Windows): Band {
  return Array.from(starts, (start, i) => {
    const cells = Math.max(0, ends[i]! - start)
    return { start, weights: new Array<number>(cells).fill(1 / counts[i]!) }
  })
}

function planOf(spec: PoolSpec): WindowPlan {
  return { ...spec, rows: bandOf(spec.rows), columns: bandOf(spec.columns) }
}

/** The pooling of the wasm backend; `plain` serves dtypes other than float32. */
export function poolKernels(engine: Engine, plain: Pick<Kernels, Method>): Pick<Kernels, Method> {
  const pooled = ({ batch, channels, rows, columns }: PoolSpec): number =>
    batch * rows.starts.length * columns.starts.length * channels
  const full = ({ batch, channels, height, width }: PoolSpec): number => batch * height * width * channels
  return forFloat32(plain, {
    avgPool(x, spec) {
      const out = engine.alloc('float32', pooled(spec))
      resample(engine, planOf(spec), engine.ptr(x), out.ptr)
      return out
    },
    avgPoolGrad(g, spec) {
      const out = engine.alloc('float32', full(spec))
      resample(engine, adjoint(planOf(spec)), engine.ptr(g), out.ptr)
      return out
    },
    maxPool(x, spec, indexed) {
      const output = engine.alloc('float32', pooled(spec))
      const indices = indexed ? engine.alloc('int32', pooled(spec)) : null
      const outs = [output.ptr, indices?.ptr ?? 0]
      const code = (b: FunctionBuilder, w: Window) => (indexed ? maxima(b, w, engine.fma) : largest(b, w))
      runWindows(engine, `maxima ${indexed}`, code, planOf(spec), [engine.ptr(x)], outs, !indexed)
      return { output, indices }
    },
    maxPoolGrad(g, indices, spec) {
      const out = engine.alloc('float32', full(spec))
      const sources = [engine.ptr(g), engine.ptr(indices)]
      runWindows(engine, 'maxima gradient', maximaGrad, adjoint(planOf(spec)), sources, [out.ptr])
      return out
    },
  })
}
