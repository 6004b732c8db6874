import { describe, expect, test } from 'vitest'

import { corpora } from './corpus.ts'
import { fuzz, type ParserName, parsers } from './mutate.ts'

/** Mutated inputs per parser; `CONVNETS_FUZZ` asks for more. */
const inputs = Number(process.env.CONVNETS_FUZZ ?? 200_000)

describe('mutations', () => {
  test.each(Object.keys(parsers) as ParserName[])(
    'of %s give data or one of our errors, quickly and in little memory',
    { timeout: 0 },
    async (name) => {
      const { accepted, slowest, memory } = await fuzz(name, corpora[name], inputs, 20_250_101)
      expect(accepted).toBeLessThan(inputs)
      expect(slowest).toBeLessThan(1000)
      expect(memory).toBeLessThan(2 ** 29)
    },
  )
})
