/** Scalar functions that `Math` lacks, or where C (and so PyTorch) means something else. */

/** The nearest integer, halves to the even one (IEEE 754 roundTiesToEven). */
export function roundHalfEven(a: number): number {
  const down = Math.floor(a)
  const rest = a - down
  // -0 and the numbers of (-0.5, 0) round to -0, as in C.
  if (rest < 0.5 || (rest === 0.5 && down % 2 === 0)) return down === 0 && Object.is(a, -0) ? -0 : down
  return rest > 0 ? (down === -1 ? -0 : down + 1) : a
}

/** a to the power of b with C's limits: 1 to any power, even NaN, is 1, and so is -1 to an infinite power. */
export function pow(a: number, b: number): number {
  return a === 1 || (a === -1 && (b === Infinity || b === -Infinity)) ? 1 : a ** b
}

const sqrtPi = Math.sqrt(Math.PI)

/**
 * The error function, to about 1e-15 of its value.
 *
 * Below 2: erf(x) = 2/sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!! (Abramowitz and Stegun 7.1.6), all terms of one
 * sign. From 2 on: one minus the continued fraction erfc(x) = exp(-x^2)/sqrt(pi) 1/(x + (1/2)/(x + 1/(x + (3/2)/...)))
 * (7.1.14), whose error hardly counts because erfc is small there.
 */
export function erf(x: number): number {
  const a = Math.abs(x)
  if (a >= 6) return Math.sign(x)
  if (a >= 2) {
    let tail = a
    for (let n = 50; n > 0; n--) tail = a + n / 2 / tail
    return Math.sign(x) * (1 - Math.exp(-a * a) / (sqrtPi * tail))
  }
  let term = x
  let sum = x
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1)
    sum += term
  }
  return (2 / sqrtPi) * Math.exp(-x * x) * sum
}
