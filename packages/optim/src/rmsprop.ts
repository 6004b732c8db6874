/** RMSprop twice: PyTorch's, and TensorFlow's, with which the Inception and EfficientNet papers trained. */
import { type Expr, f } from '@convnets/tensor'
import { Optimizer, type OptimizerParameters } from './optimizer.ts'
import { decayed, type Hyperparameters, type Method, params } from './rule.ts'

/** Hyperparameters of `RMSprop` and `RMSpropTF`. */
export interface RMSpropHyperparameters extends Hyperparameters {
  /** Learning rate (default 1e-2). */
  lr: number
  /** Share of the former mean square that is kept (default 0.99; 0.9 in `RMSpropTF`). */
  alpha: number
  /** Guards the division (default 1e-8; 1e-10 in `RMSpropTF`). */
  eps: number
  /** Share of the former velocity that is kept (default 0: no velocity). */
  momentum: number
  /** Divides by the standard deviation of the gradient in place of its root mean square (default false). */
  centered: boolean
}

const [rate, keep, rest, guard, mu, weight] = params

function variant(name: string, tensorflow: boolean, alpha: number, eps: number): Method<RMSpropHyperparameters> {
  return {
    name,
    defaults: { lr: 1e-2, alpha, eps, weightDecay: 0, momentum: 0, centered: false },
    rule({ centered, momentum, weightDecay }) {
      const slots = ['square', ...(centered ? ['mean'] : []), ...(momentum ? ['momentum'] : [])]
      const p = f.input(0)
      const g = decayed(f.input(slots.length + 1), weightDecay, weight, p)
      const average = (slot: Expr, x: Expr): Expr =>
        tensorflow ? f.add(slot, f.mul(rest, f.sub(x, slot))) : f.add(f.mul(keep, slot), f.mul(rest, x))
      const square = average(f.input(1), f.square(g))
      const mean = average(f.input(2), g)
      // Rounding may push the variance of a constant gradient below 0.
      const spread = centered ? f.max(f.sub(square, f.square(mean)), 0) : square
      const root = tensorflow ? f.sqrt(f.add(spread, guard)) : f.add(f.sqrt(spread), guard)
      const state = centered ? [square, mean] : [square]
      const now = f.div(tensorflow ? f.mul(rate, g) : g, root)
      const v = momentum ? f.add(f.mul(mu, f.input(slots.length)), now) : now
      return { slots, formulas: [f.sub(p, tensorflow ? v : f.mul(rate, v)), ...state, ...(momentum ? [v] : [])] }
    },
    params: ({ lr, alpha, eps, momentum, weightDecay }) => [lr, alpha, 1 - alpha, eps, momentum, weightDecay],
    initial: (slot) => (tensorflow && slot === 'square' ? 1 : 0),
    setMomentum(h, momentum) {
      h.momentum = momentum
    },
  }
}

const pytorch = variant('RMSprop', false, 0.99, 1e-8)
const tensorflow = variant('RMSpropTF', true, 0.9, 1e-10)

/**
 * RMSprop, as `torch.optim.RMSprop`: s = alpha s + (1 - alpha) g^2; p -= lr g / (sqrt(s) + eps), or with `momentum`
 * v = momentum v + g / (sqrt(s) + eps); p -= lr v. With `centered`, s minus the square of the mean gradient stands in
 * the root. State: `square`, `mean`, `momentum` per parameter.
 *
 * Throws `ArgumentError` for hyperparameters out of range, for no parameters and for one listed twice.
 */
export class RMSprop extends Optimizer<RMSpropHyperparameters> {
  constructor(parameters: OptimizerParameters<RMSpropHyperparameters>, options?: Partial<RMSpropHyperparameters>) {
    super(pytorch, parameters, options)
  }
}

/**
 * RMSprop as TensorFlow 1 has it and as timm's `RMSpropTF`: the mean square starts at 1, eps stands inside the root, and
 * the learning rate inside the velocity: s += (1 - alpha) (g^2 - s); v = momentum v + lr g / sqrt(s + eps); p -= v.
 * Inception v3 trained with momentum 0.9, alpha 0.9, eps 1.0; EfficientNet with momentum 0.9, alpha 0.9, eps 1e-3.
 *
 * Throws `ArgumentError` for hyperparameters out of range, for no parameters and for one listed twice.
 */
export class RMSpropTF extends Optimizer<RMSpropHyperparameters> {
  constructor(parameters: OptimizerParameters<RMSpropHyperparameters>, options?: Partial<RMSpropHyperparameters>) {
    super(tensorflow, parameters, options)
  }
}
