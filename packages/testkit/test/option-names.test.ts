/** Options that do not exist are refused, and so is what is no options at all, before anything else happens. */
import { add, readOptions, reference, type Tensor, tensor } from '@convnets/tensor'
import {
  backendConformance,
  checkGoldenOp,
  checkGradient,
  checkSecondGradient,
  fillModel,
  fillValue,
  type OpGolden,
  optionFaults,
} from '@convnets/testkit'
import { describe, expect, test } from 'vitest'

const x = (): Tensor => tensor(Float64Array.of(1, 2), { backend: reference })

/** Every function and class with options, called with wrong ones. */
const calls: Readonly<Record<string, (options: never) => unknown>> = {
  backendConformance: (options) => backendConformance(reference, options),
  checkGoldenOp: (options) => checkGoldenOp({} as OpGolden, options),
  checkGradient: (options) => checkGradient((a, b) => add(a as Tensor, b as Tensor), [x(), x()], options),
  checkSecondGradient: (options) => checkSecondGradient((a, b) => add(a as Tensor, b as Tensor), [x(), x()], options),
  fillModel: (options) => fillModel({ stateDict: () => [] }, options),
  fillValue: (options) => fillValue('fc.weight', [2, 3], options),
}

test.each(Object.entries(calls))('%s', async (name, call) => {
  expect(await optionFaults(name, call)).toEqual([])
})

describe('optionFaults', () => {
  const right = (options: object) => void readOptions('right', options, { size: 1 })
  test.each<[string, (options: never) => unknown, number]>([
    ['nothing where all is refused', right, 0],
    ['nothing where a promise is', async (options) => right(options), 0],
    ['all where nothing is refused', () => 3, 4],
    ['all under another name', (options: object) => readOptions('left', options, { size: 1 }), 4],
    [
      'all that is not typed',
      () => {
        throw new TypeError('right: options expects an object, got 1')
      },
      4,
    ],
    ['a name that is taken', (options: object) => readOptions('right', options, { axis: 1 }), 1],
  ])('finds %s', async (_, call, count) => {
    const faults = await optionFaults('right', call)
    expect(faults.length).toBe(count)
    for (const fault of faults) expect(fault).toMatch(/^right: expected .* of options .*, got /)
  })
})
