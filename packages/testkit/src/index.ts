/** Op case tables, gradient checks, backend conformance and a reader of goldens, to test backends and models of your own. */

export { shapeOnly as hollow } from '@convnets/tensor/shape-only'
export { type InputSpec, makeInputs, type OpCase, type OpName } from './cases/case.ts'
export { opCases, opsWithoutGradient } from './cases/table.ts'
export { backendConformance, type ConformanceOptions, type ConformanceResult } from './conformance.ts'
export {
  GoldenError,
  type ModelErrors,
  type ModelTolerances,
  modelTolerances,
  relativeError,
  type Tolerances,
  tolerances,
  within,
} from './errors.ts'
export { type FillOptions, fill, fillModel, fillValue, type StateHolder } from './fill.ts'
export { type CheckOpOptions, checkGoldenOp, type OpGoldenResult } from './goldens/check-op.ts'
export { Json } from './goldens/json.ts'
export {
  type FilledInput,
  type ModelGolden,
  parseModelGolden,
  type TensorStatistics,
  type TrainingStepGolden,
} from './goldens/models.ts'
export { goldenOps, runGoldenOp } from './goldens/op-runners.ts'
export { type OpGolden, type OpGoldens, parseOpGoldens } from './goldens/ops.ts'
export { parseTrainingGoldens, type TrainingGoldens, type TrainingRun } from './goldens/training.ts'
export {
  checkGradient,
  checkSecondGradient,
  type GradientCheck,
  type GradientCheckOptions,
  type TensorFunction,
} from './gradient.ts'
export { optionFaults } from './options.ts'
export { type Trainee, trainingDifference } from './training.ts'
