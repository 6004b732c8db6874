import { ArgumentError, BackendError, FormatError, ShapeError } from '@convnets/tensor'
import type Sharp from 'sharp'
import { builtin, type FileSource, readBytes, sourceName } from './host.ts'
import { checkPixels, type Pixels } from './pixels.ts'

/** How a picture is opened. */
export interface OpenOptions {
  /** 1 for grey, 3 for RGB, 4 for RGBA; what the file has if absent. */
  readonly channels?: 1 | 3 | 4
  readonly signal?: AbortSignal
}

/** The codec. A name that bundlers cannot follow keeps its native code out of browsers. */
async function loadCodec(wanted: string): Promise<typeof Sharp> {
  const name = 'sharp'
  try {
    const codec: { default: typeof Sharp } = await import(/* @vite-ignore */ /* webpackIgnore: true */ name)
    return codec.default
  } catch (cause) {
    throw new BackendError(`${wanted}: expects the package sharp, which this host could not load`, { cause })
  }
}

/** An 8-bit picture in memory: `data[(y * width + x) * channels + c]`, 0 to 255; grey, RGB or RGBA. */
export class Image implements Pixels {
  readonly data: Uint8Array
  readonly height: number
  readonly width: number
  readonly channels: number

  /** Takes `data` as it is, without a copy. Throws `ShapeError` if its length does not fit. */
  constructor(data: Uint8Array, height: number, width: number, channels: number) {
    this.data = data
    this.height = height
    this.width = width
    this.channels = channels
    checkPixels('Image', this)
  }

  /**
   * Opens a PNG, JPEG, WebP, TIFF, GIF (first frame) or AVIF file from a path, URL or bytes. Pixels are taken as they are
   * stored: like Pillow, and unlike browsers, this does not turn a picture as its EXIF data say.
   * Throws `FormatError` for a file that is no picture or a broken one, and `BackendError` without `sharp` (browsers).
   */
  static async open(source: FileSource, { channels, signal }: OpenOptions = {}): Promise<Image> {
    const bytes = await readBytes(source, 'Image.open', signal)
    const codec = await loadCodec('Image.open')
    try {
      const decoder = codec(bytes, { failOn: 'warning' })
      const stored = await decoder.metadata()
      const { data, info } = await decoder
        .toColourspace(stored.channels === 1 ? 'b-w' : 'srgb')
        .raw({ depth: 'uchar' })
        .toBuffer({ resolveWithObject: true })
      const image = new Image(new Uint8Array(data), info.height, info.width, info.channels)
      return channels === undefined ? image : image.convert(channels)
    } catch (cause) {
      const got = cause instanceof Error ? cause.message : String(cause)
      throw new FormatError({ file: sourceName(source), offset: 0, expected: 'a whole picture', got, cause })
    }
  }

  /**
   * This picture with 1, 3 or 4 channels. Grey is Pillow's `convert('L')`: (19595 R + 38470 G + 7471 B + 32768) >> 16,
   * ITU-R 601. Alpha is dropped, or added as opaque. Gives the same picture if nothing changes.
   */
  convert(channels: 1 | 3 | 4): Image {
    if (channels !== 1 && channels !== 3 && channels !== 4) {
      throw new ArgumentError(`Image.convert: channels expects 1, 3 or 4, got ${channels}`)
    }
    if (channels === this.channels) return this
    if (this.channels > 4) {
      throw new ShapeError(`Image.convert: expects a picture of at most 4 channels, got ${this.channels}`)
    }
    const { data: from, channels: step } = this
    const colour = step >= 3
    const alpha = step === 2 || step === 4
    const count = this.height * this.width
    const to = new Uint8Array(count * channels)
    for (let pixel = 0; pixel < count; pixel++) {
      const at = pixel * step
      const red = from[at] ?? 0
      const green = colour ? (from[at + 1] ?? 0) : red
      const blue = colour ? (from[at + 2] ?? 0) : red
      const out = pixel * channels
      if (channels === 1) {
        to[out] = colour ? (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16 : red
        continue
      }
      to[out] = red
      to[out + 1] = green
      to[out + 2] = blue
      if (channels === 4) to[out + 3] = alpha ? (from[at + step - 1] ?? 255) : 255
    }
    return new Image(to, this.height, this.width, channels)
  }

  /** This picture as the bytes of a PNG file. Throws `BackendError` without `sharp` (browsers). */
  async toPng(): Promise<Uint8Array> {
    const { data, height, width, channels } = this
    if (channels !== 1 && channels !== 2 && channels !== 3 && channels !== 4) {
      throw new ShapeError(`Image.toPng: expects a picture of 1 to 4 channels, got ${channels}`)
    }
    const codec = await loadCodec('Image.toPng')
    const grey = channels <= 2
    return codec(data, { raw: { width, height, channels } })
      .toColourspace(grey ? 'b-w' : 'srgb')
      .png()
      .toBuffer()
  }

  /** Writes this picture as a PNG file. The folder must exist. Rejects with Node's own error if it cannot. */
  async save(path: string | URL): Promise<void> {
    const { promises: fs } = builtin('node:fs', 'Image.save')
    await fs.writeFile(path, await this.toPng())
  }
}
