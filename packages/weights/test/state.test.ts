import { readFileSync } from 'node:fs'
import { ArgumentError, type DType, DTypeError, FormatError, memory, type Tensor, tensor } from '@convnets/tensor'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseSafetensors, readSafetensors, serializeSafetensors, writeSafetensors } from '../src/index.ts'

const reference = new Uint8Array(readFileSync(new URL('fixtures/reference.safetensors', import.meta.url)))

/** Runs `use` on the tensors of a file and frees them. */
async function withTensors(file: Uint8Array, use: (tensors: Map<string, Tensor>) => Promise<void>): Promise<void> {
  const { tensors } = readSafetensors(file)
  try {
    await use(tensors)
  } finally {
    for (const made of tensors.values()) made.dispose()
  }
}

const integers = (...values: bigint[]): Uint8Array => new Uint8Array(BigInt64Array.from(values).buffer)

describe('readSafetensors', () => {
  test('gives every element type of the reference file its dtype and values', () =>
    withTensors(reference, async (tensors) => {
      const read = async (name: string): Promise<unknown[]> => {
        const { shape, dtype } = tensors.get(name)!
        return [dtype, [...shape], Array.from(await tensors.get(name)!.data())]
      }
      const value = (k: number): number => Math.fround(Math.fround(k * Math.fround(0.1)) - 0.5)
      expect(await read('layer.weight')).toEqual(['float32', [2, 3], [1, 2, 3, 4, 5, 6].map(value)])
      expect(await read('scalar')).toEqual(['float64', [], [9 * 0.1]])
      expect(await read('empty')).toEqual(['float32', [0, 3], []])
      expect(await read('num_batches_tracked')).toEqual(['int32', [], [12345]])
      expect(await read('labels')).toEqual(['int32', [3], [-1000, 0, 1000]])
      expect(await read('half')).toEqual(['float32', [3], [1, -2, 0x555 * 2 ** -12]])
      expect(await read('brain')).toEqual(['float32', [2, 2], [1, -2, 0xab * 2 ** -9, 0]])
      expect(await read('bytes')).toEqual(['uint8', [5], [21, 22, 23, 24, 25]])
      expect(await read('mask')).toEqual(['bool', [3], [1, 0, 1]])
      expect((await read('__proto__'))[1]).toEqual([1])
    }))

  test('a rank-4 weight keeps its logical order', () => {
    const values = Float32Array.from({ length: 24 }, (_, i) => i)
    const entry = { dtype: 'F32', shape: [2, 3, 2, 2], bytes: new Uint8Array(values.buffer) } as const
    return withTensors(serializeSafetensors(new Map([['w', entry]])), async (tensors) => {
      expect(await tensors.get('w')!.data()).toEqual(values)
      expect(await writeSafetensors(tensors)).toEqual(serializeSafetensors(new Map([['w', entry]])))
    })
  })

  test('64-bit integers at the edges of int32', () => {
    const entry = { dtype: 'I64', shape: [2], bytes: integers(-(2n ** 31n), 2n ** 31n - 1n) } as const
    return withTensors(serializeSafetensors(new Map([['n', entry]])), async (tensors) => {
      expect(Array.from(await tensors.get('n')!.data())).toEqual([-(2 ** 31), 2 ** 31 - 1])
    })
  })

  test.each([2n ** 31n, -(2n ** 31n) - 1n, 2n ** 32n + 5n, 2n ** 63n - 1n])(
    'refuses the 64-bit integer %s',
    (value) => {
      const before = memory().tensors
      const file = serializeSafetensors(
        new Map([
          ['a', { dtype: 'I64', shape: [1], bytes: integers(1n) }],
          ['n', { dtype: 'I64', shape: [2], bytes: integers(0n, value) }],
        ]),
      )
      expect(() => readSafetensors(file, { file: 'f' })).toThrow(DTypeError)
      expect(() => readSafetensors(file, { file: 'f' })).toThrow(
        `f: tensor "n" of I64 expects values that fit into int32, got ${value} at flat index 1`,
      )
      expect(memory().tensors).toBe(before)
    },
  )

  test('any non-zero byte of a bool is true', () =>
    withTensors(
      serializeSafetensors(new Map([['m', { dtype: 'BOOL', shape: [3], bytes: Uint8Array.of(0, 1, 255) }]])),
      async (tensors) => expect(Array.from(await tensors.get('m')!.data())).toEqual([0, 1, 1]),
    ))

  test('tensors do not share memory with the file', async () => {
    const file = serializeSafetensors(new Map([['b', { dtype: 'U8', shape: [2], bytes: Uint8Array.of(1, 2) }]]))
    await withTensors(file, async (tensors) => {
      file.fill(9)
      expect(Array.from(await tensors.get('b')!.data())).toEqual([1, 2])
    })
  })

  test('a broken file leaves no tensor behind', () => {
    const before = memory().tensors
    expect(() => readSafetensors(reference.subarray(0, -1))).toThrow(FormatError)
    expect(memory().tensors).toBe(before)
  })
})

describe('writeSafetensors', () => {
  test('what is written is what is read, for every dtype', async () => {
    const dtypes: readonly DType[] = ['float32', 'float64', 'int32', 'uint8', 'bool']
    const spec = fc.tuple(fc.string(), fc.constantFrom(...dtypes), fc.array(fc.nat(3), { maxLength: 4 }))
    const before = memory().tensors
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(spec, { selector: ([name]) => name, maxLength: 6 }), async (specs) => {
        const given = new Map(
          specs.map(([name, dtype, shape], k) => {
            const length = shape.reduce((product, dim) => product * dim, 1)
            const values = Float32Array.from({ length }, (_, i) => (dtype === 'bool' ? (i + k) % 2 : (i * 3 + k) % 251))
            return [name, tensor(values, { shape, dtype })]
          }),
        )
        await withTensors(await writeSafetensors(given), async (tensors) => {
          expect(new Set(tensors.keys())).toEqual(new Set(given.keys()))
          for (const [name, read] of tensors) {
            const written = given.get(name)!
            expect([read.dtype, read.shape]).toEqual([written.dtype, written.shape])
            expect(await read.data()).toEqual(await written.data())
          }
        })
        for (const made of given.values()) made.dispose()
      }),
      { numRuns: 100, seed: 1 },
    )
    expect(memory().tensors).toBe(before)
  })

  test('takes the values at the moment of the call', async () => {
    const weight = tensor([1, 2])
    const promise = writeSafetensors(new Map([['w', weight]]))
    weight.dispose()
    const { entries } = parseSafetensors(await promise)
    expect(entries.get('w')?.bytes.slice()).toEqual(new Uint8Array(Float32Array.of(1, 2).buffer))
  })

  test('halves floats and leaves the rest', async () => {
    const state = new Map([
      ['w', tensor([1, -2, 1 / 3])],
      ['d', tensor([0.5], { dtype: 'float64' })],
      ['n', tensor([7], { dtype: 'int32' })],
    ])
    for (const dtype of ['F16', 'BF16'] as const) {
      const { entries } = parseSafetensors(await writeSafetensors(state, { dtype }))
      expect([...entries].map(([name, entry]) => [name, entry.dtype])).toEqual([
        ['n', 'I32'],
        ['d', dtype],
        ['w', dtype],
      ])
      const third = dtype === 'F16' ? [0x55, 0x35] : [0xab, 0x3e]
      expect(entries.get('w')?.bytes.slice(4)).toEqual(Uint8Array.from(third))
    }
    for (const made of state.values()) made.dispose()
  })

  test('refuses to turn a finite weight into an infinite one', async () => {
    const state = new Map([['w', tensor([0, Number.POSITIVE_INFINITY, -1e6])]])
    await expect(writeSafetensors(state, { dtype: 'F16' })).rejects.toThrow(
      'writeSafetensors: tensor "w" expects values within 65504 for F16, got -1000000 at flat index 2; BF16 would hold it',
    )
    await expect(writeSafetensors(state, { dtype: 'BF16' })).resolves.toBeInstanceOf(Uint8Array)
    for (const made of state.values()) made.dispose()
  })

  test('refuses a dtype that is none, and a name that no file can hold', async () => {
    const weight = tensor([1])
    await expect(writeSafetensors(new Map(), { dtype: 'F64' as 'F16' })).rejects.toThrow(/'F16' or 'BF16', got "F64"/)
    await expect(writeSafetensors(new Map([['__metadata__', weight]]))).rejects.toThrow(ArgumentError)
    weight.dispose()
  })
})
