/** Adagrad: each element's rate falls with the squares that it has seen. */
import { f } from '@convnets/tensor'
import { checkNumber } from './check.ts'
import { Optimizer, type OptimizerParameters } from './optimizer.ts'
import { type Hyperparameters, type Method, named, once } from './rule.ts'

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

const { rate, eps, weightDecay } = named('rate', 'eps', 'weightDecay')

const rule = once((decay: boolean) => {
  const [p, gradient] = [f.input(0), f.input(2)]
  const g = decay ? f.add(gradient, f.mul(weightDecay, p)) : gradient
  const sum = f.add(f.input(1), f.square(g))
  const step = f.mul(rate, f.div(g, f.add(f.sqrt(sum), eps)))
  return { slots: ['sum'], formulas: [f.sub(p, step), sum] }
})

const method: Method<AdagradHyperparameters> = {
  name: 'Adagrad',
  defaults: { lr: 1e-2, lrDecay: 0, weightDecay: 0, initialAccumulatorValue: 0, eps: 1e-10 },
  check(h) {
    for (const key of ['lr', 'lrDecay', 'weightDecay', 'initialAccumulatorValue', 'eps'] as const) {
      checkNumber('Adagrad', key, h[key])
    }
  },
  rule: ({ weightDecay }) => rule(weightDecay !== 0),
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
  constructor(parameters: OptimizerParameters<AdagradHyperparameters>, options: Partial<AdagradHyperparameters> = {}) {
    super(method, parameters, options)
  }
}
