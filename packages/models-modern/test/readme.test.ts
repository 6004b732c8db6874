/** The README's table is made from the entries: a number changed in one of them and not in the other fails here. */
import { readFileSync } from 'node:fs'
import { modern } from '@convnets/models-modern'
import { expect, test } from 'vitest'
import { withTable } from '../../../scripts/model-tables.ts'

test('the table of the README is that of the entries, as `pnpm tables` writes it', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  expect(readme).toBe(withTable(readme, modern))
  for (const { name } of modern) expect(readme).toContain(`\`${name}\``)
})
