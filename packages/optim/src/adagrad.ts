/** Adagrad: each element's rate falls with the squares that it has seen. */
import { f } from '@convnets/tensor'
import { Optimizer, type OptimizerParameters } from './optimizer.ts'
import { decayed, type Hyperparameters, type Method, params } from './rule.ts'

/** Hyperparameters of `Adagrad`. */
export interface AdagradHyperparameters extends Hyperparameters {
  /** Learning rate (default 1e-2). */
  lr: number
  /** The rate of step t is lr / (1 + (t - 1) lrDecay) (default 0). */
  lrDecay: number
  /** What the sum of squares starts with (default 0). */
  initialAccumulatorValue: number
  /** Guards the division (default 1e-10). */
  eps: number
}

const [rate, guard, weight] = params

const method: Method<AdagradHyperparameters> = {
  name: 'Adagrad',
  defaults: { lr: 1e-2, lrDecay: 0, weightDecay: 0, initialAccumulatorValue: 0, eps: 1e-10 },
  rule({ weightDecay }) {
    const p = f.input(0)
    const g = decayed(f.input(2), weightDecay, weight, p)
    const sum = f.add(f.input(1), f.square(g))
    const step = f.mul(rate, f.div(g, f.add(f.sqrt(sum), guard)))
    return { slots: ['sum'], formulas: [f.sub(p, step), sum] }
  },
  params: ({ lr, lrDecay, eps, weightDecay }, steps) => [lr / (1 + (steps - 1) * lrDecay), eps, weightDecay],
  initial: (_, { initialAccumulatorValue }) => initialAccumulatorValue,
}

/**
 * Adagrad (Duchi et al., 2011), as `torch.optim.Adagrad`: sum += g^2; p -= lr g / (sqrt(sum) + eps). State: `sum` per
 * parameter.
 *
 * Throws `ArgumentError` for hyperparameters out of range, for no parameters and for one listed twice.
 */
export class Adagrad extends Optimizer<AdagradHyperparameters> {
  constructor(parameters: OptimizerParameters<AdagradHyperparameters>, options?: Partial<AdagradHyperparameters>) {
    super(method, parameters, options)
  }
}
