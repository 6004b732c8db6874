import { ArgumentError, BackendError, FormatError, Generator } from '@convnets/tensor'
import sharp, { type Sharp } from 'sharp'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { readDimensions } from '../src/image/dimensions.ts'
import { Image } from '../src/index.ts'
import { bitFlips, failureOf, truncations } from './corrupt.ts'

/** Six different pixels, 2 rows of 3, with which every orientation looks different. */
const colours = Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 200, 100, 50, 90, 90, 200)
const small = (): Sharp => sharp(colours, { raw: { width: 3, height: 2, channels: 3 } })
const pixelsOf = ({ data, channels }: Image): number[][] =>
  Array.from({ length: data.length / channels }, (_, i) => [...data.subarray(i * channels, (i + 1) * channels)])
const [a, b, c, d, e, f] = pixelsOf(new Image(colours, 2, 3, 3)) as [
  number[],
  number[],
  number[],
  number[],
  number[],
  number[],
]

/** A TIFF file of CMYK, uncompressed, written from the specification. */
function tiff(width: number, height: number, inks: readonly number[]): Uint8Array {
  const SHORT = 3
  const LONG = 4
  const tags = [
    [256, SHORT, 1, width],
    [257, SHORT, 1, height],
    [258, SHORT, 4, 122],
    [259, SHORT, 1, 1],
    [262, SHORT, 1, 5],
    [273, LONG, 1, 130],
    [277, SHORT, 1, 4],
    [278, SHORT, 1, height],
    [279, LONG, 1, inks.length],
  ] as const
  const file = Buffer.alloc(130 + inks.length)
  file.write('II')
  file.writeUInt16LE(42, 2)
  file.writeUInt32LE(8, 4)
  file.writeUInt16LE(tags.length, 8)
  for (const [i, [tag, type, count, value]] of tags.entries()) {
    file.writeUInt16LE(tag, 10 + 12 * i)
    file.writeUInt16LE(type, 12 + 12 * i)
    file.writeUInt32LE(count, 14 + 12 * i)
    file.writeUInt32LE(value, 18 + 12 * i)
  }
  for (let i = 0; i < 4; i++) file.writeUInt16LE(8, 122 + 2 * i)
  file.set(inks, 130)
  return file
}

describe('formats', () => {
  test.each(['png', 'webp', 'tiff', 'gif', 'avif'] as const)('%s', async (format) => {
    const options = {
      png: {},
      gif: {},
      webp: { lossless: true },
      avif: { lossless: true },
      tiff: { compression: 'lzw' },
    }[format]
    const bytes = await small().toFormat(format, options).toBuffer()
    const image = await Image.open(bytes, { channels: 3 })
    expect([image.height, image.width, image.channels]).toEqual([2, 3, 3])
    const off = Math.max(...image.data.map((value, i) => Math.abs(value - colours[i]!)))
    expect(off).toBeLessThanOrEqual(format === 'avif' ? 3 : 0)
  })

  test('jpeg, coloured and grey', async () => {
    const plain = sharp({ create: { width: 9, height: 7, channels: 3, background: { r: 200, g: 40, b: 90 } } })
    const image = await Image.open(await plain.jpeg({ quality: 100 }).toBuffer())
    expect([image.height, image.width, image.channels]).toEqual([7, 9, 3])
    for (const pixel of pixelsOf(image)) {
      for (const [i, value] of [200, 40, 90].entries()) expect(Math.abs(pixel[i]! - value)).toBeLessThan(3)
    }
    const grey = await sharp(new Uint8Array(63).fill(77), { raw: { width: 9, height: 7, channels: 1 } })
      .toColourspace('b-w')
      .jpeg({ quality: 100 })
      .toBuffer()
    const opened = await Image.open(grey)
    expect([opened.channels, [...new Set(opened.data)]]).toEqual([1, [77]])
    expect((await Image.open(grey, { channels: 3 })).data).toEqual(new Uint8Array(189).fill(77))
  })

  test('only the first frame of an animation', async () => {
    const frames = Buffer.concat([Buffer.alloc(12, 10), Buffer.alloc(12, 200)])
    const gif = await sharp(frames, { raw: { width: 2, height: 4, channels: 3, pageHeight: 2 } })
      .gif()
      .toBuffer()
    const image = await Image.open(gif, { channels: 3 })
    expect([image.height, image.width]).toEqual([2, 2])
    expect(Math.max(...image.data)).toBeLessThan(30)
  })

  test('Blobs are files too', async () => {
    const blob = new Blob([await small().png().toBuffer()])
    expect((await Image.open(blob)).data).toEqual(colours)
  })

  test('SVG is refused, as it may refer to other files', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="2" height="2"><rect width="2" height="2"/></svg>'
    await expect(Image.open(Buffer.from(svg))).rejects.toThrow(/expected a whole picture, got a file of format svg/)
  })
})

describe('what bytes mean', () => {
  const words = [0, 255, 256, 257, 32767, 32768, 65279, 65535]
  const upper = words.map((word) => word >> 8)

  test.each([
    [1, 'grey16', 1],
    [3, 'rgb16', 3],
    [4, 'rgb16', 4],
    [2, 'grey16', 4],
  ] as const)('of 16 bits in %i channels the upper byte counts', async (channels, space, expected) => {
    const values = Uint16Array.from({ length: 8 * channels }, (_, i) => words[Math.floor(i / channels)]!)
    const file = await sharp(values, { raw: { width: 8, height: 1, channels } })
      .toColourspace(space)
      .png()
      .toBuffer()
    expect((await sharp(file).metadata()).depth).toBe('ushort')
    const image = await Image.open(file)
    expect(image.channels).toBe(expected)
    expect(pixelsOf(image)).toEqual(upper.map((byte) => Array(expected).fill(byte)))
  })

  test('palettes become their colours', async () => {
    const file = await small().png({ palette: true, colours: 16, dither: 0 }).toBuffer()
    expect((await sharp(file).metadata()).isPalette).toBe(true)
    const image = await Image.open(file)
    expect(image.channels).toBe(3)
    expect(pixelsOf(image)).toHaveLength(6)
    expect(Math.max(...image.data.map((value, i) => Math.abs(value - colours[i]!)))).toBeLessThan(4)
  })

  // Pillow 9: Image.frombytes('CMYK', (1, 1), inks).convert('RGB')
  const inks = [
    [0, 0, 0, 0],
    [255, 255, 255, 255],
    [10, 200, 60, 30],
    [255, 0, 0, 100],
  ]
  const light = inks.map(([c, m, y, k]) => {
    const white = 255 - k!
    return [c, m, y].map((ink) => white - Math.round((ink! * white) / 255))
  })

  test('CMYK becomes what the inks leave of white: TIFF', async () => {
    const image = await Image.open(tiff(2, 2, inks.flat()))
    expect([image.channels, pixelsOf(image)]).toEqual([3, light])
  })

  test('CMYK becomes what the inks leave of white: JPEG, whose inks are stored inverted', async () => {
    const one = Array.from({ length: 16 * 16 }, () => inks[2]!).flat()
    const jpeg = await sharp(tiff(16, 16, one))
      .pipelineColourspace('cmyk')
      .toColourspace('cmyk')
      .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
      .toBuffer()
    expect((await sharp(jpeg).metadata()).space).toBe('cmyk')
    const image = await Image.open(jpeg)
    expect([image.height, image.width, image.channels]).toEqual([16, 16, 3])
    for (const pixel of pixelsOf(image)) {
      for (const [i, value] of light[2]!.entries()) expect(Math.abs(pixel[i]! - value)).toBeLessThan(3)
    }
  })

  test('colour profiles are not applied', async () => {
    const file = await small().withIccProfile('p3').png().toBuffer()
    const stored = await sharp(file, { ignoreIcc: true }).raw().toBuffer()
    expect((await sharp(file).metadata()).hasProfile).toBe(true)
    expect([...stored]).not.toEqual([...colours])
    expect([...(await Image.open(file)).data]).toEqual([...stored])
  })
})

describe('EXIF orientation', () => {
  const upright: Readonly<Record<number, readonly [number, number, number[][]]>> = {
    1: [2, 3, [a, b, c, d, e, f]],
    2: [2, 3, [c, b, a, f, e, d]],
    3: [2, 3, [f, e, d, c, b, a]],
    4: [2, 3, [d, e, f, a, b, c]],
    5: [3, 2, [a, d, b, e, c, f]],
    6: [3, 2, [d, a, e, b, f, c]],
    7: [3, 2, [f, c, e, b, d, a]],
    8: [3, 2, [c, f, b, e, a, d]],
  }

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('%i', async (orientation) => {
    const file = await small().withMetadata({ orientation }).tiff({ compression: 'none' }).toBuffer()
    expect((await sharp(file).metadata()).orientation).toBe(orientation)
    const image = await Image.open(file)
    const [height, width, pixels] = upright[orientation]!
    expect([image.height, image.width]).toEqual([height, width])
    expect(pixelsOf(image)).toEqual(pixels)
    const stored = await Image.open(file, { exifOrientation: false })
    expect([stored.height, stored.width, pixelsOf(stored)]).toEqual([2, 3, [a, b, c, d, e, f]])
  })

  test('of a JPEG', async () => {
    const file = await small().resize(32, 16).withMetadata({ orientation: 6 }).jpeg().toBuffer()
    const image = await Image.open(file)
    expect([image.height, image.width]).toEqual([32, 16])
  })
})

describe('size limit', () => {
  /** A PNG whose header claims a size that its data do not have. */
  async function claiming(height: number, width: number): Promise<Buffer> {
    const file = Buffer.from(await small().png().toBuffer())
    file.writeUInt32BE(width, 16)
    file.writeUInt32BE(height, 20)
    const table = Array.from({ length: 256 }, (_, n) => {
      let crc = n
      for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
      return crc
    })
    const crc = file.subarray(12, 29).reduce((sum, byte) => table[(sum ^ byte) & 255]! ^ (sum >>> 8), -1)
    file.writeUInt32BE(~crc >>> 0, 29)
    return file
  }

  test('a bomb is refused by its header, without memory for its pixels', async () => {
    const bomb = await claiming(60000, 60000)
    const before = process.memoryUsage.rss()
    const error = await failureOf(() => Image.open(bomb))
    expect(error).toBeInstanceOf(FormatError)
    expect(String(error)).toMatch(/expected a picture of at most 64 megapixels \(maxPixels\), got 60000 x 60000 pixels/)
    expect(process.memoryUsage.rss() - before).toBeLessThan(200e6)
  })

  test('the limit may be set', async () => {
    const file = await small().png().toBuffer()
    expect((await Image.open(file, { maxPixels: 6 })).data).toEqual(colours)
    await expect(Image.open(file, { maxPixels: 5 })).rejects.toThrow(/got 2 x 3 pixels/)
    await expect(Image.open(file, { maxPixels: 0 })).rejects.toThrow(ArgumentError)
    await expect(Image.open(file, { maxPixels: Number.NaN })).rejects.toThrow(/maxPixels expects a number from 1/)
  })
})

describe('broken files', () => {
  test.each(['jpeg', 'webp', 'gif', 'tiff'] as const)('%s, cut anywhere or with a flipped bit', async (format) => {
    const file = new Uint8Array(await small().toFormat(format).toBuffer())
    const every = Math.ceil((file.length * 9) / 250)
    const all = [...truncations(file), ...bitFlips(file)].filter((_, i) => i % every === 0)
    let refused = 0
    for (const { what, bytes } of all) {
      const error = await failureOf(() => Image.open(bytes, { maxPixels: 1e6 }))
      if (error === undefined) continue
      refused++
      expect(error, what).toBeInstanceOf(FormatError)
    }
    expect(refused).toBeGreaterThan(10)
  })

  test('a file that is cut in half', async () => {
    const noisy = sharp(
      Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * i * 31) & 255),
      { raw: { width: 64, height: 64, channels: 3 } },
    )
    for (const format of ['jpeg', 'png', 'webp', 'tiff'] as const) {
      const whole = await noisy.clone().toFormat(format).toBuffer()
      await expect(Image.open(whole.subarray(0, whole.length >> 1)), format).rejects.toThrow(FormatError)
    }
  })

  test('options are checked before the file is read', async () => {
    await expect(Image.open('/nowhere.png', { channels: 2 as 1 })).rejects.toThrow(/channels expects 1, 3 or 4, got 2/)
  })
})

describe('sizes from headers', () => {
  test.each(['png', 'jpeg', 'gif', 'webp'] as const)('%s', async (format) => {
    for (const [width, height] of [
      [3, 2],
      [300, 17],
      [1000, 2000],
    ] as const) {
      const picture = sharp({ create: { width, height, channels: 3, background: '#123' } })
      expect(readDimensions(await picture.toFormat(format).toBuffer())).toEqual({ height, width })
    }
  })

  test('webp of every kind', async () => {
    const picture = sharp({ create: { width: 70, height: 33, channels: 4, background: '#1234' } })
    for (const options of [{ lossless: true }, { lossless: false }, { nearLossless: true }]) {
      expect(readDimensions(await picture.clone().webp(options).toBuffer())).toEqual({ height: 33, width: 70 })
    }
  })

  test('a jpeg with much before its frame', async () => {
    const file = await small()
      .withMetadata({ orientation: 6 })
      .withIccProfile('srgb')
      .jpeg({ progressive: true })
      .toBuffer()
    expect(readDimensions(file)).toEqual({ height: 2, width: 3 })
  })

  test('never throws, whatever the bytes', { timeout: 90_000 }, async () => {
    const files = await Promise.all(
      (['png', 'jpeg', 'gif', 'webp'] as const).map(
        async (format) => new Uint8Array(await small().toFormat(format).toBuffer()),
      ),
    )
    for (const file of files) {
      for (const { bytes } of [...truncations(file), ...bitFlips(file)]) {
        const found = readDimensions(bytes)
        if (found) expect(Number.isInteger(found.height) && Number.isInteger(found.width)).toBe(true)
      }
    }
    const generator = new Generator(1)
    for (let i = 0; i < 200_000; i++) {
      const whole = files[i % files.length]!
      const bytes = whole.slice(0, i % 3 === 0 ? generator.integer(whole.length) + 1 : whole.length)
      for (let changes = i % 8; changes >= 0; changes--) {
        bytes[generator.integer(bytes.length)] = generator.integer(256)
      }
      readDimensions(bytes)
    }
  })
})

describe('in a browser', () => {
  afterEach(() => vi.unstubAllGlobals())

  /** A canvas that draws what it is given pixel by pixel, as a browser would. */
  class Canvas {
    readonly width: number
    readonly height: number
    constructor(width: number, height: number) {
      this.width = width
      this.height = height
    }
    getContext(kind: string) {
      if (kind !== '2d') return null
      let drawn: { rgba: Uint8ClampedArray } | undefined
      return {
        drawImage: (source: { rgba: Uint8ClampedArray }) => {
          drawn = source
        },
        getImageData: () => ({ data: drawn?.rgba }),
      }
    }
  }

  const rgba = Uint8ClampedArray.of(1, 2, 3, 255, 4, 5, 6, 128)

  test('ImageData needs no canvas', () => {
    const image = Image.from({ data: rgba, height: 1, width: 2 })
    expect([image.channels, [...image.data]]).toEqual([3, [1, 2, 3, 4, 5, 6]])
    expect([...Image.from({ data: rgba, height: 1, width: 2 }, { channels: 4 }).data]).toEqual([...rgba])
    expect(() => Image.from({ data: rgba, height: 2, width: 2 })).toThrow(/expects 4 bytes per pixel of 2 x 2, got 8/)
  })

  test.each([
    ['a bitmap or canvas', { width: 2, height: 1 }],
    ['an image', { naturalWidth: 2, naturalHeight: 1, width: 20, height: 10 }],
    ['a video', { videoWidth: 2, videoHeight: 1, width: 20, height: 10 }],
    ['a video frame', { displayWidth: 2, displayHeight: 1 }],
  ])('%s is drawn in its own size', (_, sizes) => {
    vi.stubGlobal('OffscreenCanvas', Canvas)
    const image = Image.from({ ...sizes, rgba } as unknown as ImageBitmap)
    expect([image.height, image.width, [...image.data]]).toEqual([1, 2, [1, 2, 3, 4, 5, 6]])
  })

  test('what has not loaded, is too large, or cannot be drawn is refused', () => {
    const bitmap = (width: number, height: number): ImageBitmap => ({ width, height }) as ImageBitmap
    expect(() => Image.from(bitmap(0, 0))).toThrow(/expects a picture with a size, got 0 x 0; has it loaded/)
    expect(() => Image.from(bitmap(10000, 10000))).toThrow(FormatError)
    expect(() => Image.from(bitmap(2, 1))).toThrow(BackendError)
    expect(() => Image.from(null as unknown as ImageBitmap)).toThrow(ArgumentError)
  })

  test('files are decoded by the browser, upright, without colour conversion', async () => {
    const close = vi.fn()
    const opaque = Uint8ClampedArray.of(1, 2, 3, 255, 4, 5, 6, 255)
    const createImageBitmap = vi.fn(async () => ({ width: 2, height: 1, rgba: opaque, close }))
    vi.stubGlobal('OffscreenCanvas', Canvas)
    vi.stubGlobal('createImageBitmap', createImageBitmap)
    const image = await Image.open(new Blob([await small().png().toBuffer()]), { channels: 3 })
    expect([...image.data]).toEqual([1, 2, 3, 4, 5, 6])
    expect(close).toHaveBeenCalledOnce()
    const options = { imageOrientation: 'from-image', colorSpaceConversion: 'none', premultiplyAlpha: 'none' }
    expect(createImageBitmap).toHaveBeenCalledWith(expect.any(Blob), options)
    await expect(Image.open(await small().png().toBuffer(), { maxPixels: 5 })).rejects.toThrow(/got 2 x 3 pixels/)
    expect(createImageBitmap).toHaveBeenCalledOnce()
    // What lies under transparent pixels is read by WebGL 2, which this host has not.
    createImageBitmap.mockResolvedValueOnce({ width: 2, height: 1, rgba, close })
    await expect(Image.open(new Blob([await small().png().toBuffer()]))).rejects.toThrow(BackendError)
    createImageBitmap.mockRejectedValueOnce(new Error('The source image could not be decoded.'))
    await expect(Image.open(Uint8Array.of(1, 2, 3))).rejects.toThrow(FormatError)
  })
})
