/** Pictures of any size in the frame that a network looks through. */
import { type Pixels, toFloat } from '@convnets/data'

/** Source pixels and their shares in every target pixel along one axis. */
interface Taps {
  readonly first: Int32Array
  readonly weights: readonly Float64Array[]
}

/** A triangle as wide as two source pixels, or as two target pixels where those are larger; as Pillow's BILINEAR. */
function taps(from: number, to: number): Taps {
  const scale = from / to
  const support = Math.max(scale, 1)
  const first = new Int32Array(to)
  const weights = Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale
    const low = Math.max(0, Math.floor(centre - support + 0.5))
    const high = Math.min(from, Math.floor(centre + support + 0.5))
    first[i] = low
    const row = Float64Array.from({ length: high - low }, (_, k) =>
      Math.max(0, 1 - Math.abs((low + k + 0.5 - centre) / support)),
    )
    const sum = row.reduce((total, weight) => total + weight, 0)
    return row.map((weight) => weight / sum)
  })
  return { first, weights }
}

/** Resamples the middle axis of (outer, `from`, inner) to the length of `taps`. */
function resample(data: Float32Array, from: number, inner: number, { first, weights }: Taps): Float32Array {
  const outer = data.length / (from * inner)
  const to = weights.length
  const result = new Float32Array(outer * to * inner)
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < to; i++) {
      const row = weights[i]!
      const start = o * from + first[i]!
      const target = (o * to + i) * inner
      for (let c = 0; c < inner; c++) {
        let sum = 0
        for (let k = 0; k < row.length; k++) sum += row[k]! * data[(start + k) * inner + c]!
        result[target + c] = sum
      }
    }
  }
  return result
}

/** Half of a count, rounded to the even one of two equally near integers, as Python rounds. */
function half(count: number): number {
  const down = Math.floor(count / 2)
  return count % 2 === 0 || down % 2 === 0 ? down : down + 1
}

/**
 * The picture scaled so that it just covers `height` x `width`, and the middle of that, as torchvision's `Resize` and
 * `CenterCrop` do; the very same picture if it has that size already. Values become floats from 0 to 1 otherwise.
 */
export function frame(picture: Pixels, height: number, width: number): Pixels {
  if (picture.height === height && picture.width === width) return picture
  const { channels } = picture
  const scale = Math.max(height / picture.height, width / picture.width)
  // The longer side is rounded down, as there; the tiny addition keeps 28 / 3 * 3 from becoming 27.
  const rows = Math.max(height, Math.floor(picture.height * scale + 1e-9))
  const columns = Math.max(width, Math.floor(picture.width * scale + 1e-9))
  const floats = toFloat(picture).data as Float32Array
  const narrow = resample(floats, picture.width, channels, taps(picture.width, columns))
  const data = resample(narrow, picture.height, columns * channels, taps(picture.height, rows))
  const top = half(rows - height)
  const left = half(columns - width)
  const cut = new Float32Array(height * width * channels)
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * columns + left) * channels
    cut.set(data.subarray(from, from + width * channels), y * width * channels)
  }
  return { data: cut, height, width, channels }
}
