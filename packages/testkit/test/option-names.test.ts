/** Options that do not exist are refused, and so is what is no options at all, before anything else happens. */
import { ArgumentError, add, reference, type Tensor, tensor } from '@convnets/tensor'
import {
  backendConformance,
  checkGoldenOp,
  checkGradient,
  checkSecondGradient,
  fillModel,
  fillValue,
  type OpGolden,
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

describe.each(Object.entries(calls))('%s', (name, call) => {
  test.each<[unknown, string]>([
    [{ axis: 1 }, 'options expects one of .*, got axis'],
    [1, 'options expects an object, got 1'],
    [null, 'options expects an object, got null'],
    [[1], 'options expects an object, got \\[1\\]'],
  ])('refuses %j', async (options, message) => {
    const error = await Promise.resolve()
      .then(() => call(options as never))
      .catch((error: unknown) => error)
    expect(error).toBeInstanceOf(ArgumentError)
    expect((error as Error).message).toMatch(new RegExp(`^${name}: ${message}`))
  })
})
