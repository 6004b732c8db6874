/** Changes in place, outside the gradient graph: optimizer steps, moving averages, clipping. */
import { isFloat } from '../dtype.ts'
import { ArgumentError, BackendError, DisposedError, DTypeError, ShapeError } from '../errors.ts'
import type { Expr } from '../formula.ts'
import { sameShape, show } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { watched } from '../watch.ts'

/**
 * Replaces the elements of each target by a formula over all tensors, in one kernel: operand i of a formula is targets[i],
 * and operand targets.length + j is others[j]. All formulas read the values from before.
 *
 * ```ts
 * // v = momentum v + g;  p = p - lr v
 * const v = f.add(f.mul(f.param(0), f.input(1)), f.input(2))
 * update([f.sub(f.input(0), f.mul(f.param(1), v)), v], [parameter, velocity], [gradient], [0.9, 0.1])
 * ```
 *
 * @throws ShapeError, DTypeError where the tensors differ in shape or dtype, or are no floats.
 */
export function update(
  formulas: readonly Expr[],
  targets: readonly Tensor[],
  others: readonly Tensor[] = [],
  params: readonly number[] = [],
): void {
  const [first] = targets
  if (first === undefined || formulas.length !== targets.length) {
    throw new ArgumentError(
      `update: formulas expects one for each of at least one target, got ${formulas.length} for ${targets.length}`,
    )
  }
  if (!isFloat(first.dtype)) throw new DTypeError(`update: targets expects float tensors, got ${first.dtype}`)
  for (const [i, x] of [...targets, ...others].entries()) {
    const what = i < targets.length ? `target ${i}` : `other ${i - targets.length}`
    if (x.disposed) throw new DisposedError(`update: ${what} (${x.describe()}) was used after it was freed`)
    if (!sameShape(x.shape, first.shape)) {
      throw new ShapeError(`update: ${what} expects ${show(first.shape)} as target 0, got ${show(x.shape)}`)
    }
    if (x.dtype !== first.dtype)
      throw new DTypeError(`update: ${what} expects ${first.dtype} as target 0, got ${x.dtype}`)
    if (x.backend !== first.backend) {
      throw new BackendError(`update: ${what} lies on ${x.backend.name}, target 0 on ${first.backend.name}`)
    }
  }
  if (first.size === 0) return
  const buffers = (list: readonly Tensor[]) => list.map((x) => x.storage.buffer)
  const rest = [...targets.slice(1), ...others]
  watched('update', first, rest, () => first.backend.update(formulas, buffers(targets), buffers(others), params))
}
