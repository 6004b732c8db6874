import {
  checkGradient,
  checkSecondGradient,
  makeInputs,
  type OpCase,
  type OpName,
  opCases,
  opsWithoutGradient,
} from '@convnets/testkit'
import { describe, expect, it } from 'vitest'
import { memory, reference } from '../src/index.ts'

/** Central differences take two runs per element, so large cases are left to the comparison of backends. */
const LARGEST = 120

const sizeOf = (inputs: { size: number }[]): number => inputs.reduce((sum, { size }) => sum + size, 0)

/** The cases of an op that have derivatives of an order and are small enough. */
const casesOf = (op: OpName, order: number): readonly OpCase[] =>
  opCases[op].filter((c) => c.order >= order && sizeOf(makeInputs(op, c, reference, 'float64')) <= LARGEST)

const ops = (Object.keys(opCases) as OpName[]).filter((op) => !opsWithoutGradient.includes(op))

describe('gradients by central differences', () => {
  it.each(ops)('%s', (op) => {
    expect(casesOf(op, 1).length).toBeGreaterThan(0)
    for (const c of casesOf(op, 1)) {
      const { errors, passed } = checkGradient(c.run, makeInputs(op, c, reference, 'float64'))
      if (!passed) expect.fail(`${op} ${c.id}: relative errors ${errors}`)
    }
  })
})

describe('gradients of gradients by central differences', () => {
  it.each(ops)('%s', (op) => {
    expect(casesOf(op, 2).length).toBeGreaterThan(0)
    for (const c of casesOf(op, 2)) {
      const { errors, passed } = checkSecondGradient(c.run, makeInputs(op, c, reference, 'float64'))
      if (!passed) expect.fail(`${op} ${c.id}: relative errors ${errors}`)
    }
  })
})

it('leaves no buffer behind', () => {
  const before = memory(reference)
  const [c] = opCases.conv2d
  const inputs = makeInputs('conv2d', c!, reference, 'float64')
  checkSecondGradient(c!.run, inputs)
  for (const x of inputs) x.dispose()
  expect(memory(reference)).toEqual({ ...before, peakBytes: expect.any(Number), peakHeldBytes: expect.any(Number) })
})
