/**
 * ResNeXt. Xie et al., "Aggregated residual transformations for deep neural networks", 2017.
 *
 * The branch of a block is many small ones of the same shape, summed: their number, the cardinality, does more for
 * accuracy than depth or width at the same cost. Computed as one bottleneck whose 3x3 convolution has groups (figure 3c);
 * the two other forms of the paper are `SummedBottleneck` and `ConcatBottleneck` of `@convnets/blocks`. Keys are
 * torchvision's. A name says cardinality and width: `32x4d` is 32 groups of 4 channels in the first stage.
 *
 * (N, 3, H, W) to (N, 1000); 224 pixels in the paper, any size from 1.
 */
import { defineModel, type ModelEntry, type PublishedWeights, publishedWeights } from '@convnets/blocks'
import { ResNet, type ResNetConfig, type ResNetOptions } from './resnet.ts'

interface Variant {
  readonly depths: ResNetConfig['depths']
  /** Cardinality. */
  readonly groups: number
  readonly widthPerGroup: number
  readonly params: number
  readonly macs: number
  readonly weights: PublishedWeights
}

/** Tables 1 and 4 of the paper, and torchvision's larger ones; weights of torchvision 0.14. */
const variants = {
  resnext50_32x4d: {
    depths: [3, 4, 6, 3],
    groups: 32,
    widthPerGroup: 4,
    params: 25_028_904,
    macs: 4_230_479_872,
    weights: {
      torchvision: {
        IMAGENET1K_V2: ['resnext50_32x4d-1a0047aa.pth', 232, 81.198, 95.34],
        IMAGENET1K_V1: ['resnext50_32x4d-7cdf4587.pth', 256, 77.618, 93.698],
      },
      timm: {
        fb_swsl_ig1b_ft_in1k: [224, 0.875, 82.162, 96.224, 'bilinear'],
        a1h_in1k: [224, 0.95, 81.14, 95.32],
        a1_in1k: [224, 0.95, 80.526, 94.458],
        a2_in1k: [224, 0.95, 80.444, 94.63],
        fb_ssl_yfcc100m_ft_in1k: [224, 0.875, 80.316, 95.386, 'bilinear'],
        ra_in1k: [224, 0.875, 79.8, 94.608],
        tv2_in1k: [176, 0.875, 79.384, 94.302, 'bilinear'],
        gluon_in1k: [224, 0.875, 79.354, 94.424],
        a3_in1k: [160, 0.95, 77.732, 93.314],
        tv_in1k: [224, 0.875, 77.632, 93.674, 'bilinear'],
      },
    },
  },
  resnext101_32x8d: {
    depths: [3, 4, 23, 3],
    groups: 32,
    widthPerGroup: 8,
    params: 88_791_336,
    macs: 16_414_015_488,
    weights: {
      torchvision: {
        IMAGENET1K_V2: ['resnext101_32x8d-110c445d.pth', 232, 82.834, 96.228],
        IMAGENET1K_V1: ['resnext101_32x8d-8ba56ff5.pth', 256, 79.312, 94.526],
      },
      timm: {
        fb_swsl_ig1b_ft_in1k: [224, 0.875, 84.276, 97.188, 'bilinear'],
        fb_wsl_ig1b_ft_in1k: [224, 0.875, 82.72, 96.624, 'bilinear'],
        tv2_in1k: [176, 0.875, 81.99, 95.716, 'bilinear'],
        fb_ssl_yfcc100m_ft_in1k: [224, 0.875, 81.62, 96.036, 'bilinear'],
        tv_in1k: [224, 0.875, 79.308, 94.53, 'bilinear'],
      },
    },
  },
  resnext101_64x4d: {
    depths: [3, 4, 23, 3],
    groups: 64,
    widthPerGroup: 4,
    params: 83_455_272,
    macs: 15_460_270_080,
    weights: {
      torchvision: { IMAGENET1K_V1: ['resnext101_64x4d-173b62eb.pth', 232, 83.246, 96.454] },
      timm: {
        tv_in1k: [224, 0.875, 82.978, 96.252, 'bilinear'],
        c1_in1k: [224, 0.95, 82.446, 95.92],
        gluon_in1k: [224, 0.875, 80.64, 95],
      },
      cadene: { IMAGENET: ['resnext101_64x4d-e77a0586.pth', 78.956, 94.252] },
    },
  },
} as const satisfies Readonly<Record<string, Variant>>

function resnext(name: keyof typeof variants): ModelEntry<ResNetOptions, ResNet> {
  const { depths, groups, widthPerGroup, params, macs, weights }: Variant = variants[name]
  const facts = {
    name,
    paper:
      'Xie et al., "Aggregated residual transformations for deep neural networks", 2017, table 1 (arXiv:1611.05431)',
    params,
    macs,
    inputSize: [224, 224] as const,
    numClasses: 1000,
    weights: publishedWeights(name, weights),
  }
  const config = { name, block: 'bottleneck', depths, groups, widthPerGroup } as const
  return defineModel(facts, (options) => new ResNet(config, options))
}

/** ResNeXt-50 32x4d: 25.0 million parameters, 4.2 GMACs, ImageNet top-1 77.6 % (81.2 % by the newer recipe). */
export const resnext50_32x4d: ModelEntry<ResNetOptions, ResNet> = /* @__PURE__ */ resnext('resnext50_32x4d')
/** ResNeXt-101 32x8d: 88.8 million parameters, 16.4 GMACs, ImageNet top-1 79.3 % (82.8 % by the newer recipe). */
export const resnext101_32x8d: ModelEntry<ResNetOptions, ResNet> = /* @__PURE__ */ resnext('resnext101_32x8d')
/** ResNeXt-101 64x4d: 83.5 million parameters, 15.5 GMACs, ImageNet top-1 83.2 %. */
export const resnext101_64x4d: ModelEntry<ResNetOptions, ResNet> = /* @__PURE__ */ resnext('resnext101_64x4d')
