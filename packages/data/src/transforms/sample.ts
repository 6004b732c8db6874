/** Pictures seen through a plane map: Pillow's `Image.transform` for AFFINE and PERSPECTIVE. */
import type { Pixels } from '../pixels.ts'
import { throughAlpha } from '../resize/alpha.ts'
import { fillOf } from '../transforms.ts'
import type { Fill } from './arguments.ts'
import { sameKind } from './crop.ts'

/** How values between pixels are made here: without averaging when shrinking. */
export type PointInterpolation = 'nearest' | 'bilinear' | 'bicubic'

export const pointInterpolations: readonly PointInterpolation[] = ['nearest', 'bilinear', 'bicubic']

/**
 * Where a target pixel (x, y) comes from: ((a x + b y + c) / w, (d x + e y + f) / w) with w = g x + h y + 1; pixels are
 * named by their middles. An affine map has g = h = 0.
 */
export type PlaneMap = readonly [
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
  g?: number,
  h?: number,
]

type Values = Uint8Array | Float32Array

const clampTo = (value: number, size: number): number => (value < 0 ? 0 : value < size ? value : size - 1)

/** Pillow walks affine maps without interpolation in steps of 2^-16, where coordinates fit. */
function walksFixed([a, b, c, d, e, f, g = 0, h = 0]: PlaneMap, height: number, width: number): boolean {
  if (g !== 0 || h !== 0) return false
  const fits = (x: number, y: number): boolean =>
    Math.abs(x * a + y * b + c) < 32768 && Math.abs(x * d + y * e + f) < 32768
  return fits(0, 0) && fits(width - 1, height - 1) && fits(0, height - 1) && fits(width - 1, 0)
}

/** The number of the source pixel for every target pixel, or -1. */
function nearestSources(map: PlaneMap, source: Pixels, height: number, width: number): Int32Array {
  const result = new Int32Array(height * width).fill(-1)
  const note = (at: number, x: number, y: number): void => {
    if (x >= 0 && x < source.width && y >= 0 && y < source.height) result[at] = y * source.width + x
  }
  const [a, b, c, d, e, f, g = 0, h = 0] = map
  let at = 0
  if (b === 0 && d === 0 && g === 0 && h === 0) {
    // Only scaled and moved: Pillow walks by adding.
    let sourceY = f + e * 0.5
    for (let y = 0; y < height; y++, sourceY += e) {
      let sourceX = c + a * 0.5
      for (let x = 0; x < width; x++, sourceX += a) {
        note(at++, sourceX < 0 ? -1 : Math.trunc(sourceX), sourceY < 0 ? -1 : Math.trunc(sourceY))
      }
    }
  } else if (walksFixed(map, height, width)) {
    const fix = (value: number): number => Math.floor(value * 65536 + 0.5)
    const [stepXX, stepXY, stepYX, stepYY] = [fix(a), fix(b), fix(d), fix(e)]
    const startX = fix(c + a * 0.5 + b * 0.5)
    const startY = fix(f + d * 0.5 + e * 0.5)
    for (let y = 0; y < height; y++) {
      let sourceX = startX + y * stepXY
      let sourceY = startY + y * stepYY
      for (let x = 0; x < width; x++, sourceX += stepXX, sourceY += stepYX) {
        note(at++, Math.floor(sourceX / 65536), Math.floor(sourceY / 65536))
      }
    }
  } else {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const w = g * (x + 0.5) + h * (y + 0.5) + 1
        const sourceX = (a * (x + 0.5) + b * (y + 0.5) + c) / w
        const sourceY = (d * (x + 0.5) + e * (y + 0.5) + f) / w
        note(at++, sourceX < 0 ? -1 : Math.trunc(sourceX), sourceY < 0 ? -1 : Math.trunc(sourceY))
      }
    }
  }
  return result
}

const cubic = (v1: number, v2: number, v3: number, v4: number, d: number): number =>
  v2 + d * (v3 - v1 + d * (2 * (v1 - v2) + v3 - v4 + d * (v2 - v1 + v4 - v3)))

/** Writes the pixel seen at (x, y) within the source. `byte` results are rounded down, cubic ones cut to 0 to 255. */
type Sampler = (data: Values, x: number, y: number, to: Values, at: number) => void

function bilinear({ height, width, channels }: Pixels, byte: boolean): Sampler {
  const stride = width * channels
  return (data, x, y, to, at) => {
    const left = Math.floor(x - 0.5)
    const top = Math.floor(y - 0.5)
    const dx = x - 0.5 - left
    const dy = y - 0.5 - top
    const upper = clampTo(top, height) * stride
    const lower = clampTo(top + 1, height) * stride
    const one = clampTo(left, width) * channels
    const two = clampTo(left + 1, width) * channels
    for (let c = 0; c < channels; c++) {
      const a = data[upper + one + c]!
      const b = data[lower + one + c]!
      const above = a + (data[upper + two + c]! - a) * dx
      const value = above + (b + (data[lower + two + c]! - b) * dx - above) * dy
      to[at + c] = byte ? Math.trunc(value) : value
    }
  }
}

function bicubic({ height, width, channels }: Pixels, byte: boolean): Sampler {
  const lines = new Float64Array(4)
  return (data, x, y, to, at) => {
    const left = Math.floor(x - 0.5)
    const top = Math.floor(y - 0.5)
    const dx = x - 0.5 - left
    const dy = y - 0.5 - top
    const c0 = clampTo(left - 1, width) * channels
    const c1 = clampTo(left, width) * channels
    const c2 = clampTo(left + 1, width) * channels
    const c3 = clampTo(left + 2, width) * channels
    for (let c = 0; c < channels; c++) {
      for (let j = 0; j < 4; j++) {
        const row = clampTo(top + j - 1, height) * width * channels + c
        lines[j] = cubic(data[row + c0]!, data[row + c1]!, data[row + c2]!, data[row + c3]!, dx)
      }
      const value = cubic(lines[0]!, lines[1]!, lines[2]!, lines[3]!, dy)
      to[at + c] = byte ? Math.trunc(Math.max(0, Math.min(255, value))) : value
    }
  }
}

/** The picture through `map`, `height` x `width`; `fill` where the map leads outside. */
export function throughMap(
  what: string,
  pixels: Pixels,
  map: PlaneMap,
  height: number,
  width: number,
  interpolation: PointInterpolation,
  fill: Fill,
): Pixels {
  const { data, channels } = pixels
  const values = fillOf(what, fill, channels)
  const blank = (): Values => {
    const result = sameKind(data, height * width * channels)
    for (let i = 0; i < result.length; i++) result[i] = values[i % channels]!
    return result
  }
  if (interpolation === 'nearest') {
    const result = blank()
    const sources = nearestSources(map, pixels, height, width)
    for (let i = 0; i < sources.length; i++) {
      const from = sources[i]! * channels
      if (from >= 0) for (let c = 0; c < channels; c++) result[i * channels + c] = data[from + c]!
    }
    return { data: result, height, width, channels }
  }
  const [a, b, c, d, e, f, g = 0, h = 0] = map
  const sample = (interpolation === 'bilinear' ? bilinear : bicubic)(pixels, data instanceof Uint8Array)
  const result = throughAlpha<Values>(data, channels, (source) => {
    const to = blank()
    let at = 0
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at += channels) {
        const w = g * (x + 0.5) + h * (y + 0.5) + 1
        const sourceX = (a * (x + 0.5) + b * (y + 0.5) + c) / w
        const sourceY = (d * (x + 0.5) + e * (y + 0.5) + f) / w
        const inside = sourceX >= 0 && sourceX < pixels.width && sourceY >= 0 && sourceY < pixels.height
        if (inside) sample(source, sourceX, sourceY, to, at)
      }
    }
    return to
  })
  return { data: result, height, width, channels }
}
