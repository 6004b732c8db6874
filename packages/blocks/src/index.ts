/** The wiring that papers share, each block a module of its own, and what all models have in common. */
export { addRelu } from './add-relu.ts'
export { BasicBlock } from './basic-block.ts'
export { Bottleneck, type BottleneckOptions } from './bottleneck.ts'
export { ConvNormAct, type ConvNormActOptions } from './conv-norm-act.ts'
export { checkImages, type FeatureInfo, freshClassifier, ImageModel, type InputRules } from './model.ts'
export { nearest } from './nearest.ts'
export { PlainBlock, type PlainBlockOptions } from './plain-block.ts'
export {
  createModel,
  defineModel,
  type From,
  findModel,
  listModels,
  type ModelEntry,
  type ModelFacts,
  type ModelOptions,
  type Preprocessing,
  type PretrainedWeights,
} from './registry.ts'
export type { Block, NormLayer, ResidualOptions } from './residual.ts'
export { PadShortcut, padShortcut, projectionShortcut, type Shortcut } from './shortcut.ts'
export { type BlockClass, dropPathRates, type StageOptions, type StageShape, stage } from './stage.ts'
