/** The wiring that papers share, each block a module of its own, and what all models have in common. */

export { addRelu, nearest } from '@convnets/tensor'
export { BasicBlock } from './basic-block.ts'
export { Bottleneck, type BottleneckOptions } from './bottleneck.ts'
export {
  Branches,
  branch,
  type ConvStep,
  concat,
  type InceptionOptions,
  inceptionNorm,
  inceptionUnit,
} from './branches.ts'
export { ConvNormAct, type ConvNormActOptions } from './conv-norm-act.ts'
export { ConvNeXtBlock, type ConvNeXtBlockOptions, LayerNorm2d } from './convnext-block.ts'
export {
  DenseBlock,
  DenseLayer,
  type DenseLayerOptions,
  Transition,
  type TransitionOptions,
} from './dense.ts'
export { Fire, type FireOptions, type FireWidths } from './fire.ts'
export { frugal } from './frugal.ts'
export { FusedMBConv, type FusedMBConvOptions } from './fused-mbconv.ts'
export {
  AuxImageModel,
  type AuxOutput,
  type HeadLossOptions,
  headLoss,
  type ImageOutput,
  mainLogits,
} from './heads.ts'
export {
  type InceptionResidualOptions,
  InceptionResNetA,
  InceptionResNetB,
  InceptionResNetC,
  InceptionResNetMixed,
  InceptionResNetReductionB,
  type InceptionResNetWidths,
} from './inception-resnet.ts'
export {
  InceptionV1,
  InceptionV1Aux,
  type InceptionV1AuxOptions,
  type InceptionV1Options,
  type InceptionV1Widths,
} from './inception-v1.ts'
export { InceptionV2, type InceptionV2Options, type InceptionV2Widths } from './inception-v2.ts'
export { InceptionV3A, InceptionV3C, InceptionV3E } from './inception-v3.ts'
export { InceptionV3Aux, InceptionV3B, InceptionV3D } from './inception-v3-reductions.ts'
export {
  InceptionStem,
  InceptionV4A,
  InceptionV4B,
  InceptionV4C,
  InceptionV4ReductionB,
  PoolAndConv,
  ReductionA,
  type ReductionAWidths,
} from './inception-v4.ts'
export { type InvertedOptions, MBConv, type MBConvOptions } from './mbconv.ts'
export type { ConvNorm, MBConvKeys } from './mbconv-keys.ts'
export { checkImages, type FeatureInfo, freshClassifier, freshLayer, ImageModel, type InputRules } from './model.ts'
export { readModelOptions } from './options.ts'
export { PlainBlock, type PlainBlockOptions } from './plain-block.ts'
export {
  type CadeneRow,
  type PublishedWeights,
  publishedWeights,
  type TimmRow,
  type TorchvisionRow,
} from './published.ts'
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
export { RegNetBlock, type RegNetBlockOptions } from './regnet-block.ts'
export type { Block, NormLayer, ResidualOptions } from './residual.ts'
export {
  type BranchedBottleneckOptions,
  ConcatBottleneck,
  convertResNeXt,
  joinBranches,
  SummedBottleneck,
} from './resnext-forms.ts'
export { roundChannels } from './round-channels.ts'
export { PadShortcut, padShortcut, projectionShortcut, type Shortcut, wideProjectionShortcut } from './shortcut.ts'
export { channelShuffle, ShuffleUnit, type ShuffleUnitOptions } from './shuffle.ts'
export { SqueezeExcitation, type SqueezeExcitationOptions } from './squeeze-excitation.ts'
export { type BlockClass, dropPathRates, type StageOptions, type StageShape, stage } from './stage.ts'
