/** Modules, layers, losses and initialisers with PyTorch's meaning, defaults and checkpoint keys. */
export { crossEntropy, globalAvgPool2d, mseLoss } from '@convnets/tensor'
export { compile } from './compile.ts'
export { exchange } from './exchange.ts'
export type { KaimingInit, Nonlinearity, RandomInit, TruncatedNormal, XavierInit } from './init.ts'
export * as init from './init.ts'
export {
  ELU,
  GELU,
  Hardsigmoid,
  Hardswish,
  LeakyReLU,
  LogSoftmax,
  Mish,
  ReLU,
  ReLU6,
  Sigmoid,
  SiLU,
  Softmax,
  Softplus,
  Tanh,
} from './layers/activation.ts'
export { BatchNorm1d, BatchNorm2d, type BatchNormOptions } from './layers/batch-norm.ts'
export { type LayerFrom, ModuleDict, ModuleList, Sequential } from './layers/containers.ts'
export { Conv2d, type Conv2dOptions, ConvTranspose2d, type ConvTranspose2dOptions } from './layers/conv.ts'
export { convNormAct, normAct } from './layers/conv-norm.ts'
export { type DropOptions, Dropout, Dropout2d, DropPath } from './layers/dropout.ts'
export { Linear, type LinearOptions } from './layers/linear.ts'
export { CrossEntropyLoss, MSELoss } from './layers/loss.ts'
export {
  GroupNorm,
  InstanceNorm2d,
  LayerNorm,
  LocalResponseNorm,
  type LocalResponseNormOptions,
  type NormOptions,
} from './layers/norm.ts'
export { AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d } from './layers/pool.ts'
export { Flatten, Identity, Upsample, type UpsampleOptions } from './layers/shape.ts'
export {
  type ForwardHook,
  type Layer,
  type LoadOptions,
  type LoadReport,
  type Mismatch,
  Module,
  StateDictError,
} from './module.ts'
export { buffer, parameter, type Role } from './parameter.ts'
