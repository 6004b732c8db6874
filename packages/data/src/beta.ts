import type { Generator } from '@convnets/tensor'

/**
 * Logarithm of a number from the gamma distribution of shape `alpha` (Marsaglia and Tsang, "A simple method for generating
 * gamma variables", 2000; below 1 by their section 6: gamma(alpha) = gamma(alpha + 1) U^(1 / alpha)). The logarithm, because
 * for small shapes the number itself is often too small for a float.
 */
function logGamma(alpha: number, generator: Generator): number {
  if (alpha < 1) return logGamma(alpha + 1, generator) + Math.log(1 - generator.uniform()) / alpha
  const d = alpha - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = generator.normal()
    const v = (1 + c * x) ** 3
    if (v <= 0) continue
    const u = 1 - generator.uniform()
    if (Math.log(u) < 0.5 * x * x + d - d * v + d * Math.log(v)) return Math.log(d * v)
  }
}

/** A number from Beta(alpha, alpha), between 0 and 1. */
export function beta(alpha: number, generator: Generator): number {
  const a = logGamma(alpha, generator)
  const b = logGamma(alpha, generator)
  return 1 / (1 + Math.exp(b - a))
}
