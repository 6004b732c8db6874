// Every program in examples/ is short and runs to its end; those that reproduce papers with their quick settings.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { tsx } from '../run.mjs'
import { root } from '../workspace.mjs'
import { each } from './each.mjs'
import { withScratch } from './scratch.mjs'

const MAX_LINES = 60

/** Folders in examples/ whose TypeScript files are programs, and what these are called with. */
const folders = [
  { folder: '', args: [] },
  { folder: 'papers', args: ['--quick'] },
]

function programs({ folder, args }) {
  const path = join(root, 'examples', folder)
  const files = readdirSync(path).filter((name) => name.endsWith('.ts'))
  if (files.length === 0) throw new Error(`There is no program in ${join('examples', folder)}.`)
  return files.map((name) => ({ name: join(folder, name), file: join(path, name), args }))
}

export function check() {
  return each(
    folders.flatMap(programs),
    ({ name }) => name,
    async ({ name, file, args }) => {
      const lines = readFileSync(file, 'utf8').trimEnd().split('\n').length
      if (lines >= MAX_LINES) throw new Error(`should have fewer than ${MAX_LINES} lines, has ${lines}.`)
      const scratch = name.replaceAll(/\W/g, '-')
      await withScratch(scratch, (cwd) => tsx(file, args, { cwd, quiet: true, minutes: 5 }))
    },
  )
}
