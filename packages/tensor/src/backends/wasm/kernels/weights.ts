/** Weights of a convolution as kernels take them: packed or transformed, alone or with a normalisation folded in. */
import type { Buffer, GivenNorm } from '../../backend.ts'
import { f32x4, i32, ints, v128 } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { grainWork } from './gemm.ts'
import { eachUnit } from './tile.ts'

export interface Weights {
  /** Where they lie as they are, if what `derived` would keep under this key is not wanted often enough to keep it. */
  once(key: string): number | undefined
  /** What `fill(from, to)` makes of the weights at `from`, kept as long as nothing that they come from changes. */
  derived(key: string, bytes: number, fill: (from: number, to: number) => void): number
  /**
   * The same by a `fill` that multiplies what becomes of an output channel by its factor: the factors lie at the place that it is
   * told, as many as `factorPlaces` channels need, or nowhere (0), where all are 1.
   */
  transformed(key: string, bytes: number, fill: (from: number, to: number, factors: number) => void): number
}

/** Factors that may be read for `channels`: some more, so that vectors of them need no care at the end. */
const factorPlaces = (channels: number): number => channels + 16

/** Weights as they are. */
export function plainWeights(engine: Engine, weight: Buffer): Weights {
  const derived: Weights['transformed'] = (key, bytes, fill) =>
    engine.derived(weight, key, bytes, (to) => fill(engine.ptr(weight), to, 0))
  return {
    once: (key) => (engine.isRecurring(weight, key) ? undefined : engine.ptr(weight)),
    derived,
    transformed: derived,
  }
}

/** The other buffers that make up a norm, and what of it is part of a key. */
function partsOf(norm: GivenNorm): { others: Buffer[]; key: string } {
  const { mean, weight, bias, eps } = norm
  return {
    others: [mean, weight, bias].filter((buffer) => buffer !== null),
    key: `norm ${eps} ${weight !== null} ${bias !== null}`,
  }
}

/** weight / sqrt(variance + eps) by channel, with every step rounded as in the formulas of the ops. */
function scalesOf(engine: Engine, { variance, weight, eps }: GivenNorm): Float32Array {
  const factors = weight && engine.array(weight)
  const epsilon = Math.fround(eps)
  return Float32Array.from(engine.array(variance), (value, c) => {
    const inverse = Math.fround(1 / Math.fround(Math.sqrt(Math.fround(value + epsilon))))
    return (factors?.[c] ?? 1) * inverse
  })
}

/**
 * Means, scales and biases of a norm as rows, each `times` over: what takes x to (x - mean) scale + bias. Kept as long as
 * nothing that they come from changes.
 */
export function normCoefficients(engine: Engine, norm: GivenNorm, times: number): number {
  const channels = norm.mean.length
  const { key, others } = partsOf(norm)
  return engine.derived(
    norm.variance,
    `${key} ${times}`,
    3 * channels * times * 4,
    (to) => {
      const rows = engine.heap.floats(to, 3 * channels * times)
      // To add -0 changes nothing, not even a -0.
      const bias = norm.bias ? engine.array(norm.bias) : new Float32Array(channels).fill(-0)
      for (const [k, row] of [engine.array(norm.mean), scalesOf(engine, norm), bias].entries()) {
        for (let i = 0; i < times; i++) rows.set(row, (k * times + i) * channels)
      }
    },
    others,
  )
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
  const channels = norm.mean.length
  const { key: normKey, others: parts } = partsOf(norm)
  const others = [...parts, norm.variance, ...(bias ? [bias] : [])]
  const prefix = `${normKey} ${bias !== null}`
  const fillBias = (to: number): void => {
    const scale = scalesOf(engine, norm)
    const [means, shifts, biases] = [norm.mean, norm.bias, bias].map((buffer) => buffer && engine.array(buffer))
    const shift = (c: number): number =>
      ((biases?.[c] ?? 0) - (means?.[c] ?? 0)) * (scale[c] as number) + (shifts?.[c] ?? 0)
    engine.heap.floats(to, channels).set(Float32Array.from(scale, (_, c) => shift(c)))
  }
  const transformed: Weights['transformed'] = (key, bytes, fill) => {
    const fillScaled = (to: number): void => {
      const mark = engine.mark()
      const factors = engine.workspace(factorPlaces(channels) * 4)
      engine.heap.floats(factors, channels).set(scalesOf(engine, norm))
      fill(engine.ptr(weight), to, factors)
      engine.release(mark)
    }
    return engine.derived(weight, `${prefix} ${key}`, bytes, fillScaled, others)
  }
  return {
    once: () => undefined,
    bias: engine.derived(weight, `${prefix} bias`, channels * 4, fillBias, others),
    derived: (key, bytes, fill) =>
      transformed(key, bytes, (from, to, factors) => {
        const scaled = engine.workspace(weight.length * 4)
        scaleRows(engine, from, factors, scaled, channels, weight.length / channels)
        fill(scaled, to)
      }),
    transformed,
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
