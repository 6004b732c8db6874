/**
 * What looking costs: the start of `convnets summary` and the pass without numbers behind it, and how much a trace slows a
 * network down.
 *
 *     pnpm --filter @convnets/bench exec tsx profile.ts [--built FOLDER]
 *
 * FOLDER: where the packed packages are installed, to start the command as users have it; from source it is read through tsx.
 */
import { execFileSync } from 'node:child_process'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { efficientnet_b0, efficientnet_l2, resnet18 } from '@convnets/models-modern'
import { profile, trace, withoutNumbers } from '@convnets/profile'
import { getThreads, memory, noGrad, randn, setThreads, tidy, watchOps } from '@convnets/tensor'
import { median } from './src/median.ts'

const { values } = parseArgs({ options: { built: { type: 'string' }, runs: { type: 'string', default: '5' } } })
const runs = Number(values.runs)
const say = (text: string): void => void process.stdout.write(`${text}\n`)
const timed = (run: () => unknown): number => {
  const start = performance.now()
  run()
  return performance.now() - start
}
const medianOf = (run: () => unknown): number => median(Array.from({ length: runs }, () => timed(run)))

say(`${cpus().length} cores (${cpus()[0]?.model}), Node ${process.version}, load ${loadavg()[0]?.toFixed(2)}`)

// A whole program each time: the limit is 2 s.
const main = fileURLToPath(new URL('../packages/cli/src/main.ts', import.meta.url))
const starts = {
  'from source': ['--import', import.meta.resolve('tsx'), main],
  ...(values.built && { built: [join(values.built, 'node_modules/@convnets/cli/dist/main.js')] }),
}
for (const [how, argv] of Object.entries(starts)) {
  const command = (...more: string[]): unknown => execFileSync(process.execPath, [...argv, 'summary', ...more])
  say(`summary efficientnet_l2, ${how}: ${medianOf(() => command('efficientnet_l2')).toFixed(0)} ms`)
}

const largest = withoutNumbers(() => efficientnet_l2())
const before = memory().reservedBytes
const pass = medianOf(() => profile(largest, [3, 800, 800]))
say(
  `profile of EfficientNet-L2 at 800 x 800: ${pass.toFixed(1)} ms, ${memory().reservedBytes - before} bytes of wasm memory`,
)

// In turns, so that what the machine does else falls on both.
for (const threads of [1, getThreads()]) {
  setThreads(threads)
  for (const [name, make] of Object.entries({ resnet18, efficientnet_b0 })) {
    const model = make().eval()
    const x = randn([1, 3, 224, 224]).keep()
    const plain: number[] = []
    const apart: number[] = []
    const watched: number[] = []
    const whole: number[] = []
    for (let i = 0; i < 4 * runs + 3; i++) {
      const forward = () => tidy(() => void noGrad(() => model.forward(x)))
      plain.push(timed(forward))
      // What is watched runs layer by layer; otherwise norms are folded into convolutions.
      apart.push(timed(() => watchOps({}, forward)))
      // The pass that it shows, and the call with all that it does before and after that.
      whole.push(timed(() => watched.push(trace(model, x, { warmup: 0 }).milliseconds)))
    }
    const [folded = 0, without = 0, having = 0, all = 0] = [plain, apart, watched, whole].map((times) =>
      median(times.slice(3)),
    )
    const share = (100 * (having / without - 1)).toFixed(1)
    say(
      `trace of ${name}, ${threads} threads: ${having.toFixed(2)} ms beside ${without.toFixed(2)} ms layer by layer, ${share} % more (${folded.toFixed(2)} ms with norms folded); the whole call ${all.toFixed(2)} ms`,
    )
    x.dispose()
    model.dispose()
  }
}
