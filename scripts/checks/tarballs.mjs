// The packages as npm would receive them: packed once, judged by publint and are-the-types-wrong.
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pnpm, run } from '../run.mjs'
import { packages, root } from '../workspace.mjs'
import { each } from './each.mjs'

const folder = join(root, 'node_modules', '.cache', 'tarballs')
let packed

/** Packs every package, once per run; resolves to `{ name, file }` of each. */
export function pack() {
  packed ??= (async () => {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    await pnpm(['--filter', './packages/*', 'pack', '--pack-destination', folder], { quiet: true })
    const files = readdirSync(folder)
    return packages.map(({ name, manifest }) => {
      const file = `convnets-${name}-${manifest.version}.tgz`
      if (!files.includes(file)) throw new Error(`pnpm pack made no ${file}, only ${files.join(', ')}.`)
      return { name: manifest.name, file: join(folder, file) }
    })
  })()
  return packed
}

export const check = async () =>
  each(
    await pack(),
    ({ name }) => name,
    async ({ file }) => {
      await run('publint', ['run', file, '--strict'], { quiet: true })
      await run('attw', [file, '--profile', 'esm-only', '--no-emoji', '--no-color'], { quiet: true })
    },
  )
