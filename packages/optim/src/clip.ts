/** Gradients kept within bounds. */
import {
  ArgumentError,
  add,
  amax,
  f,
  GradientError,
  maximum,
  noGrad,
  sum,
  type Tensor,
  tidy,
  update,
} from '@convnets/tensor'
import { checkNumber, shown } from './check.ts'

const scaled = f.mul(f.input(0), f.param(0))
const bounded = f.min(f.max(f.input(0), f.neg(f.param(0))), f.param(0))

function gradients(parameters: Iterable<Tensor>): Tensor[] {
  return [...parameters].flatMap(({ grad }) => (grad === undefined ? [] : [grad]))
}

/** Which norm, and what to do about one that is no number. */
export interface ClipGradNormOptions {
  /** Order of the norm: 1, 2 (default) or Infinity. */
  readonly normType?: 1 | 2 | number
  /** Throw for a norm that is NaN or infinite (default false: the gradients become NaN or 0, as in PyTorch). */
  readonly errorIfNonfinite?: boolean
}

/**
 * Scales all gradients together so that their norm is at most `maxNorm`, as `torch.nn.utils.clip_grad_norm_`, and gives
 * the norm from before. The device is read once.
 *
 * @throws ArgumentError for a bound below 0, GradientError for a norm that is not finite where that is asked for.
 */
export function clipGradNorm(
  parameters: Iterable<Tensor>,
  maxNorm: number,
  { normType = 2, errorIfNonfinite = false }: ClipGradNormOptions = {},
): number {
  checkNumber('clipGradNorm', 'maxNorm', maxNorm)
  if (normType !== 1 && normType !== 2 && normType !== Infinity) {
    throw new ArgumentError(`clipGradNorm: normType expects 1, 2 or Infinity, got ${shown(normType)}`)
  }
  const grads = gradients(parameters)
  if (grads.length === 0) return 0
  const total = tidy(() =>
    noGrad(() => {
      const part = (g: Tensor): Tensor =>
        normType === 2 ? sum(g.square()) : normType === 1 ? sum(g.abs()) : amax(g.abs())
      return grads
        .map(part)
        .reduce(normType === Infinity ? maximum : add)
        .item()
    }),
  )
  const norm = normType === 2 ? Math.sqrt(total) : total
  if (errorIfNonfinite && !Number.isFinite(norm)) {
    throw new GradientError(`clipGradNorm: the norm of the gradients expects a finite number, got ${norm}`)
  }
  const factor = maxNorm / (norm + 1e-6)
  if (!(factor >= 1)) for (const g of grads) update([scaled], [g], [], [factor])
  return norm
}

/** Cuts every element of every gradient off at -`clipValue` and `clipValue`, as `torch.nn.utils.clip_grad_value_`. */
export function clipGradValue(parameters: Iterable<Tensor>, clipValue: number): void {
  checkNumber('clipGradValue', 'clipValue', clipValue)
  for (const g of gradients(parameters)) update([bounded], [g], [], [clipValue])
}
