import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { ArgumentError, FormatError } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import {
  cifar10,
  cifar10Classes,
  cifar100,
  cifar100CoarseClasses,
  cifar100FineClasses,
  readCifar10,
  readCifar100,
} from '../src/index.ts'
import { failureOf, truncations } from './corrupt.ts'
import { tarFile } from './tar.ts'

/** A record whose pixel (x, y) is (x, y, 100 + label). */
function record(label: number): Uint8Array {
  const bytes = new Uint8Array(3073)
  bytes[0] = label
  for (let i = 0; i < 1024; i++) bytes.set([i % 32], 1 + i)
  for (let i = 0; i < 1024; i++) bytes.set([i >> 5], 1025 + i)
  bytes.fill(100 + label, 2049)
  return bytes
}

const batch = (...labels: number[]): Uint8Array => Uint8Array.from(labels.flatMap((label) => [...record(label)]))

describe('readCifar10', () => {
  test('turns planes into pixels', () => {
    const data = readCifar10(batch(3, 9))
    expect(data.length).toBe(2)
    expect(Array.from(data.labels)).toEqual([3, 9])
    expect(data.classes).toBe(cifar10Classes)
    const { image, label } = data.get(1)
    expect([label, image.height, image.width, image.channels]).toEqual([9, 32, 32, 3])
    const pixel = (x: number, y: number): number[] =>
      Array.from(image.data.subarray((y * 32 + x) * 3, (y * 32 + x + 1) * 3))
    expect(pixel(5, 17)).toEqual([5, 17, 109])
    expect(pixel(31, 0)).toEqual([31, 0, 109])
  })

  test('a file cut anywhere inside a record is refused', async () => {
    for (const { what, bytes } of truncations(batch(1, 2))) {
      const error = await failureOf(() => readCifar10(bytes, { file: 'b.bin' }))
      if (bytes.length === 3073) expect(error, what).toBeUndefined()
      else expect(error, what).toMatchObject({ name: 'FormatError', file: 'b.bin', expected: 'records of 3073 bytes' })
    }
  })

  test('a label that is no class is refused, with its place', () => {
    const file = batch(1, 2)
    for (let bit = 0; bit < 8; bit++) {
      const bytes = file.slice()
      bytes[3073]! ^= 1 << bit
      const read = (): unknown => readCifar10(bytes, { file: 'b.bin' }).labels
      if (bytes[3073]! < 10) expect(read()).toEqual(Uint8Array.of(1, bytes[3073]!))
      else expect(read).toThrow(`b.bin: at byte 3073: expected a label from 0 to 9, got ${bytes[3073]}`)
    }
  })
})

test('cifar10 reads the five training files in order, and the test file', async () => {
  const root = await mkdtemp(join(tmpdir(), 'convnets-cifar-'))
  try {
    const folder = join(root, 'cifar-10-batches-bin')
    await mkdir(folder)
    for (const i of [1, 2, 3, 4, 5]) await writeFile(join(folder, `data_batch_${i}.bin`), batch(i, 0))
    await expect(cifar10({ root })).rejects.toMatchObject({ code: 'ENOENT' })
    await writeFile(join(folder, 'test_batch.bin'), batch(7))
    for (const from of [root, folder]) {
      const { train, test: held, classes } = await cifar10({ root: from })
      expect(Array.from(train.labels)).toEqual([1, 0, 2, 0, 3, 0, 4, 0, 5, 0])
      expect(Array.from(held.labels)).toEqual([7])
      expect(classes[7]).toBe('horse')
    }
    await writeFile(join(folder, 'data_batch_3.bin'), record(1).subarray(1))
    await expect(cifar10({ root })).rejects.toThrow(FormatError)
    await expect(cifar10({ root })).rejects.toThrow(/data_batch_3\.bin: at byte 0: expected records of 3073 bytes/)
  } finally {
    await rm(root, { recursive: true })
  }
})

describe('readCifar100', () => {
  /** Coarse label, fine label, picture. */
  const file = (...labels: (readonly [number, number])[]): Uint8Array =>
    Uint8Array.from(labels.flatMap(([coarse, fine]) => [coarse, ...record(fine)]))

  test('takes the fine labels or the coarse ones, and the same pictures', () => {
    const bytes = file([4, 0], [19, 99])
    const fine = readCifar100(bytes)
    const coarse = readCifar100(bytes, { labels: 'coarse' })
    expect([Array.from(fine.labels), fine.classes]).toEqual([[0, 99], cifar100FineClasses])
    expect([Array.from(coarse.labels), coarse.classes]).toEqual([[4, 19], cifar100CoarseClasses])
    expect(fine.images).toEqual(coarse.images)
    expect(Array.from(fine.get(1).image.data.subarray(0, 6))).toEqual([0, 0, 199, 1, 0, 199])
    expect([cifar100FineClasses.length, cifar100CoarseClasses.length]).toEqual([100, 20])
    // As the page of the data set lists them: apples (0) are fruit and vegetables (4), worms (99) invertebrates (13).
    expect([cifar100FineClasses[0], cifar100CoarseClasses[4]]).toEqual(['apple', 'fruit_and_vegetables'])
    expect([cifar100FineClasses[99], cifar100CoarseClasses[13]]).toEqual(['worm', 'non-insect_invertebrates'])
  })

  test('refuses cut files and labels that are none, with their place', async () => {
    for (const { what, bytes } of truncations(file([1, 2]))) {
      const error = await failureOf(() => readCifar100(bytes, { file: 'train.bin' }))
      expect(error, what).toMatchObject({ name: 'FormatError', file: 'train.bin', expected: 'records of 3074 bytes' })
    }
    expect(() => readCifar100(file([1, 2], [3, 100]))).toThrow(
      'CIFAR-100: at byte 3075: expected a label from 0 to 99, got 100',
    )
    expect(() => readCifar100(file([20, 2]), { labels: 'coarse' })).toThrow(
      'at byte 0: expected a label from 0 to 19, got 20',
    )
    expect(() => readCifar100(file([1, 2]), { labels: 'all' as never })).toThrow(ArgumentError)
  })

  test('is read from a folder, and either data set from its archive', async () => {
    const root = await mkdtemp(join(tmpdir(), 'convnets-cifar-'))
    try {
      await expect(cifar100({ root })).rejects.toMatchObject({ code: 'ENOENT' })
      const [train, held] = [file([0, 1], [2, 3]), file([4, 5])]
      const archive = join(root, 'cifar-100-binary.tar.gz')
      await writeFile(
        archive,
        gzipSync(
          tarFile([
            ['cifar-100-binary/train.bin', train],
            ['cifar-100-binary/test.bin', held],
          ]),
        ),
      )
      const check = async (): Promise<void> => {
        expect(Array.from((await cifar100({ root })).train.labels)).toEqual([1, 3])
        const { train, test: held, classes } = await cifar100({ root, labels: 'coarse' })
        expect([...train.labels, ...held.labels]).toEqual([0, 2, 4])
        expect(classes).toBe(cifar100CoarseClasses)
      }
      await check()
      await writeFile(archive, gzipSync(tarFile([['cifar-100-binary/train.bin', train]])))
      await expect(cifar100({ root })).rejects.toThrow(
        /expected a file cifar-100-binary\/test\.bin, got none of that name/,
      )
      await writeFile(archive, gzipSync(tarFile([['x', train]])).subarray(0, 60))
      await expect(cifar100({ root })).rejects.toThrow(FormatError)
      await rm(archive)
      await writeFile(join(root, 'train.bin'), train)
      await writeFile(join(root, 'test.bin'), held)
      await check()
      const ten = [1, 2, 3, 4, 5].map((i) => [`cifar-10-batches-bin/data_batch_${i}.bin`, batch(i)] as const)
      const packed = gzipSync(tarFile([...ten, ['cifar-10-batches-bin/test_batch.bin', batch(9)]]))
      await rm(join(root, 'test.bin'))
      await writeFile(join(root, 'cifar-10-binary.tar.gz'), packed)
      const { train: tenTrain, test: tenTest } = await cifar10({ root })
      expect([...tenTrain.labels, ...tenTest.labels]).toEqual([1, 2, 3, 4, 5, 9])
    } finally {
      await rm(root, { recursive: true })
    }
  })
})
