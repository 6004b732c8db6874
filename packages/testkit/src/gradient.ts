/**
 * Gradients against central differences. A scalar function is made of `fn` by weighting its outputs with fixed random
 * numbers; every partial derivative of it is measured as (f(x + h) - f(x - h)) / 2h in float64.
 */
import { ArgumentError, grad, readOptions, sum, type Tensor, tensor, tidy } from '@convnets/tensor'
import { within } from './errors.ts'
import { fill } from './fill.ts'

/** A function of tensors; of several results, those that require a gradient are weighted and added. */
export type TensorFunction = (...inputs: Tensor[]) => Tensor | readonly Tensor[]

export interface GradientCheckOptions {
  /** Distance h of the differences. Default 1e-5. */
  readonly step?: number
  /** Largest difference allowed, relative to the largest derivative by the same input (at least 1e-3). Default 1e-6. */
  readonly tolerance?: number
}

const gradientDefaults = { step: 1e-5, tolerance: 1e-6 }

export interface GradientCheck {
  readonly passed: boolean
  /** Largest relative difference by input; NaN where a gradient is missing or not a number. */
  readonly errors: readonly number[]
}

/** The smallest magnitude that a gradient is measured by: below it, differences are rounding. */
const smallest = 1e-3

/** The outputs that a gradient can flow from, weighted and added; undefined where there are none. */
function weigh(outputs: Tensor | readonly Tensor[]): Tensor | undefined {
  const list = Array.isArray(outputs) ? (outputs as readonly Tensor[]) : [outputs as Tensor]
  let total: Tensor | undefined
  list.forEach((y, i) => {
    if (y.dtype !== 'float64') return
    const weights = tensor(fill(`gradient.weight.${i}`, y.shape), {
      shape: y.shape,
      dtype: 'float64',
      backend: y.backend,
    })
    const part = sum(y.mul(weights))
    total = total === undefined ? part : total.add(part)
  })
  return total
}

/**
 * Compares the gradients that `fn` has with central differences.
 *
 * @param inputs float64 tensors; they are read, not changed. Points at kinks and ties have no derivative: avoid them.
 * @throws ArgumentError where an input is not float64.
 */
export function checkGradient(
  fn: TensorFunction,
  inputs: readonly Tensor[],
  options: GradientCheckOptions = {},
): GradientCheck {
  const { step, tolerance } = readOptions('checkGradient', options, gradientDefaults)
  for (const [i, x] of inputs.entries()) {
    if (x.dtype !== 'float64') throw new ArgumentError(`checkGradient: input ${i} expects float64, got ${x.dtype}`)
  }
  const points = inputs.map((x) => x.dataSync() as Float64Array)
  const leaves = (): Tensor[] =>
    inputs.map(({ shape, backend }, i) =>
      tensor(points[i] as Float64Array, { shape, dtype: 'float64', backend, requiresGrad: true }),
    )
  const value = (): number => tidy(() => weigh(fn(...leaves()))?.item() ?? 0)
  const analytic = tidy(() => {
    const xs = leaves()
    const total = weigh(fn(...xs))
    if (total === undefined || !total.requiresGrad) return points.map((p) => new Float64Array(p.length))
    return grad(total, xs, { allowUnused: true }).map(
      (g, i) => g?.dataSync() ?? new Float64Array((points[i] as Float64Array).length),
    )
  })
  const errors = points.map((point, i) => {
    const gradient = analytic[i] as Float64Array
    let largest = smallest
    let difference = 0
    for (let k = 0; k < point.length; k++) {
      const at = point[k] as number
      point[k] = at + step
      const above = value()
      point[k] = at - step
      const below = value()
      point[k] = at
      const numeric = (above - below) / (2 * step)
      largest = Math.max(largest, Math.abs(numeric))
      const apart = Math.abs(numeric - (gradient[k] as number))
      if (!(apart <= difference)) difference = apart
    }
    return difference / largest
  })
  return { passed: errors.every((error) => within(error, tolerance)), errors }
}

/**
 * Compares second derivatives with central differences of the first: `checkGradient` of the function that gives the
 * gradients of `fn`, which are recorded with `createGraph`.
 */
export function checkSecondGradient(
  fn: TensorFunction,
  inputs: readonly Tensor[],
  options: GradientCheckOptions = {},
): GradientCheck {
  const chosen = readOptions('checkSecondGradient', options, gradientDefaults)
  const gradients: TensorFunction = (...xs) => {
    const total = weigh(fn(...xs))
    if (total === undefined || !total.requiresGrad) return []
    return grad(total, xs, { allowUnused: true, createGraph: true }).filter((g) => g !== undefined)
  }
  return checkGradient(gradients, inputs, chosen)
}
