/** Options that do not exist are refused, and so is what is no options at all, before anything else happens. */

import { optionFaults } from '@convnets/testkit'
import { curveSvg, evaluate, fit } from '@convnets/train'
import { expect, test } from 'vitest'

/** Nothing of it may be touched. */
const model = undefined as never

/** Every function and class with options, called with wrong ones. */
const calls: Readonly<Record<string, (options: never) => unknown>> = {
  curveSvg: (options) => curveSvg([], options),
  evaluate: (options) => evaluate(model, model, options),
  fit: (options) => fit(model, options),
  'fit: earlyStopping': (earlyStopping) => fit(model, { earlyStopping } as never),
}

test.each(Object.entries(calls))('%s', async (name, call) => {
  expect(await optionFaults(name, call)).toEqual([])
})
