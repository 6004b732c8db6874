/** All models of this package, for `createModel` and `listModels`. Import single models instead where size matters. */
import type { ModelEntry } from '@convnets/blocks'
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

/** All models of this package: `createModel('resnet50', { from: [modern] })`. */
export const modern: readonly ModelEntry[] = [
  resnet18,
  resnet34,
  resnet50,
  resnet101,
  resnet152,
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
]
