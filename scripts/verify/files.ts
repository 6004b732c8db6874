/** Which files of a folder are goldens, and what cases they hold. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { type Arithmetic, type Case, fail, type Source } from './case.ts'
import { checkpointCases } from './checkpoints.ts'
import { modelCases } from './models.ts'
import { opCases } from './ops.ts'
import { trainingCases } from './training.ts'
import { transformCases } from './transforms.ts'

type Kind = 'ops' | 'training' | 'transforms' | 'expected' | 'model'

function kindOf(path: string): Kind | undefined {
  const name = basename(path)
  if (name === 'ops.json' || name === 'training.json' || name === 'transforms.json' || name === 'expected.json') {
    return basename(name, '.json') as Kind
  }
  return basename(dirname(path)) === 'models' && name.endsWith('.json') ? 'model' : undefined
}

const natural = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true })

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => natural(a.name, b.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory())
        return entry.name === 'node_modules' || entry.name.startsWith('.') ? [] : filesBelow(path)
      return kindOf(resolve(path)) === undefined ? [] : [path]
    })
}

function casesOf(kind: Kind, path: string, file: string, arithmetic: Arithmetic, first: boolean): Case[] {
  const text = readFileSync(path, 'utf8')
  switch (kind) {
    case 'ops':
      return opCases(text, file, arithmetic)
    case 'training':
      return trainingCases(text, file, arithmetic, first)
    case 'model':
      return modelCases(text, file, arithmetic)
    case 'transforms':
      return transformCases(text, file)
    case 'expected':
      return checkpointCases(text, path, arithmetic)
  }
}

/** What each kind of file is run on where the command names no backend. */
const defaultArithmetic: Readonly<Record<Kind, readonly Arithmetic['name'][]>> = {
  ops: ['reference', 'wasm'],
  training: ['reference', 'wasm'],
  model: ['wasm'],
  transforms: ['wasm'],
  expected: ['wasm'],
}

/** Every golden below `folder`, in natural order. A file that cannot be read is one case that fails. */
export function* sources(
  folder: string,
  arithmetic: (name: Arithmetic['name']) => Arithmetic,
  backend: Arithmetic['name'] | undefined,
): Generator<Source> {
  for (const path of filesBelow(folder)) {
    const kind = kindOf(resolve(path)) as Kind
    const file = relative(folder, path).split(sep).join('/')
    const names = backend === undefined ? defaultArithmetic[kind] : [backend]
    for (const [i, name] of names.entries()) {
      const on = arithmetic(name)
      let cases: Case[]
      try {
        cases = casesOf(kind, path, file, on, i === 0)
      } catch (error) {
        const { message } = error as Error
        cases = [{ id: 'file', run: () => fail(message) }]
      }
      yield { file, arithmetic: on, cases }
    }
  }
}
