/**
 * Keras' weights under PyTorch's names and in PyTorch's order of axes.
 *
 * | Keras | PyTorch |
 * |---|---|
 * | `conv1/kernel` (H, W, I, O) | `conv1.weight` (O, I, H, W) |
 * | `conv_dw_1/depthwise_kernel` (H, W, C, M) | `conv_dw_1.weight` (C M, 1, H, W) |
 * | `predictions/kernel` (I, O) | `predictions.weight` (O, I) |
 * | `bn/gamma`, `beta`, `moving_mean`, `moving_variance` | `bn.weight`, `bias`, `running_mean`, `running_var` |
 *
 * A batch normalisation without `gamma` (Keras' `scale=False`) gets a weight of ones. Inception v3, whose layers Keras
 * only numbers, gets torchvision's names.
 */
import { itemSize } from '../dtypes.ts'
import type { WeightEntry } from '../entry.ts'
import { gather, rowMajor } from '../strided.ts'
import { inceptionNames } from './inception-v3.ts'

const plainNames: ReadonlyMap<string, string> = new Map([
  ['gamma', 'weight'],
  ['beta', 'bias'],
  ['moving_mean', 'running_mean'],
  ['moving_variance', 'running_var'],
  ['bias', 'bias'],
])

/** The entry with its axes in another order. */
function permute(entry: WeightEntry, axes: readonly number[]): WeightEntry {
  const strides = rowMajor(entry.shape)
  const shape = axes.map((axis) => entry.shape[axis]!)
  const permuted = axes.map((axis) => strides[axis]!)
  return { ...entry, shape, read: async () => gather(await entry.read(), itemSize(entry.dtype), shape, permuted) }
}

/** (H, W, C, M) as (C M, 1, H, W): output c M + m is filter m of channel c, in both. */
function depthwise(entry: WeightEntry): WeightEntry {
  const turned = permute(entry, [2, 3, 0, 1])
  const [c, m, h, w] = turned.shape as [number, number, number, number]
  return { ...turned, shape: [c * m, 1, h, w] }
}

function convert(kind: string, entry: WeightEntry): { name: string; entry: WeightEntry } {
  const rank = entry.shape.length
  if (kind === 'kernel' && rank === 4) return { name: 'weight', entry: permute(entry, [3, 2, 0, 1]) }
  if (kind === 'kernel' && rank === 2) return { name: 'weight', entry: permute(entry, [1, 0]) }
  if (kind === 'depthwise_kernel' && rank === 4) return { name: 'weight', entry: depthwise(entry) }
  return { name: plainNames.get(kind) ?? kind, entry }
}

function ones(like: WeightEntry): WeightEntry {
  return { ...like, read: async () => new Uint8Array(new Float32Array(like.bytes / 4).fill(1).buffer) }
}

/** Weights by Keras' names (`layer/kernel`) as weights by PyTorch's. */
export function convertKeras(weights: ReadonlyMap<string, WeightEntry>): Map<string, WeightEntry> {
  const layers = new Map<string, Map<string, WeightEntry>>()
  for (const [path, entry] of weights) {
    const parts = path.replace(/:\d+$/, '').split('/')
    const kind = parts.pop()!
    const layer = parts.join('.')
    const tensors = layers.get(layer) ?? new Map<string, WeightEntry>()
    tensors.set(kind, entry)
    layers.set(layer, tensors)
  }
  const names = inceptionNames([...layers.keys()])
  const converted = new Map<string, WeightEntry>()
  for (const [layer, tensors] of layers) {
    const name = names?.get(layer) ?? layer
    const key = (last: string): string => (name === '' ? last : `${name}.${last}`)
    const mean = tensors.get('moving_mean')
    if (mean && mean.dtype === 'F32' && !tensors.has('gamma')) converted.set(key('weight'), ones(mean))
    for (const [kind, entry] of tensors) {
      const { name: last, entry: turned } = convert(kind, entry)
      converted.set(key(last), turned)
    }
  }
  return converted
}
