/** All models of this package, for `createModel` and `listModels`. Import single models instead where size matters. */
import type { ModelEntry } from '@convnets/blocks'
import { convnext_tiny } from './convnext.ts'
import {
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
import { regnet_y_400mf } from './regnet.ts'
import { resnet18, resnet34, resnet50, resnet101, resnet152 } from './resnet.ts'
import {
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
import { resnext50_32x4d, resnext101_32x8d, resnext101_64x4d } from './resnext.ts'
import {
  legacy_senet154,
  legacy_seresnet18,
  legacy_seresnet34,
  legacy_seresnet50,
  legacy_seresnet101,
  legacy_seresnet152,
  legacy_seresnext50_32x4d,
  legacy_seresnext101_32x4d,
  seresnet50,
} from './senet.ts'
import { shufflenet_v2_x1_0 } from './shufflenet.ts'
import { squeezenet1_0, squeezenet1_1 } from './squeezenet.ts'
import { wide_resnet50_2, wide_resnet101_2 } from './wide-resnet.ts'

/** All models of this package: `createModel('resnet50', { from: [modern] })`. */
export const modern: readonly ModelEntry[] = [
  resnet18,
  resnet34,
  resnet50,
  resnet101,
  resnet152,
  wide_resnet50_2,
  wide_resnet101_2,
  resnext50_32x4d,
  resnext101_32x8d,
  resnext101_64x4d,
  resnet20,
  resnet32,
  resnet44,
  resnet56,
  resnet110,
  plain20,
  plain32,
  plain44,
  plain56,
  plain110,
  densenet121,
  densenet161,
  densenet169,
  densenet201,
  densenet264,
  densenet_bc_40_12,
  densenet_bc_100_12,
  densenet_bc_190_40,
  densenet_bc_250_24,
  legacy_senet154,
  legacy_seresnet18,
  legacy_seresnet34,
  legacy_seresnet50,
  legacy_seresnet101,
  legacy_seresnet152,
  legacy_seresnext50_32x4d,
  legacy_seresnext101_32x4d,
  seresnet50,
  squeezenet1_0,
  squeezenet1_1,
  shufflenet_v2_x1_0,
  regnet_y_400mf,
  convnext_tiny,
]
