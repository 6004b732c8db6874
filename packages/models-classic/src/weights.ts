/** Facts of published weights of Caffe and FaceNet. */
import type { PretrainedWeights } from '@convnets/blocks'

/** Blue, green and red in [0, 255] minus their means, for values in [0, 1]. */
export function inBytes(means: readonly number[]): Pick<PretrainedWeights, 'mean' | 'std' | 'channelOrder'> {
  return { mean: means.map((value) => value / 255), std: [1 / 255, 1 / 255, 1 / 255], channelOrder: 'bgr' }
}

export interface CaffeFile {
  readonly name: string
  readonly url: string
  readonly crop: 224 | 227
  readonly top1: number
  readonly top5: number
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
    mean: [0.5, 0.5, 0.5],
    std: [128 / 255, 128 / 255, 128 / 255],
    top1: lfw,
    benchmark: 'LFW verification',
  }
}
