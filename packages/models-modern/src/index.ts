/** ResNet and its descendants, with the keys of the published checkpoints. */
export {
  createModel,
  findModel,
  listModels,
  type ModelEntry,
  type ModelFacts,
  type ModelOptions,
  type PretrainedWeights,
} from '@convnets/blocks'
export { ConvNeXt, type ConvNeXtConfig, type ConvNeXtOptions, convnext_tiny } from './convnext.ts'
export {
  DenseNet,
  type DenseNetConfig,
  type DenseNetOptions,
  densenet_bc_40_12,
  densenet_bc_100_12,
  densenet_bc_190_40,
  densenet_bc_250_24,
  densenet121,
  densenet161,
  densenet169,
  densenet201,
  densenet264,
} from './densenet.ts'
export {
  EfficientNet,
  type EfficientNetConfig,
  type EfficientNetOptions,
  efficientnet_b0,
  efficientnet_b1,
  efficientnet_b2,
  efficientnet_b3,
  efficientnet_b4,
  efficientnet_b5,
  efficientnet_b6,
  efficientnet_b7,
} from './efficientnet.ts'
export {
  type CompoundScale,
  compoundScale,
  type EfficientNetScale,
  type EfficientNetShape,
  type EfficientNetStage,
  efficientNetScales,
  efficientNetShape,
  type ScalingConstants,
} from './efficientnet-scaling.ts'
export { efficientnet_v2_m, efficientnet_v2_s } from './efficientnet-v2.ts'
export { MnasNet, type MnasNetConfig, type MnasNetOptions, mnasnet1_0 } from './mnasnet.ts'
export { MobileNetV2, type MobileNetV2Config, type MobileNetV2Options, mobilenet_v2 } from './mobilenet-v2.ts'
export {
  MobileNetV3,
  type MobileNetV3Config,
  type MobileNetV3Options,
  type MobileNetV3Row,
  mobilenet_v3_large,
  mobilenet_v3_small,
} from './mobilenet-v3.ts'
export { modern } from './modern.ts'
export { RegNet, type RegNetConfig, type RegNetOptions, regnet_y_400mf, regnetStages } from './regnet.ts'
export {
  ResNet,
  type ResNetConfig,
  type ResNetOptions,
  resnet18,
  resnet34,
  resnet50,
  resnet101,
  resnet152,
} from './resnet.ts'
export {
  CifarResNet,
  type CifarResNetConfig,
  type CifarResNetOptions,
  plain20,
  plain32,
  plain44,
  plain56,
  plain110,
  resnet20,
  resnet32,
  resnet44,
  resnet56,
  resnet110,
} from './resnet-cifar.ts'
export { resnext50_32x4d, resnext101_32x8d, resnext101_64x4d } from './resnext.ts'
export {
  legacy_senet154,
  legacy_seresnet18,
  legacy_seresnet34,
  legacy_seresnet50,
  legacy_seresnet101,
  legacy_seresnet152,
  legacy_seresnext50_32x4d,
  legacy_seresnext101_32x4d,
  SENet,
  type SENetConfig,
  type SENetOptions,
  seresnet50,
} from './senet.ts'
export {
  ShuffleNetV2,
  type ShuffleNetV2Config,
  type ShuffleNetV2Options,
  shufflenet_v2_x1_0,
} from './shufflenet.ts'
export {
  SqueezeNet,
  type SqueezeNetConfig,
  type SqueezeNetOptions,
  squeezenet1_0,
  squeezenet1_1,
} from './squeezenet.ts'
export {
  efficientnet_b8,
  efficientnet_l2,
  TimmEfficientNet,
  type TimmEfficientNetConfig,
  type TimmEfficientNetOptions,
  tf_efficientnet_b0,
  tf_efficientnet_b1,
  tf_efficientnet_b2,
  tf_efficientnet_b3,
  tf_efficientnet_b4,
  tf_efficientnet_b5,
  tf_efficientnet_b6,
  tf_efficientnet_b7,
  tf_efficientnet_b8,
  tf_efficientnet_l2,
} from './timm-efficientnet.ts'
export { wide_resnet50_2, wide_resnet101_2 } from './wide-resnet.ts'
