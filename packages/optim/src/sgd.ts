/** Stochastic gradient descent with momentum. */
import { type Expr, f } from '@convnets/tensor'
import { demand } from './check.ts'
import { Optimizer, type OptimizerParameters } from './optimizer.ts'
import { decayed, type Hyperparameters, type Method, params } from './rule.ts'

/** Hyperparameters of `SGD`. */
export interface SGDHyperparameters extends Hyperparameters {
  /** Learning rate (default 1e-3). */
  lr: number
  /** Share of the former velocity that is kept (default 0: no velocity, no state). */
  momentum: number
  /** Share of the gradient that does not enter the velocity (default 0). */
  dampening: number
  /** Nesterov's momentum (default false); asks for momentum above 0 and dampening 0. */
  nesterov: boolean
}

const [rate, mu, share, weight] = params

const method: Method<SGDHyperparameters> = {
  name: 'SGD',
  defaults: { lr: 1e-3, momentum: 0, dampening: 0, weightDecay: 0, nesterov: false },
  check({ momentum, dampening, nesterov }) {
    const fits = !nesterov || (momentum > 0 && dampening === 0)
    demand(fits, 'SGD', 'nesterov', 'momentum above 0 and dampening 0', [momentum, dampening])
  },
  rule({ momentum, nesterov, weightDecay }) {
    const p = f.input(0)
    const descend = (d: Expr): Expr => f.sub(p, f.mul(rate, d))
    const g = decayed(f.input(momentum ? 2 : 1), weightDecay, weight, p)
    if (!momentum) return { slots: [], formulas: [descend(g)] }
    const v = f.add(f.mul(mu, f.input(1)), f.mul(share, g))
    return { slots: ['momentum'], formulas: [descend(nesterov ? f.add(g, f.mul(mu, v)) : v), v] }
  },
  // The first velocity is the gradient itself, undamped.
  params: ({ lr, momentum, dampening, weightDecay }, _, fresh) => [
    lr,
    momentum,
    fresh ? 1 : 1 - dampening,
    weightDecay,
  ],
  setMomentum(h, momentum) {
    h.momentum = momentum
  },
}

/**
 * Stochastic gradient descent, as `torch.optim.SGD`: g += weightDecay p; v = momentum v + (1 - dampening) g;
 * p -= lr v (or lr (g + momentum v) with `nesterov`). The first velocity is g. State: `momentum` per parameter.
 *
 * Throws `ArgumentError` for hyperparameters out of range, for no parameters and for one listed twice.
 */
export class SGD extends Optimizer<SGDHyperparameters> {
  constructor(parameters: OptimizerParameters<SGDHyperparameters>, options?: Partial<SGDHyperparameters>) {
    super(method, parameters, options)
  }
}
