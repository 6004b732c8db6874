/** Picture files in Node, by way of sharp. */
import { BackendError, FormatError } from '@convnets/tensor'
import type Sharp from 'sharp'
import type { Pixels } from '../pixels.ts'
import { inksToColours } from './inks.ts'
import { checkPixelCount } from './limit.ts'

/** The codec. A name that bundlers cannot follow keeps its native code out of browsers. */
export async function loadCodec(wanted: string): Promise<typeof Sharp> {
  const name = 'sharp'
  try {
    const codec: { default: typeof Sharp } = await import(/* @vite-ignore */ /* webpackIgnore: true */ name)
    return codec.default
  } catch (cause) {
    throw new BackendError(`${wanted}: expects the package sharp, which this host could not load`, { cause })
  }
}

/** What is opened. The codec knows more, among them formats that refer to other files. */
const formats: readonly string[] = ['jpeg', 'png', 'webp', 'gif', 'tiff', 'heif']

export interface DecodeOptions {
  /** For messages. */
  readonly file: string
  readonly maxPixels: number
  readonly exifOrientation: boolean
}

type Bytes = Pixels & { readonly data: Uint8Array }

const broken = (file: string, got: string, cause?: unknown): FormatError =>
  new FormatError({ file, offset: 0, expected: 'a whole picture', got, cause })

/** The pixels of a file. Throws `FormatError` for one that is broken, too large, or no picture. */
export async function decode(codec: typeof Sharp, bytes: Uint8Array, options: DecodeOptions): Promise<Bytes> {
  const { file, maxPixels, exifOrientation } = options
  try {
    // Our own limit is checked on the header; the codec's would hide by how much it is exceeded.
    const decoder = codec(bytes, { failOn: 'warning', limitInputPixels: false, ignoreIcc: true })
    const { format, width, height, space, channels, depth } = await decoder.metadata()
    if (!formats.includes(format)) throw broken(file, `a file of format ${format}`)
    checkPixelCount(file, height, width, maxPixels)
    if (depth !== 'uchar' && depth !== 'ushort') throw broken(file, `numbers of type ${depth}`)
    if (exifOrientation) decoder.autoOrient()
    if (space === 'cmyk') decoder.pipelineColourspace('cmyk').toColourspace('cmyk')
    else if (depth === 'ushort') decoder.toColourspace(channels <= 2 ? 'grey16' : 'rgb16')
    else decoder.toColourspace(channels === 1 ? 'b-w' : 'srgb')
    const { data, info } = await decoder.raw({ depth }).toBuffer({ resolveWithObject: true })
    const values = depth === 'ushort' ? highBytes(data) : new Uint8Array(data)
    const size = { height: info.height, width: info.width }
    if (space === 'cmyk') return { ...size, data: inksToColours(values), channels: 3 }
    return { ...size, data: values, channels: info.channels }
  } catch (cause) {
    if (cause instanceof FormatError) throw cause
    throw broken(file, cause instanceof Error ? cause.message : String(cause), cause)
  }
}

/** The upper byte of every 16-bit number, as Pillow reads colours of 16 bits. */
function highBytes(data: Uint8Array): Uint8Array {
  const words = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const little = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1
  const result = new Uint8Array(data.length / 2)
  for (let i = 0; i < result.length; i++) result[i] = words.getUint16(2 * i, little) >> 8
  return result
}
