/** Separable weighted sums over windows: resampling, average pooling, and the gradients of both. */
import type { InterpolateSpec, Samples } from '../../backend.ts'
import { type FunctionBuilder, f32x4, i32 } from '../asm.ts'
import { type Engine, forFloat32, type Kernels } from '../engine.ts'
import { type Band, runWindows, transposed, type Window, type WindowPlan } from './windows.ts'

type Method = 'interpolate' | 'interpolateGrad'

function weightedSums(b: FunctionBuilder, { strips, outs, at, walk }: Window): void {
  const sums = strips.map(() => b.let(f32x4.const(0)))
  const rowSums = strips.map(() => b.let(f32x4.const(0)))
  walk(
    ([cell], _, weight) => {
      const place = b.let(cell!)
      const factor = b.let(weight)
      for (const [k, strip] of strips.entries()) {
        b.set(rowSums[k]!, f32x4.add(rowSums[k]!, f32x4.mul(strip.load(place), factor)))
      }
    },
    (weight) => {
      const factor = b.let(weight)
      for (const [k, sum] of rowSums.entries()) {
        b.set(sums[k]!, f32x4.add(sums[k]!, f32x4.mul(sum, factor)))
        b.set(sum, f32x4.const(0))
      }
    },
  )
  const place = b.let(i32.add(outs[0]!, at))
  for (const [k, strip] of strips.entries()) b.emit(strip.store(place, sums[k]!))
}

/** out = the plan's weighted sums of x. */
export function resample(engine: Engine, plan: WindowPlan, x: number, out: number): void {
  runWindows(engine, 'sums', weightedSums, plan, [x], [out])
}

/** The plan of the gradient: from the results back to the sources. */
export function adjoint({ batch, height, width, channels, rows, columns }: WindowPlan): WindowPlan {
  return {
    batch,
    height: rows.length,
    width: columns.length,
    channels,
    rows: transposed(rows, height),
    columns: transposed(columns, width),
  }
}

/** Cells without weight are left out, so that an infinity next to a nearest neighbour does no harm. */
function bandOf({ low, high, fraction }: Samples): Band {
  return Array.from(low, (start, i) => {
    const share = fraction[i]!
    const end = high[i]!
    if (share === 0 || end === start) return { start, weights: [1] }
    if (share === 1) return { start: end, weights: [1] }
    return { start, weights: [1 - share, ...new Array<number>(end - start - 1).fill(0), share] }
  })
}

function planOf(spec: InterpolateSpec): WindowPlan {
  return { ...spec, rows: bandOf(spec.rows), columns: bandOf(spec.columns) }
}

/** The resampling of the wasm backend; `plain` serves dtypes other than float32. */
export function interpolateKernels(engine: Engine, plain: Pick<Kernels, Method>): Pick<Kernels, Method> {
  return forFloat32(plain, {
    interpolate(x, spec) {
      const plan = planOf(spec)
      const out = engine.alloc('float32', spec.batch * plan.rows.length * plan.columns.length * spec.channels)
      resample(engine, plan, engine.ptr(x), out.ptr)
      return out
    },
    interpolateGrad(g, spec) {
      const out = engine.alloc('float32', spec.batch * spec.height * spec.width * spec.channels)
      resample(engine, adjoint(planOf(spec)), engine.ptr(g), out.ptr)
      return out
    },
  })
}
