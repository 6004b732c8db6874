// Every program in examples/ is short and runs to its end.
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { tsx } from '../run.mjs'
import { root } from '../workspace.mjs'
import { each } from './each.mjs'
import { withScratch } from './scratch.mjs'

const MAX_LINES = 60

export function check() {
  const folder = join(root, 'examples')
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts'))
  if (files.length === 0) throw new Error('There is no program in examples/.')
  return each(
    files,
    (name) => name,
    async (name) => {
      const lines = readFileSync(join(folder, name), 'utf8').trimEnd().split('\n').length
      if (lines >= MAX_LINES) throw new Error(`should have fewer than ${MAX_LINES} lines, has ${lines}.`)
      await withScratch(basename(name, '.ts'), (cwd) => tsx(join(folder, name), [], { cwd, quiet: true, minutes: 5 }))
    },
  )
}
