import { ArgumentError, readOptions, ShapeError } from '@convnets/tensor'
import { builtin } from '@convnets/tensor/host'
import { type FileSource, readBytes, sourceName } from './file-source.ts'
import { decode, loadCodec } from './image/codec.ts'
import { canDecode, capture, type Drawable, decodeInBrowser } from './image/drawable.ts'
import { checkLimit } from './image/limit.ts'
import { checkPixels, type Pixels } from './pixels.ts'
import { luminance } from './transforms/grey.ts'
import { toBytes } from './transforms/normalize.ts'

/** How a picture is opened. */
export interface OpenOptions {
  /** 1 for grey, 3 for RGB, 4 for RGBA; what the file has if absent. */
  readonly channels?: 1 | 3 | 4
  /**
   * Whether the picture is turned and mirrored as its EXIF data say, as viewers and browsers do. Default true; false gives
   * it as it is stored, as Pillow and torchvision's loaders do.
   */
  readonly exifOrientation?: boolean
  /** Most pixels, height times width; more is refused before any is decoded. Default 64 million. */
  readonly maxPixels?: number
  readonly signal?: AbortSignal
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
   * Opens a JPEG, PNG, WebP, GIF (first frame), TIFF or AVIF file from a path, URL, Blob or bytes; by `sharp` in Node, and
   * by the browser elsewhere (which gives grey pictures as RGBA; ask for `channels`).
   *
   * Bytes mean what they mean in Pillow: of 16-bit numbers the upper byte is taken, palettes become their colours, CMYK
   * becomes RGB by (255 - C)(255 - K) / 255, grey stays one channel, alpha a fourth (grey with alpha becomes RGBA), and
   * colour profiles are not applied.
   *
   * Throws `FormatError` for a file that is no picture, a broken one, or one of more than `maxPixels`, `ArgumentError` for
   * options that are none, and `BackendError` for a host that has neither `sharp` nor a decoder, or for a transparent
   * picture in a browser without WebGL 2.
   */
  static async open(source: FileSource | Blob, options: OpenOptions = {}): Promise<Image> {
    const read = readOptions('Image.open', options, {
      channels: undefined,
      exifOrientation: true,
      maxPixels: undefined,
      signal: undefined,
    })
    const { channels, exifOrientation, signal } = read
    const maxPixels = checkLimit('Image.open', read.maxPixels)
    if (channels !== undefined) checkChannels('Image.open', channels)
    const blob = source instanceof Blob
    const bytes = blob ? new Uint8Array(await source.arrayBuffer()) : await readBytes(source, 'Image.open', signal)
    const how = { file: blob ? 'blob' : sourceName(source), maxPixels, exifOrientation }
    const decoded = canDecode()
      ? await decodeInBrowser(bytes, how)
      : await decode(await loadCodec('Image.open'), bytes, how)
    const image = new Image(decoded.data, decoded.height, decoded.width, decoded.channels)
    if (channels !== undefined) return image.convert(channels)
    return image.channels === 2 ? image.convert(4) : image
  }

  /**
   * A picture out of what transforms give (floats from 0 to 1 become bytes), which keeps its channels; or of what a browser
   * holds, as RGB by default: ImageData, ImageBitmap, a canvas, an image or video element, or a video frame.
   * Throws `ArgumentError` for one without a size (not loaded yet) and for options that are none, `FormatError` for more
   * than `maxPixels`, and `BackendError` where the host cannot draw.
   */
  static from(source: Pixels | Drawable, options: Pick<OpenOptions, 'channels' | 'maxPixels'> = {}): Image {
    const { channels, maxPixels } = readOptions('Image.from', options, { channels: undefined, maxPixels: undefined })
    if (channels !== undefined) checkChannels('Image.from', channels)
    if (typeof source === 'object' && source !== null && 'channels' in source) {
      const { data, height, width, channels: given } = toBytes(source)
      const image = new Image(data as Uint8Array, height, width, given)
      return channels === undefined ? image : image.convert(channels)
    }
    const { data, height, width } = capture('Image.from', source, checkLimit('Image.from', maxPixels))
    return new Image(data, height, width, 4).convert(channels ?? 3)
  }

  /**
   * This picture with 1, 3 or 4 channels. Grey is Pillow's `convert('L')`: (19595 R + 38470 G + 7471 B + 32768) >> 16,
   * ITU-R 601. Alpha is dropped, or added as opaque. Gives the same picture if nothing changes.
   */
  convert(channels: 1 | 3 | 4): Image {
    checkChannels('Image.convert', channels)
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
        to[out] = colour ? luminance(red, green, blue) : red
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

function checkChannels(what: string, channels: number): void {
  if (channels !== 1 && channels !== 3 && channels !== 4) {
    throw new ArgumentError(`${what}: channels expects 1, 3 or 4, got ${channels}`)
  }
}
