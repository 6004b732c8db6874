import { readFileSync } from 'node:fs'
import { ConvnetsError, FormatError } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { openWeights } from '../src/index.ts'
import { corpora } from './corpus.ts'
import { bitFlips, truncations } from './corrupt.ts'
import { readFixture } from './fixtures.ts'
import { parsers } from './mutate.ts'

const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(`fixtures/${name}`, import.meta.url)))

/** Opens a file and reads everything in it. */
async function readAll(bytes: Uint8Array): Promise<string> {
  const file = await openWeights(bytes)
  await file.verify()
  const seen: unknown[] = []
  for (const [key, { dtype, shape, read }] of file.entries) seen.push(key, dtype, shape, (await read()).join())
  await file.close()
  return JSON.stringify(seen)
}

const files: readonly (readonly [name: string, bytes: Uint8Array, checksums: boolean])[] = [
  ['a PyTorch checkpoint', readFixture('pth/tinynet-zip.pth'), true],
  ['a small PyTorch checkpoint', corpora.zip[0]!, true],
  ['a checkpoint of before PyTorch 1.6', readFixture('pth/tinynet-legacy.pth'), false],
  ['NumPy arrays', fixture('arrays.npz'), true],
  ['compressed NumPy arrays', fixture('compressed.npz'), true],
  ['a NumPy array', fixture('array.npy'), false],
  ['a safetensors file', fixture('reference.safetensors'), false],
]

/** Files that list others, which lie beside them. */
const lists = ['tfjs', 'index'] as const

describe.each(lists)('a list of files: %s', (name) => {
  const [list] = corpora[name] as [Uint8Array]
  const read = async (bytes: Uint8Array): Promise<void> => parsers[name](bytes)

  test('cut anywhere is refused', async () => {
    await read(list)
    for (const { what, bytes } of truncations(list)) await expect(read(bytes), what).rejects.toBeInstanceOf(FormatError)
  })

  test('with a bit flipped is refused, or still a list', async () => {
    for (const { what, bytes } of bitFlips(list)) {
      await read(bytes).catch((error: unknown) => expect(error, what).toBeInstanceOf(ConvnetsError))
    }
  })
})

describe.each(files)('%s', (_, bytes, checksums) => {
  test('cut anywhere is refused', async () => {
    for (const { what, bytes: cut } of truncations(bytes)) {
      await expect(readAll(cut), what).rejects.toBeInstanceOf(FormatError)
    }
  })

  test('with a bit flipped is refused, or holds what it says', { timeout: 0 }, async () => {
    const whole = await readAll(bytes)
    for (const { what, bytes: flipped } of bitFlips(bytes)) {
      try {
        const read = await readAll(flipped)
        // With checksums nothing that is read may have changed; what flips unnoticed are dates and padding.
        if (checksums) expect(read, what).toBe(whole)
      } catch (error) {
        expect(error, what).toBeInstanceOf(ConvnetsError)
      }
    }
  })
})
