/** What the doc comments of all blocks hold: a diagram, shapes, and an example that makes a layer. */
import { readdirSync, readFileSync } from 'node:fs'
import * as blocks from '@convnets/blocks'
import * as nn from '@convnets/nn'
import { setDefaultBackend, wasm } from '@convnets/tensor'
import { hollow } from '@convnets/testkit'
import { transformSync } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const folder = new URL('../src/', import.meta.url)
const sources = readdirSync(folder).map((file) => readFileSync(new URL(file, folder), 'utf8'))

/** Doc comments of exported classes that can be built. */
const comments = new Map(
  sources.flatMap((source) =>
    [...source.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\nexport (?:abstract )?class (\w+)/g)].map(
      ([, comment = '', name = '']) => [name, comment.replaceAll(/^ \* ?/gm, '')] as const,
    ),
  ),
)

/** Blocks of all exports: modules other than whole networks, and what is only a base of others. */
const names = Object.entries(blocks)
  .filter(([, value]) => typeof value === 'function' && value.prototype instanceof nn.Module)
  .map(([name]) => name)
  .filter((name) => !['ImageModel', 'AuxImageModel', 'Branches'].includes(name))

test('there are blocks to look at', () => {
  expect(names.length).toBeGreaterThan(35)
})

describe.each(names)('%s', (name) => {
  beforeAll(() => setDefaultBackend(hollow))
  afterAll(() => setDefaultBackend(wasm))

  test('shows its diagram, its shapes and an example that runs', () => {
    const comment = comments.get(name) ?? ''
    expect(comment, 'shapes').toMatch(/\(N, /)
    // A layer norm and the like have nothing to draw.
    if (name !== 'LayerNorm2d') expect(comment, 'diagram').toMatch(/^ {4} *\S.*--/m)
    const example = /```ts\n([\s\S]*?)```/.exec(comment)?.[1] ?? ''
    const { code } = transformSync(example, { loader: 'ts' })
    const scope = { ...nn, ...blocks }
    const run = new Function(...Object.keys(scope), `return ${code}`)
    const layer: unknown = run(...Object.values(scope))
    expect(layer).toBeInstanceOf(nn.Module)
    const made = [...(layer as nn.Module).namedModules().values()].map((module) => module.constructor.name)
    expect(made).toContain(name)
    if (name.endsWith('Aux')) return
    expect((layer as { inChannels?: unknown }).inChannels).toBeGreaterThan(0)
    expect((layer as { outChannels?: unknown }).outChannels).toBeGreaterThan(0)
  })
})
