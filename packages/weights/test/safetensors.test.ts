import { readFileSync } from 'node:fs'
import { ArgumentError, FormatError } from '@convnets/tensor'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type FileDType, parseSafetensors, type SafetensorsEntry, serializeSafetensors } from '../src/index.ts'
import { bitFlips, formatErrorOf, truncations } from './corrupt.ts'

/** Written by the reference implementation (safetensors 0.8, Rust), from the entries listed below. */
const reference = new Uint8Array(readFileSync(new URL('fixtures/reference.safetensors', import.meta.url)))

/** The reference file's content: names, dtypes and shapes in the order in which they were handed to the serializer. */
const content: readonly (readonly [name: string, dtype: FileDType, shape: readonly number[]])[] = [
  ['layer.weight', 'F32', [2, 3]],
  ['layer.bias', 'F32', [2]],
  ['scalar', 'F64', []],
  ['empty', 'F32', [0, 3]],
  ['num_batches_tracked', 'I64', []],
  ['labels', 'I32', [3]],
  ['half', 'F16', [3]],
  ['brain', 'BF16', [2, 2]],
  ['bytes', 'U8', [5]],
  ['mask', 'BOOL', [3]],
  ['__proto__', 'U8', [1]],
  ['constructor', 'U8', [1]],
  ['quote"back\\slash\nline\u0001\u007f', 'U8', [1]],
  ['\uff5ewide', 'U8', [1]],
  ['\u{1f600}astral', 'U8', [1]],
  ['\u00e9', 'U8', [1]],
]

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength).slice()

/** A file with `header` as it stands and `dataBytes` bytes of data. */
function fileOf(header: string | Uint8Array, dataBytes = 0): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header
  const file = new Uint8Array(8 + text.length + dataBytes)
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true)
  file.set(text, 8)
  return file
}

const one = (more = ''): string => `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]${more}}}`

describe('against the reference implementation', () => {
  const { entries, metadata } = parseSafetensors(reference)

  test('reads every entry of its file', () => {
    expect([...metadata]).toEqual([['format', 'pt']])
    expect(new Set(entries.keys())).toEqual(new Set(content.map(([name]) => name)))
    for (const [name, dtype, shape] of content) {
      expect(entries.get(name)).toMatchObject({ dtype, shape })
    }
    const value = (k: number): number => Math.fround(k * Math.fround(0.1)) - 0.5
    expect(entries.get('layer.bias')?.bytes).toEqual(bytesOf(Float32Array.of(value(7), value(8))))
    expect(entries.get('labels')?.bytes).toEqual(bytesOf(Int32Array.of(-1000, 0, 1000)))
    expect(entries.get('num_batches_tracked')?.bytes).toEqual(bytesOf(BigInt64Array.of(12345n)))
    expect(entries.get('mask')?.bytes).toEqual(Uint8Array.of(1, 0, 1))
    expect(entries.get('empty')?.bytes.length).toBe(0)
  })

  test('writes its file to the byte, from entries in any order', () => {
    const given = content.map(([name]) => [name, entries.get(name)!] as const)
    expect(serializeSafetensors(new Map(given), { metadata })).toEqual(reference)
    expect(serializeSafetensors(new Map(given.toReversed()), { metadata })).toEqual(reference)
  })

  test('writes no tensors as it does: {} and six spaces', () => {
    expect(serializeSafetensors(new Map())).toEqual(
      Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d, 32, 32, 32, 32, 32, 32),
    )
  })

  test('entries share the memory of the file', () => {
    expect(entries.get('bytes')?.bytes.buffer).toBe(reference.buffer)
  })
})

describe('accepts what the reference implementation accepts', () => {
  const accepted: readonly (readonly [what: string, file: Uint8Array, names: readonly string[]])[] = [
    ['an empty header object', fileOf('{}'), []],
    ['JSON white space as padding', fileOf('{}\r\n\t '), []],
    [
      'white space between tokens',
      fileOf('{ "a" : {"dtype":"U8", "shape" :[ 1 ],\n"data_offsets":[0 , 1]} }', 1),
      ['a'],
    ],
    ['null metadata', fileOf('{"__metadata__":null}'), []],
    ['fields that it does not know', fileOf(one(',"x":{"y":[1,-2.5e-7,null,true,false,"s",[]]}'), 1), ['a']],
    ['125 lists within each other', fileOf(one(`,"x":${'['.repeat(125)}${']'.repeat(125)}`), 1), ['a']],
    ['escapes and surrogate pairs', fileOf(one().replace('"a"', '"\\u0061\\n\\ud83d\\ude00"'), 1), ['a\n\u{1f600}']],
    [
      'tensors in any order, empty ones anywhere',
      fileOf(
        '{"c":{"dtype":"U8","shape":[0],"data_offsets":[2,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},' +
          '"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"d":{"dtype":"F64","shape":[3,0],"data_offsets":[0,0]}}',
        2,
      ),
      ['d', 'a', 'b', 'c'],
    ],
  ]
  test.each(accepted)('%s', (_, file, names) => {
    expect([...parseSafetensors(file).entries.keys()]).toEqual(names)
  })
})

describe('refuses', () => {
  const info = (dtype: string, shape: string, offsets: string): string =>
    `{"a":{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}}`
  const length = (value: bigint): Uint8Array => {
    const file = fileOf(one(), 1)
    new DataView(file.buffer).setBigUint64(0, value, true)
    return file
  }
  const twice = `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`
  const two = (a: string, b: string): string =>
    `{"a":{"dtype":"U8","shape":[2],"data_offsets":${a}},"b":{"dtype":"U8","shape":[2],"data_offsets":${b}}}`

  const refused: readonly (readonly [what: string, file: Uint8Array, message: RegExp])[] = [
    ['an empty file', new Uint8Array(0), /eight bytes of header length, got a file of 0 bytes/],
    ['seven bytes', new Uint8Array(7), /got a file of 7 bytes/],
    ['a header above 100 MB', length(100_000_001n), /at most 100000000 bytes, got one of 100000001/],
    ['a header of 2^64 - 1 bytes', length(2n ** 64n - 1n), /at most 100000000 bytes, got one of 18446744073709551615/],
    ['a header of 2^63 bytes', length(2n ** 63n), /got one of 9223372036854775808/],
    ['a header beyond the file', length(100n), /a header that fits into the file of 62 bytes, got one of 100 bytes/],
    ['no header', fileOf(''), /'\{' as first byte of the header, got an empty header/],
    ['space before the header', fileOf(' {}'), /'\{' as first byte/],
    ['a byte order mark', fileOf('\ufeff{}'), /'\{' as first byte/],
    ['a list as header', fileOf('[]'), /'\{' as first byte/],
    ['a header that breaks off', fileOf('{'), /a key of the header, got the end of the text/],
    ['something after the header object', fileOf('{}{}'), /only padding after the header object, got '\{'/],
    ['a zero byte as padding', fileOf('{}\0'), /only padding after the header object, got the byte 0x00/],
    ['a trailing comma', fileOf('{"__metadata__":{},}'), /a key of the header, got '\}'/],
    ['a number as metadata text', fileOf('{"__metadata__":{"a":1}}'), /the text of "a", got '1'/],
    ['metadata that are no object', fileOf('{"__metadata__":[]}'), /__metadata__, got '\['/],
    ['a tensor twice', fileOf(twice, 1), /every key of the header once, got "a" a second time/],
    ['a tensor twice, once escaped', fileOf(twice.replace('"a"', '"\\u0061"'), 1), /got "a" a second time/],
    ['metadata twice', fileOf('{"__metadata__":{},"__metadata__":{}}'), /got "__metadata__" a second time/],
    ['a metadata key twice', fileOf('{"__metadata__":{"a":"1","a":"2"}}'), /__metadata__ once, got "a" a second time/],
    ['a dtype twice', fileOf(one(',"dtype":"U8"'), 1), /description of tensor "a" once, got "dtype" a second time/],
    ['an unknown dtype', fileOf(info('"F8"', '[1]', '[0,1]'), 1), /I64, F64, .* as dtype of tensor "a", got "F8"/],
    ['a dtype named like a method', fileOf(info('"toString"', '[1]', '[0,1]'), 1), /got "toString"/],
    ['a dtype in small letters', fileOf(info('"u8"', '[1]', '[0,1]'), 1), /got "u8"/],
    ['a description that is a list', fileOf('{"a":["U8",[1],[0,1]]}', 1), /the description of tensor "a", got '\['/],
    ['no dtype', fileOf('{"a":{"shape":[1],"data_offsets":[0,1]}}', 1), /a dtype of tensor "a", got none/],
    ['no shape', fileOf('{"a":{"dtype":"U8","data_offsets":[0,1]}}', 1), /a shape of tensor "a", got none/],
    ['no offsets', fileOf('{"a":{"dtype":"U8","shape":[1]}}', 1), /two data_offsets of tensor "a", got none/],
    ['one offset', fileOf(info('"U8"', '[1]', '[0]'), 1), /two data_offsets of tensor "a", got 1/],
    ['three offsets', fileOf(info('"U8"', '[1]', '[0,1,2]'), 1), /two data_offsets of tensor "a", got 3/],
    ['a negative size', fileOf(info('"U8"', '[-1]', '[0,1]'), 1), /non-negative integer in the shape .*, got '-'/],
    ['a minus zero', fileOf(info('"U8"', '[-0]', '[0,0]')), /non-negative integer in the shape .*, got '-'/],
    ['a fraction', fileOf(info('"U8"', '[1.0]', '[0,1]'), 1), /a plain integer in the shape of tensor "a", got '\.'/],
    ['an exponent', fileOf(info('"U8"', '[1e0]', '[0,1]'), 1), /a plain integer in the shape of tensor "a", got 'e'/],
    ['a leading zero', fileOf(info('"U8"', '[01]', '[0,1]'), 1), /no leading zero in the shape of tensor "a"/],
    ['a text as size', fileOf(info('"U8"', '["1"]', '[0,1]'), 1), /non-negative integer in the shape .*, got '"'/],
    ['a size above 2^53', fileOf(info('"U8"', '[9007199254740993]', '[0,1]'), 1), /integers up to 2\^53 - 1/],
    ['a shape beyond 2^53', fileOf(info('"I32"', '[2,9007199254740991]', '[0,16]'), 16), /a size below 2\^53 bytes/],
    ['a shape that wraps to 0 in 64 bits', fileOf(info('"U8"', '[4294967296,4294967296]', '[0,0]')), /below 2\^53/],
    [
      'too few bytes for the shape',
      fileOf(info('"F32"', '[2]', '[0,4]'), 4),
      /data_offsets 8 bytes apart .*, got 0 to 4/,
    ],
    [
      'offsets that run backwards',
      fileOf(info('"U8"', '[1]', '[1,0]'), 1),
      /data_offsets 1 bytes apart .*, got 1 to 0/,
    ],
    ['a hole before the first tensor', fileOf(info('"U8"', '[1]', '[1,2]'), 2), /tensor "a" to begin at 0, got 1/],
    ['a hole between tensors', fileOf(two('[0,2]', '[3,5]'), 5), /tensor "b" to begin at 2, got 3/],
    ['tensors that overlap', fileOf(two('[0,2]', '[1,3]'), 3), /tensor "b" to begin at 2, got 1/],
    ['tensors that share all', fileOf(two('[0,2]', '[0,2]'), 2), /tensor "b" to begin at 2, got 0/],
    ['missing data', fileOf(info('"U8"', '[4]', '[0,4]'), 3), /tensor "a" to end within 3 bytes of data, got 4/],
    ['data that no tensor claims', fileOf(one(), 2), /the end of the file, got 1 more bytes/],
    ['invalid UTF-8', fileOf(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), /UTF-8 text, got bytes that are not/],
    ['a lone surrogate', fileOf(one().replace('"a"', '"\\ud800"'), 1), /two halves of a surrogate pair, got one alone/],
    ['a surrogate pair in reverse', fileOf(one().replace('"a"', '"\\ude00\\ud83d"'), 1), /surrogate pair/],
    ['an unknown escape', fileOf(one().replace('"a"', '"\\x"'), 1), /an escape that JSON has, got 'x'/],
    ['an escape that breaks off', fileOf('{"\\u12'), /four hexadecimal digits/],
    ['a line break in a name', fileOf(one().replace('"a"', '"\n"'), 1), /closing quote of .*, got the byte 0x0a/],
    ['126 lists within each other', fileOf(one(`,"x":${'['.repeat(126)}${']'.repeat(126)}`), 1), /at most 125 deep/],
    ['a comment', fileOf('{/**/}'), /a key of the header, got '\/'/],
    ['nothing where a value belongs', fileOf(one(',"x":'), 1), /a JSON value, got '\}'/],
  ]
  test.each(refused)('%s', (_, file, message) => {
    const error = formatErrorOf('parse', () => parseSafetensors(file, { file: 'x.safetensors' }))
    expect(error?.message).toMatch(message)
    expect(error).toMatchObject({ file: 'x.safetensors', name: 'FormatError' })
    expect(error?.offset).toBeGreaterThanOrEqual(0)
    expect(error?.offset).toBeLessThanOrEqual(file.length)
  })

  test('a megabyte of nesting, without running out of stack', () => {
    expect(() => parseSafetensors(fileOf(one(`,"x":${'[{"x":'.repeat(200_000)}`), 1))).toThrow(FormatError)
  })

  test('a hundred megabytes of header bytes in bounded time', () => {
    expect(() => parseSafetensors(fileOf(new Uint8Array(100_000_000).fill(0x7b)))).toThrow(/a key of the header/)
  })
})

describe('corruption', () => {
  test('a file cut anywhere is refused', () => {
    for (const { what, bytes } of truncations(reference)) {
      expect(
        formatErrorOf(what, () => parseSafetensors(bytes)),
        what,
      ).toBeDefined()
    }
  })

  test('a bit flipped anywhere is refused, or gives a file of the same size that can be written again', () => {
    const dataStart = 8 + Number(new DataView(reference.buffer).getBigUint64(0, true))
    let refused = 0
    for (const { what, at, bytes } of bitFlips(reference)) {
      const error = formatErrorOf(what, () => {
        const { entries } = parseSafetensors(bytes)
        const total = [...entries.values()].reduce((sum, entry) => sum + entry.bytes.length, 0)
        expect(total, what).toBe(reference.length - dataStart)
      })
      if (error) refused++
      if (at < 8) expect(error, what).toBeDefined()
      if (at >= dataStart) expect(error, what).toBeUndefined()
    }
    expect(refused).toBeGreaterThan(4 * (dataStart - 8))
  })

  test('edits of the header give a FormatError or a file', () => {
    const header = new TextEncoder().encode(one(',"x":[{"y":"\\u00e9"},-1.5e3,null]'))
    const edit = fc.record({
      at: fc.nat(header.length - 1),
      byte: fc.constantFrom(...new TextEncoder().encode('{}[]":,\\u01.e- \u00e9')),
    })
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        const changed = header.slice()
        for (const { at, byte } of edits) changed[at] = byte
        formatErrorOf(new TextDecoder().decode(changed), () => parseSafetensors(fileOf(changed, 1)))
      }),
      { numRuns: 5000, seed: 1 },
    )
  })
})

describe('serializeSafetensors', () => {
  const sizes: Readonly<Record<FileDType, number>> = {
    F64: 8,
    F32: 4,
    F16: 2,
    BF16: 2,
    I64: 8,
    I32: 4,
    U8: 1,
    BOOL: 1,
    U64: 8,
    C64: 8,
    U32: 4,
    U16: 2,
    I16: 2,
    I8: 1,
  }
  const entry: fc.Arbitrary<SafetensorsEntry> = fc
    .tuple(fc.constantFrom(...(Object.keys(sizes) as FileDType[])), fc.array(fc.nat(4), { maxLength: 4 }))
    .map(([dtype, shape]) => {
      const length = shape.reduce((product, dim) => product * dim, sizes[dtype])
      return { dtype, shape, bytes: Uint8Array.from({ length }, (_, i) => (i * 37) & 255) }
    })
  const name = fc.string({ unit: 'binary' }).filter((text) => text !== '__metadata__')

  test('what was written is what is read, aligned, whatever the names', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, entry)), fc.array(fc.tuple(name, name)), (pairs, texts) => {
        const given = new Map(pairs)
        const metadata = new Map(texts)
        const file = serializeSafetensors(given, { metadata })
        const read = parseSafetensors(file)
        expect(read.metadata).toEqual(metadata)
        expect(read.entries.size).toBe(given.size)
        for (const [key, { dtype, shape, bytes }] of read.entries) {
          expect({ dtype, shape, bytes: bytes.slice() }).toEqual(given.get(key))
          expect(bytes.byteOffset % sizes[dtype]).toBe(0)
        }
        expect(serializeSafetensors(read.entries, { metadata })).toEqual(file)
      }),
      { numRuns: 500, seed: 1 },
    )
  })

  const bytes = new Uint8Array(4)
  const refused: readonly (readonly [
    what: string,
    entries: readonly (readonly [string, SafetensorsEntry])[],
    message: RegExp,
  ])[] = [
    [
      'the reserved name',
      [['__metadata__', { dtype: 'F32', shape: [1], bytes }]],
      /"__metadata__": this name is reserved/,
    ],
    ['a lone surrogate', [['\ud800', { dtype: 'F32', shape: [1], bytes }]], /well-formed text, got "\\ud800"/],
    ['bytes that do not fit', [['w', { dtype: 'F32', shape: [2], bytes }]], /"w" of F32 \[2\] expects 8 bytes, got 4/],
    ['a negative size', [['w', { dtype: 'F32', shape: [-1], bytes }]], /non-negative integers as shape, got \[-1\]/],
    ['a fraction', [['w', { dtype: 'F32', shape: [0.5, 2], bytes }]], /non-negative integers as shape, got \[0.5, 2\]/],
    ['an unknown dtype', [['w', { dtype: 'F8' as FileDType, shape: [4], bytes }]], /as dtype, got F8/],
  ]
  test.each(refused)('refuses %s', (_, entries, message) => {
    expect(() => serializeSafetensors(new Map(entries))).toThrow(ArgumentError)
    expect(() => serializeSafetensors(new Map(entries))).toThrow(message)
  })

  test('refuses metadata that are not text', () => {
    expect(() => serializeSafetensors(new Map(), { metadata: new Map([['\udc00', '']]) })).toThrow(/a metadata key/)
    expect(() => serializeSafetensors(new Map(), { metadata: new Map([['k', '\udc00']]) })).toThrow(/metadata "k"/)
  })
})
