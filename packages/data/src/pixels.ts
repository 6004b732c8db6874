/** Pictures as plain numbers, which transforms take and give. */
import { ShapeError } from '@convnets/tensor'

/**
 * A picture: `data[(y * width + x) * channels + c]`. Bytes run from 0 to 255; floats from 0 to 1 until they are
 * normalised. `Image` is one; so is any object of this shape.
 */
export interface Pixels {
  readonly data: Uint8Array | Float32Array
  readonly height: number
  readonly width: number
  readonly channels: number
}

/** A size: a number for a square, or `[height, width]`. */
export type Size = number | readonly [height: number, width: number]

const isPositive = (value: number): boolean => Number.isInteger(value) && value > 0

/** Throws `ShapeError` unless sizes are positive integers and the data have the length that they ask for. */
export function checkPixels(what: string, { data, height, width, channels }: Pixels): void {
  if (!isPositive(height) || !isPositive(width) || !isPositive(channels)) {
    throw new ShapeError(
      `${what}: height, width and channels expect positive integers, got ${height} x ${width} x ${channels}`,
    )
  }
  const expected = height * width * channels
  if (data.length !== expected) {
    throw new ShapeError(
      `${what}: data expects ${expected} values for ${height} x ${width} x ${channels}, got ${data.length}`,
    )
  }
}
