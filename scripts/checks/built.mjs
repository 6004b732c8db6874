// What a user gets: the packed packages, installed by npm into an empty project, imported by plain Node and by tsc.
import { copyFileSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../run.mjs'
import { packages, root } from '../workspace.mjs'
import { each } from './each.mjs'
import { pack } from './tarballs.mjs'

const entries = packages.flatMap(({ manifest }) =>
  Object.entries(manifest.publishConfig.exports)
    .filter(([, target]) => target.import)
    .map(([path]) => manifest.name + path.slice(1)),
)

async function makeProject(dir) {
  const tarballs = (await pack()).map(({ name, file }) => [name, `file:${file}`])
  const project = {
    private: true,
    type: 'module',
    dependencies: Object.fromEntries(tarballs),
    // Packages ask for each other by version; here that means these tarballs, never the registry.
    overrides: Object.fromEntries(tarballs.map(([name]) => [name, `$${name}`])),
  }
  writeFileSync(join(dir, 'package.json'), JSON.stringify(project, null, 2))
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'], {
    cwd: dir,
    quiet: true,
  })
}

async function importAll(dir) {
  const lines = entries.map((entry, i) => `import * as m${i} from '${entry}'`)
  const names = entries.map((entry, i) => `  ['${entry}', m${i}],`)
  const body = ['for (const [name, module] of [', ...names, ']) {']
  const check = `  if (Object.keys(module).length === 0) throw new Error(name + ' exports nothing.')`
  writeFileSync(join(dir, 'import.js'), [...lines, ...body, check, '}', ''].join('\n'))
  await run(process.execPath, ['import.js'], { cwd: dir, quiet: true })
}

async function checkTypes(dir) {
  const compilerOptions = {
    target: 'ES2022',
    lib: ['ES2023', 'ESNext.Disposable', 'DOM'],
    module: 'nodenext',
    strict: true,
    noEmit: true,
    // The declarations of the packages themselves are what is on trial; node's own come from the repository.
    skipLibCheck: false,
    types: ['node'],
    typeRoots: [join(root, 'node_modules', '@types')],
  }
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['types.ts'] }))
  writeFileSync(join(dir, 'types.ts'), entries.map((entry, i) => `export * as m${i} from '${entry}'\n`).join(''))
  await run('tsc', ['-p', 'tsconfig.json'], { cwd: dir, quiet: true })
}

async function trainAndClassify(dir) {
  copyFileSync(join(root, 'scripts', 'built-example.mjs'), join(dir, 'example.js'))
  return (await run(process.execPath, ['example.js'], { cwd: dir, quiet: true })).trim()
}

async function commandLine(dir) {
  const output = await run(join(dir, 'node_modules', '.bin', 'convnets'), ['--help'], { cwd: dir, quiet: true })
  for (const word of ['train', 'classify', 'models']) {
    if (!output.includes(word)) throw new Error(`convnets --help does not mention ${word}:\n${output}`)
  }
}

export async function check() {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'convnets-built-')))
  try {
    await makeProject(dir)
    const steps = [
      ['every package can be imported', importAll],
      ['every declaration type-checks', checkTypes],
      ['it trains and classifies', trainAndClassify],
      ['the command line runs', commandLine],
    ]
    return await each(
      steps,
      ([name]) => name,
      ([, step]) => step(dir),
    )
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
