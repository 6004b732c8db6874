// Packages are alike: what a manifest must say, what it may depend on, and that what is published mirrors the source.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { layers, packages, root, rootManifest } from '../workspace.mjs'
import { each } from './each.mjs'

const layerOf = (name) => layers.findIndex((layer) => layer.includes(name))

/** `./src/gpu.ts` is published as `{ types: './dist/gpu.d.ts', import: './dist/gpu.js' }`. */
function published(source) {
  if (!source.endsWith('.ts')) return source
  const built = source.replace(/^\.\/src\//, './dist/').replace(/\.ts$/, '')
  return { types: `${built}.d.ts`, import: `${built}.js` }
}

const mapValues = (record, change) => Object.fromEntries(Object.entries(record).map(([k, v]) => [k, change(v)]))

function problems({ name, dir, manifest }) {
  const found = []
  const expect = (field, got, wanted) => {
    const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)]
    if (a !== b) found.push(`${field} should be ${b}, is ${a}.`)
  }
  expect('name', manifest.name, `@convnets/${name}`)
  expect('type', manifest.type, 'module')
  expect('license', manifest.license, rootManifest.license)
  expect('engines', manifest.engines, rootManifest.engines)
  expect('repository.url', manifest.repository?.url, rootManifest.repository.url)
  expect('repository.directory', manifest.repository?.directory, `packages/${name}`)
  expect('sideEffects', manifest.sideEffects, false)
  expect('publishConfig.access', manifest.publishConfig?.access, 'public')
  expect('publishConfig.exports', manifest.publishConfig?.exports, mapValues(manifest.exports, published))
  if (manifest.bin) {
    expect(
      'publishConfig.bin',
      manifest.publishConfig?.bin,
      mapValues(manifest.bin, (path) => published(path).import),
    )
  }
  if (!manifest.description) found.push('description is missing.')
  if (!manifest.files?.includes('dist')) found.push('files should list dist.')
  if (!existsSync(join(dir, 'README.md'))) found.push('README.md is missing.')
  for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) {
    if (manifest.scripts?.[script]) found.push(`scripts.${script}: installing a package must not run anything.`)
  }
  if (layerOf(name) < 0) found.push('it stands on no layer of scripts/workspace.mjs.')
  for (const [dependency, range] of Object.entries(manifest.dependencies ?? {})) {
    if (!dependency.startsWith('@convnets/')) continue
    if (range !== 'workspace:^') found.push(`${dependency} should be asked for as workspace:^, is ${range}.`)
    const below = layerOf(dependency.slice('@convnets/'.length))
    if (below < 0 || below >= layerOf(name)) found.push(`it must not depend on ${dependency}: layers point down only.`)
  }
  return found
}

/** Whoever installs chooses the registry, so neither the lockfile nor an .npmrc may name one. */
function namesNoRegistry(file) {
  const path = join(root, file)
  const line = existsSync(path) && readFileSync(path, 'utf8').match(/^.*(https?:\/\/|registry=).*$/m)
  if (line) throw new Error(`it should not name a host: ${line[0].trim()}`)
}

export async function check() {
  const alike = await each(
    packages,
    ({ name }) => name,
    (entry) => {
      const found = problems(entry)
      if (found.length > 0) throw new Error(found.join('\n'))
    },
  )
  const portable = await each(['pnpm-lock.yaml', '.npmrc'], (file) => file, namesNoRegistry)
  return { passed: alike.passed + portable.passed, failed: alike.failed + portable.failed }
}
