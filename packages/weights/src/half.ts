/** The two 16-bit floating-point formats, as bit patterns: IEEE 754 binary16 and bfloat16. */

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** Largest finite binary16. */
export const MAX_FLOAT16 = 65504

/** The 65,536 values of binary16, made at first use. */
let float16Values: Float32Array | undefined

function makeFloat16Values(): Float32Array {
  return Float32Array.from({ length: 0x10000 }, (_, half) => {
    const sign = half & 0x8000 ? -1 : 1
    const exponent = (half >> 10) & 0x1f
    const fraction = half & 0x3ff
    if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25)
  })
}

/** Values of binary16 patterns; exact. */
export function float16ToFloat32(patterns: Uint16Array): Float32Array {
  float16Values ??= makeFloat16Values()
  const values = float16Values
  return Float32Array.from(patterns, (pattern) => values[pattern]!)
}

/** Values of bfloat16 patterns; exact. */
export function bfloat16ToFloat32(patterns: Uint16Array): Float32Array {
  const result = new Float32Array(patterns.length)
  const words = new Uint32Array(result.buffer)
  for (let i = 0; i < patterns.length; i++) words[i] = patterns[i]! << 16
  return result
}

/** The nearest binary16, ties to even; above 65504 + half a step, infinity. Rounds once, also from float64. */
function toFloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const size = Math.abs(value)
  if (size >= 65520) return sign | 0x7c00
  // Steps are 2^-24 below 2^-14 (subnormal), and 2^(e - 10) between 2^e and 2^(e + 1).
  let exponent = -14
  while (exponent < 15 && size >= 2 ** (exponent + 1)) exponent++
  const steps = size * 2 ** (10 - exponent)
  let rounded = Math.floor(steps)
  const rest = steps - rounded
  if (rest > 0.5 || (rest === 0.5 && rounded % 2 === 1)) rounded++
  // A subnormal has no implicit leading one; rounding up to 2048 steps carries into the exponent by itself.
  return sign | (size < 2 ** -14 ? rounded : ((exponent + 14) << 10) + rounded)
}

/** Nearest binary16 patterns of values, ties to even (as `Tensor.half()` of PyTorch). */
export function toFloat16Bits(values: Float32Array | Float64Array): Uint16Array {
  return Uint16Array.from(values, toFloat16)
}

/** Nearest bfloat16 patterns of values, ties to even (as `Tensor.bfloat16()` of PyTorch); float64 rounds by way of float32. */
export function toBfloat16Bits(values: Float32Array | Float64Array): Uint16Array {
  return Uint16Array.from(values, (value) => {
    float[0] = value
    const word = bits[0]!
    if (Number.isNaN(value)) return 0x7fc0
    return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
  })
}
