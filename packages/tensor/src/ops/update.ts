/** Changes in place, outside the gradient graph: optimizer steps, moving averages, clipping. */
import type { Storage } from '../core.ts'
import { isFloat } from '../dtype.ts'
import { ArgumentError, BackendError, DisposedError, DTypeError, ShapeError } from '../errors.ts'
import type { Expr } from '../formula.ts'
import { checkTensor } from '../op.ts'
import { sameShape, show } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { watched, watcher } from '../watch.ts'

/** Tensors that change together: those that are replaced, and others that the formulas read. */
export interface Update {
  readonly targets: readonly Tensor[]
  readonly others?: readonly Tensor[]
}

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
  for (const [name, list] of Object.entries({ formulas, targets, others, params })) {
    if (!Array.isArray(list)) throw new ArgumentError(`update: ${name} expects an array, got ${typeof list}`)
  }
  change(formulas, [{ targets, others }], params, () => 'update')
}

/**
 * `update` of one set of tensors after the other by the same formulas and params, as a step of an optimizer is: in one
 * kernel, as far as sets are of one dtype and backend and none changes what another has. Nothing is changed if a set is
 * wrong.
 *
 * ```ts
 * const descend = f.sub(f.input(0), f.mul(f.param(0), f.input(1)))
 * updateEach([descend], parameters.map((p) => ({ targets: [p], others: [p.grad!] })), [0.1])
 * ```
 *
 * @throws ShapeError, DTypeError where the tensors of a set differ in shape or dtype, or are no floats.
 */
export function updateEach(
  formulas: readonly Expr[],
  updates: readonly Update[],
  params: readonly number[] = [],
): void {
  if (!Array.isArray(updates)) throw new ArgumentError(`updateEach: updates expects an array, got ${typeof updates}`)
  change(formulas, updates, params, (set) => `updateEach: set ${set}`)
}

function change(
  formulas: readonly Expr[],
  updates: readonly Update[],
  params: readonly number[],
  which: (set: number) => string,
): void {
  for (const [s, set] of updates.entries()) checkUpdate(which(s), formulas, set)
  let batch: Update[] = []
  const changed = new Set<Storage>()
  const read = new Set<Storage>()
  const flush = (): void => {
    if (batch.length > 0) run(formulas, batch, params)
    batch = []
    changed.clear()
    read.clear()
  }
  for (const set of updates) {
    const { targets, others = [] } = set
    const [first] = targets as [Tensor]
    if (first.size === 0) continue
    const before = batch[0]?.targets[0]
    const alike =
      before?.dtype === first.dtype && before.backend === first.backend && batch[0]?.others?.length === others.length
    const apart = [...targets, ...others].every(({ storage }) => !changed.has(storage))
    if (!alike || !apart || targets.some(({ storage }) => read.has(storage))) flush()
    batch.push({ targets, others })
    for (const { storage } of targets) changed.add(storage)
    for (const { storage } of others) read.add(storage)
  }
  flush()
}

function run(formulas: readonly Expr[], updates: readonly Update[], params: readonly number[]): void {
  const { backend } = updates[0]!.targets[0]!
  const buffers = (list: readonly Tensor[]) => list.map(({ storage }) => storage.buffer)
  const sets = updates.map(({ targets, others = [] }) => ({ targets: buffers(targets), others: buffers(others) }))
  const change = () => backend.update(formulas, sets, params)
  if (watcher() === undefined) {
    change()
    return
  }
  const [first, ...rest] = updates.flatMap(({ targets, others = [] }) => [...targets, ...others]) as [Tensor]
  watched('update', first, rest, change)
}

const nameOf = (i: number, targets: readonly Tensor[]): string =>
  i < targets.length ? `target ${i}` : `other ${i - targets.length}`

function checkUpdate(where: string, formulas: readonly Expr[], { targets, others = [] }: Update): void {
  const [first] = targets
  if (first === undefined || formulas.length !== targets.length) {
    throw new ArgumentError(
      `${where}: formulas expects one for each of at least one target, got ${formulas.length} for ${targets.length}`,
    )
  }
  for (const [i, x] of [...targets, ...others].entries()) checkTensor(where, nameOf(i, targets), x)
  if (!isFloat(first.dtype)) throw new DTypeError(`${where}: targets expects float tensors, got ${first.dtype}`)
  for (const [i, x] of [...targets, ...others].entries()) {
    const what = `${where}: ${nameOf(i, targets)}`
    if (x.disposed) throw new DisposedError(`${what} (${x.describe()}) was used after it was freed`)
    if (!sameShape(x.shape, first.shape)) {
      throw new ShapeError(`${what} expects ${show(first.shape)} as target 0, got ${show(x.shape)}`)
    }
    if (x.dtype !== first.dtype) throw new DTypeError(`${what} expects ${first.dtype} as target 0, got ${x.dtype}`)
    if (x.backend !== first.backend) {
      throw new BackendError(`${what} lies on ${x.backend.name}, target 0 on ${first.backend.name}`)
    }
  }
}
