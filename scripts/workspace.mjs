// What the workspace holds: its root, its packages and the layers they stand on.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** Bottom up. A package may import what stands in a line above its own, never its neighbours or what is below. */
export const layers = [
  ['tensor'],
  ['nn', 'optim', 'data', 'weights', 'testkit'],
  ['blocks', 'profile'],
  ['models-classic', 'models-modern', 'train'],
  ['cli'],
]

export const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'))

export const rootManifest = readJson(join(root, 'package.json'))

/** Every published package: `{ name, dir, manifest }`, in alphabetical order of its folder. */
export const packages = readdirSync(join(root, 'packages'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => ({ name, dir: join(root, 'packages', name) }))
  .map((entry) => ({ ...entry, manifest: readJson(join(entry.dir, 'package.json')) }))
  .sort((a, b) => (a.name < b.name ? -1 : 1))
