/** Options that do not exist are refused, and so is what is no options at all, before anything else happens. */
import { compoundScale, modern } from '@convnets/models-modern'
import { withoutNumbers } from '@convnets/profile'
import { optionFaults } from '@convnets/testkit'
import { expect, test } from 'vitest'

/** Every function with options, called with wrong ones. */
const calls: [string, (options: never) => unknown][] = [
  ...modern.map((entry): [string, (options: never) => unknown] => [entry.name, (options) => entry(options)]),
  ['compoundScale', (options) => compoundScale(1, options)],
]

test.each(calls)('%s', async (name, call) => {
  expect(await optionFaults(name, call)).toEqual([])
})

test.each(modern.map((entry) => [entry.name, entry] as const))('resetClassifier of %s', (_, entry) => {
  const model = withoutNumbers(() => entry())
  const before = [...model.parameters()]
  expect(() => model.resetClassifier(10, { axis: 1 } as object)).toThrow(/^resetClassifier: options .*, got axis/)
  expect(model.parameters().every((tensor, i) => tensor === before[i] && !tensor.disposed)).toBe(true)
  model.dispose()
})
