/** Optimizers by name, for estimates. */
import { Adagrad, Adam, AdamW, Optimizer, type OptimizerParameters, RMSprop, SGD } from '@convnets/optim'
import { ArgumentError, type Tensor } from '@convnets/tensor'

/** What every optimizer is to those who only ask what it costs. */
export interface AnyOptimizer {
  readonly name: string
  step(): void
  zeroGrad(): void
  dispose(): void
  over(instead: (parameter: Tensor) => Tensor): AnyOptimizer
}

type Parameters = OptimizerParameters<never> & Iterable<Tensor>

/** Name of an optimizer with its usual options; `momentum` is SGD with it. */
export type OptimizerName =
  | 'sgd'
  | 'momentum'
  | 'nesterov'
  | 'adam'
  | 'adamw'
  | 'amsgrad'
  | 'rmsprop'
  | 'rmsprop-momentum'
  | 'adagrad'

const makers: Readonly<Record<OptimizerName, (p: Parameters) => AnyOptimizer>> = {
  sgd: (p: Parameters) => new SGD(p),
  momentum: (p: Parameters) => new SGD(p, { momentum: 0.9 }),
  nesterov: (p: Parameters) => new SGD(p, { momentum: 0.9, nesterov: true }),
  adam: (p: Parameters) => new Adam(p),
  adamw: (p: Parameters) => new AdamW(p),
  amsgrad: (p: Parameters) => new Adam(p, { amsgrad: true }),
  rmsprop: (p: Parameters) => new RMSprop(p),
  'rmsprop-momentum': (p: Parameters) => new RMSprop(p, { momentum: 0.9 }),
  adagrad: (p: Parameters) => new Adagrad(p),
}

/** Names of optimizers that are made by name. */
export const optimizerNames: readonly OptimizerName[] = Object.keys(makers) as OptimizerName[]

/**
 * A name, an optimizer of the model (its method, groups and hyperparameters are read, its state is not touched), or what makes one for given
 * parameters.
 */
export type OptimizerChoice = OptimizerName | AnyOptimizer | ((parameters: readonly Tensor[]) => AnyOptimizer)

/**
 * The optimizer called `name` with its usual options, for `parameters`.
 *
 * @throws ArgumentError for a name that is not one of `optimizerNames`.
 */
export function optimizerOf(name: OptimizerName, parameters: readonly Tensor[]): AnyOptimizer {
  if (Object.hasOwn(makers, String(name))) return makers[name](parameters as never)
  throw new ArgumentError(`optimizerOf: name expects ${optimizerNames.join(', ')}, got ${String(name)}`)
}

/** The optimizer of a choice for stand-ins of a model's parameters. */
export function optimizerFor(
  op: string,
  choice: OptimizerChoice,
  parameters: readonly Tensor[],
  standInOf: (parameter: Tensor) => Tensor | undefined,
): AnyOptimizer {
  if (typeof choice === 'function') return choice(parameters)
  if (choice instanceof Optimizer) {
    return choice.over((parameter: Tensor) => {
      const other = standInOf(parameter)
      if (other !== undefined) return other
      throw new ArgumentError(`${op}: optimizer expects one of this model's parameters, got ${parameter.describe()}`)
    }) as AnyOptimizer
  }
  if (Object.hasOwn(makers, String(choice))) return optimizerOf(choice as OptimizerName, parameters)
  throw new ArgumentError(
    `${op}: optimizer expects ${optimizerNames.join(', ')}, an optimizer or a function, got ${String(choice)}`,
  )
}
