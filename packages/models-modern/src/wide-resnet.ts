/**
 * Wide ResNet. Zagoruyko and Komodakis, "Wide residual networks", 2016.
 *
 * Fewer layers with more channels train faster than ever more thin ones, to the same accuracy. As in torchvision, whose
 * keys these are, the networks for ImageNet are ResNets whose bottlenecks have twice the channels inside; what goes in
 * and out of the blocks is as it was.
 *
 * (N, 3, H, W) to (N, 1000); 224 pixels in the paper, any size from 1.
 */
import { defineModel, type ModelEntry, type PublishedWeights, publishedWeights } from '@convnets/blocks'
import { ResNet, type ResNetConfig, type ResNetOptions } from './resnet.ts'

interface Variant {
  readonly depths: ResNetConfig['depths']
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

/** Section 3.4 of the paper; weights of torchvision 0.14. */
const variants = {
  wide_resnet50_2: {
    depths: [3, 4, 6, 3],
    params: 68_883_240,
    macs: 11_398_021_120,
    weights: {
      torchvision: {
        IMAGENET1K_V2: ['wide_resnet50_2-9ba9bcbe.pth', 232, 81.602, 95.758],
        IMAGENET1K_V1: ['wide_resnet50_2-95faca4d.pth', 256, 78.468, 94.086],
      },
      timm: {
        racm_in1k: [224, 0.875, 81.466, 95.544],
        tv2_in1k: [176, 0.875, 80.442, 95.076, 'bilinear'],
        tv_in1k: [224, 0.875, 78.486, 94.084, 'bilinear'],
      },
    },
  },
  wide_resnet101_2: {
    depths: [3, 4, 23, 3],
    params: 126_886_696,
    macs: 22_753_050_624,
    weights: {
      torchvision: {
        IMAGENET1K_V2: ['wide_resnet101_2-d733dc28.pth', 232, 82.51, 96.02],
        IMAGENET1K_V1: ['wide_resnet101_2-32ee1156.pth', 256, 78.848, 94.284],
      },
      timm: { tv2_in1k: [176, 0.875, 80.494, 94.978, 'bilinear'], tv_in1k: [224, 0.875, 78.862, 94.312, 'bilinear'] },
    },
  },
} as const satisfies Readonly<Record<string, Variant>>

function wideResNet(name: keyof typeof variants): ModelEntry<ResNetOptions, ResNet> {
  const { depths, params, macs, weights }: Variant = variants[name]
  const facts = {
    name,
    paper: 'Zagoruyko and Komodakis, "Wide residual networks", 2016, section 3.4 (arXiv:1605.07146)',
    params,
    macs,
    inputSize: [224, 224] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  const config = { name, block: 'bottleneck', depths, widthPerGroup: 128 } as const
  return defineModel(facts, (options) => new ResNet(config, options))
}

/** Wide ResNet-50-2: 68.9 million parameters, 11.4 GMACs, ImageNet top-1 78.5 % (81.6 % by the newer recipe). */
export const wide_resnet50_2: ModelEntry<ResNetOptions, ResNet> = /* @__PURE__ */ wideResNet('wide_resnet50_2')
/** Wide ResNet-101-2: 126.9 million parameters, 22.8 GMACs, ImageNet top-1 78.8 % (82.5 % by the newer recipe). */
export const wide_resnet101_2: ModelEntry<ResNetOptions, ResNet> = /* @__PURE__ */ wideResNet('wide_resnet101_2')
