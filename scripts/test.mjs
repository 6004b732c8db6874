// `npm test`: every check in order, each to its end whatever became of the one before.
// `npm test -- types graph` runs only the named ones. The last line printed is `N passed, M failed`.
import { install, requireNode } from './install.mjs'
import { limits, passSignalsOn, pnpm, run } from './run.mjs'

const MINUTES = 50

const load = (name) => async () => (await import(`./checks/${name}.mjs`)).check()

/** A check returns `{ passed, failed }`, or nothing for one that passed; what it throws is one failure. */
const checks = {
  install: () => install(),
  lint: () => run('biome', ['ci', '.', `--colors=${process.stdout.isTTY ? 'force' : 'off'}`]),
  types: () => run('tsc', ['-p', 'tsconfig.json']),
  manifests: load('manifests'),
  graph: () => run('depcruise', ['--config', '.dependency-cruiser.mjs', 'packages', 'bench', 'browser', 'examples']),
  knip: () => run('knip', ['--no-progress', '--no-config-hints']),
  tests: load('tests'),
  verify: load('verify'),
  nodes: load('nodes'),
  build: () =>
    pnpm(['exec', 'turbo', 'run', 'build', '--output-logs=errors-only'], { env: { TURBO_TELEMETRY_DISABLED: '1' } }),
  size: load('size'),
  tarballs: load('tarballs'),
  built: load('built'),
  readmes: load('readmes'),
  examples: load('examples'),
}

async function perform(check) {
  try {
    const counts = await check()
    return typeof counts === 'object' ? counts : { passed: 1, failed: 0 }
  } catch (error) {
    console.log(error.message)
    return { passed: 0, failed: 1 }
  }
}

requireNode()
passSignalsOn()
limits.deadline = Date.now() + MINUTES * 60_000

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !Object.hasOwn(checks, name))
if (unknown.length > 0) {
  console.log(`No check is called ${unknown.join(', ')}; there are ${Object.keys(checks).join(', ')}.`)
  process.exit(2)
}

const rows = []
for (const [name, check] of Object.entries(checks)) {
  if (wanted.length > 0 && name !== 'install' && !wanted.includes(name)) continue
  console.log(`\n== ${name}`)
  const start = Date.now()
  const counts = await perform(check)
  rows.push({ name, ...counts, seconds: (Date.now() - start) / 1000 })
  console.log(`-- ${name}: ${counts.passed} passed, ${counts.failed} failed, ${rows.at(-1).seconds.toFixed(1)} s`)
}

console.log('\n== summary')
for (const { name, passed, failed, seconds } of rows) {
  const verdict = failed > 0 ? 'FAILED' : 'ok'
  console.log(
    `${verdict.padEnd(7)}${name.padEnd(10)}${String(passed).padStart(6)} passed${String(failed).padStart(5)} failed${seconds.toFixed(1).padStart(8)} s`,
  )
}
const sum = (key) => rows.reduce((total, row) => total + row[key], 0)
process.exitCode = sum('failed') > 0 ? 1 : 0
console.log(`${sum('passed')} passed, ${sum('failed')} failed`)
