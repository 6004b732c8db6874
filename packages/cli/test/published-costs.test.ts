/** What the documents of the profile package show: published figures are met, and the tables are those of today's code. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { atMarks, comparisonPage, comparisons, published, resnetTables } from '../../../scripts/cost-tables.ts'

const text = (name: string): string => readFileSync(new URL(`../../profile/${name}`, import.meta.url), 'utf8')
const rows = comparisons()

test('at least 20 networks are compared', () => {
  expect(new Set(rows.map(({ row }) => row.model)).size).toBeGreaterThanOrEqual(40)
  for (const { source } of Object.values(published)) expect(source).toMatch(/\w/)
})

/** Half of the last digit that a number is given with. */
function rounding(value: number): number {
  return 0.5 * 10 ** -Math.max(2, String(value).split('.')[1]?.length ?? 0)
}

test.each(rows.map((row) => [row.publisher, row.row.model, row] as const))('%s %s', (_, model, comparison) => {
  const { row, parameters, theirs, macs, activations } = comparison
  // Rounded from numbers in single precision, at times: a thousandth of the last digit is theirs.
  const near = (value: number, figure: number, unit: number): void =>
    expect(Math.abs(value / unit - figure)).toBeLessThanOrEqual(1.001 * rounding(figure))
  near(theirs, row.gmacs, 1e9)
  expect(Math.abs(theirs / macs - 1)).toBeLessThan(0.06)
  if (row.activations !== undefined) near(activations, row.activations, 1e6)
  if (row.parameters > 1000) expect(parameters).toBe(row.parameters)
  // timm's Inception v3 lacks the auxiliary classifier, a network of two convolutions and a linear layer.
  else near(model === 'inception_v3' ? parameters - 3_326_696 : parameters, row.parameters, 1e6)
})

test('the page is that of the published figures and of what is computed', () => {
  expect(text('COMPARISON.md')).toBe(comparisonPage(rows))
})

test('the table and the memory of ResNet-50 in the README are those that are computed', () => {
  const [, shown] = atMarks(text('README.md'))
  const made = resnetTables()
  const split = (part: string) => {
    const lines = part.split('\n')
    const memory = lines.filter((line) => /^\| `/.test(line)).map((line) => line.split('|').slice(1, -1))
    const numbers = memory.map(([name = '', ...cells]) => ({
      name,
      mebi: cells.map((c) => Number(c.replaceAll(',', ''))),
    }))
    return { numbers, others: lines.filter((line) => !/^\| `/.test(line)) }
  }
  const [document, computed] = [split(shown), split(made)]
  expect(document.others).toEqual(computed.others)
  expect(document.numbers.map(({ name }) => name.trim())).toEqual(['`sgd`', '`momentum`', '`adam`'])
  for (const [i, { name, mebi }] of document.numbers.entries()) {
    // Workspace and packing follow the kernels, which may change a little without anyone writing documents.
    const now = computed.numbers[i]?.mebi as number[]
    expect(mebi).toHaveLength(now.length)
    for (const [j, own] of mebi.entries())
      expect(Math.abs(own - (now[j] as number))).toBeLessThan(0.02 * (now.at(-1) as number))
    const [parameters = 0, gradients = 0, state = 0] = mebi
    const times = { '`sgd`': 2, '`momentum`': 3, '`adam`': 4 }[name.trim()] as number
    expect((parameters + gradients + state) / parameters).toBeCloseTo(times, 1)
  }
})
