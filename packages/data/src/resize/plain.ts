/** Both passes in plain loops: what resampling means, for any number of channels, and for floats. */
import { fixedWeights, PRECISION_BITS, type Taps } from './taps.ts'

const HALF = 1 << (PRECISION_BITS - 1)

/** Pixels that a pass takes: `outer` runs of `from` positions of `inner` values each. */
interface Axis {
  readonly outer: number
  readonly from: number
  readonly inner: number
}

/** Bytes in Pillow's fixed point: sums of 32 bits, rounded half up, cut to 0 to 255. */
function resampleBytes(data: Uint8Array, { outer, from, inner }: Axis, taps: Taps): Uint8Array {
  const { size, stride, first, counts } = taps
  const weights = fixedWeights(taps)
  const result = new Uint8ClampedArray(outer * size * inner)
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < size; i++) {
      const source = (o * from + first[i]!) * inner
      const target = (o * size + i) * inner
      const count = counts[i]!
      const at = i * stride
      for (let c = 0; c < inner; c++) {
        let sum = HALF
        for (let k = 0; k < count; k++) sum = (sum + Math.imul(data[source + k * inner + c]!, weights[at + k]!)) | 0
        result[target + c] = sum >> PRECISION_BITS
      }
    }
  }
  return new Uint8Array(result.buffer)
}

/** Floats: sums in double precision, as Pillow's mode F. */
function resampleFloats(data: Float32Array, { outer, from, inner }: Axis, taps: Taps): Float32Array {
  const { size, stride, first, counts, weights } = taps
  const result = new Float32Array(outer * size * inner)
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < size; i++) {
      const source = (o * from + first[i]!) * inner
      const target = (o * size + i) * inner
      for (let c = 0; c < inner; c++) {
        let sum = 0
        for (let k = 0; k < counts[i]!; k++) sum += data[source + k * inner + c]! * weights[i * stride + k]!
        result[target + c] = sum
      }
    }
  }
  return result
}

/** Along rows, then along columns; an axis without taps stays as it is. */
export function resamplePlain<T extends Uint8Array | Float32Array>(
  data: T,
  height: number,
  width: number,
  channels: number,
  rows: Taps | undefined,
  columns: Taps | undefined,
): T {
  const pass = (from: T, axis: Axis, taps: Taps): T =>
    (from instanceof Uint8Array ? resampleBytes(from, axis, taps) : resampleFloats(from, axis, taps)) as T
  let result = data
  if (columns) result = pass(result, { outer: height, from: width, inner: channels }, columns)
  if (rows) result = pass(result, { outer: 1, from: height, inner: (columns?.size ?? width) * channels }, rows)
  return result
}
