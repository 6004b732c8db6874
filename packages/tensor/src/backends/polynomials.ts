/**
 * Coefficients, lowest power first, of the polynomials by which backends without such functions of their own compute
 * them; fitted to the least maximal relative error.
 */

/** (e^r - 1 - r) / r^2 for |r| up to ln(2) / 2, with an error of e^r of 1e-7. */
export const expTail: readonly number[] = [0.49999231, 0.16667115, 0.04189016, 0.00831252]

/** (log(1 + f) - f + f^2 / 2) / f^3 for f from sqrt(1/2) - 1 to sqrt(2) - 1. */
export const logTail: readonly number[] = [
  0.333333317, -0.25000821, 0.200012269, -0.166233574, 0.142017579, -0.131601822, 0.127615775, -0.0763449776,
]

/** (tanh(a) - a) / a^3 by z = a^2, for |a| below 0.625. */
export const tanhTail: readonly number[] = [-0.333332819, 0.133314422, -0.053739715, 0.0206390872, -0.00570498692]

/** (erf(a) - a) / a by z = a^2, for |a| below 0.93. */
export const erfNear: readonly number[] = [
  0.128379166, -0.376126316, 0.11283664, -0.0268577051, 0.00519695207, -0.000809770324, 8.18509264e-5,
]

/** log(1 - erf(a)), which is nearly a parabola, for a from 0.93 to 4; from there on erf(a) rounds to 1 in float32. */
export const erfcLog: readonly number[] = [
  -0.000211313252, -1.12761121, -0.637290423, -0.103836904, 0.0221813849, -0.00303181952, 0.000194777643,
]

/** (sin(r) - r) / r^3 by z = r^2, for |r| up to pi/4. */
export const sinTail: readonly number[] = [
  -0.166666666415269, 0.008333329374125288, -0.00019839330998101722, 2.7182744838449206e-6,
]

/** (cos(r) - 1 + r^2 / 2) / r^4 by z = r^2, for |r| up to pi/4. */
export const cosTail: readonly number[] = [
  0.04166666661929984, -0.0013888883483720537, 2.4799455864252557e-5, -2.7205401041205553e-7,
]
