/** What torchvision's ImageNet weights have in common. */
import type { PretrainedWeights } from '@convnets/blocks'

/** What differs from one to another. The digits in a file name are the beginning of its sha256. */
export interface ImagenetWeights {
  readonly name: string
  readonly file: string
  readonly resize: number
  readonly top1: number
  readonly top5: number
}

/** Facts of a torchvision checkpoint for 224 x 224 pixels. */
export function imagenet({ name, file, resize, top1, top5 }: ImagenetWeights): PretrainedWeights {
  return {
    name,
    url: `https://download.pytorch.org/models/${file}`,
    sha256Prefix: /-([0-9a-f]{8})\.pth$/.exec(file)?.[1] ?? '',
    license: 'BSD-3-Clause (torchvision); trained on ImageNet, whose terms allow non-commercial research',
    labels: 'imagenet-1k',
    numClasses: 1000,
    inputSize: [224, 224],
    resize,
    crop: 224,
    interpolation: 'bilinear',
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
    top1,
    top5,
  }
}
