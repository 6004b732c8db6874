/** The size of a picture, read from the first bytes of its file: where the host decodes, it asks no one for a limit. */

/** What a header says. */
export interface Dimensions {
  readonly height: number
  readonly width: number
}

type Reader = (bytes: DataView) => Dimensions | undefined

const ascii = (view: DataView, at: number, text: string): boolean =>
  at + text.length <= view.byteLength && [...text].every((letter, i) => view.getUint8(at + i) === letter.charCodeAt(0))

const png: Reader = (view) =>
  view.byteLength >= 24 && ascii(view, 1, 'PNG') && ascii(view, 12, 'IHDR')
    ? { width: view.getUint32(16), height: view.getUint32(20) }
    : undefined

const gif: Reader = (view) =>
  view.byteLength >= 10 && ascii(view, 0, 'GIF8')
    ? { width: view.getUint16(6, true), height: view.getUint16(8, true) }
    : undefined

const webp: Reader = (view) => {
  if (view.byteLength < 30 || !ascii(view, 0, 'RIFF') || !ascii(view, 8, 'WEBP')) return undefined
  const uint24 = (at: number): number => view.getUint16(at, true) | (view.getUint8(at + 2) << 16)
  if (ascii(view, 12, 'VP8X')) return { width: uint24(24) + 1, height: uint24(27) + 1 }
  if (ascii(view, 12, 'VP8L')) {
    const bits = view.getUint32(21, true)
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 }
  }
  if (!ascii(view, 12, 'VP8 ')) return undefined
  return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff }
}

/** Walks from marker to marker to the first frame header (SOF0 to SOF15 without DHT, JPG and DAC). */
const jpeg: Reader = (view) => {
  if (view.byteLength < 4 || view.getUint16(0) !== 0xffd8) return undefined
  for (let at = 2; at + 9 <= view.byteLength; ) {
    if (view.getUint8(at) !== 0xff) return undefined
    const marker = view.getUint8(at + 1)
    // Fill bytes, and markers without a length.
    if (marker === 0xff) at++
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2
    else if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) }
    } else {
      const length = view.getUint16(at + 2)
      if (length < 2) return undefined
      at += 2 + length
    }
  }
  return undefined
}

/** Height and width of a PNG, JPEG, GIF or WebP file; `undefined` for others, and where the header does not tell. */
export function readDimensions(bytes: Uint8Array): Dimensions | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (const reader of [png, jpeg, gif, webp]) {
    const found = reader(view)
    if (found) return found
  }
  return undefined
}
