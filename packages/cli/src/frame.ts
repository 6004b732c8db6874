/** Pictures of any size in the frame that a network looks through. */
import { type Pixels, toFloat } from '@convnets/data'

/** Source pixels and their shares in every target pixel along one axis. */
interface Taps {
  readonly first: Int32Array
  readonly weights: readonly Float64Array[]
}

interface Filter {
  /** Pixels from the middle to where the filter ends. */
  readonly support: number
  readonly weight: (distance: number) => number
}

/** Pillow's BILINEAR and BICUBIC (a = -0.5): as wide as source pixels, or as target pixels where those are larger. */
const filters = {
  bilinear: { support: 1, weight: (x) => 1 - x },
  bicubic: {
    support: 2,
    weight: (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2),
  },
} as const satisfies Readonly<Record<string, Filter>>

function taps(from: number, to: number, { support: reach, weight }: Filter): Taps {
  const scale = from / to
  const wide = Math.max(scale, 1)
  const support = wide * reach
  const first = new Int32Array(to)
  const weights = Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale
    const low = Math.max(0, Math.floor(centre - support + 0.5))
    const high = Math.min(from, Math.floor(centre + support + 0.5))
    first[i] = low
    const row = Float64Array.from({ length: high - low }, (_, k) => {
      const distance = Math.abs((low + k + 0.5 - centre) / wide)
      return distance < reach ? weight(distance) : 0
    })
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

/** How a picture is brought into a frame. */
export interface FrameOptions {
  /** Pixels of the shorter side before the middle is cut out. Default: the picture just covers the frame. */
  readonly resize?: number | undefined
  /** Default bilinear. */
  readonly interpolation?: 'bilinear' | 'bicubic' | undefined
}

/**
 * The middle of the picture, `height` x `width`, after it was scaled as `options` say, as torchvision's `Resize` and
 * `CenterCrop` do; the very same picture if it has the right size already. Values become floats from 0 to 1 otherwise.
 */
export function frame(picture: Pixels, height: number, width: number, options: FrameOptions = {}): Pixels {
  const { resize, interpolation = 'bilinear' } = options
  const { channels } = picture
  const covers = Math.max(height / picture.height, width / picture.width)
  // A picture that is smaller than the frame after the given scaling has to cover it all the same.
  const scale = resize === undefined ? covers : Math.max(covers, resize / Math.min(picture.height, picture.width))
  if (scale === 1 && picture.height === height && picture.width === width) return picture
  // The longer side is rounded down, as there; the tiny addition keeps 28 / 3 * 3 from becoming 27.
  const rows = Math.max(height, Math.floor(picture.height * scale + 1e-9))
  const columns = Math.max(width, Math.floor(picture.width * scale + 1e-9))
  const floats = toFloat(picture).data as Float32Array
  const filter = filters[interpolation]
  const narrow = resample(floats, picture.width, channels, taps(picture.width, columns, filter))
  const data = resample(narrow, picture.height, columns * channels, taps(picture.height, rows, filter))
  const top = half(rows - height)
  const left = half(columns - width)
  const cut = new Float32Array(height * width * channels)
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * columns + left) * channels
    // Cubic weights overshoot at edges; there is nothing darker than black.
    const row = data.subarray(from, from + width * channels).map((value) => Math.min(1, Math.max(0, value)))
    cut.set(row, y * width * channels)
  }
  return { data: cut, height, width, channels }
}
