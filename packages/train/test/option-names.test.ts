/** Options that do not exist are refused, and so is what is no options at all, before anything else happens. */
import { ArgumentError } from '@convnets/tensor'
import { curveSvg, evaluate, fit } from '@convnets/train'
import { describe, expect, test } from 'vitest'

/** Nothing of it may be touched. */
const model = undefined as never

/** Every function and class with options, called with wrong ones. */
const calls: Readonly<Record<string, (options: never) => unknown>> = {
  curveSvg: (options) => curveSvg([], options),
  evaluate: (options) => evaluate(model, model, options),
  fit: (options) => fit(model, options),
  'fit: earlyStopping': (earlyStopping) => fit(model, { earlyStopping } as never),
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
