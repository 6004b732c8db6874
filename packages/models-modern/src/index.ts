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
export { modern } from './modern.ts'
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
