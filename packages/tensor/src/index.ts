/** Tensors with gradients: creation, ops, gradients, lifetimes, backends. */
export {
  type BackwardOptions,
  backward,
  checkpoint,
  type GradOptions,
  grad,
  isRecomputing,
} from './autograd.ts'
export type {
  Backend,
  BackendMemory,
  Buffer,
  ConvSpec,
  CrossEntropySpec,
  InterpolateSpec,
  MatmulSpec,
  NormExtents,
  PoolSpec,
  Rows,
  Samples,
  View,
  Windows,
} from './backends/backend.ts'
export { reference } from './backends/reference/reference.ts'
export { disableTurbo, enableTurbo, type Turbo, type TurboRefusal } from './backends/wasm/turbo.ts'
export { getPrecision, getThreads, setPrecision, setThreads, wasm } from './backends/wasm/wasm.ts'
export type { GradNode } from './core.ts'
export {
  arange,
  fromChannelsLast,
  full,
  type MemoryReport,
  memory,
  ones,
  onesLike,
  type RandomOptions,
  rand,
  randn,
  resetPeakMemory,
  type TensorOptions,
  tensor,
  zeros,
  zerosLike,
} from './create.ts'
export { defaultBackend, setDefaultBackend } from './default-backend.ts'
export { type DType, dtypes, isDType, isFloat, type TypedArray } from './dtype.ts'
export {
  ArgumentError,
  BackendError,
  ConvnetsError,
  DeviceLostError,
  DisposedError,
  DTypeError,
  FormatError,
  type FormatProblem,
  GradientError,
  OutOfMemoryError,
  ShapeError,
} from './errors.ts'
export { derive, type Expr, f, formulaKey, inputsOf } from './formula.ts'
export { enableGrad, isGradEnabled, noGrad } from './grad-mode.ts'
export { type Movable, moveTo } from './move.ts'
export { nearest } from './nearest.ts'
export {
  type BatchNormResult,
  type BatchNormTrainingOptions,
  batchNormTraining,
  type RunningStatistics,
} from './ops/batch-norm.ts'
export { expand } from './ops/broadcast.ts'
export {
  type Conv2dOptions,
  type ConvTranspose2dOptions,
  conv2d,
  convTranspose2d,
} from './ops/conv.ts'
export { type Conv2dBatchNormOptions, conv2dBatchNorm } from './ops/conv-norm.ts'
export { draw } from './ops/draw.ts'
export {
  abs,
  add,
  addRelu,
  cast,
  ceil,
  clamp,
  cos,
  div,
  elu,
  eq,
  erf,
  exp,
  expm1,
  floor,
  ge,
  gelu,
  gt,
  hardsigmoid,
  hardswish,
  isnan,
  le,
  leakyRelu,
  log,
  log1p,
  logicalAnd,
  logicalNot,
  logicalOr,
  lt,
  maximum,
  minimum,
  mish,
  mul,
  ne,
  neg,
  pow,
  reciprocal,
  relu,
  relu6,
  round,
  rsqrt,
  sigmoid,
  sign,
  silu,
  sin,
  softplus,
  sqrt,
  square,
  sub,
  tanh,
  trunc,
  where,
} from './ops/elementwise.ts'
export { type ElementwiseOptions, elementwise, type Operand } from './ops/formula-op.ts'
export { embedding, gather, indexSelect, oneHot, scatterAdd } from './ops/gather.ts'
export { type BatchNormInferenceOptions, type BatchNormStatistics, batchNormInference } from './ops/given-norm.ts'
export { type InterpolateOptions, interpolate } from './ops/interpolate.ts'
export { type CrossEntropyOptions, crossEntropy, mseLoss, type Reduction } from './ops/loss.ts'
export { linear, matmul } from './ops/matmul.ts'
export {
  type BatchNormOptions,
  groupNorm,
  instanceNorm,
  type LocalResponseNormOptions,
  layerNorm,
  localResponseNorm,
} from './ops/norm.ts'
export {
  type AvgPool2dOptions,
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  avgPool2d,
  globalAvgPool2d,
  type MaxPool2dOptions,
  maxPool2d,
  maxPool2dWithIndices,
  type Pool2dOptions,
} from './ops/pool.ts'
export { type DropoutOptions, dropout, dropout2d, dropPath } from './ops/random.ts'
export {
  type ArgOptions,
  amax,
  amin,
  argmax,
  argmin,
  type L2NormalizeOptions,
  l2Normalize,
  max,
  mean,
  min,
  type NormOptions,
  norm,
  type ReduceOptions,
  std,
  sum,
  type TopkOptions,
  topk,
  type ValuesAndIndices,
  type VarianceOptions,
  variance,
} from './ops/reduce.ts'
export { flatten, fromPixelRows, permute, pixelRows, reshape, squeeze, transpose, unsqueeze } from './ops/reshape.ts'
export { cat, chunk, flip, narrow, pad, type Range, select, slice, split, stack } from './ops/slice.ts'
export { logSoftmax, type SoftmaxOptions, softmax } from './ops/softmax.ts'
export { type Update, update, updateEach } from './ops/update.ts'
export { checkOptionNames, checkOptionsObject, optionNames, readOptions, type WithDefaults } from './options.ts'
export { checkPrecision, type Precision, withPrecision } from './precision.ts'
export { defaultGenerator, Generator, type GeneratorState, manualSeed, seeded } from './random.ts'
export { type RecordedFunction, type RecordOptions, record } from './record.ts'
export { tidy } from './scope.ts'
export { checkInteger, checkNumber, type Padding, type Pair, pair, type Shape } from './shape.ts'
export { type NestedArray, Tensor } from './tensor.ts'
export { type OpCall, type OpWatcher, watchOps } from './watch.ts'
