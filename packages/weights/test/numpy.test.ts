import { readFileSync } from 'node:fs'
import { FormatError } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { openWeights, readWeights } from '../src/index.ts'

const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(`fixtures/${name}`, import.meta.url)))

/** What a file holds: dtype, shape and values by name. */
async function contents(bytes: Uint8Array): Promise<Map<string, [string, readonly number[], number[]]>> {
  const { tensors } = await readWeights(bytes)
  const result = new Map<string, [string, readonly number[], number[]]>()
  for (const [name, made] of tensors) {
    result.set(name, [made.dtype, [...made.shape], Array.from(made.dataSync())])
    made.dispose()
  }
  return result
}

const range = (length: number): number[] => Array.from({ length }, (_, i) => i)

describe('files that NumPy wrote', () => {
  test('savez: every dtype, both orders of axes, both orders of bytes', async () => {
    expect([...(await contents(fixture('arrays.npz')))]).toEqual([
      ['a.weight', ['float32', [2, 3], range(6).map((i) => i / 4)]],
      ['fortran', ['float64', [2, 3, 4], range(24)]],
      ['big', ['float32', [5], [-2, -1, 0, 1, 2]]],
      ['half', ['float32', [3], [1, -2, 0x554 * 2 ** -12]]],
      ['i8', ['int32', [2], [-3, 4]]],
      ['i16', ['int32', [2], [-300, 400]]],
      ['i64', ['int32', [2], [2 ** 31 - 1, -(2 ** 31)]]],
      ['u16', ['int32', [1], [65535]]],
      ['flag', ['bool', [2], [1, 0]]],
      ['scalar', ['float64', [], [2.5]]],
      ['empty', ['float32', [0, 3], []]],
    ])
  })

  test('savez_compressed', async () => {
    const arrays = await contents(fixture('compressed.npz'))
    expect(arrays.get('w')).toEqual(['float32', [100, 100], new Array(10_000).fill(0)])
    expect(arrays.get('b')).toEqual(['int32', [3], [0, 1, 2]])
    const file = await openWeights(fixture('compressed.npz'))
    expect([file.format, file.entries.get('w')!.bytes]).toEqual(['npz', 40_000])
    await file.verify()
  })

  test('save', async () => {
    expect([...(await contents(fixture('array.npy')))]).toEqual([
      ['array', ['float32', [2, 3], range(6).map((i) => i / 4)]],
    ])
  })

  test('Python objects are pickles, and are refused', async () => {
    await expect(openWeights(fixture('objects.npz'))).rejects.toThrow('got Python objects')
  })

  test('a compressed array that says it is longer than deflate can make it', async () => {
    const bytes = fixture('compressed.npz')
    const view = new DataView(bytes.buffer)
    const directory = view.getUint32(bytes.length - 6, true)
    view.setUint32(directory + 24, 0x7fffffff, true)
    await expect(openWeights(bytes)).rejects.toThrow(FormatError)
  })
})
