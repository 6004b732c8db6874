/** Gradients kept within bounds. */
import { elementwise, f, noGrad, norm, readOptions, stack, type Tensor, tidy, updateEach } from '@convnets/tensor'
import { checkNumbers, demand } from './check.ts'

const scaled = f.mul(f.input(0), f.param(0))
const bounded = f.min(f.max(f.input(0), f.neg(f.param(0))), f.param(0))

/** What gradients are multiplied by, from their norm. A norm that is NaN stays one. */
const factorOf = (maxNorm: number): ((total: Tensor) => Tensor) =>
  elementwise('clipGradNorm', (total) => f.min(f.div(maxNorm, f.add(total, 1e-6)), 1))

function normOf(grads: readonly Tensor[], p: number): Tensor {
  return norm(stack(grads.map((g) => norm(g, { p }))), { p })
}

function gradients(parameters: Iterable<Tensor>): Tensor[] {
  return [...parameters].flatMap(({ grad }) => (grad === undefined ? [] : [grad]))
}

const inPlace = (grads: readonly Tensor[]) => grads.map((g) => ({ targets: [g] }))

/** Which norm, and what to do about one that is no number. */
export interface ClipGradNormOptions {
  /** Order of the norm: 2 (default), any other positive number, or Infinity. */
  readonly normType?: number
  /** Throw for a norm that is NaN or infinite (default false: the gradients become NaN or 0, as in PyTorch). */
  readonly errorIfNonfinite?: boolean
}

/**
 * Scales all gradients together so that their norm is at most `maxNorm`, as `torch.nn.utils.clip_grad_norm_`, and gives
 * the norm from before. The device is read once.
 *
 * @throws ArgumentError for a bound below 0, and for a norm that is not finite where that is asked for.
 */
export function clipGradNorm(parameters: Iterable<Tensor>, maxNorm: number, options: ClipGradNormOptions = {}): number {
  const defaults = { normType: 2, errorIfNonfinite: false }
  const { normType: p, errorIfNonfinite } = readOptions('clipGradNorm', options, defaults)
  checkNumbers('clipGradNorm', { maxNorm })
  const grads = gradients(parameters)
  if (grads.length === 0) return 0
  const total = tidy(() => noGrad(() => normOf(grads, p).item()))
  const fits = !errorIfNonfinite || Number.isFinite(total)
  demand(fits, 'clipGradNorm', 'the norm of the gradients', 'a finite number', total)
  const factor = maxNorm / (total + 1e-6)
  if (!(factor >= 1)) updateEach([scaled], inPlace(grads), [factor])
  return total
}

/**
 * `clipGradNorm` where the device cannot be read at once, as a GPU: the gradients are scaled on the device, and the norm
 * from before comes as a promise. There are no errors for norms that are not finite: gradients are scaled by then.
 *
 * @throws ArgumentError for a bound below 0.
 */
export async function clipGradNormOnDevice(
  parameters: Iterable<Tensor>,
  maxNorm: number,
  options: Omit<ClipGradNormOptions, 'errorIfNonfinite'> = {},
): Promise<number> {
  const { normType: p } = readOptions('clipGradNormOnDevice', options, { normType: 2 })
  checkNumbers('clipGradNormOnDevice', { maxNorm })
  const grads = gradients(parameters)
  if (grads.length === 0) return 0
  using total = tidy(() =>
    noGrad(() => {
      const total = normOf(grads, p)
      const factor = factorOf(maxNorm)(total)
      for (const g of grads) g.assign_(g.mul(factor))
      return total
    }),
  )
  return (await total.data())[0] as number
}

/** Cuts every element of every gradient off at -`clipValue` and `clipValue`, as `torch.nn.utils.clip_grad_value_`. */
export function clipGradValue(parameters: Iterable<Tensor>, clipValue: number): void {
  checkNumbers('clipGradValue', { clipValue })
  updateEach([bounded], inPlace(gradients(parameters)), [clipValue])
}
