/** Layer norm and its gradients: statistics along rows that lie in one piece and share all weights. */
import type { Buffer, NormExtents } from '../../backend.ts'
import { f32, f32x4, i32, ints, type Local, memory, type Value, v128 } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { grainFloats } from './columns.ts'
import type { Grads, NormResults } from './norm-columns.ts'
import { alongRow, foldRow, least, type Strip } from './rows.ts'
import { eachUnit } from './tile.ts'

/** As the contract's `normalize`, for extents [rows, 1, 1, size] and into given buffers. */
export function normalizeRows(
  engine: Engine,
  x: Buffer,
  weight: Buffer | null,
  bias: Buffer | null,
  [rows, , , size]: NormExtents,
  eps: number,
  { output, mean, variance }: NormResults,
): void {
  const kernel = engine.kernel(`norm ${weight !== null} ${bias !== null}`, (m) => {
    const params = [...ints(7), 'f32', 'f32', 'i32', 'i32'] as const
    m.func('run', params, (b, x, weights, biases, out, means, variances, bytes, share, eps, from, to) => {
      const part = b.let(f32x4.splat(share))
      eachUnit(b, from, to, (unit) => {
        const row = b.let(i32.add(x, i32.mul(unit, bytes)))
        const target = b.let(i32.add(out, i32.mul(unit, bytes)))
        const load = (strip: Strip, at: Local<'i32'>) => strip.load(i32.add(row, at))
        const [sum] = foldRow(b, 'sum', bytes, 1, (strip, at) => [load(strip, at)], 4)
        const center = b.let(f32x4.mul(sum!, part))
        const [rest, squares] = foldRow(
          b,
          'sum',
          bytes,
          2,
          (strip, at) => {
            const d = b.let(f32x4.sub(load(strip, at), center))
            return [d, f32x4.mul(d, d)]
          },
          2,
        )
        // What rounding has taken from the mean: it comes back below.
        const lost = b.let(f32x4.mul(rest!, part))
        const spread = b.let(f32x4.sub(f32x4.mul(squares!, part), f32x4.mul(lost, lost)))
        const scale = b.let(f32x4.div(1, f32x4.sqrt(f32x4.add(spread, f32x4.splat(eps)))))
        b.emit(f32.store(i32.add(means, i32.shl(unit, 2)), f32x4.extract(f32x4.add(center, lost), 0)))
        b.emit(f32.store(i32.add(variances, i32.shl(unit, 2)), f32x4.extract(spread, 0)))
        alongRow(b, bytes, (strip, at) => {
          let y = f32x4.mul(f32x4.sub(f32x4.sub(load(strip, at), center), lost), scale)
          if (weight) y = f32x4.mul(y, strip.load(i32.add(weights, at)))
          if (bias) y = f32x4.add(y, strip.load(i32.add(biases, at)))
          b.emit(strip.store(i32.add(target, at), y))
        })
      })
    })
  })
  const at = (buffer: Buffer | null): number => (buffer ? engine.ptr(buffer) : 0)
  engine.parallel(
    kernel,
    [at(x), at(weight), at(bias), at(output), at(mean), at(variance), size * 4, 1 / size, eps],
    rows,
    Math.ceil(grainFloats / size),
  )
}

/** Rows whose gradients by weight and bias are added up in float32. */
const maxChunk = 256

/** As the contract's `normalizeGrad`, for extents [rows, 1, 1, size] and into given buffers. */
export function gradRows(
  engine: Engine,
  g: Buffer,
  x: Buffer,
  weight: Buffer | null,
  { mean, variance }: Omit<NormResults, 'output'>,
  [rows, , , size]: NormExtents,
  eps: number,
  grads: Grads,
): void {
  const kernel = engine.kernel(`norm gradient ${weight !== null}`, (m) => {
    const params = [...ints(10), 'f32', 'f32', 'i32', 'i32'] as const
    m.func('run', params, (b, g, x, weights, out, means, variances, sums, bytes, rows, chunk, share, eps, from, to) => {
      eachUnit(b, from, to, (unit) => {
        const byBias = b.let(i32.add(sums, i32.mul(i32.shl(unit, 1), bytes)))
        const byWeight = b.let(i32.add(byBias, bytes))
        b.emit(memory.fill(byBias, 0, i32.shl(bytes, 1)))
        const row = b.let(i32.mul(unit, chunk))
        const end = b.let(least(i32.add(row, chunk), rows))
        b.for(row, end, 1, () => {
          const start = b.let(i32.mul(row, bytes))
          const center = b.let(v128.load32Splat(i32.add(means, i32.shl(row, 2))))
          const spread = v128.load32Splat(i32.add(variances, i32.shl(row, 2)))
          const scale = b.let(f32x4.div(1, f32x4.sqrt(f32x4.add(spread, f32x4.splat(eps)))))
          /** g, h = (x - mean) * scale and u = g * weight at a place of the row. */
          const at = (strip: Strip, place: Local<'i32'>) => {
            const cell = b.let(i32.add(start, place))
            const value = b.let(strip.load(i32.add(g, cell)))
            const h = b.let(f32x4.mul(f32x4.sub(strip.load(i32.add(x, cell)), center), scale))
            const u = weight ? b.let(f32x4.mul(value, strip.load(i32.add(weights, place)))) : value
            return { cell, value, h, u }
          }
          const [sumU, sumUH] = foldRow(
            b,
            'sum',
            bytes,
            2,
            (strip, place) => {
              const { u, h } = at(strip, place)
              return [u, f32x4.mul(u, h)]
            },
            2,
          )
          const averageU = b.let(f32x4.mul(sumU!, f32x4.splat(share)))
          const averageUH = b.let(f32x4.mul(sumUH!, f32x4.splat(share)))
          alongRow(b, bytes, (strip, place) => {
            const { cell, value, h, u } = at(strip, place)
            const rest = f32x4.sub(f32x4.sub(u, averageU), f32x4.mul(h, averageUH))
            b.emit(strip.store(i32.add(out, cell), f32x4.mul(rest, scale)))
            const add = (slot: Local<'i32'>, term: Value<'v128'>): void => {
              const to = b.let(i32.add(slot, place))
              b.emit(strip.store(to, f32x4.add(strip.load(to), term)))
            }
            add(byBias, value)
            add(byWeight, f32x4.mul(value, h))
          })
        })
      })
    })
  })
  const chunk = Math.min(maxChunk, Math.max(4, Math.ceil(rows / 64)))
  const chunks = Math.ceil(rows / chunk)
  const sums = engine.workspace(chunks * 2 * size * 4)
  const at = (buffer: Buffer | null): number => (buffer ? engine.ptr(buffer) : 0)
  engine.parallel(
    kernel,
    [at(g), at(x), at(weight), at(grads.x), at(mean), at(variance), sums, size * 4, rows, chunk, 1 / size, eps],
    chunks,
    Math.ceil(grainFloats / (chunk * size)),
  )
  const parts = engine.heap.floats(sums, chunks * 2 * size)
  const both = new Float64Array(2 * size)
  for (let i = 0; i < parts.length; i++) both[i % (2 * size)]! += parts[i]!
  engine.heap.floats(engine.ptr(grads.bias), size).set(both.subarray(0, size))
  engine.heap.floats(engine.ptr(grads.weight), size).set(both.subarray(size))
}
