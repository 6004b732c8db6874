/** Fully connected classifiers of AlexNet and VGG. */
import { freshClassifier } from '@convnets/blocks'
import { type Layer, Linear, Sequential } from '@convnets/nn'
import { ArgumentError } from '@convnets/tensor'

/** The layers with the last one, which must be linear, replaced by a fresh one for `numClasses` classes. */
export function withFreshLast(layers: Sequential, numClasses: number, options: { readonly seed?: number }): Sequential {
  const all: Layer[] = [...layers]
  const last = all.pop()
  if (!(last instanceof Linear)) throw new ArgumentError('resetClassifier: the last layer expects to be linear')
  const next = new Sequential(...all, freshClassifier(last, numClasses, options))
  next.training = layers.training
  return next
}
