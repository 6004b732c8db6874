/** `convnets summary`: what a network costs. */
import { writeFile } from 'node:fs/promises'
import {
  type OptimizerName,
  type Profile,
  type ProfileNode,
  profile,
  report,
  type TrainingMemory,
  withoutNumbers,
} from '@convnets/profile'
import { ConvnetsError } from '@convnets/tensor'
import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'
import { build, nativeInput, networkOf } from '../networks.ts'
import type { SummaryOptions } from '../program-costs.ts'
import { binary, short, table, whole } from '../report.ts'

/** What cannot be estimated, as a sentence for the user. */
export function estimating<T>(run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof ConvnetsError) throw new Failure(error.message, { cause: error })
    throw error
  }
}

/** A tree cut off at a depth. */
function cut(node: ProfileNode, depth: number): ProfileNode {
  return { ...node, children: depth === 0 ? [] : node.children.map((child) => cut(child, depth - 1)) }
}

/** What WebAssembly's memory can have at most. */
const addressable = 4 * 2 ** 30

/** The lines below the table. */
function totals(p: Profile, name: string, training: Training | undefined): [string, string][] {
  const { parameters, trainable, macs, flops, activations, root } = p
  const rows: [string, string][] = [
    ['parameters', `${whole(parameters)}${trainable === parameters ? '' : `, ${whole(trainable)} of them trained`}`],
    ['multiply-accumulates', `${whole(macs)} (convolutions and linear layers)`],
    ['floating-point operations', `${short(flops)} (everything)`],
    ['activations', `${short(activations)} (results of convolutions and linear layers)`],
    ['weights', binary(root.parameterBytes + root.bufferBytes)],
    ['memory of inference', binary(estimating(() => p.inferenceMemory()))],
  ]
  if (training === undefined) return rows
  const { memory: m, name: optimizer, largest, budget } = training
  rows.push(
    ['memory of training', `${binary(m.peak)} (batch ${m.batch}, ${optimizer})`],
    ['  parameters', binary(m.parameters)],
    ['  gradients', binary(m.gradients)],
    ['  optimizer state', binary(m.optimizerState)],
    ...(m.average > 0 ? ([['  moving average', binary(m.average)]] as [string, string][]) : []),
    ['  saved activations', binary(m.saved)],
    ['  other activations', binary(m.held)],
    ['  packed weights', binary(m.derived)],
    ['  workspace', binary(m.workspace)],
  )
  if (largest !== undefined && budget !== undefined) {
    const fits = largest === 0 ? 'not even one input fits' : whole(largest)
    rows.push(['largest batch', `${fits} (${name} in ${binary(budget)})`])
  }
  return rows
}

/** An estimate of training. */
interface Training {
  readonly name: OptimizerName
  readonly memory: TrainingMemory
  readonly budget: number | undefined
  readonly largest: number | undefined
}

/** What was asked about training, if anything was. */
export function trainingOf(
  p: Profile,
  { batch, optimizer, ema = false, budget }: Pick<SummaryOptions, 'batch' | 'optimizer' | 'ema' | 'budget'>,
): Training | undefined {
  if (batch === undefined && optimizer === undefined && !ema && budget === undefined) return undefined
  const name = (optimizer ?? 'sgd') as OptimizerName
  return estimating(() => ({
    name,
    budget,
    memory: p.trainingMemory({ batch: batch ?? 32, optimizer: name, ema }),
    largest: budget === undefined ? undefined : p.maxBatch(budget, { optimizer: name, ema }),
  }))
}

/** Prints the tree of a network's modules and its totals, or writes them as a page. */
export async function summary(name: string, options: SummaryOptions, context: Context): Promise<void> {
  const entry = networkOf(name)
  const input = options.input ?? nativeInput(entry)
  const p = estimating(() =>
    profile(
      withoutNumbers(() => build(entry, input)),
      input,
      { convention: options.count },
    ),
  )
  const training = trainingOf(p, options)
  if (options.html !== undefined) {
    const memory = training && { [`batch ${training.memory.batch}, ${training.name}`]: training.memory }
    await writeFile(options.html, report(p, { title: name, ...(memory && { memory }) }))
    context.stderr.write(`${options.html} shows ${name}.\n`)
  }
  if (options.json) {
    const { root, ...facts } = p.toJSON()
    const inference = estimating(() => p.inferenceMemory())
    const all = {
      model: name,
      ...facts,
      inferenceMemory: inference,
      ...(training && { optimizer: training.name, trainingMemory: training.memory }),
      ...(training?.budget !== undefined && { budget: training.budget, maxBatch: training.largest }),
      root: cut(root, options.depth),
    }
    context.stdout.write(`${JSON.stringify(all, null, 2)}\n`)
    return
  }
  if (options.html !== undefined) return
  const width = Math.max(40, context.stdout.columns ?? 100)
  context.stdout.write(`${p.table({ depth: options.depth, width })}\n\n`)
  const rows = totals(p, training?.name ?? 'sgd', training)
  context.stdout.write(`${table([{ title: name }, { title: input.join('x') }], rows)}\n`)
  if (training !== undefined && training.memory.peak > addressable) {
    context.stdout.write('\nSuch a step takes more than the 4 GiB that WebAssembly has.\n')
  }
}
