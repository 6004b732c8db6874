/** From pictures to class names. */
import { type ImageModel, type ImageOutput, mainLogits } from '@convnets/blocks'
import { collateImages, evalTransform, type Pixels } from '@convnets/data'
import { noGrad, softmax, tidy, topk } from '@convnets/tensor'
import type { Trained } from './trained.ts'

/** A class that a picture may show. */
export interface Guess {
  readonly name: string
  readonly index: number
  /** From 0 to 1; those of all classes sum to 1. */
  readonly probability: number
}

/** The `top` likeliest classes of each picture, likeliest first. `model` is in evaluation mode. */
export function classifyPictures(
  model: ImageModel<ImageOutput>,
  { classes, preprocessing }: Trained,
  pictures: readonly Pixels[],
  top = 1,
): Guess[][] {
  const { height, width, resize = Math.max(height, width) } = preprocessing
  const prepare = evalTransform({ ...preprocessing, resize, crop: [height, width] })
  const samples = pictures.map((picture) => ({ image: prepare(picture), label: 0 }))
  const k = Math.min(top, classes.length)
  const { values, indices } = tidy(() =>
    noGrad(() => {
      const { input } = collateImages(samples, new Int32Array(samples.length))
      const best = topk(softmax(mainLogits(model.forward(input)), { dim: 1 }), k)
      return { values: best.values.dataSync(), indices: best.indices.dataSync() }
    }),
  )
  return pictures.map((_, i) =>
    Array.from({ length: k }, (_, rank) => {
      const index = indices[i * k + rank]!
      return { name: classes[index]!, index, probability: values[i * k + rank]! }
    }),
  )
}
