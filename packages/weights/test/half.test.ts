import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bfloat16ToFloat32, float16ToFloat32, toBfloat16Bits, toFloat16Bits } from '../src/half.ts'

const patterns = Uint16Array.from({ length: 0x10000 }, (_, i) => i)

/** A 16-bit format as its finite values in rising order, to search for the nearest by definition. */
function finiteValues(decode: (patterns: Uint16Array) => Float32Array): { value: number; pattern: number }[] {
  return Array.from(decode(patterns), (value, pattern) => ({ value, pattern }))
    .filter(({ value, pattern }) => Number.isFinite(value) && pattern !== 0x8000)
    .sort((a, b) => a.value - b.value)
}

/** The pattern of the nearest value; of two as near, the one whose last bit is 0. */
function nearest(table: readonly { value: number; pattern: number }[], x: number): number {
  let low = 0
  let high = table.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (table[middle]!.value <= x) low = middle
    else high = middle
  }
  const [a, b] = [table[low]!, table[high]!]
  const [toA, toB] = [x - a.value, b.value - x]
  if (toA !== toB) return toA < toB ? a.pattern : b.pattern
  return a.pattern % 2 === 0 ? a.pattern : b.pattern
}

const formats = [
  {
    name: 'binary16',
    decode: float16ToFloat32,
    encode: toFloat16Bits,
    max: 65504,
    tiny: 2 ** -24,
    infinity: 0x7c00,
    step: 32,
  },
  {
    name: 'bfloat16',
    decode: bfloat16ToFloat32,
    encode: toBfloat16Bits,
    max: 3.3895313892515355e38,
    tiny: 2 ** -133,
    infinity: 0x7f80,
    step: 2 ** 120,
  },
]

describe.each(formats)('$name', ({ decode, encode, max, tiny, infinity, step }) => {
  const table = finiteValues(decode)

  test('known values', () => {
    expect(Array.from(decode(Uint16Array.of(0, 1, infinity - 1, infinity, infinity + 1)))).toEqual([
      0,
      tiny,
      max,
      Number.POSITIVE_INFINITY,
      Number.NaN,
    ])
    expect(decode(Uint16Array.of(0x8000))[0]).toBe(-0)
    expect(table[0]?.value).toBe(-max)
  })

  test('every value becomes its own pattern again', () => {
    const values = decode(patterns)
    const back = encode(values)
    for (const pattern of patterns) {
      if (Number.isNaN(values[pattern])) expect(Number.isNaN(decode(back.subarray(pattern, pattern + 1))[0])).toBe(true)
      else if (back[pattern] !== pattern) expect(back[pattern]).toBe(pattern)
    }
  })

  test('values between become the nearest, ties the even one', () => {
    const check = (x: number): void => {
      const expected = nearest(table, Math.abs(Math.fround(x))) | (x < 0 ? 0x8000 : 0)
      expect(encode(Float32Array.of(x))[0], `${x}`).toBe(expected)
    }
    for (let i = 1; i < table.length; i += 7) {
      const { value } = table[i]!
      check((value + table[i - 1]!.value) / 2)
    }
    fc.assert(
      fc.property(fc.float({ min: Math.fround(-max), max: Math.fround(max), noNaN: true }), (x) => {
        if (x !== 0) check(x)
      }),
      { numRuns: 5000, seed: 1 },
    )
  })

  test('what is too large becomes infinity, half a step above the largest', () => {
    const [below, half] = [max + step * 0.49, max + step / 2].map(Math.fround)
    const encoded = encode(Float32Array.of(below ?? 0, half ?? 0, -(half ?? 0), Number.POSITIVE_INFINITY))
    expect(Array.from(encoded)).toEqual([infinity - 1, infinity, infinity | 0x8000, infinity])
  })
})

test('binary16 rounds float64 once: just above a tie goes up, though float32 would lie on the tie', () => {
  const tie = 1 + 2 ** -11
  expect(Array.from(toFloat16Bits(Float64Array.of(tie, tie + 2 ** -40)))).toEqual([0x3c00, 0x3c01])
})
