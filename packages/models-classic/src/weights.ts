/** Facts of published weights, by who published them. */
import type { PretrainedWeights } from '@convnets/blocks'

const imagenetTerms = 'trained on ImageNet, whose terms allow non-commercial research'
const half = [0.5, 0.5, 0.5] as const

/** What differs from one checkpoint to another. */
interface Published {
  readonly name: string
  readonly top1: number
  readonly top5: number
}

/** Digits behind the dash of a file name, which are the beginning of its sha256. */
const prefixOf = (file: string): string => /-([0-9a-f]{8,})\.pth$/.exec(file)?.[1] ?? ''

export interface TorchvisionFile extends Published {
  readonly file: string
  /** Default 256. */
  readonly resize?: number
  /** Pixels of the crop and of the input. Default 224. */
  readonly crop?: number
  /** Normalised to [-1, 1] instead of by ImageNet's statistics. Default false. */
  readonly centred?: boolean
}

/** A torchvision checkpoint. */
export function torchvision({
  name,
  file,
  resize = 256,
  crop = 224,
  centred = false,
  top1,
  top5,
}: TorchvisionFile): PretrainedWeights {
  return {
    name,
    url: `https://download.pytorch.org/models/${file}`,
    sha256Prefix: prefixOf(file),
    license: `BSD-3-Clause (torchvision); ${imagenetTerms}`,
    labels: 'imagenet-1k',
    numClasses: 1000,
    inputSize: [crop, crop],
    resize,
    crop,
    interpolation: 'bilinear',
    mean: centred ? half : [0.485, 0.456, 0.406],
    std: centred ? half : [0.229, 0.224, 0.225],
    top1,
    top5,
  }
}

export interface TimmFile extends Published {
  /** Name of the model in timm. */
  readonly model: string
  /** Part of the shorter side that the crop leaves. */
  readonly cropPart: number
  /** Normalised by ImageNet's statistics instead of to [-1, 1]. Default false. */
  readonly imagenetStatistics?: boolean
}

/** A checkpoint for 299 x 299 pixels that timm publishes. */
export function timm({ name, model, cropPart, imagenetStatistics = false, top1, top5 }: TimmFile): PretrainedWeights {
  return {
    name,
    url: `https://huggingface.co/timm/${model}.${name}/resolve/main/model.safetensors`,
    license: `Apache-2.0 (timm); ${imagenetTerms}`,
    labels: 'imagenet-1k',
    numClasses: 1000,
    inputSize: [299, 299],
    resize: Math.floor(299 / cropPart),
    crop: 299,
    interpolation: 'bicubic',
    mean: imagenetStatistics ? [0.485, 0.456, 0.406] : half,
    std: imagenetStatistics ? [0.229, 0.224, 0.225] : half,
    top1,
    top5,
  }
}

export interface CadeneFile extends Published {
  readonly file: string
  readonly crop: 224 | 299
  readonly numClasses: 1000 | 1001
  /** Values in [0, 255] in the order blue, green, red, minus these; without it RGB normalised to [-1, 1]. */
  readonly caffeMean?: readonly [number, number, number]
}

/** A checkpoint of pretrained-models.pytorch. Those with 1001 classes have the background as class 0. */
export function cadene({ name, file, crop, numClasses, caffeMean, top1, top5 }: CadeneFile): PretrainedWeights {
  return {
    name,
    url: `http://data.lip6.fr/cadene/pretrainedmodels/${file}`,
    sha256Prefix: prefixOf(file),
    license: `BSD-3-Clause (pretrained-models.pytorch); ${imagenetTerms}`,
    labels: numClasses === 1000 ? 'imagenet-1k' : 'imagenet-1k with background',
    numClasses,
    inputSize: [crop, crop],
    resize: Math.floor(crop / 0.875),
    crop,
    interpolation: 'bilinear',
    ...(caffeMean === undefined ? { mean: half, std: half } : inBytes(caffeMean)),
    top1,
    top5,
  }
}

export interface CaffeFile extends Published {
  readonly url: string
  readonly crop: 224 | 227
}

/**
 * A model of the Caffe zoo, in Caffe's own format. Caffe squeezes images to 256 x 256 and takes the centre. (AlexNet was
 * trained with the mean of every pixel; the means by channel are those of that picture.)
 */
export function caffe({ name, url, crop, top1, top5 }: CaffeFile): PretrainedWeights {
  return {
    name,
    url,
    license: 'unrestricted (BVLC)',
    labels: 'imagenet-1k',
    numClasses: 1000,
    inputSize: [crop, crop],
    resize: [256, 256],
    crop,
    interpolation: 'bilinear',
    ...inBytes([104, 117, 123]),
    top1,
    top5,
  }
}

/** Blue, green and red in [0, 255] minus their means, for values in [0, 1]. */
function inBytes(means: readonly number[]): Pick<PretrainedWeights, 'mean' | 'std' | 'channelOrder'> {
  return { mean: means.map((value) => value / 255), std: [1 / 255, 1 / 255, 1 / 255], channelOrder: 'bgr' }
}

export interface FacenetFile {
  readonly name: string
  readonly file: string
  readonly labels: string
  readonly numClasses: number
  /** Accuracy in percent of telling whether two pictures of Labeled Faces in the Wild show one person. */
  readonly lfw: number
}

/** A checkpoint of facenet-pytorch: faces of 160 x 160 pixels, (x - 127.5) / 128 on values in [0, 255]. */
export function facenet({ name, file, labels, numClasses, lfw }: FacenetFile): PretrainedWeights {
  return {
    name,
    url: `https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/${file}`,
    license: `MIT (facenet-pytorch); trained on ${labels}, whose terms allow non-commercial research`,
    labels,
    numClasses,
    inputSize: [160, 160],
    resize: 160,
    crop: 160,
    interpolation: 'bilinear',
    mean: half,
    std: [128 / 255, 128 / 255, 128 / 255],
    top1: lfw,
    benchmark: 'LFW verification',
  }
}

/** Weights by name. */
export function byName(...weights: readonly PretrainedWeights[]): Record<string, PretrainedWeights> {
  return Object.fromEntries(weights.map((one) => [one.name, one]))
}
