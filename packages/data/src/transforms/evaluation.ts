/** Pictures as a set of weights saw them when its accuracy was measured. */
import { ShapeError } from '@convnets/tensor'
import type { Pixels, Size } from '../pixels.ts'
import type { Interpolation } from '../resize/filters.ts'
import { compose, type DeterministicTransform } from '../transforms.ts'
import { anyInterpolation, refuse, sizePair } from './arguments.ts'
import { toChannels } from './color.ts'
import { centerCrop } from './crop.ts'
import { normalize } from './normalize.ts'
import { resize } from './resize.ts'

/** What a set of weights says of its input; the entries of the models' `weights` do. */
export interface EvalPreprocessing {
  /** Pixels of the shorter side before the crop, or height and width. */
  readonly resize: Size
  /** Pixels of the crop in the middle. */
  readonly crop: Size
  /** Default `bilinear`. */
  readonly interpolation?: Interpolation
  /** Per channel in the network's order, of values from 0 to 1. */
  readonly mean: readonly number[]
  readonly std: readonly number[]
  /** The order of channels that the network sees. Default `rgb`; networks from Caffe: `bgr`. */
  readonly channelOrder?: 'rgb' | 'bgr'
}

/** Red and blue exchanged: RGB to BGR and back; alpha stays. Throws `ShapeError` for pictures of less than three channels. */
export function swapRedBlue({ data, height, width, channels }: Pixels): Pixels {
  if (channels !== 3 && channels !== 4) {
    throw new ShapeError(`swapRedBlue: expects a picture of 3 or 4 channels, got ${channels}`)
  }
  const result = data.slice()
  for (let i = 0; i < data.length; i += channels) {
    result[i] = data[i + 2]!
    result[i + 2] = data[i]!
  }
  return { data: result, height, width, channels }
}

/**
 * Exactly the preprocessing that a set of weights was evaluated with: `evalTransform(resnet50.weights.IMAGENET1K_V2)`.
 * Resize, centre crop, normalisation; blue before red for networks from Caffe. Takes pictures of bytes in grey, RGB or
 * RGBA, which get as many channels as `mean` has numbers; gives floats; `toTensor` and `collateImages` make the network's input of them.
 */
export function evalTransform(weights: EvalPreprocessing): DeterministicTransform {
  const what = 'evalTransform'
  const { resize: size, crop, interpolation = 'bilinear', mean, std, channelOrder = 'rgb' } = weights
  sizePair(what, 'resize', size, 1)
  sizePair(what, 'crop', crop, 1)
  anyInterpolation(what, interpolation)
  if (channelOrder !== 'rgb' && channelOrder !== 'bgr') refuse(what, 'channelOrder', "'rgb' or 'bgr'", channelOrder)
  if (mean.length !== 1 && mean.length !== 3) refuse(what, 'mean', 'one number or three', mean)
  const finish = normalize(mean, std)
  if (channelOrder === 'bgr' && mean.length !== 3) {
    refuse(what, 'mean', "three numbers for channelOrder 'bgr'", mean)
  }
  return compose(
    toChannels(mean.length === 1 ? 1 : 3),
    resize(size, { interpolation }),
    centerCrop(crop),
    ...(channelOrder === 'bgr' ? [swapRedBlue] : []),
    finish,
  )
}
