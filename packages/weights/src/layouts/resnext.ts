import type { Layout } from './layouts.ts'

/** Places inside a block of the network that was translated from Torch, and torchvision's names for them. */
const places: ReadonlyMap<string, string> = new Map([
  ['0.0.0.0', 'conv1'],
  ['0.0.0.1', 'bn1'],
  ['0.0.0.3', 'conv2'],
  ['0.0.0.4', 'bn2'],
  ['0.0.1', 'conv3'],
  ['0.0.2', 'bn3'],
  ['0.1.0', 'downsample.0'],
  ['0.1.1', 'downsample.1'],
])

/**
 * Cadene's ResNeXts, which have Torch's containers instead of names: `features.4` is the first stage, its blocks a map of
 * two branches and a sum (pretrained-models.pytorch, models/resnext_features/resnext101_64x4d_features.py).
 */
export const cadeneResNeXt: Layout = {
  name: 'Cadene ResNeXt',
  match(keys) {
    if (!keys.has('features.4.0.0.0.0.0.weight')) return undefined
    return (key) => {
      const stem = /^features\.([01])\.([a-z_]+)$/.exec(key)
      if (stem) return `${stem[1] === '0' ? 'conv1' : 'bn1'}.${stem[2]}`
      const block = /^features\.([4-7])\.(\d+)\.([\d.]+)\.([a-z_]+)$/.exec(key)
      const place = block && places.get(block[3]!)
      if (place) return `layer${Number(block[1]) - 3}.${block[2]}.${place}.${block[4]}`
      return key.replace(/^last_linear\./, 'fc.')
    }
  },
}
