/** Facts of published weights, by who published them. */
import type { PretrainedWeights } from '@convnets/blocks'

const imagenetTerms = 'trained on ImageNet, whose terms allow non-commercial research'
const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const
const centred = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const

/** A torchvision file: its name, pixels of the shorter side, top-1 and top-5. */
export type TorchvisionFile = readonly [
  file: string,
  resize: number,
  top1: number,
  top5: number,
  /** Pixels of the crop (224), how images are resized (bilinear), and the checksum in full where it is known. */
  more?: { readonly crop?: number; readonly interpolation?: 'bilinear' | 'bicubic'; readonly sha256?: string },
]

/** torchvision's checkpoints by tag. The digits at the end of a file name are the beginning of its sha256. */
export function torchvision(files: Readonly<Record<string, TorchvisionFile>>): Record<string, PretrainedWeights> {
  const facts = Object.entries(files).map(([name, [file, resize, top1, top5, more = {}]]) => {
    const { crop = 224, interpolation = 'bilinear', sha256 } = more
    const weights: PretrainedWeights = {
      name,
      url: `https://download.pytorch.org/models/${file}`,
      ...(sha256 !== undefined && { sha256 }),
      sha256Prefix: /-([0-9a-f]{8,})\.pth$/.exec(file)?.[1] ?? '',
      license: `BSD-3-Clause (torchvision); ${imagenetTerms}`,
      labels: 'imagenet-1k',
      numClasses: 1000,
      inputSize: [crop, crop],
      resize,
      crop,
      interpolation,
      ...imagenet,
      top1,
      top5,
    }
    return [name, weights] as const
  })
  return Object.fromEntries(facts)
}

/** A timm checkpoint: pixels of the crop, the part of the shorter side that it is, top-1 and top-5. */
export type TimmFile = readonly [
  crop: number,
  cropPart: number,
  top1: number,
  top5: number,
  more?: {
    /** Default 'bicubic'. */
    readonly interpolation?: 'bilinear' | 'bicubic'
    /** Normalised to [-1, 1] instead of by ImageNet's statistics. Default false. */
    readonly centred?: boolean
    /** Trained on more than ImageNet. */
    readonly alsoOn?: string
  },
]

/** timm's checkpoints of `model` by tag. timm resizes to floor(crop / cropPart). */
export function timm(model: string, files: Readonly<Record<string, TimmFile>>): Record<string, PretrainedWeights> {
  const facts = Object.entries(files).map(([name, [crop, cropPart, top1, top5, more = {}]]) => {
    const terms = more.alsoOn === undefined ? imagenetTerms : `${imagenetTerms}, and on ${more.alsoOn}`
    const weights: PretrainedWeights = {
      name,
      url: `https://huggingface.co/timm/${model}.${name}/resolve/main/model.safetensors`,
      license: `Apache-2.0 (timm); ${terms}`,
      labels: 'imagenet-1k',
      numClasses: 1000,
      inputSize: [crop, crop],
      resize: Math.floor(crop / cropPart),
      crop,
      interpolation: more.interpolation ?? 'bicubic',
      ...(more.centred === true ? centred : imagenet),
      top1,
      top5,
    }
    return [name, weights] as const
  })
  return Object.fromEntries(facts)
}
