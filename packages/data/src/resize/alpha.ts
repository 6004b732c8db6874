/** Colours weighted by their alpha while pictures are resampled, so that what is transparent does not bleed; as Pillow. */

const hasAlpha = (data: Uint8Array | Float32Array, channels: number): data is Uint8Array =>
  data instanceof Uint8Array && (channels === 2 || channels === 4)

/** Colour times alpha over 255, rounded. */
function premultiply(data: Uint8Array, channels: number): Uint8Array {
  const result = data.slice()
  for (let i = channels - 1; i < data.length; i += channels) {
    const alpha = data[i]!
    for (let c = i - channels + 1; c < i; c++) {
      const product = data[c]! * alpha + 128
      result[c] = ((product >> 8) + product) >> 8
    }
  }
  return result
}

/** The way back, rounded down; in place. */
function unmultiply(data: Uint8Array, channels: number): void {
  for (let i = channels - 1; i < data.length; i += channels) {
    const alpha = data[i]!
    if (alpha === 255 || alpha === 0) continue
    for (let c = i - channels + 1; c < i; c++) data[c] = Math.min(255, Math.floor((255 * data[c]!) / alpha))
  }
}

/** `resample` of the values, by way of premultiplied colours where bytes have alpha. */
export function throughAlpha<T extends Uint8Array | Float32Array>(
  data: T,
  channels: number,
  resample: (data: T) => T,
): T {
  if (!hasAlpha(data, channels)) return resample(data)
  const result = resample(premultiply(data, channels) as T)
  unmultiply(result as Uint8Array, channels)
  return result
}
