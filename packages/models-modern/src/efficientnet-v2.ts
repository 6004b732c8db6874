/**
 * EfficientNetV2. Tan and Le, "EfficientNetV2: smaller models and faster training", 2021.
 *
 * Early stages of full convolutions instead of depthwise ones (FusedMBConv), windows of 3x3, less expansion: as accurate
 * as EfficientNet at a fraction of the training time. Keys are torchvision's.
 *
 * (N, 3, H, W) to (N, 1000); S is evaluated at 384 pixels, M at 480; any size from 1 too.
 */
import { defineModel, type ModelEntry, type PublishedWeights, publishedWeights } from '@convnets/blocks'
import { EfficientNet, type EfficientNetConfig, type EfficientNetOptions } from './efficientnet.ts'
import { stagesOf } from './efficientnet-scaling.ts'

interface Variant extends Pick<EfficientNetConfig, 'stem' | 'stages' | 'dropout'> {
  readonly resolution: number
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

/** Table 4 of the paper (S), and the authors' code (M). */
const variants = {
  efficientnet_v2_s: {
    stem: 24,
    stages: stagesOf([
      ['fused', 1, 1, 24, 2],
      ['fused', 4, 2, 48, 4],
      ['fused', 4, 2, 64, 4],
      ['mbconv', 4, 2, 128, 6],
      ['mbconv', 6, 1, 160, 9],
      ['mbconv', 6, 2, 256, 15],
    ]),
    dropout: 0.2,
    resolution: 384,
    params: 21_458_488,
    macs: 8_365_617_152,
    weights: { torchvision: { IMAGENET1K_V1: ['efficientnet_v2_s-dd5fe13b.pth', 384, 84.228, 96.878, { crop: 384 }] } },
  },
  efficientnet_v2_m: {
    stem: 24,
    stages: stagesOf([
      ['fused', 1, 1, 24, 3],
      ['fused', 4, 2, 48, 5],
      ['fused', 4, 2, 80, 5],
      ['mbconv', 4, 2, 160, 7],
      ['mbconv', 6, 1, 176, 14],
      ['mbconv', 6, 2, 304, 18],
      ['mbconv', 6, 1, 512, 5],
    ]),
    dropout: 0.3,
    resolution: 480,
    params: 54_139_356,
    macs: 24_582_460_384,
    weights: { torchvision: { IMAGENET1K_V1: ['efficientnet_v2_m-dc08266a.pth', 480, 85.112, 97.156, { crop: 480 }] } },
  },
} as const satisfies Readonly<Record<string, Variant>>

type Entry = ModelEntry<EfficientNetOptions, EfficientNet>

function efficientnetV2(name: keyof typeof variants): Entry {
  const { params, macs, weights, resolution, ...shape }: Variant = variants[name]
  const facts = {
    name,
    paper: 'Tan and Le, "EfficientNetV2", 2021, table 4 (arXiv:2104.00298)',
    params,
    macs,
    inputSize: [resolution, resolution] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  return defineModel(facts, (options) => new EfficientNet({ name, ...shape, head: 1280, eps: 1e-3 }, options))
}

/** EfficientNetV2-S: 21.5 million parameters, 8.4 GMACs, ImageNet top-1 84.2 %. */
export const efficientnet_v2_s: Entry = /* @__PURE__ */ efficientnetV2('efficientnet_v2_s')
/** EfficientNetV2-M: 54.1 million parameters, 24.6 GMACs, ImageNet top-1 85.1 %. */
export const efficientnet_v2_m: Entry = /* @__PURE__ */ efficientnetV2('efficientnet_v2_m')
