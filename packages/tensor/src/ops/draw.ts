/** Random numbers in place, outside the gradient graph: initial weights. */
import { DTypeError } from '../errors.ts'
import type { Expr } from '../formula.ts'
import type { Generator } from '../random.ts'
import type { Tensor } from '../tensor.ts'

/**
 * Overwrites a tensor by a formula of fresh random numbers, uniform in [0, 1) or standard normal: operand 1, as the
 * tensor is operand 0 of `update` and has nothing to say here.
 *
 * The numbers are taken from the generator now and drawn when somebody first looks at the tensor. Where it is overwritten
 * before that, by a checkpoint or another draw, they never are.
 *
 * ```ts
 * draw(weight, 'normal', f.mul(f.param(0), f.input(1)), [0.01], generator)
 * ```
 *
 * @throws DTypeError for a tensor of integers.
 */
export function draw(
  target: Tensor,
  kind: 'uniform' | 'normal',
  formula: Expr,
  params: readonly number[],
  generator: Generator,
): void {
  const { dtype, backend, size, storage } = target
  if (dtype !== 'float32' && dtype !== 'float64') {
    throw new DTypeError(`draw: target expects float32 or float64, got ${dtype}`)
  }
  const position = { seed: generator.seed, offset: generator.take(size) }
  if (size === 0) return
  storage.overwriteLater((buffer) => {
    const numbers = backend.random(kind, dtype, size, position)
    try {
      backend.update([formula], [{ targets: [buffer], others: [numbers] }], params)
    } finally {
      backend.free(numbers)
    }
  })
}
