/** Options that do not exist are refused, and so is what is no options at all, before anything else happens. */
import { run } from '@convnets/cli'
import { optionFaults } from '@convnets/testkit'
import { expect, test } from 'vitest'

/** Every function and class with options, called with wrong ones. */
const calls: Readonly<Record<string, (options: never) => unknown>> = {
  run: (options) => run(['--version'], options),
}

test.each(Object.entries(calls))('%s', async (name, call) => {
  expect(await optionFaults(name, call)).toEqual([])
})
