/** Options that do not exist are refused, and so is what is no options at all, before anything else happens. */
import { classic } from '@convnets/models-classic'
import { withoutNumbers } from '@convnets/profile'
import { optionFaults } from '@convnets/testkit'
import { expect, test } from 'vitest'

/** Every function with options, called with wrong ones. */
const calls: [string, (options: never) => unknown][] = [
  ...classic.map((entry): [string, (options: never) => unknown] => [entry.name, (options) => entry(options)]),
]

test.each(calls)('%s', async (name, call) => {
  expect(await optionFaults(name, call)).toEqual([])
})

test.each(classic.map((entry) => [entry.name, entry] as const))('resetClassifier of %s', (_, entry) => {
  const model = withoutNumbers(() => entry())
  const before = [...model.parameters()]
  expect(() => model.resetClassifier(10, { axis: 1 } as object)).toThrow(/^resetClassifier: options .*, got axis/)
  expect(model.parameters().every((tensor, i) => tensor === before[i] && !tensor.disposed)).toBe(true)
  model.dispose()
})
