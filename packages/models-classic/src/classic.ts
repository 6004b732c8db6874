/** All models of this package, for `createModel` and `listModels`. Import single models instead where size matters. */
import type { ImageModel, ImageOutput, ModelEntry, ModelOptions } from '@convnets/blocks'
import { alexnet, alexnet_2012 } from './alexnet.ts'
import { googlenet, googlenet_2014 } from './googlenet.ts'
import { inception_resnet_v1, inception_resnet_v1_2016 } from './inception-resnet-v1.ts'
import { inception_resnet_v2, se_inception_resnet_v2 } from './inception-resnet-v2.ts'
import { bninception, inception_v2 } from './inception-v2.ts'
import { inception_v3, se_inception_v3 } from './inception-v3.ts'
import { inception_v4 } from './inception-v4.ts'
import { vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn } from './vgg.ts'

/**
 * All models of this package: `createModel('vgg16', { from: [classic] })`. GoogLeNet and Inception v3 give the logits of
 * several heads in training; `mainLogits` and `headLoss` take the output of any of them.
 */
export const classic: readonly ModelEntry<ModelOptions, ImageModel<ImageOutput>>[] = [
  alexnet,
  alexnet_2012,
  vgg11,
  vgg11_bn,
  vgg13,
  vgg13_bn,
  vgg16,
  vgg16_bn,
  vgg19,
  vgg19_bn,
  googlenet,
  googlenet_2014,
  bninception,
  inception_v2,
  inception_v3,
  inception_v4,
  inception_resnet_v1,
  inception_resnet_v1_2016,
  inception_resnet_v2,
  se_inception_v3,
  se_inception_resnet_v2,
]
