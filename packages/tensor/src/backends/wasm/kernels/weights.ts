/** Weights of a convolution as kernels take them: packed or transformed, alone or with a normalisation folded in. */
import type { Buffer, GivenNorm } from '../../backend.ts'
import { f32x4, i32, ints, v128 } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { grainWork } from './matmul.ts'
import { eachUnit } from './tile.ts'

export interface Weights {
  /** What `fill(from, to)` makes of the weights at `from`, kept as long as nothing that they come from changes. */
  derived(key: string, bytes: number, fill: (from: number, to: number) => void): number
}

/** Weights as they are. */
export function plainWeights(engine: Engine, weight: Buffer): Weights {
  return {
    derived: (key, bytes, fill) => engine.derived(weight, key, bytes, (to) => fill(engine.ptr(weight), to)),
  }
}

/**
 * The weights and the bias of a convolution followed by batch norm by given statistics: y = scale (w x + bias - mean) + shift
 * is a convolution with the weights scale w and the bias scale (bias - mean) + shift.
 */
export function foldedWeights(
  engine: Engine,
  weight: Buffer,
  bias: Buffer | null,
  norm: GivenNorm,
): Weights & { readonly bias: number } {
  const { mean, variance, eps } = norm
  const channels = mean.length
  const others = [mean, variance, norm.weight, norm.bias, bias].filter((buffer) => buffer !== null)
  const prefix = `norm ${eps} ${[norm.weight, norm.bias, bias].map((buffer) => buffer !== null)}`
  const values = (buffer: Buffer | null) => buffer && engine.array(buffer)
  const scales = (): Float32Array => {
    const [variances, factors] = [values(variance), values(norm.weight)]
    const scale = (c: number): number => (factors?.[c] ?? 1) / Math.sqrt((variances?.[c] ?? 0) + eps)
    return Float32Array.from({ length: channels }, (_, c) => scale(c))
  }
  const fillBias = (to: number): void => {
    const scale = scales()
    const [means, shifts, biases] = [mean, norm.bias, bias].map(values)
    const shift = (c: number): number =>
      ((biases?.[c] ?? 0) - (means?.[c] ?? 0)) * (scale[c] as number) + (shifts?.[c] ?? 0)
    engine.heap.floats(to, channels).set(Float32Array.from(scale, (_, c) => shift(c)))
  }
  return {
    bias: engine.derived(weight, `${prefix} bias`, channels * 4, fillBias, others),
    derived(key, bytes, fill) {
      const fillScaled = (to: number): void => {
        const mark = engine.heap.mark()
        const factors = engine.workspace(channels * 4)
        engine.heap.floats(factors, channels).set(scales())
        const scaled = engine.workspace(weight.length * 4)
        scaleRows(engine, engine.ptr(weight), factors, scaled, channels, weight.length / channels)
        fill(scaled, to)
        engine.heap.release(mark)
      }
      return engine.derived(weight, `${prefix} ${key}`, bytes, fillScaled, others)
    },
  }
}

/** Each of `rows` rows of `length` floats times its factor. */
function scaleRows(engine: Engine, from: number, factors: number, to: number, rows: number, length: number): void {
  const kernel = engine.kernel('scaleRows', (module) => {
    module.func('run', ints(6), (b, x, factors, y, length, from, to) => {
      eachUnit(b, from, to, (row) => {
        const factor = b.let(v128.load32Splat(i32.add(factors, i32.shl(row, 2))))
        const start = b.let(i32.mul(row, i32.shl(length, 2)))
        const [at, out, left] = [b.let(i32.add(x, start)), b.let(i32.add(y, start)), b.let(i32.shrU(length, 2))]
        b.if(left, () =>
          b.repeat(left, () => {
            b.emit(v128.store(out, f32x4.mul(v128.load(at), factor)))
            b.add(at, 16)
            b.add(out, 16)
          }),
        )
        b.set(left, i32.and(length, 3))
        b.if(left, () =>
          b.repeat(left, () => {
            b.emit(v128.store32Lane(out, f32x4.mul(v128.load32Zero(at), factor), 0))
            b.add(at, 4)
            b.add(out, 4)
          }),
        )
      })
    })
  })
  engine.parallel(kernel, [from, factors, to, length], rows, Math.ceil(grainWork / (4 * length)))
}
