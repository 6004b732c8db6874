/** Options that do not exist are refused, and so is what is no options at all, before anything else happens. */
import { run } from '@convnets/cli'
import { ArgumentError } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'

/** Every function and class with options, called with wrong ones. */
const calls: Readonly<Record<string, (options: never) => unknown>> = {
  run: (options) => run(['--version'], options),
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
