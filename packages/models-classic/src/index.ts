/** AlexNet, VGG, GoogLeNet and the Inception line, with the keys of the published checkpoints. */
export {
  type AuxOutput,
  createModel,
  findModel,
  headLoss,
  type ImageOutput,
  listModels,
  type ModelEntry,
  type ModelFacts,
  type ModelOptions,
  mainLogits,
  type PretrainedWeights,
} from '@convnets/blocks'
export {
  AlexNet,
  type AlexNetConfig,
  type AlexNetLayer,
  type AlexNetOptions,
  alexnet,
  alexnet_2012,
} from './alexnet.ts'
export { classic } from './classic.ts'
export {
  GoogLeNet,
  type GoogLeNetConfig,
  type GoogLeNetOptions,
  googlenet,
  googlenet_2014,
} from './googlenet.ts'
export {
  InceptionResNetV1,
  type InceptionResNetV1Config,
  type InceptionResNetV1Options,
  inception_resnet_v1,
  inception_resnet_v1_2016,
} from './inception-resnet-v1.ts'
export {
  InceptionResNetV2,
  type InceptionResNetV2Config,
  type InceptionResNetV2Options,
  inception_resnet_v2,
  se_inception_resnet_v2,
} from './inception-resnet-v2.ts'
export {
  BNInception,
  type BNInceptionConfig,
  type BNInceptionOptions,
  bninception,
  inception_v2,
} from './inception-v2.ts'
export {
  InceptionV3,
  type InceptionV3Config,
  type InceptionV3Options,
  inception_v3,
  inceptionV3Recipe,
  se_inception_v3,
} from './inception-v3.ts'
export { InceptionV4, type InceptionV4Config, type InceptionV4Options, inception_v4 } from './inception-v4.ts'
export type { AuxModelOptions, InceptionModelOptions } from './options.ts'
export {
  VGG,
  type VGGConfig,
  type VGGOptions,
  vgg11,
  vgg11_bn,
  vgg13,
  vgg13_bn,
  vgg16,
  vgg16_bn,
  vgg19,
  vgg19_bn,
} from './vgg.ts'
