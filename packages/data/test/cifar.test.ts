import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FormatError } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { cifar10, cifar10Classes, readCifar10 } from '../src/index.ts'
import { failureOf, truncations } from './corrupt.ts'

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
