// Brings node_modules in line with the lockfile; costs milliseconds when it already is.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pnpm } from './run.mjs'
import { packages, root, rootManifest } from './workspace.mjs'

const stamp = join(root, 'node_modules', '.installed')

export function requireNode() {
  const wanted = rootManifest.engines.node.match(/\d+/g).map(Number)
  const got = process.versions.node.split('.').map(Number)
  const old = got[0] < wanted[0] || (got[0] === wanted[0] && got[1] < wanted[1])
  if (!old) return
  console.error(`convnets needs Node ${wanted.join('.')} or newer; this is ${process.versions.node}.`)
  process.exit(1)
}

function fingerprint() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`)
  const others = ['bench', 'browser', 'examples'].map((name) => join(root, name))
  const folders = [root, ...others, ...packages.map(({ dir }) => dir)]
  const files = folders.map((folder) => join(folder, 'package.json'))
  for (const file of [join(root, 'pnpm-lock.yaml'), join(root, 'pnpm-workspace.yaml'), ...files]) {
    hash.update(readFileSync(file)).update('\0')
  }
  return hash.digest('hex')
}

function isInstalled(wanted) {
  try {
    return readFileSync(stamp, 'utf8') === wanted && readdirSync(join(root, 'node_modules', '.pnpm')).length > 0
  } catch {
    return false
  }
}

/** Installs by the lockfile unless that has been done. Returns whether there was anything to do. */
export async function install() {
  const wanted = fingerprint()
  if (isInstalled(wanted)) return false
  await pnpm(['install', '--frozen-lockfile', '--reporter=append-only'], { env: { CI: 'true' } })
  writeFileSync(stamp, wanted)
  return true
}
