import { describe, expect, test } from 'vitest'
import { clock, percent, plural, short, table, whole } from '../src/report.ts'

describe('numbers', () => {
  test.each([
    [0, '0:00'],
    [59.6, '1:00'],
    [61, '1:01'],
    [3599, '59:59'],
    [3600, '1:00:00'],
    [86399, '23:59:59'],
    [-1, '0:00'],
  ])('%d seconds are %s', (seconds, text) => expect(clock(seconds)).toBe(text))

  test.each([
    [272_474, '272 k'],
    [11_689_512, '11.7 M'],
    [4_089_284_608, '4.09 G'],
    [1_000, '1.00 k'],
    [999, '999'],
    [999_999, '1.00 M'],
    [999_999_999, '1.00 G'],
  ])('%d is %s for short', (value, text) => expect(short(value)).toBe(text))

  test('whole numbers have separators', () => expect(whole(25_557_032.4)).toBe('25,557,032'))
  test('one is singular', () =>
    expect([0, 1, 1500].map((count) => plural(count, 'step'))).toEqual(['0 steps', '1 step', '1,500 steps']))
  test('shares are percentages', () => expect(percent(0.87349)).toBe('87.3 %'))
})

describe('table', () => {
  test('columns are as wide as their widest cell, numbers stand right, nothing trails', () => {
    const text = table(
      [{ title: 'name' }, { title: 'size', align: 'right' }],
      [
        ['resnet20', '7'],
        ['a', '12345'],
      ],
    )
    expect(text).toBe(['name       size', 'resnet20      7', 'a         12345'].join('\n'))
  })

  test('what a terminal would obey is spelled out', () => {
    const text = table([{ title: 'key' }], [['a\u001b[2J\nb\u202ec\u0085'], ['wéight 😀']])
    expect(text).toBe('key\na\\u{1b}[2J\\u{a}b\\u{202e}c\\u{85}\nwéight 😀')
  })

  test('a table without rows has its titles', () => expect(table([{ title: 'name' }], [])).toBe('name'))
})
