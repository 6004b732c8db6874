/** `convnets bench`: how fast a network is on this machine. */
import { writeFile } from 'node:fs/promises'
import { headLoss } from '@convnets/blocks'
import { measurePeak, type OptimizerName, optimizerOf, profile, report, trace } from '@convnets/profile'
import {
  crossEntropy,
  defaultBackend,
  getThreads,
  memory,
  noGrad,
  randn,
  resetPeakMemory,
  seeded,
  setThreads,
  type Tensor,
  tidy,
  zeros,
} from '@convnets/tensor'
import type { Context } from '../context.ts'
import { build, nativeInput, networkOf } from '../networks.ts'
import type { BenchOptions } from '../program-costs.ts'
import { binary, percent, plural, short, table, whole } from '../report.ts'

/** The value that a share of the sorted numbers does not exceed (nearest rank). */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

/** Runs a network again and again and prints what it took. */
export async function bench(name: string, options: BenchOptions, context: Context): Promise<void> {
  if (options.threads !== undefined) setThreads(options.threads)
  const { batch, train = false } = options
  const entry = networkOf(name)
  const input = options.input ?? nativeInput(entry)
  const model = seeded(0, () => build(entry, input))
  if (train) model.train()
  else model.eval()
  const peak = await measurePeak()
  const x = seeded(1, () => randn([batch, ...input])).keep()
  const target = zeros([batch], { dtype: 'int32' }).keep()
  const lossOf = (output: unknown): Tensor =>
    headLoss(output as Parameters<typeof headLoss>[0], (logits) => crossEntropy(logits, target))
  const optimizer = optimizerOf(options.optimizer as OptimizerName, model.parameters())
  const once = (): void =>
    tidy(() => {
      if (!train) {
        noGrad(() => void model.forward(x))
        return
      }
      optimizer.zeroGrad()
      lossOf(model.forward(x)).backward()
      optimizer.step()
    })
  // Kernels are compiled and threads started.
  for (let i = 0; i < 2; i++) once()
  resetPeakMemory(defaultBackend())
  const times: number[] = []
  const start = performance.now()
  const enough = (): boolean =>
    options.runs === undefined
      ? times.length >= 5 && performance.now() - start >= 1000 * options.seconds
      : times.length >= options.runs
  while (!enough()) {
    context.signal.throwIfAborted()
    const before = performance.now()
    once()
    times.push(performance.now() - before)
    // Ctrl-C is noticed between runs.
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { peakHeldBytes, reservedBytes } = memory()
  const p = profile(model, input, { batch, training: train })
  const sorted = [...times].sort((a, b) => a - b)
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length
  // A training step computes every product three times: forward, by the weights and by the input.
  const gflops = ((train ? 3 : 1) * 2 * p.macs) / percentile(sorted, 0.5) / 1e6
  const facts = {
    model: name,
    input,
    batch,
    mode: train ? 'training' : 'inference',
    ...(train && { optimizer: options.optimizer }),
    threads: getThreads(),
    runs: times.length,
    milliseconds: {
      min: sorted[0] as number,
      p50: percentile(sorted, 0.5),
      p90: percentile(sorted, 0.9),
      p99: percentile(sorted, 0.99),
      max: sorted.at(-1) as number,
      mean,
    },
    perSecond: (1000 * batch) / mean,
    gflops,
    peakGflops: peak.gflops,
    peakBytes: peakHeldBytes,
    reservedBytes,
    parameters: p.parameters,
    macs: p.macs,
  }
  if (options.trace !== undefined || options.html !== undefined) {
    const timed = trace(model, x, { backward: train, loss: lossOf, peak })
    if (options.trace !== undefined) {
      await writeFile(options.trace, JSON.stringify(timed.chrome()))
      context.stderr.write(`${options.trace} has one run, for chrome://tracing or ui.perfetto.dev.\n`)
    }
    if (options.html !== undefined) {
      await writeFile(options.html, report(p, { title: name, trace: timed }))
      context.stderr.write(`${options.html} shows where the time goes.\n`)
    }
    if (!options.json)
      context.stdout.write(`${timed.table({ width: Math.max(40, context.stdout.columns ?? 100) })}\n\n`)
  }
  model.dispose()
  x.dispose()
  target.dispose()
  if (options.json) {
    context.stdout.write(`${JSON.stringify(facts, null, 2)}\n`)
    return
  }
  const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 1)} ms`
  const { milliseconds: t } = facts
  const rows = [
    [
      'mode',
      `${facts.mode}${train ? ` with ${options.optimizer}` : ''}, batch ${batch}, ${plural(facts.threads, 'thread')}`,
    ],
    ['runs', whole(times.length)],
    ['latency, median', ms(t.p50)],
    ['latency, 90 %', ms(t.p90)],
    ['latency, 99 %', ms(t.p99)],
    ['latency, least and most', `${ms(t.min)}, ${ms(t.max)}`],
    ['throughput', `${facts.perSecond.toFixed(1)} inputs a second`],
    ['arithmetic', `${gflops.toFixed(1)} GFLOP/s, ${percent(gflops / peak.gflops)} of ${peak.gflops.toFixed(1)}`],
    ['multiply-accumulates', `${short(p.macs)} for ${plural(batch, 'input')}`],
    ['memory at the peak', `${binary(peakHeldBytes)}, ${binary(reservedBytes)} taken from the system`],
  ]
  context.stdout.write(`${table([{ title: name }, { title: input.join('x') }], rows)}\n`)
}
