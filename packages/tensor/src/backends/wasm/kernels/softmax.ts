/** Softmax and cross-entropy, with their gradients. */
import type { Buffer, CrossEntropySpec, Rows } from '../../backend.ts'
import { checkClasses } from '../../reference/softmax.ts'
import { type FunctionBuilder, f32, f32x4, i32, ints, type Local, memory, v128 } from '../asm.ts'
import { type Engine, forFloat32, type Kernels } from '../engine.ts'
import { decay, log } from '../math.ts'
import { type Axis, type AxisCode, alongAxis, grainElements, rowAxis } from './axis.ts'
import type { Strip, Vector } from './rows.ts'
import { eachUnit } from './tile.ts'

type Method = 'softmax' | 'softmaxGrad' | 'crossEntropy' | 'crossEntropyGrad'

/** exp(x - maximum) along the axis, which is stored to `out` if that is given; the maximum and the sum. */
function exponentials(
  b: FunctionBuilder,
  axis: Axis,
  x: Local<'i32'>,
  out: Local<'i32'> | null,
): [max: Local<'v128'>, sum: Local<'v128'>] {
  const max = axis.fold('peak', (strip, cell) => strip.load(i32.add(x, cell)))
  const sum = axis.fold(
    'sum',
    (strip, cell) => {
      const place = b.let(i32.add(x, cell))
      axis.touch(strip, place)
      return decay(b, f32x4.sub(strip.load(place), max))
    },
    out ? (strip, cell, e) => strip.store(i32.add(out, cell), e) : undefined,
  )
  return [max, sum]
}

const softmaxCode: AxisCode = (b, axis, [x, , out]) => {
  const [, sum] = exponentials(b, axis, x, out)
  const share = b.let(f32x4.div(1, sum))
  axis.each((strip, cell) => {
    const place = b.let(i32.add(out, cell))
    return strip.store(place, b.let(f32x4.mul(strip.load(place), share)))
  })
}

const logSoftmaxCode: AxisCode = (b, axis, [x, , out]) => {
  const [max, sum] = exponentials(b, axis, x, null)
  const logSum = b.let(log(b, sum))
  axis.each((strip, cell) => {
    return strip.store(i32.add(out, cell), b.let(f32x4.sub(f32x4.sub(strip.load(i32.add(x, cell)), max), logSum)))
  })
}

const softmaxGradCode: AxisCode = (b, axis, [g, y, out]) => {
  const at = (array: Local<'i32'>, strip: Strip, cell: Local<'i32'>) => strip.load(i32.add(array, cell))
  const sum = axis.fold('sum', (strip, cell) => f32x4.mul(at(g, strip, cell), at(y, strip, cell)))
  axis.each((strip, cell) => {
    const value = b.let(f32x4.mul(at(y, strip, cell), f32x4.sub(at(g, strip, cell), sum)))
    return strip.store(i32.add(out, cell), value)
  })
}

const logSoftmaxGradCode: AxisCode = (b, axis, [g, y, out]) => {
  const at = (array: Local<'i32'>, strip: Strip, cell: Local<'i32'>) => strip.load(i32.add(array, cell))
  const sum = axis.fold('sum', (strip, cell) => at(g, strip, cell))
  axis.each((strip, cell) => {
    const value = b.let(f32x4.sub(at(g, strip, cell), f32x4.mul(decay(b, at(y, strip, cell)), sum)))
    return strip.store(i32.add(out, cell), value)
  })
}

/**
 * Cross-entropy of each row or, if `gradient`, its gradient. The target's shares q_c = weight_c ((1 - e) t_c + e / K) are
 * a vector where they are not 0 for all classes but one (`spread`), and a single number for the class of a class target.
 */
function crossEntropy(
  engine: Engine,
  gradient: boolean,
  logits: Buffer,
  target: Buffer,
  weight: Buffer | null,
  { rows, classes, labelSmoothing, ignoreIndex }: CrossEntropySpec,
  grads: Buffer | null,
  out: Buffer,
  rowWeight: Buffer | null,
): void {
  const indexed = target.dtype === 'int32'
  const weighted = weight !== null
  const spread = !indexed || labelSmoothing !== 0
  const kernel = engine.kernel(`cross-entropy ${gradient} ${indexed} ${weighted} ${spread}`, (m) => {
    const params = [...ints(8), 'f32', 'f32', 'i32', 'i32'] as const
    m.func('run', params, (b, x, targets, weights, g, out, out2, bytes, ignored, keep, even, from, to) => {
      eachUnit(b, from, to, (unit) => {
        const start = b.let(i32.mul(unit, bytes))
        const number = b.let(i32.shl(unit, 2))
        const axis = rowAxis(b, start, bytes, i32.mul(to, bytes))
        const index = indexed ? b.let(i32.load(i32.add(targets, number))) : i32.const(0)
        const own = b.let(i32.shl(index, 2))
        /** q of the class of a class target, without its part of what all classes share. */
        const onlyShare = (): Local<'v128'> => {
          const share = f32x4.splat(keep)
          return b.let(weighted ? f32x4.mul(share, v128.load32Splat(i32.add(weights, own))) : share)
        }
        const shares = (strip: Strip, cell: Local<'i32'>): Local<'v128'> => {
          let q: Vector = f32x4.splat(even)
          if (!indexed) q = f32x4.add(f32x4.mul(strip.load(i32.add(targets, cell)), f32x4.splat(keep)), q)
          if (weighted) q = f32x4.mul(q, strip.load(i32.add(weights, i32.sub(cell, start))))
          return b.let(q)
        }

        const loss = (): void => {
          const [max, sum] = exponentials(b, axis, x, null)
          const logSum = b.let(log(b, sum))
          /** -q log softmax(x), 0 where q is: even if the logarithm is infinite. */
          const term = (q: Local<'v128'>, x: Vector): Vector =>
            v128.and(f32x4.mul(q, f32x4.sub(logSum, f32x4.sub(x, max))), f32x4.ne(q, 0))
          const total = spread
            ? axis.fold('sum', (strip, cell) => term(shares(strip, cell), strip.load(i32.add(x, cell))))
            : b.let(f32x4.const(0))
          if (indexed) {
            const one = term(onlyShare(), v128.load32Splat(i32.add(i32.add(x, start), own)))
            b.set(total, f32x4.add(total, one))
          }
          const ofRow = indexed && weighted ? f32.load(i32.add(weights, own)) : f32.const(1)
          b.emit(f32.store(i32.add(out, number), f32x4.extract(total, 0)), f32.store(i32.add(out2, number), ofRow))
        }

        const slope = (): void => {
          const [, sum] = exponentials(b, axis, x, out)
          const own_ = indexed ? onlyShare() : f32x4.const(0)
          const total = spread ? f32x4.add(axis.fold('sum', shares), own_) : own_
          const factor = b.let(f32x4.div(total, sum))
          const by = b.let(v128.load32Splat(i32.add(g, number)))
          axis.each((strip, cell) => {
            const place = b.let(i32.add(out, cell))
            const p = f32x4.mul(strip.load(place), factor)
            return strip.store(place, b.let(f32x4.mul(by, spread ? f32x4.sub(p, shares(strip, cell)) : p)))
          })
          if (indexed) {
            const place = b.let(i32.add(i32.add(out, start), own))
            const less = f32.sub(f32.load(place), f32x4.extract(f32x4.mul(by, own_), 0))
            b.emit(f32.store(place, less))
          }
        }

        const nothing = (): void =>
          gradient
            ? b.emit(memory.fill(i32.add(out, start), 0, bytes))
            : b.emit(f32.store(i32.add(out, number), 0), f32.store(i32.add(out2, number), 0))
        const work = gradient ? slope : loss
        if (indexed) b.if(i32.eq(index, ignored), nothing, work)
        else work()
      })
    })
  })
  const at = (buffer: Buffer | null): number => (buffer ? engine.ptr(buffer) : 0)
  engine.parallel(
    kernel,
    [
      at(logits),
      at(target),
      at(weight),
      at(grads),
      at(out),
      at(rowWeight),
      classes * 4,
      ignoreIndex,
      1 - labelSmoothing,
      labelSmoothing / classes,
    ],
    rows,
    Math.ceil(grainElements / classes),
  )
}

/** Softmax and cross-entropy of the wasm backend; `plain` serves dtypes other than float32. */
export function softmaxKernels(engine: Engine, plain: Pick<Kernels, Method>): Pick<Kernels, Method> {
  const isOurs = (target: Buffer, spec: CrossEntropySpec): boolean => {
    if (target.dtype === 'int32') checkClasses(engine.array(target) as Int32Array, spec)
    return spec.classes > 0 && (target.dtype === 'int32' || target.dtype === 'float32')
  }
  const along = (key: string, code: AxisCode, rows: Rows, x: Buffer, y?: Buffer): Buffer => {
    const out = engine.alloc('float32', x.length)
    alongAxis(engine, key, code, rows, engine.ptr(x), y ? engine.ptr(y) : 0, out.ptr)
    return out
  }
  return forFloat32(plain, {
    softmax: (x, rows, log) =>
      log ? along('log softmax', logSoftmaxCode, rows, x) : along('softmax', softmaxCode, rows, x),
    softmaxGrad: (g, y, rows, log) =>
      log
        ? along('log softmax gradient', logSoftmaxGradCode, rows, g, y)
        : along('softmax gradient', softmaxGradCode, rows, g, y),
    crossEntropy(logits, target, weight, spec) {
      if (!isOurs(target, spec)) return
      const loss = engine.alloc('float32', spec.rows)
      const rowWeight = engine.alloc('float32', spec.rows)
      crossEntropy(engine, false, logits, target, weight, spec, null, loss, rowWeight)
      return { loss, rowWeight }
    },
    crossEntropyGrad(g, logits, target, weight, spec) {
      if (!isOurs(target, spec)) return
      const out = engine.alloc('float32', logits.length)
      crossEntropy(engine, true, logits, target, weight, spec, g, out, null)
      return out
    },
  })
}
