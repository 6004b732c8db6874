/** Optimizers, learning-rate schedules, gradient clipping and moving averages of weights. */
export { Adagrad, type AdagradHyperparameters } from './adagrad.ts'
export { Adam, type AdamHyperparameters, AdamW } from './adam.ts'
export { type ClipGradNormOptions, clipGradNorm, clipGradNormOnDevice, clipGradValue } from './clip.ts'
export { type Averageable, EMA, type EMAOptions, type EMAState } from './ema.ts'
export {
  type Group,
  Optimizer,
  type OptimizerParameters,
  type ParameterGroup,
  type ParameterSource,
} from './optimizer.ts'
export { RMSprop, type RMSpropHyperparameters, RMSpropTF } from './rmsprop.ts'
export type { Hyperparameters, Method, Rule } from './rule.ts'
export {
  byEpoch,
  cosine,
  cosineRestarts,
  exponential,
  type Horizon,
  linearWarmup,
  multiStep,
  type OneCycleOptions,
  oneCycle,
  polynomial,
  type Rates,
  type Schedule,
  step,
  withWarmup,
} from './schedules.ts'
export { SGD, type SGDHyperparameters } from './sgd.ts'
export type { OptimizerState, ParameterState } from './state.ts'
