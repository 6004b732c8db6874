/**
 * Names that different projects give to the tensors of the same networks.
 *
 * Every layout translates its names into common ones: torchvision's where torchvision has the network. A file fits a model
 * if their common names are the same, whatever the layouts of the two, so no layout needs to know another.
 */

import { oldDenseNet } from './densenet.ts'
import { lukemelasEfficientNet, timmEfficientNet } from './efficientnet.ts'
import { cadeneResNeXt } from './resnext.ts'

/** The common name of a key, or undefined for a tensor that no network here has. */
export type Rename = (key: string) => string | undefined

/** How a project names the tensors of a network. */
export interface Layout {
  readonly name: string
  /** The translation of these keys, if they are of this layout. */
  match(keys: ReadonlySet<string>): Rename | undefined
  /** Common names whose tensors hold the same numbers in another shape: a convolution over all there is, as a matrix. */
  readonly flattens?: RegExp
}

const CLASSIFIER = 'classifier of any name'

/** timm's VGG computes its first two linear layers as convolutions. */
const timmVgg: Layout = {
  name: 'timm VGG',
  flattens: /^classifier\.[03]\.weight$/,
  match(keys) {
    if (!keys.has('pre_logits.fc1.weight')) return undefined
    const names = new Map([
      ['pre_logits.fc1', 'classifier.0'],
      ['pre_logits.fc2', 'classifier.3'],
      ['head.fc', 'classifier.6'],
    ])
    return (key) => {
      const dot = key.lastIndexOf('.')
      return (names.get(key.slice(0, dot)) ?? key.slice(0, dot)) + key.slice(dot)
    }
  },
}

/** Cadene's SE-ResNets, SE-ResNeXts and SENet-154 against timm's: the stem is a layer, the attention a module. */
const cadeneSeNet: Layout = {
  name: 'Cadene SENet',
  match(keys) {
    if (!keys.has('layer0.conv1.weight')) return undefined
    return (key) =>
      key
        .replace(/^layer0\./, '')
        .replace(/^last_linear\./, 'fc.')
        .replace('.se_module.', '.se.')
  },
}

/** The last layer alone has many names: Cadene's, timm's and torchvision's differ for the same network. */
const classifier: Layout = {
  name: CLASSIFIER,
  match(keys) {
    const names = ['last_linear', 'classif', 'classifier', 'fc', 'linear', 'logits', 'head.fc', 'head']
    const name = names.find((candidate) => keys.has(`${candidate}.weight`))
    if (name === undefined) return undefined
    return (key) => (key === `${name}.weight` || key === `${name}.bias` ? `fc${key.slice(name.length)}` : key)
  },
}

/** All layouts, in the order in which they are tried. */
export const layouts: readonly Layout[] = [
  timmVgg,
  timmEfficientNet,
  lukemelasEfficientNet,
  cadeneSeNet,
  cadeneResNeXt,
  oldDenseNet,
  classifier,
]
