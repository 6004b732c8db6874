/** Options that do not exist are refused, and so is what is no options at all, before anything else happens. */
import { classic } from '@convnets/models-classic'
import { withoutNumbers } from '@convnets/profile'
import { describe, expect, test } from 'vitest'

/** Every function with options, called with wrong ones. */
const calls: [string, (options: never) => unknown][] = [
  ...classic.map((entry): [string, (options: never) => unknown] => [entry.name, (options) => entry(options)]),
]

test.each(calls)('%s', (name, call) => {
  const refused = (options: unknown) => expect(() => call(options as never))
  refused({ axis: 1 }).toThrow(new RegExp(`^${name}: options expects one of .*, got axis`))
  refused(1).toThrow(`${name}: options expects an object, got 1`)
  refused(null).toThrow(`${name}: options expects an object, got null`)
  refused([1]).toThrow(`${name}: options expects an object, got [1]`)
})

describe('resetClassifier', () => {
  test.each(classic.map((entry) => [entry.name, entry] as const))('of %s', (_, entry) => {
    const model = withoutNumbers(() => entry())
    const before = model.parameters()
    const options = { axis: 1 } as object
    expect(() => model.resetClassifier(10, options)).toThrow('resetClassifier: options expects one of seed, got axis')
    const after = model.parameters()
    expect(after.length === before.length && after.every((tensor, i) => tensor === before[i])).toBe(true)
    expect(after.some(({ disposed }) => disposed)).toBe(false)
    model.dispose()
  })
})
