import type { Layout } from './layouts.ts'

/**
 * DenseNet's old spelling, of when a module's name could have a dot in it: `norm.1` is `norm1` now. torchvision's own
 * files still have it (torchvision, models/densenet.py, `_load_state_dict`).
 */
export const oldDenseNet: Layout = {
  name: 'DenseNet with dotted names',
  match(keys) {
    if (!keys.has('features.denseblock1.denselayer1.norm.1.weight')) return undefined
    return (key) => key.replace(/(\.denselayer\d+\.(?:norm|conv))\.([12])\./, '$1$2.')
  },
}
