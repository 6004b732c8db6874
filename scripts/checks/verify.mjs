// The goldens and checkpoints of PyTorch in fixtures, read by the command that anyone can run on a folder of their own:
// in strict precision and in the default, fast one.
import { pnpm } from '../run.mjs'
import { rootManifest } from '../workspace.mjs'

const calls = [
  ['--precision', 'strict'],
  ['--precision', 'fast'],
]

async function verify(options) {
  let output
  try {
    output = await pnpm(['-s', 'verify', 'fixtures', ...options], { quiet: true, minutes: 20 })
  } catch (error) {
    output = error.message
  }
  const lines = output.trimEnd().split('\n')
  const sum = /^(\d+) passed, (\d+) failed$/.exec(lines.at(-1))
  if (!sum) throw new Error(`verify should end with "N passed, M failed".\n${output}`)
  const [passed, failed] = [Number(sum[1]), Number(sum[2])]
  if (failed > 0) console.log(output)
  else console.log([options.join(' '), ...lines.slice(-5)].join('\n'))
  if (passed + failed === 0) throw new Error(`verify found no case in fixtures with ${options.join(' ')}.`)
  return { passed, failed }
}

export async function check() {
  if (!rootManifest.scripts.verify) {
    throw new Error('package.json has no script called verify, so nothing was verified.')
  }
  const sum = { passed: 0, failed: 0 }
  for (const options of calls) {
    const { passed, failed } = await verify(options)
    sum.passed += passed
    sum.failed += failed
  }
  return sum
}
