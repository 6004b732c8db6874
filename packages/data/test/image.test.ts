import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { deflateSync } from 'node:zlib'
import { ArgumentError, FormatError, ShapeError } from '@convnets/tensor'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Image } from '../src/index.ts'
import { bitFlips, failureOf, truncations } from './corrupt.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'convnets-image-'))
})
afterAll(() => rm(folder, { recursive: true }))

const noise = (height: number, width: number, channels: number): Image =>
  new Image(
    Uint8Array.from({ length: height * width * channels }, (_, i) => (i * 73 + (i >> 3) * 11) & 255),
    height,
    width,
    channels,
  )

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  return c
})

/** A PNG chunk: length, name, data, CRC-32. */
function chunk(name: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(name), data])
  const frame = Buffer.alloc(body.length + 8)
  frame.writeUInt32BE(data.length, 0)
  body.copy(frame, 4)
  const crc = body.reduce((c, byte) => table[(c ^ byte) & 255]! ^ (c >>> 8), 0xffffffff)
  frame.writeUInt32BE((crc ^ 0xffffffff) >>> 0, body.length + 4)
  return frame
}

/** A PNG written by hand from the specification: colour type 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA. */
function png(
  width: number,
  height: number,
  colour: number,
  rows: readonly number[][],
  extra: Buffer[] = [],
): Uint8Array {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, colour, 0, 0, 0], 8)
  const data = deflateSync(Buffer.from(rows.flatMap((row) => [0, ...row])))
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    ...extra,
    chunk('IDAT', data),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

describe('Image.open', () => {
  test.each([
    [
      'grey',
      0,
      [
        [0, 7],
        [128, 255],
      ],
      1,
      [0, 7, 128, 255],
    ],
    [
      'RGB',
      2,
      [
        [1, 2, 3, 4, 5, 6],
        [7, 8, 9, 250, 251, 252],
      ],
      3,
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 250, 251, 252],
    ],
    [
      'grey with alpha',
      4,
      [
        [9, 255, 8, 3],
        [7, 0, 6, 128],
      ],
      4,
      [9, 9, 9, 255, 8, 8, 8, 3, 7, 7, 7, 0, 6, 6, 6, 128],
    ],
    [
      'RGBA',
      6,
      [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [9, 1, 1, 0, 2, 2, 2, 2],
      ],
      4,
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 1, 0, 2, 2, 2, 2],
    ],
  ] as const)('%s', async (_, colour, rows, channels, expected) => {
    const image = await Image.open(
      png(
        2,
        2,
        colour,
        rows.map((row) => [...row]),
      ),
    )
    expect([image.height, image.width, image.channels]).toEqual([2, 2, channels])
    expect(Array.from(image.data)).toEqual(expected)
  })

  test('a palette becomes its colours', async () => {
    const palette = chunk('PLTE', Uint8Array.of(10, 20, 30, 200, 100, 0))
    const image = await Image.open(png(2, 1, 3, [[1, 0]], [palette]))
    expect([image.channels, Array.from(image.data)]).toEqual([3, [200, 100, 0, 10, 20, 30]])
  })

  test('converts on the way', async () => {
    const file = png(1, 1, 2, [[255, 128, 0]])
    expect(Array.from((await Image.open(file, { channels: 1 })).data)).toEqual([151])
    expect(Array.from((await Image.open(file, { channels: 4 })).data)).toEqual([255, 128, 0, 255])
  })

  test('takes paths, URLs and bytes', async () => {
    const image = noise(3, 5, 3)
    const path = join(folder, 'a picture.png')
    await image.save(path)
    for (const source of [path, pathToFileURL(path), pathToFileURL(path).href, await readFile(path)]) {
      expect(await Image.open(source)).toEqual(image)
    }
  })

  test('a missing file is the error of the file system', async () => {
    await expect(Image.open(join(folder, 'none.png'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('a file that is no picture names itself', async () => {
    const path = join(folder, 'text.png')
    await writeFile(path, 'no picture')
    await expect(Image.open(path)).rejects.toThrow(FormatError)
    await expect(Image.open(path)).rejects.toMatchObject({ file: path, expected: 'a whole picture' })
  })

  test('a PNG that is cut or has a flipped bit is a FormatError or a picture, never anything else', async () => {
    const file = png(3, 2, 2, [
      [1, 2, 3, 4, 5, 6, 7, 8, 9],
      [9, 8, 7, 6, 5, 4, 3, 2, 1],
    ])
    let refused = 0
    for (const { what, bytes } of [...truncations(file), ...bitFlips(file)]) {
      const error = await failureOf(() => Image.open(bytes))
      if (error === undefined) continue
      refused++
      expect(error, what).toBeInstanceOf(FormatError)
    }
    expect(refused).toBeGreaterThan(file.length)
  })
})

describe('Image.save', () => {
  test.each([1, 3, 4])('a picture of %i channels comes back as it was', async (channels) => {
    const path = join(folder, `${channels}.png`)
    const image = noise(7, 4, channels)
    await image.save(path)
    const bytes = await readFile(path)
    expect(Array.from(bytes.subarray(0, 8))).toEqual([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
    expect(await Image.open(path)).toEqual(image)
  })

  test('a folder that is not there', async () => {
    await expect(noise(1, 1, 1).save(join(folder, 'no', 'x.png'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('a picture of five channels is no PNG', async () => {
    await expect(noise(1, 1, 5).toPng()).rejects.toThrow('expects a picture of 1 to 4 channels, got 5')
  })
})

describe('Image.convert', () => {
  // Pillow 9.4: Image.fromarray(np.array([[[255,0,0],[0,255,0],[0,0,255],[1,2,3],[200,100,50],[254,255,253]]], 'uint8')).convert('L')
  const colours = [255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 2, 3, 200, 100, 50, 254, 255, 253]
  const greys = [76, 150, 29, 2, 124, 254]

  test('to grey as Pillow does', () => {
    expect(Array.from(new Image(Uint8Array.from(colours), 1, 6, 3).convert(1).data)).toEqual(greys)
  })

  test('grey to colour and back changes nothing', () => {
    const image = noise(4, 3, 1)
    expect(image.convert(3).convert(4).convert(1)).toEqual(image)
    expect(image.convert(1)).toBe(image)
  })

  test('alpha is dropped, or opaque', () => {
    const image = new Image(Uint8Array.of(10, 20, 30, 40), 1, 1, 4)
    expect(Array.from(image.convert(3).data)).toEqual([10, 20, 30])
    expect(Array.from(image.convert(3).convert(4).data)).toEqual([10, 20, 30, 255])
  })

  test('refuses other numbers of channels', () => {
    expect(() => noise(1, 1, 3).convert(2 as 1)).toThrow(ArgumentError)
    expect(() => noise(1, 1, 5).convert(3)).toThrow(/at most 4 channels, got 5/)
  })
})

test('Image.from takes what transforms give', () => {
  const image = noise(3, 4, 3)
  const { data, height, width, channels } = image
  expect(Image.from({ data, height, width, channels })).toEqual(image)
  const floats = Float32Array.from(data, (value) => value / 255)
  expect(Image.from({ data: floats, height, width, channels })).toEqual(image)
  expect(Image.from(image, { channels: 1 })).toEqual(image.convert(1))
  expect(() => Image.from({ data, height, width, channels: 4 })).toThrow(ShapeError)
})

test('an image is as large as it says', () => {
  expect(() => new Image(new Uint8Array(11), 2, 2, 3)).toThrow(ShapeError)
  expect(() => new Image(new Uint8Array(11), 2, 2, 3)).toThrow('Image: data expects 12 values for 2 x 2 x 3, got 11')
  expect(() => new Image(new Uint8Array(0), 0, 2, 3)).toThrow(/expect positive integers, got 0 x 2 x 3/)
  expect(() => new Image(new Uint8Array(3), 1.5, 2, 1)).toThrow(/got 1.5 x 2 x 1/)
})

test('a bundle for browsers holds neither Node nor sharp, and keeps the data files findable', async () => {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, '../src/index.ts')],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    logLevel: 'silent',
  })
  const text = outputFiles[0]!.text
  expect(text).not.toMatch(/libvips|require\("sharp"\)/)
  expect(text.match(/new URL\("\.\.\/assets\/fashion-mnist\/[a-z0-9-]+\.gz", import\.meta\.url\)/g)).toHaveLength(4)
})
