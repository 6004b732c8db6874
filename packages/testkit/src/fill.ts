/**
 * The fill rule: every weight and every input of a golden is a function of its name and of the flat index, so that a
 * golden stores none of them. The same rule is written in Python in `generate.py` beside the goldens; both give the
 * same bits.
 */
import { ConvnetsError, readOptions, type Shape, type Tensor } from '@convnets/tensor'

/** FNV-1a, 32 bits, of the UTF-8 bytes of `text`. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash
}

function sizeOf(shape: Shape): number {
  return shape.reduce((size, extent) => size * extent, 1)
}

/**
 * `fill(name, shape)`: values in [-1, 1), each exactly representable in float32, in logical (row-major) order.
 *
 * Value i is murmur3's finaliser of fnv1a(name) + i * 0x9e3779b9, its upper 24 bits scaled to [-1, 1).
 *
 * @param scale multiplies every value before it is rounded to float32. Default 1.
 */
export function fill(name: string, shape: Shape, scale = 1): Float64Array {
  const values = new Float64Array(sizeOf(shape))
  const start = fnv1a(name)
  for (let i = 0; i < values.length; i++) {
    let x = (start + Math.imul(i, 0x9e3779b9)) >>> 0
    x ^= x >>> 16
    x = Math.imul(x, 0x85ebca6b)
    x ^= x >>> 13
    x = Math.imul(x, 0xc2b2ae35)
    x ^= x >>> 16
    const u = (x >>> 8) / 0x800000 - 1
    values[i] = scale === 1 ? u : Math.fround(u * scale)
  }
  return values
}

/** What a fill depends on besides names and shapes. */
export interface FillOptions {
  /** Put in front of every name, for a second set of values. Default ''. */
  readonly salt?: string
  /** Centre of the scales of normalisation layers. Default 1. */
  readonly normScale?: number
}

const fillDefaults = { salt: '', normScale: 1 }

/**
 * The value of one state-dict entry, by the last part of its key: `running_mean` 0.1 u, `running_var` 1 + 0.2 u,
 * `num_batches_tracked` 0, other entries of two or more axes u sqrt(6 / fan_in) with fan_in the elements per output,
 * other `bias` 0.1 u, and other scales `normScale` (1 + 0.1 u), with u = fill(salt + key). In logical order, computed in
 * float64 and rounded to float32.
 */
export function fillValue(key: string, shape: Shape, options: FillOptions = {}): Float64Array {
  const { salt, normScale } = readOptions('fillValue', options, fillDefaults)
  const leaf = key.slice(key.lastIndexOf('.') + 1)
  const u = fill(salt + key, shape)
  if (leaf === 'num_batches_tracked') return u.fill(0)
  if (leaf === 'running_mean') return u.map((value) => Math.fround(0.1 * value))
  if (leaf === 'running_var') return u.map((value) => Math.fround(1 + 0.2 * value))
  if (shape.length >= 2) {
    const bound = Math.sqrt(6 / (u.length / (shape[0] ?? 1)))
    return u.map((value) => Math.fround(value * bound))
  }
  if (leaf === 'bias') return u.map((value) => Math.fround(0.1 * value))
  return u.map((value) => Math.fround(normScale * (1 + 0.1 * value)))
}

/** What `fillModel` asks of a model: its parameters and buffers by key, as live tensors. */
export interface StateHolder {
  stateDict(): Iterable<readonly [key: string, value: Tensor]>
}

/**
 * Overwrites every parameter and buffer of a model by the fill rule. Gives the model itself.
 *
 * @throws ConvnetsError where the state dict holds something that is no tensor.
 */
export function fillModel<M extends StateHolder>(model: M, options: FillOptions = {}): M {
  const chosen = readOptions('fillModel', options, fillDefaults)
  for (const [key, value] of model.stateDict()) {
    if (typeof value?.assign_ !== 'function') {
      throw new ConvnetsError(`fillModel: entry ${key} of the state dict expects a Tensor, got ${typeof value}`)
    }
    value.assign_(fillValue(key, value.shape, chosen))
  }
  return model
}
