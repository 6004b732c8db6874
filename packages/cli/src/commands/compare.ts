/** `convnets compare`: networks side by side. */
import { writeFile } from 'node:fs/promises'
import { bubbleChart, bubblesOf, type OptimizerName, profile, withoutNumbers } from '@convnets/profile'
import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'
import { build, type Network, nativeInput, networkOf, tables } from '../networks.ts'
import type { CompareOptions } from '../program-costs.ts'
import { binary, type Column, short, tableWithin, whole } from '../report.ts'
import { estimating, trainingOf } from './summary.ts'

interface Row {
  readonly model: string
  readonly input: readonly number[]
  readonly parameters: number
  readonly macs: number
  readonly flops: number
  readonly activations: number
  readonly inferenceMemory: number
  readonly trainingMemory: number | undefined
  readonly top1: number | undefined
}

function rowOf(entry: Network, options: CompareOptions): Row {
  const input = options.input ?? nativeInput(entry)
  const p = estimating(() =>
    profile(
      withoutNumbers(() => build(entry, input)),
      input,
    ),
  )
  const [best] = Object.values(entry.weights)
  return {
    model: entry.name,
    input,
    parameters: p.parameters,
    macs: p.macs,
    flops: p.flops,
    activations: p.activations,
    inferenceMemory: estimating(() => p.inferenceMemory()),
    trainingMemory: trainingOf(p, options)?.memory.peak,
    top1: best?.top1,
  }
}

/** Prints a line for each network, the fewest multiply-accumulates first, and draws the chart if asked to. */
export async function compare(names: readonly string[], options: CompareOptions, context: Context): Promise<void> {
  const entries = [...new Set(names)].map(networkOf)
  if (options.svg !== undefined) {
    const bubbles = bubblesOf(entries.length === 0 ? tables : [entries])
    if (bubbles.length === 0) throw new Failure('None of these networks has a published accuracy on ImageNet-1k.')
    await writeFile(options.svg, bubbleChart(bubbles))
    context.stderr.write(`${options.svg} shows ${whole(bubbles.length)} networks.\n`)
  }
  if (entries.length === 0) return
  const rows = entries.map((entry) => rowOf(entry, options)).sort((a, b) => a.macs - b.macs)
  if (options.json) {
    context.stdout.write(`${JSON.stringify(rows, null, 2)}\n`)
    return
  }
  const trains = rows.some(({ trainingMemory }) => trainingMemory !== undefined)
  const right = (title: string): Column => ({ title, align: 'right' })
  const columns = [
    { title: 'model' },
    right('input'),
    right('parameters'),
    right('MACs'),
    right('FLOPs'),
    right('activations'),
    right('inference'),
    ...(trains ? [right('training')] : []),
    right('top-1'),
  ]
  const cells = rows.map((row) => [
    row.model,
    row.input.join('x'),
    whole(row.parameters),
    short(row.macs),
    short(row.flops),
    short(row.activations),
    binary(row.inferenceMemory),
    ...(trains ? [binary(row.trainingMemory ?? 0)] : []),
    row.top1 === undefined ? '' : `${row.top1.toFixed(1)} %`,
  ])
  const spare = ['activations', 'FLOPs', 'inference', 'input', 'top-1']
  context.stdout.write(`${tableWithin(context.stdout.columns ?? 120, spare, columns, cells)}\n`)
  if (trains) {
    const { batch = 32, optimizer = 'sgd' satisfies OptimizerName } = options
    context.stdout.write(`\ntraining: a step of ${whole(batch)} inputs with ${optimizer}, at its peak\n`)
  }
}
