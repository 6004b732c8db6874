/** Adam, and AdamW, which decays weights apart from the gradient. */
import { f } from '@convnets/tensor'
import { Optimizer, type OptimizerParameters } from './optimizer.ts'
import { decayed, type Hyperparameters, type Method, params } from './rule.ts'

/** Hyperparameters of `Adam` and `AdamW`. */
export interface AdamHyperparameters extends Hyperparameters {
  /** Learning rate (default 1e-3). */
  lr: number
  /** Shares of the former mean and mean square of the gradient that are kept (default [0.9, 0.999]). */
  betas: readonly [number, number]
  /** Guards the division (default 1e-8). */
  eps: number
  /** Weight decay (default 0; 1e-2 in `AdamW`). */
  weightDecay: number
  /** Divides by the largest mean square so far (Reddi et al., 2018; default false). */
  amsgrad: boolean
}

const [rate, keep1, rest1, keep2, rest2, root, guard, weight] = params

function variant(name: string, decoupled: boolean, weightDecay: number): Method<AdamHyperparameters> {
  return {
    name,
    defaults: { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay, amsgrad: false },
    rule({ amsgrad, weightDecay }) {
      const slots = ['mean', 'square', ...(amsgrad ? ['largest'] : [])]
      const former = f.input(0)
      const p = decoupled ? f.mul(former, weight) : former
      const g = decayed(f.input(slots.length + 1), decoupled ? 0 : weightDecay, weight, p)
      const mean = f.add(f.mul(keep1, f.input(1)), f.mul(rest1, g))
      const square = f.add(f.mul(keep2, f.input(2)), f.mul(rest2, f.square(g)))
      const largest = f.max(f.input(3), square)
      const spread = f.add(f.div(f.sqrt(amsgrad ? largest : square), root), guard)
      const next = f.sub(p, f.mul(rate, f.div(mean, spread)))
      return { slots, formulas: [next, mean, square, ...(amsgrad ? [largest] : [])] }
    },
    params({ lr, betas: [beta1, beta2], eps, weightDecay }, steps) {
      // Means that start at 0 are too small by these shares.
      const [known1, known2] = [1 - beta1 ** steps, 1 - beta2 ** steps]
      const weight = decoupled ? 1 - lr * weightDecay : weightDecay
      return [lr / known1, beta1, 1 - beta1, beta2, 1 - beta2, Math.sqrt(known2), eps, weight]
    },
    setMomentum(h, momentum) {
      h.betas = [momentum, h.betas[1]]
    },
  }
}

const coupled = variant('Adam', false, 0)
const decoupled = variant('AdamW', true, 1e-2)

/**
 * Adam (Kingma and Ba, 2015, algorithm 1), as `torch.optim.Adam`: weight decay enters the gradient. State: `mean`,
 * `square` and with `amsgrad` `largest` per parameter.
 *
 * Throws `ArgumentError` for hyperparameters out of range, for no parameters and for one listed twice.
 */
export class Adam extends Optimizer<AdamHyperparameters> {
  constructor(parameters: OptimizerParameters<AdamHyperparameters>, options?: Partial<AdamHyperparameters>) {
    super(coupled, parameters, options)
  }
}

/**
 * AdamW (Loshchilov and Hutter, 2019, algorithm 2), as `torch.optim.AdamW`: p shrinks by lr weightDecay in every step,
 * apart from the gradient. Weight decay is 1e-2 by default. State as in `Adam`.
 *
 * Throws `ArgumentError` for hyperparameters out of range, for no parameters and for one listed twice.
 */
export class AdamW extends Optimizer<AdamHyperparameters> {
  constructor(parameters: OptimizerParameters<AdamHyperparameters>, options?: Partial<AdamHyperparameters>) {
    super(decoupled, parameters, options)
  }
}
