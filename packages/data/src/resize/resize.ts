/** Pictures of another size, with Pillow's arithmetic. */
import type { Pixels } from '../pixels.ts'
import { throughAlpha } from './alpha.ts'
import type { Interpolation } from './filters.ts'
import { resampleFast } from './kernel.ts'
import { resamplePlain } from './plain.ts'
import { makeTaps } from './taps.ts'

/** Pillow's table for `nearest`: it walks by adding, and rounds down. */
function nearestTable(from: number, to: number): Int32Array {
  const step = from / to
  const table = new Int32Array(to)
  let place = step * 0.5
  for (let i = 0; i < to; i++) {
    table[i] = Math.min(from - 1, Math.trunc(place))
    place += step
  }
  return table
}

function nearest({ data, height, width, channels }: Pixels, down: number, across: number): Pixels['data'] {
  const rows = nearestTable(height, down)
  const columns = nearestTable(width, across)
  const length = down * across * channels
  const result = data instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length)
  let at = 0
  for (let y = 0; y < down; y++) {
    const row = rows[y]! * width
    for (let x = 0; x < across; x++) {
      const from = (row + columns[x]!) * channels
      for (let c = 0; c < channels; c++) result[at++] = data[from + c]!
    }
  }
  return result
}

/** The picture with `height` x `width` pixels; the very same one if it has them already. */
export function resample(pixels: Pixels, height: number, width: number, interpolation: Interpolation): Pixels {
  const { data, channels } = pixels
  if (pixels.height === height && pixels.width === width) return pixels
  if (interpolation === 'nearest') return { data: nearest(pixels, height, width), height, width, channels }
  const rows = pixels.height === height ? undefined : makeTaps(interpolation, pixels.height, 0, pixels.height, height)
  const columns = pixels.width === width ? undefined : makeTaps(interpolation, pixels.width, 0, pixels.width, width)
  const passes = (values: Pixels['data']): Pixels['data'] => {
    const fast =
      values instanceof Uint8Array && channels <= 4
        ? resampleFast(values, pixels.height, pixels.width, channels, rows, columns)
        : undefined
    return fast ?? resamplePlain(values, pixels.height, pixels.width, channels, rows, columns)
  }
  return { data: throughAlpha(data, channels, passes), height, width, channels }
}
