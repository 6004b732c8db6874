/** Pictures that a browser holds. */
import { ArgumentError, BackendError, FormatError } from '@convnets/tensor'
import type { Pixels } from '../pixels.ts'
import type { DecodeOptions } from './codec.ts'
import { readDimensions } from './dimensions.ts'
import { checkPixelCount } from './limit.ts'

/** Pixels as a browser hands them out: RGBA. `ImageData` is one. */
export interface RawImage {
  readonly data: Uint8ClampedArray | Uint8Array
  readonly height: number
  readonly width: number
}

/** What a canvas can draw, and pixels at hand. */
export type Drawable =
  | RawImage
  | ImageBitmap
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLImageElement
  | HTMLVideoElement
  | VideoFrame

type Bytes = Pixels & { readonly data: Uint8Array; readonly channels: 4 }

const isRaw = (source: object): source is RawImage => 'data' in source && ArrayBuffer.isView(source.data)

/** Size in pixels of the picture itself, whatever the page shows it in. */
function sizeOf(source: Exclude<Drawable, RawImage>): { height: number; width: number } {
  const { naturalHeight, naturalWidth, videoHeight, videoWidth, displayHeight, displayWidth, height, width } =
    source as unknown as Readonly<Record<string, number | undefined>>
  return {
    height: naturalHeight ?? videoHeight ?? displayHeight ?? height ?? 0,
    width: naturalWidth ?? videoWidth ?? displayWidth ?? width ?? 0,
  }
}

/** The pixels of something drawable: (H, W, 4). Throws `ArgumentError` for what has no size yet, such as an image that loads. */
export function capture(what: string, source: Drawable, maxPixels: number): Bytes {
  if (typeof source !== 'object' || source === null) {
    throw new ArgumentError(`${what}: source expects ImageData, a bitmap, canvas, image, video or frame, got ${source}`)
  }
  const raw = isRaw(source)
  const { height, width } = raw ? source : sizeOf(source)
  if (!(Number.isInteger(height) && Number.isInteger(width) && height > 0 && width > 0)) {
    throw new ArgumentError(`${what}: source expects a picture with a size, got ${height} x ${width}; has it loaded?`)
  }
  checkPixelCount(what, height, width, maxPixels)
  if (raw) {
    if (source.data.length !== height * width * 4) {
      throw new ArgumentError(
        `${what}: source expects 4 bytes per pixel of ${height} x ${width}, got ${source.data.length}`,
      )
    }
    return { data: new Uint8Array(source.data), height, width, channels: 4 }
  }
  if (typeof OffscreenCanvas !== 'function') {
    throw new BackendError(`${what}: expects a host that draws (OffscreenCanvas), got one that does not`)
  }
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
  if (!context) throw new BackendError(`${what}: expects a canvas to draw on, got none from this host`)
  context.drawImage(source, 0, 0)
  const { data } = context.getImageData(0, 0, width, height)
  return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), height, width, channels: 4 }
}

function isOpaque(data: Uint8Array): boolean {
  for (let at = 3; at < data.length; at += 4) if (data[at] !== 255) return false
  return true
}

/**
 * The pixels of a bitmap by way of a texture: a 2D canvas multiplies colours by their alpha and so loses those of what is
 * transparent. Undefined without WebGL 2, and for what is larger than its textures.
 */
function readTexture(bitmap: ImageBitmap): Uint8Array | undefined {
  const { width, height } = bitmap
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2')
  if (!gl) return undefined
  try {
    if (Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return undefined
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture())
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap)
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer())
    gl.framebufferTexture2D(
      gl.FRAMEBUFFER,
      gl.COLOR_ATTACHMENT0,
      gl.TEXTURE_2D,
      gl.getParameter(gl.TEXTURE_BINDING_2D),
      0,
    )
    const data = new Uint8Array(width * height * 4)
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data)
    return gl.getError() === gl.NO_ERROR ? data : undefined
  } finally {
    // Browsers have few of them.
    gl.getExtension('WEBGL_lose_context')?.loseContext()
  }
}

/** Whether this host decodes pictures by itself. */
export const canDecode = (): boolean => typeof createImageBitmap === 'function' && typeof OffscreenCanvas === 'function'

/** The pixels of a file by the browser's own decoder, without colour conversion; grey comes as colours. */
export async function decodeInBrowser(bytes: Uint8Array, options: DecodeOptions): Promise<Bytes> {
  const { file, maxPixels, exifOrientation } = options
  const claimed = readDimensions(bytes)
  if (claimed) checkPixelCount(file, claimed.height, claimed.width, maxPixels)
  let bitmap: ImageBitmap
  try {
    bitmap = await createImageBitmap(new Blob([bytes.slice()]), {
      imageOrientation: exifOrientation ? 'from-image' : 'none',
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    })
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause)
    throw new FormatError({ file, offset: 0, expected: 'a whole picture', got, cause })
  }
  try {
    const drawn = capture('Image.open', bitmap, maxPixels)
    if (isOpaque(drawn.data)) return drawn
    const data = readTexture(bitmap)
    if (data) return { ...drawn, data }
    throw new BackendError(
      `Image.open: ${file} expects WebGL 2, as it is transparent, which a canvas rounds; got none. Draw it on a canvas of one colour and use Image.from`,
    )
  } finally {
    bitmap.close()
  }
}
