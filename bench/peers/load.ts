/** The peers, which live in a folder of their own beside this file, so that nobody installs them who does not compare. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/** Imports a package of this folder. */
export function load(name: string): Promise<unknown> {
  return import(name)
}

/** The path of what `load(name)` imports. */
export async function resolve(name: string): Promise<string> {
  return fileURLToPath(import.meta.resolve(name))
}

/** The version that is installed. */
export async function versionOf(name: string): Promise<string> {
  const manifest = await readFile(new URL(`node_modules/${name}/package.json`, import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}
