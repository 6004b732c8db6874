import { gzipSync } from 'node:zlib'
import { FormatError } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { gunzip } from '../src/gzip.ts'
import { loadIdx, readIdx } from '../src/index.ts'
import { bitFlips, failureOf, idxFile, truncations } from './corrupt.ts'

const small = idxFile(0x08, [2, 3, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255])

describe('readIdx', () => {
  test('bytes, without a copy', () => {
    const { shape, data } = readIdx(small)
    expect(shape).toEqual([2, 3, 2])
    expect(data).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255))
    expect(data.buffer).toBe(small.buffer)
  })

  test.each([
    ['int8', 0x09, [0x80, 0x7f], Int8Array.of(-128, 127)],
    ['int16', 0x0b, [0xff, 0xfe, 0x01, 0x00], Int16Array.of(-2, 256)],
    ['int32', 0x0c, [0xff, 0xff, 0xff, 0xff, 0, 0, 1, 2], Int32Array.of(-1, 258)],
    ['float32', 0x0d, [0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0], Float32Array.of(1, -2)],
    ['float64', 0x0e, [0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0], Float64Array.of(1, -2)],
  ] as const)('%s, most significant byte first', (_, type, bytes, expected) => {
    expect(readIdx(idxFile(type, [2], bytes))).toEqual({ shape: [2], data: expected })
  })

  test('at an odd place in memory', () => {
    const file = idxFile(0x0d, [1], [0x3f, 0x80, 0, 0])
    const shifted = new Uint8Array(file.length + 1)
    shifted.set(file, 1)
    expect(readIdx(shifted.subarray(1)).data).toEqual(Float32Array.of(1))
  })

  const refused: readonly (readonly [what: string, file: Uint8Array, offset: number, message: RegExp])[] = [
    ['an empty file', new Uint8Array(0), 0, /idx header of at least 4 bytes, got a file of 0 bytes/],
    [
      'a PNG',
      Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a),
      0,
      /two zero bytes, as every idx file begins, got 0x8950/,
    ],
    ['an unknown element type', idxFile(0x0a, [1], [1]), 2, /element type of 8, 9, 11, 12, 13 or 14, got 10/],
    ['no dimension', idxFile(0x08, [], []), 3, /at least one dimension, got none/],
    ['255 dimensions in a small file', Uint8Array.of(0, 0, 8, 255, 0, 0), 3, /header of 1024 bytes for 255 dimensions/],
    ['one byte too many', idxFile(0x08, [2], [1, 2, 3]), 10, /10 bytes for \[2\], got 11 bytes/],
    ['sizes whose product is 2^96', idxFile(0x08, [2 ** 31, 2 ** 31, 2 ** 31, 8], []), 20, /got 20 bytes/],
    ['sizes whose product wraps to 0 in 32 bits', idxFile(0x08, [65536, 65536], []), 12, /4294967308 bytes for/],
  ]
  test.each(refused)('refuses %s', (_, file, offset, message) => {
    const read = (): unknown => readIdx(file, { file: 'train-images' })
    expect(read).toThrow(FormatError)
    expect(read).toThrow(message)
    expect(read).toThrow(expect.objectContaining({ file: 'train-images', offset }))
  })

  test('a file cut anywhere is refused', async () => {
    for (const { what, bytes } of truncations(small)) {
      expect(await failureOf(() => readIdx(bytes)), what).toBeInstanceOf(FormatError)
    }
  })

  test('a bit flipped anywhere in the header is refused; in the data, it cannot be seen', async () => {
    for (const { what, at, bytes } of bitFlips(small)) {
      const error = await failureOf(() => readIdx(bytes))
      // Type 9 instead of 8: signed bytes, which fit as well.
      if (bytes[2] === 9) expect(readIdx(bytes).data, what).toBeInstanceOf(Int8Array)
      else if (at < 16) expect(error, what).toBeInstanceOf(FormatError)
      else expect(error, what).toBeUndefined()
    }
  })
})

describe('loadIdx', () => {
  const packed = new Uint8Array(gzipSync(small))

  test('reads packed and plain files alike', async () => {
    expect(await loadIdx(packed)).toEqual(readIdx(small))
    expect(await loadIdx(small)).toEqual(readIdx(small))
    expect(await loadIdx(packed.slice().buffer)).toEqual(readIdx(small))
  })

  test('a packed file cut anywhere is refused', async () => {
    for (const { what, bytes } of truncations(packed)) {
      expect(await failureOf(() => loadIdx(bytes)), what).toBeInstanceOf(FormatError)
    }
  })

  test('a bit flipped anywhere in a packed file is refused, or changes nothing that was packed', async () => {
    let refused = 0
    for (const { what, at, bytes } of bitFlips(packed)) {
      const error = await failureOf(async () => expect(await loadIdx(bytes), what).toEqual(readIdx(small)))
      if (error !== undefined) expect(error, what).toBeInstanceOf(FormatError)
      if (error !== undefined) refused++
      if (at >= 10) expect(error, what).toBeDefined()
    }
    expect(refused).toBeGreaterThan(8 * (packed.length - 10))
  })

  test('what unpacks to more than allowed is refused before the memory is full', async () => {
    const bomb = gzipSync(new Uint8Array(2 ** 24))
    await expect(gunzip(bomb, 'bomb.gz', 2 ** 20)).rejects.toThrow(FormatError)
    await expect(gunzip(bomb, 'bomb.gz', 2 ** 20)).rejects.toThrow(/at most 1048576 bytes when unpacked, got more/)
    expect(await gunzip(bomb, 'bomb.gz', 2 ** 24)).toHaveLength(2 ** 24)
  })
})
