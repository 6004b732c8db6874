/**
 * `pnpm bench`: how fast the packages are, beside the peers, in one run. `--help` tells the options; README.md how to read the
 * figures.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gpuTables, measureInBrowser } from './gpu/run.ts'
import { type Case, type Peer, peers } from './src/cases.ts'
import { chart } from './src/chart.ts'
import { bundleOurs, ourProgram, Process, peerProgram, torchProgram } from './src/driver.ts'
import { reached } from './src/goals.ts'
import { measure, type Result } from './src/measure.ts'
import { line, type Report, sections } from './src/report.ts'
import { type Startup, startup } from './src/startup.ts'
import { suite } from './src/suite.ts'

const help = `pnpm bench [options]

  --only REGEX     sections, groups or cases: kernels, networks, training, gemm, convolutions, depthwise, memory, overhead,
                   startup, or a part of a name, such as 'networks/resnet18'; gpu only if it is named: see gpu/README.md
  --threads 1,2    numbers of threads, one after the other (default 1,2)
  --all            every distinct convolution of the networks, and not one of each kind
  --json FILE      results as JSON
  --readme         writes the tables into bench/README.md and the chart beside it
  --torch          training steps in PyTorch as well
  --python FILE    the Python that has torch (default: python3, or else the system's)
  --node24 FILE    a Node 24 or newer: what enableTurbo() gives, as one more contestant
  --no-peers       ours alone; nothing is installed
  --peers LIST     of ${peers.join(', ')}
  --browser FILE   Chromium or Chrome for gpu (default /usr/bin/chromium)
  --modes LIST     of gpu (default webgpu,webgl2,webasm)
  --real-gpu       gpu on the machine's GPU, in a window, and not on an adapter in software
  --list           names the cases and ends`

const { values } = parseArgs({
  args: process.argv.slice(2).filter((word) => word !== '--'),
  options: {
    only: { type: 'string' },
    threads: { type: 'string', default: '1,2' },
    all: { type: 'boolean', default: false },
    json: { type: 'string' },
    readme: { type: 'boolean', default: false },
    torch: { type: 'boolean', default: false },
    python: { type: 'string' },
    node24: { type: 'string' },
    peers: { type: 'string' },
    'no-peers': { type: 'boolean', default: false },
    browser: { type: 'string', default: '/usr/bin/chromium' },
    modes: { type: 'string', default: 'webgpu,webgl2,webasm' },
    'real-gpu': { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

const folder = fileURLToPath(new URL('.', import.meta.url))
const say = (text: string): void => void process.stdout.write(`${text}\n`)

function fail(text: string): never {
  process.stderr.write(`${text}\n`)
  process.exit(2)
}

if (values.help) {
  say(help)
  process.exit()
}

if (values.only === 'gpu') {
  for (const row of gpuTables(await measureInBrowser(values.browser, values['real-gpu'], values.modes.split(','))))
    say(row)
  process.exit()
}

const threadCounts = values.threads.split(',').map(Number)
if (threadCounts.some((count) => !Number.isInteger(count) || count < 1)) {
  fail(`--threads expects whole numbers such as 1,2, got '${values.threads}'`)
}
const only = new RegExp(values.only ?? '', 'i')
const kernels = new Set(['gemm', 'convolutions', 'depthwise'])
const wanted = (section: string, name: string): boolean =>
  only.test(`${kernels.has(section) ? 'kernels/' : ''}${section}/${name}`)
const chosen: Case[] = suite(values.all).filter(({ section, name }) => wanted(section, name))
const starts = wanted('startup', 'resnet18')
if (values.list) {
  for (const { section, name } of chosen) say(`${section}/${name}`)
  process.exit()
}
if (chosen.length === 0 && !starts) fail(`--only ${values.only}: no case has such a name; --list names all`)

/** Python with torch, or nothing. */
function findTorch(): string | undefined {
  for (const python of values.python === undefined ? ['python3', '/usr/bin/python3'] : [values.python]) {
    try {
      execFileSync(python, ['-c', 'import torch'], { stdio: 'ignore' })
      return python
    } catch {
      // The next one, perhaps.
    }
  }
  return undefined
}

const listed = values.peers?.split(',')
const stranger = listed?.find((name) => !(peers as readonly string[]).includes(name))
if (stranger !== undefined) fail(`--peers: there is no ${stranger}; there are ${peers.join(', ')}`)
const allowed = new Set<Peer>(values['no-peers'] ? [] : ((listed as Peer[] | undefined) ?? peers))
const torch = values.torch ? findTorch() : undefined
if (values.torch && torch === undefined) {
  say('PyTorch is left out: no python3 can import torch (apt install python3-torch, or --python FILE).')
}
if (torch === undefined) allowed.delete('torch')
if (values.node24 === undefined) allowed.delete('turbo')
const needed = new Set(chosen.flatMap((one) => one.peers.filter((peer) => allowed.has(peer))))

/** Installs the peers, which nobody needs who does not compare, by their own lockfile. */
function installPeers(): void {
  const home = join(folder, 'peers')
  const installed = join(home, 'node_modules', '.package-lock.json')
  if (existsSync(installed) && readFileSync(join(home, 'package.json'), 'utf8') === readStamp()) return
  say('Installing the peers into bench/peers (about 500 MB) ...')
  try {
    // Their install scripts fetch libraries for graphics cards.
    execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: home,
      stdio: ['ignore', 'ignore', 'inherit'],
      shell: process.platform === 'win32',
    })
    writeFileSync(stamp, readFileSync(join(home, 'package.json')))
  } catch {
    fail('The peers cannot be installed; --no-peers measures ours alone.')
  }
}

const stamp = join(folder, 'peers', 'node_modules', '.installed')
const readStamp = (): string => (existsSync(stamp) ? readFileSync(stamp, 'utf8') : '')

if ([...needed].some((peer) => !['turbo', 'uncompiled', 'torch'].includes(peer))) installPeers()

const startLoad = loadavg()
const results: Result[] = []
const startups: Startup[] = []
const peaks: Record<number, number> = {}
const versions: Record<string, string> = {}

const bundle = await bundleOurs()
for (const threads of threadCounts) {
  const ours = new Process('ours', ourProgram(bundle, 'ours', threads))
  const others = new Map<Peer, Process>()
  for (const peer of needed) {
    const how =
      peer === 'torch'
        ? torchProgram(torch as string, threads)
        : peer === 'turbo' || peer === 'uncompiled'
          ? ourProgram(bundle, peer, threads, peer === 'turbo' ? values.node24 : undefined)
          : peerProgram(peer, threads)
    others.set(peer, new Process(peer, how))
  }
  const all = [ours, ...others.values()]
  process.on('exit', () => {
    for (const each of all) each.stop()
  })
  let section = ''
  for (const one of chosen) {
    const problem = await ours.start()
    if (problem !== undefined) fail(`ours does not start: ${problem}`)
    if (one.section !== section) {
      section = one.section
      say(`\n== ${section}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`)
      // Whatever else the machine does makes it less, so the most is nearest to the truth.
      const peak = await ours.peak()
      if ('value' in peak) peaks[threads] = Math.max(peak.value, peaks[threads] ?? 0)
    }
    const against = one.peers.flatMap((peer) => others.get(peer) ?? [])
    const result = await measure(one, [ours, ...against], peaks[threads] ?? Number.NaN)
    results.push(result)
    say(line(result))
  }
  for (const each of all) {
    if (each.version) versions[each.name] = each.version
    each.stop()
  }
  if (starts) {
    say(`\n== startup, ${threads} ${threads === 1 ? 'thread' : 'threads'}`)
    const times = await startup(threads)
    startups.push(times)
    say(`${times.first.toFixed(0)} ms to the first result, ${times.imported.toFixed(0)} of them to import`)
  }
}

const words = process.argv.slice(2).filter((word) => word !== '--')
const report: Report = {
  date: new Date().toISOString().slice(0, 10),
  command: ['pnpm bench', ...words.map((word) => (/^[\w.,/:=-]+$/.test(word) ? word : `'${word}'`))].join(' '),
  machine: `${cpus()[0]?.model.trim()}, ${cpus().length} cores, ${process.platform} ${process.arch}`,
  load: [startLoad[0] ?? 0, loadavg()[0] ?? 0],
  versions,
  peaks,
  // What is measured later with another peak is judged by the best that was seen.
  results: results.map((result) => ({ ...result, peak: peaks[result.threads] ?? result.peak })),
  startups,
}
const goals = reached(report)
say(`\n${sections(report)}${goals ? `\n\n### Goals\n\n${goals}` : ''}`)
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
if (values.readme) {
  const { writeReadme } = await import('./src/readme.ts')
  writeReadme(folder, report)
  const picture = chart(report)
  if (picture !== undefined) writeFileSync(join(folder, 'chart.svg'), picture)
  say('\nWritten: bench/README.md, bench/chart.svg')
}
process.exit()
