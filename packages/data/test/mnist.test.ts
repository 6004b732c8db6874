import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { ArgumentError, FormatError } from '@convnets/tensor'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { fashionMnist, mnist, type Split } from '../src/index.ts'
import { idxFile } from './corrupt.ts'

const assets = fileURLToPath(new URL('../assets/fashion-mnist/', import.meta.url))

describe('the embedded Fashion-MNIST', () => {
  let data: Split
  beforeAll(async () => {
    data = await fashionMnist()
  })

  test('has every class equally often', () => {
    const counts = (labels: Uint8Array): number[] =>
      data.classes.map((_, label) => labels.filter((l) => l === label).length)
    expect(counts(data.train.labels)).toEqual(Array(10).fill(600))
    expect(counts(data.test.labels)).toEqual(Array(10).fill(100))
    expect(data.classes).toHaveLength(10)
  })

  test('has pictures of 28 x 28 x 1, all different', () => {
    for (const half of [data.train, data.test]) {
      expect([half.height, half.width, half.channels]).toEqual([28, 28, 1])
      expect(half.images).toHaveLength(half.length * 784)
    }
    const seen = new Set<string>()
    for (const half of [data.train, data.test]) {
      for (let i = 0; i < half.length; i++) seen.add(Buffer.from(half.get(i).image.data).toString('latin1'))
    }
    expect(seen.size).toBe(7000)
  })

  test('has the statistics of the full set: mean 0.2860, deviation 0.3530', () => {
    let sum = 0
    let squares = 0
    for (const byte of data.train.images) {
      sum += byte / 255
      squares += (byte / 255) ** 2
    }
    const mean = sum / data.train.images.length
    expect(Math.abs(mean - 0.286)).toBeLessThan(0.003)
    expect(Math.abs(Math.sqrt(squares / data.train.images.length - mean ** 2) - 0.353)).toBeLessThan(0.003)
  })

  test('shows what its labels say', () => {
    // Mean brightness per class over the 60,000 training pictures, from the full set.
    const brightness = [83.0, 56.8, 96.1, 66.0, 98.3, 34.9, 84.6, 42.8, 90.2, 76.8]
    for (const [label, expected] of brightness.entries()) {
      let sum = 0
      for (let i = 0; i < data.train.length; i++) {
        if (data.train.labels[i] === label) for (const byte of data.train.get(i).image.data) sum += byte
      }
      expect(Math.abs(sum / (600 * 784) - expected), data.classes[label]).toBeLessThan(4)
    }
  })

  test('is small, and comes with its licence', async () => {
    const names = await readdir(assets)
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(assets, name))).size))
    expect(sizes.reduce((total, size) => total + size, 0)).toBeLessThan(3.5e6)
    expect(await readFile(join(assets, 'LICENSE'), 'utf8')).toContain(
      'Copyright (c) 2017 Zalando SE, https://tech.zalando.com',
    )
  })
})

describe('from a folder', () => {
  let root: string
  const images = (count: number): Uint8Array =>
    idxFile(
      8,
      [count, 2, 3],
      Array.from({ length: count * 6 }, (_, i) => i),
    )
  const labels = (...values: number[]): Uint8Array => idxFile(8, [values.length], values)
  const write = (name: string, bytes: Uint8Array): Promise<void> => writeFile(join(root, name), bytes)

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'convnets-mnist-'))
    await write('train-images-idx3-ubyte.gz', gzipSync(images(3)))
    await write('train-labels-idx1-ubyte', labels(1, 9, 0))
    await write('t10k-images-idx3-ubyte', images(1))
    await write('t10k-labels-idx1-ubyte.gz', gzipSync(labels(5)))
  })
  afterEach(() => rm(root, { recursive: true }))

  test.each([
    ['mnist', () => mnist({ root }), '9'],
    ['fashionMnist', () => fashionMnist({ subset: 'full', root }), 'Ankle boot'],
  ])('%s reads packed and plain files', async (_, load, nine) => {
    const { train, test: held, classes } = await load()
    expect([train.length, held.length]).toEqual([3, 1])
    expect(Array.from(train.labels)).toEqual([1, 9, 0])
    expect(train.get(1)).toMatchObject({ label: 9, image: { height: 2, width: 3, channels: 1 } })
    expect(Array.from(train.get(1).image.data)).toEqual([6, 7, 8, 9, 10, 11])
    expect(classes[9]).toBe(nine)
  })

  test('a missing file is the error of the file system, and nothing is downloaded unasked', async () => {
    await rm(join(root, 't10k-labels-idx1-ubyte.gz'))
    await expect(mnist({ root })).rejects.toMatchObject({ code: 'ENOENT' })
    const urls = ['http://127.0.0.1:9/nobody']
    await expect(fashionMnist({ subset: 'full', root, urls })).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(fashionMnist({ subset: 'full', root, urls, download: true })).rejects.toMatchObject({
      name: 'DownloadError',
      message: expect.stringContaining('t10k-labels-idx1-ubyte.gz could not be downloaded'),
    })
  })

  test.each([
    ['images where labels belong', 'train-labels-idx1-ubyte', () => images(3), 2, '3 labels of one byte'],
    ['labels where images belong', 't10k-images-idx3-ubyte', () => labels(1), 2, 'pictures of bytes, [N, H, W]'],
    ['no pictures', 't10k-images-idx3-ubyte', () => images(0), 2, 'pictures of bytes, [N, H, W]'],
    ['fewer labels than pictures', 'train-labels-idx1-ubyte', () => labels(1, 2), 2, '3 labels of one byte'],
    ['signed pictures', 't10k-images-idx3-ubyte', () => idxFile(9, [1, 1, 1], [0]), 2, 'pictures of bytes, [N, H, W]'],
    ['a label that is no class', 'train-labels-idx1-ubyte', () => labels(1, 10, 2), 9, 'labels below 10'],
    ['a truncated file', 't10k-images-idx3-ubyte', () => images(1).subarray(0, 20), 20, '22 bytes for [1, 2, 3]'],
  ])('%s', async (_, name, bytes, offset, expected) => {
    await write(name, bytes())
    await expect(mnist({ root })).rejects.toThrow(FormatError)
    await expect(mnist({ root })).rejects.toMatchObject({ file: join(root, name), offset, expected })
  })

  test('stops when told', async () => {
    const signal = AbortSignal.abort()
    await expect(mnist({ root, signal })).rejects.toMatchObject({ name: 'AbortError' })
    await expect(fashionMnist({ signal })).rejects.toMatchObject({ name: 'AbortError' })
  })
})

test('fashionMnist refuses a subset that there is not', async () => {
  await expect(fashionMnist({ subset: 'half' as 'full' })).rejects.toThrow(ArgumentError)
  await expect(fashionMnist({ subset: 'half' as 'full' })).rejects.toThrow(
    "subset expects 'embedded' or 'full', got \"half\"",
  )
})
