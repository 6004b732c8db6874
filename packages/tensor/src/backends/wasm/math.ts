/**
 * Elementary functions on vectors of four floats, emitted into the kernel at hand: the arguments are reduced by Cody and
 * Waite's method (Software Manual for the Elementary Functions, 1980), then polynomials follow that were fitted to the
 * least maximal relative error. They call nothing of the host, and powers of e alone use fused products, where kernels
 * may, so the bits are the same on all machines that have those.
 *
 * Errors, where nothing else is said: exp, log, tanh and erf at most 2 units in the last place (ulp) everywhere, denormal
 * numbers, infinities and NaN included; pow, sin and cos at most 1, as they are computed in double precision (sin and cos
 * up to |x| = 2^29, beyond which they mean nothing).
 */
import { cosTail, erfcLog, erfNear, expTail, logTail, sinTail, tanhTail } from '../polynomials.ts'
import { type FunctionBuilder, f32x4, f64x2, i32x4, i64x2, type Local, type Value, v128 } from './asm.ts'

type Vector = Value<'v128'>
type Arithmetic = typeof f32x4 | typeof f64x2

/** c[0] + c[1] x + c[2] x^2 + ... */
function polynomial(lanes: Arithmetic, x: Vector, c: readonly number[]): Vector {
  return c
    .slice(0, -1)
    .reduceRight<Vector>((sum, value) => lanes.add(lanes.mul(sum, x), value), lanes.const(c.at(-1) as number))
}

/** a * b + c, fused where kernels may. */
export function multiplyAdd(fma: boolean, a: Vector, b: Vector, c: Vector): Vector {
  return fma ? f32x4.madd(a, b, c) : f32x4.add(c, f32x4.mul(a, b))
}

/** Lanes of `a` where `mask` is set, of `b` elsewhere. */
const choose = (mask: Vector, a: Vector, b: Vector): Vector => v128.bitselect(a, b, mask)

/** |a| with the sign of `sign`. */
const withSign = (a: Vector, sign: Vector): Vector => v128.or(a, v128.and(sign, i32x4.const(0x80000000)))

/** Adding this number to a float, whose magnitude must be below half of it, leaves its nearest integer in the low bits. */
const integer32 = 1.5 * 2 ** 23
const integer64 = 1.5 * 2 ** 52

// The first part of ln 2 has so few bits that its products with exponents are exact.
const ln2High = 0.693359375
const ln2Low: number = Math.LN2 - ln2High

/** 2^k for integers k from -126 to 127. */
const powerOfTwo = (k: Vector): Vector => i32x4.shl(i32x4.add(k, 127), 23)

/** e^x. */
export function exp(b: FunctionBuilder, x: Vector): Vector {
  // Beyond these bounds the result is infinite or 0 all the same; NaN passes.
  const t = b.let(f32x4.pmax(f32x4.pmin(x, 89), -104))
  const madd = (a: Vector, factor: Vector, c: Vector) => multiplyAdd(b.fma, a, factor, c)
  const shifted = b.let(madd(t, f32x4.const(Math.LOG2E), f32x4.const(integer32)))
  const n = b.let(f32x4.sub(shifted, integer32))
  const r = b.let(madd(n, f32x4.const(-ln2Low), madd(n, f32x4.const(-ln2High), t)))
  const p = [0.499999934, 0.166665206, 0.0416683887, 0.00836872394].reduceRight<Vector>(
    (sum, value) => madd(sum, r, f32x4.const(value)),
    f32x4.const(0.00138145839),
  )
  const y = f32x4.add(madd(p, f32x4.mul(r, r), r), 1)
  // 2^n in two factors: it may be too large or too small for one.
  const k = b.let(i32x4.sub(shifted, f32x4.const(integer32)))
  const half = b.let(i32x4.shr(k, 1))
  return f32x4.mul(f32x4.mul(y, powerOfTwo(half)), powerOfTwo(i32x4.sub(k, half)))
}

/** e^x for x <= 0, by half the instructions: what is below 2^-126 is 0, other errors are at most 3 ulp, and e^0 is 1. */
export function decay(b: FunctionBuilder, x: Vector): Vector {
  const madd = (a: Vector, factor: number, c: Vector) => multiplyAdd(b.fma, a, f32x4.const(factor), c)
  // In a sum with this number, an exponent from -127 to 0 stands in the low bits as floats have theirs.
  const integer = f32x4.const(integer32 + 127)
  const t = b.let(f32x4.pmax(x, -127 * Math.LN2))
  const shifted = b.let(madd(t, Math.LOG2E, integer))
  const n = b.let(f32x4.sub(shifted, integer))
  const r = b.let(madd(n, -ln2Low, madd(n, -ln2High, t)))
  const [highest, ...rest] = [1, 1, ...expTail].reverse()
  const y = rest.reduce<Vector>((sum, c) => multiplyAdd(b.fma, sum, r, f32x4.const(c)), f32x4.const(highest as number))
  return f32x4.mul(y, i32x4.shl(shifted, 23))
}

/** The natural logarithm. */
export function log(b: FunctionBuilder, x: Vector): Vector {
  const value = b.let(x)
  // Denormal numbers are made normal first.
  const small = b.let(f32x4.lt(value, 2 ** -126))
  const scaled = b.let(choose(small, f32x4.mul(value, 2 ** 23), value))
  // scaled = 2^e m with m from sqrt(1/2) to sqrt(2).
  const e = b.let(i32x4.shr(i32x4.sub(scaled, f32x4.const(Math.SQRT1_2)), 23))
  const f = b.let(f32x4.sub(i32x4.sub(scaled, i32x4.shl(e, 23)), 1))
  const exponent = b.let(f32x4.sub(f32x4.fromI32(e), v128.and(small, f32x4.const(23))))
  const square = b.let(f32x4.mul(f, f))
  const p = polynomial(f32x4, f, logTail)
  const low = f32x4.add(f32x4.mul(f32x4.mul(p, square), f), f32x4.mul(exponent, ln2Low))
  const mantissa = f32x4.add(f, f32x4.sub(low, f32x4.mul(square, 0.5)))
  const y = b.let(f32x4.add(mantissa, f32x4.mul(exponent, ln2High)))
  // Infinity and NaN pass; 0 and negative numbers have the limit or none.
  const pole = choose(f32x4.eq(value, 0), f32x4.const(-Infinity), f32x4.const(Number.NaN))
  return choose(f32x4.le(value, 0), pole, choose(f32x4.lt(value, Infinity), y, value))
}

/** 1 / (1 + e^-x), from powers of e that do not overflow. What is below 2^-126 is 0, other errors are at most 4 ulp. */
export function sigmoid(b: FunctionBuilder, x: Vector): Vector {
  const value = b.let(x)
  const e = b.let(decay(b, v128.or(value, i32x4.const(0x80000000))))
  return f32x4.div(choose(f32x4.lt(value, 0), e, f32x4.const(1)), f32x4.add(e, 1))
}

/** The hyperbolic tangent. */
export function tanh(b: FunctionBuilder, x: Vector): Vector {
  const value = b.let(x)
  const a = b.let(f32x4.abs(value))
  const z = b.let(f32x4.mul(value, value))
  const p = polynomial(f32x4, z, tanhTail)
  const near = b.let(f32x4.add(a, f32x4.mul(f32x4.mul(p, z), a)))
  const far = f32x4.sub(1, f32x4.div(2, f32x4.add(exp(b, f32x4.add(a, a)), 1)))
  return withSign(choose(f32x4.lt(a, 0.625), near, far), value)
}

/** The error function. */
export function erf(b: FunctionBuilder, x: Vector): Vector {
  const value = b.let(x)
  const a = b.let(f32x4.abs(value))
  const z = b.let(f32x4.mul(value, value))
  const p = polynomial(f32x4, z, erfNear)
  const near = b.let(f32x4.add(value, f32x4.mul(p, value)))
  // 1 - erfc; from 4 on the result rounds to 1.
  const t = b.let(f32x4.pmin(a, 4))
  const q = polynomial(f32x4, t, erfcLog)
  return choose(f32x4.lt(a, 0.93), near, withSign(f32x4.sub(1, exp(b, q)), value))
}

/** `compute` in double precision, on the lower and the upper two lanes of each of `inputs`. */
function inDoubles(
  b: FunctionBuilder,
  inputs: readonly Vector[],
  compute: (...halves: Local<'v128'>[]) => Vector,
): Vector {
  const kept = inputs.map((x) => b.let(x))
  const low = b.let(compute(...kept.map((x) => b.let(f64x2.fromF32(x)))))
  const high = b.let(compute(...kept.map((x) => b.let(f64x2.fromF32(v128.shuffle32(x, x, [2, 3, 2, 3]))))))
  return v128.shuffle32(f32x4.fromF64(low), f32x4.fromF64(high), [0, 1, 4, 5])
}

// pi/2 in three parts, the first two so short that their products with numbers of quarter turns are exact.
const quarter: readonly [number, number, number] = [1.570796251296997, 7.549789415861596e-8, 5.390302858158119e-15]

/** sin(x + turns pi/2), turns being 0 or 1. */
function sine(b: FunctionBuilder, x: Vector, turns: 0 | 1): Vector {
  return inDoubles(b, [x], (value) => {
    const shifted = b.let(f64x2.add(f64x2.mul(value, 2 / Math.PI), integer64))
    const n = b.let(f64x2.sub(shifted, integer64))
    const r = b.let(quarter.reduce<Vector>((rest, part) => f64x2.sub(rest, f64x2.mul(n, part)), value))
    const z = b.let(f64x2.mul(r, r))
    const sin = f64x2.mul(r, f64x2.add(1, f64x2.mul(polynomial(f64x2, z, sinTail), z)))
    const cos = f64x2.add(f64x2.sub(1, f64x2.mul(z, 0.5)), f64x2.mul(f64x2.mul(polynomial(f64x2, z, cosTail), z), z))
    // The number of quarter turns stands in the low bits: odd ones swap sine and cosine, two change the sign.
    const count = b.let(turns === 0 ? shifted : i64x2.add(shifted, 1))
    const odd = i64x2.shr(i64x2.shl(count, 63), 63)
    const sign = i64x2.shl(i64x2.shrU(count, 1), 63)
    return v128.xor(choose(odd, cos, sin), sign)
  })
}

/** The sine of x in radians. */
export function sin(b: FunctionBuilder, x: Vector): Vector {
  return sine(b, x, 0)
}

/** The cosine of x in radians. */
export function cos(b: FunctionBuilder, x: Vector): Vector {
  return sine(b, x, 1)
}

/** log2 of |x| for doubles that were floats. */
function log2(b: FunctionBuilder, x: Vector): Vector {
  const a = b.let(f64x2.abs(x))
  const e = b.let(i64x2.shr(i64x2.sub(a, f64x2.const(Math.SQRT1_2)), 52))
  const m = b.let(i64x2.sub(a, i64x2.shl(e, 52)))
  const exponent = f64x2.sub(i64x2.add(e, f64x2.const(integer64)), integer64)
  const s = b.let(f64x2.div(f64x2.sub(m, 1), f64x2.add(m, 1)))
  const c = [2.885390081790171, 0.9617966732422949, 0.5770836029818225, 0.411671679016403, 0.3407488036169926]
  const y = f64x2.add(exponent, f64x2.mul(polynomial(f64x2, b.let(f64x2.mul(s, s)), c), s))
  const limit = choose(f64x2.eq(a, 0), f64x2.const(-Infinity), a)
  return choose(v128.and(f64x2.gt(a, 0), f64x2.lt(a, Infinity)), y, limit)
}

/** 2^x of doubles whose result is to be a float: 0 or infinite beyond its range. */
function exp2(b: FunctionBuilder, x: Vector): Vector {
  const t = b.let(f64x2.pmax(f64x2.pmin(x, 200), -200))
  const shifted = b.let(f64x2.add(t, integer64))
  const r = b.let(f64x2.sub(t, f64x2.sub(shifted, integer64)))
  const p = polynomial(
    f64x2,
    r,
    [
      0.9999999999616211, 0.6931471807287242, 0.24022651198751271, 0.05550410352808379, 0.00961802717319606,
      0.0013333922873408448, 0.00015469317176254453, 1.5201897268990499e-5,
    ],
  )
  // A NaN stays one: its exponent must not be touched.
  return choose(f64x2.eq(t, t), i64x2.add(p, i64x2.shl(shifted, 52)), t)
}

/** x to the power of y, with C's limits: 1 to any power and anything to the power of 0 is 1. */
export function pow(b: FunctionBuilder, x: Vector, y: Vector): Vector {
  const base = b.let(x)
  const power = b.let(y)
  const magnitude = b.let(inDoubles(b, [base, power], (base, power) => exp2(b, f64x2.mul(power, log2(b, base)))))
  // -1 to the power of an infinity is 1.
  const unit = v128.and(f32x4.eq(f32x4.abs(base), 1), f32x4.eq(power, power))
  const size = b.let(choose(unit, f32x4.const(1), magnitude))
  const half = b.let(f32x4.mul(power, 0.5))
  const whole = b.let(f32x4.eq(f32x4.trunc(power), power))
  const odd = v128.and(whole, f32x4.ne(f32x4.trunc(half), half))
  const signed = b.let(choose(odd, withSign(size, base), size))
  const real = b.let(v128.or(whole, v128.not(f32x4.lt(base, 0))))
  // -Infinity has powers that are not whole: infinity or 0.
  const allowed = v128.or(real, f32x4.eq(base, -Infinity))
  const result = choose(allowed, signed, f32x4.const(Number.NaN))
  return choose(v128.or(f32x4.eq(base, 1), f32x4.eq(power, 0)), f32x4.const(1), result)
}
