// Every README shows one TypeScript example; it type-checks and it runs.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { run, tsx } from '../run.mjs'
import { packages, root } from '../workspace.mjs'
import { each } from './each.mjs'
import { withScratch } from './scratch.mjs'

const MAX_LINES = 60

const checkpoint = join(root, 'fixtures', 'weights', 'cifar-resnet', 'resnet20-12fca82f.th')

/** The example of a README, or an Error that says why there is none. */
function readExample(file) {
  if (!existsSync(file)) return new Error('there is no README.md.')
  const text = readFileSync(file, 'utf8')
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1])
  return blocks.length === 1
    ? blocks[0]
    : new Error(`README.md should hold one \`\`\`ts block, holds ${blocks.length}.`)
}

function isShort(file) {
  if (!existsSync(file)) return
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n').length
  if (lines > MAX_LINES) throw new Error(`README.md should have at most ${MAX_LINES} lines, has ${lines}.`)
}

function writeTypesProject(folder) {
  const config = {
    extends: '../../../tsconfig.base.json',
    compilerOptions: { isolatedDeclarations: false, declaration: false },
    include: ['*/example.ts'],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
}

export const check = () =>
  withScratch('readmes', async (folder) => {
    writeTypesProject(folder)
    const readmes = [
      { name: 'convnets', file: join(root, 'README.md') },
      ...packages.map(({ name, dir }) => ({ name, file: join(dir, 'README.md'), short: true })),
    ].map((readme) => ({ ...readme, example: readExample(readme.file), dir: join(folder, readme.name) }))
    for (const { example, dir } of readmes) {
      mkdirSync(dir)
      // A checkpoint that examples load; its users download it.
      copyFileSync(checkpoint, join(dir, basename(checkpoint)))
      if (typeof example === 'string') writeFileSync(join(dir, 'example.ts'), example)
    }
    const runs = await each(
      readmes,
      ({ name }) => name,
      async ({ example, dir, file, short }) => {
        if (short) isShort(file)
        if (example instanceof Error) throw example
        await tsx(join(dir, 'example.ts'), [], { cwd: dir, quiet: true, minutes: 3 })
      },
    )
    const types = await each(
      ['types of all examples'],
      (label) => label,
      () => run('tsc', ['-p', folder], { quiet: true }).then(() => undefined),
    )
    return { passed: runs.passed + types.passed, failed: runs.failed + types.failed }
  })
