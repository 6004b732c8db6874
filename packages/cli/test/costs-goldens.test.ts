/** Parameters and multiply-accumulates of every network for which there is a reference. */
import { readdirSync, readFileSync } from 'node:fs'
import { profile, withoutNumbers } from '@convnets/profile'
import { expect, test } from 'vitest'
import { tables } from '../src/networks.ts'

interface Golden {
  readonly name: string
  readonly parameters: number
  readonly macs: number
  readonly nativeSize: number
}

const folder = new URL('../../../fixtures/goldens/models/', import.meta.url)
const goldens = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Golden)
const entries = tables.flat()

test('there is a network for every reference', () => {
  const names = new Set(entries.map(({ name }) => name))
  expect(goldens.length).toBeGreaterThanOrEqual(40)
  expect(goldens.map(({ name }) => name).filter((name) => !names.has(name))).toEqual([])
})

test.each(goldens.map((golden) => [golden.name, golden] as const))('%s', (name, golden) => {
  const entry = entries.find((known) => known.name === name)
  if (entry === undefined) throw new Error(`no network is called ${name}`)
  const { parameters, macs } = profile(
    withoutNumbers(() => entry()),
    [3, golden.nativeSize, golden.nativeSize],
  )
  expect({ parameters, macs }).toEqual({ parameters: golden.parameters, macs: golden.macs })
})

test.each(entries.map((entry) => [entry.name, entry] as const))('%s costs what its table says', (_, entry) => {
  const { parameters, macs } = profile(
    withoutNumbers(() => entry()),
    [3, ...entry.inputSize],
  )
  expect({ parameters, macs }).toEqual({ parameters: entry.params, macs: entry.macs })
})
