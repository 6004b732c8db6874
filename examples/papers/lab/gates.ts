/** The gates of a network with squeeze-and-excitation: what they are, and the network with some of them held. */
import { BasicBlock, SqueezeExcitation } from '@convnets/blocks'
import type { DataLoader } from '@convnets/data'
import { type Layer, Module } from '@convnets/nn'
import { noGrad, type Tensor, tensor, tidy } from '@convnets/tensor'
import { evaluate, type Model } from '@convnets/train'
import { heatKey, heatPanel, type Panel } from './figure.ts'

/** Mean gate by class and channel, for every block by its path. */
export type MeanGates = Readonly<Record<string, readonly (readonly number[])[]>>

type Network = Layer & { namedModules(): Map<string, Module> }

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

const columns = (rows: readonly (readonly number[])[]): number[][] => rows[0]!.map((_, c) => rows.map((row) => row[c]!))

/** What becomes of a network that has the gates of a stage held. */
export interface HeldStage {
  /** How far the classes' mean gates are apart, as `spread` says. */
  readonly spread: number
  readonly accuracy: number
}

/** Mean over the pictures of a loader, each class by itself. */
export function meanGates(model: Network, loader: DataLoader, classes = 10): MeanGates {
  const sums: Record<string, number[][]> = {}
  const counts = new Array<number>(classes).fill(0)
  let labels: number[] = []
  const removers = [...model.namedModules()].flatMap(([path, module]) => {
    if (!(module instanceof BasicBlock && module.attention instanceof SqueezeExcitation)) return []
    const channels = module.outChannels
    const sum = Array.from({ length: classes }, () => new Array<number>(channels).fill(0))
    sums[path] = sum
    const add = (_: Module, __: unknown, gates: unknown): void => {
      const values = (gates as Tensor).dataSync()
      for (const [i, label] of labels.entries()) {
        sum[label] = sum[label]!.map((before, c) => before + Number(values[i * channels + c]))
      }
    }
    return [module.attention.gate.registerForwardHook(add)]
  })
  model.eval()
  for (const { input, target } of loader.epoch(0)) {
    labels = Array.from(target.dataSync(), Number)
    for (const label of labels) counts[label]!++
    tidy(() => noGrad(() => void model.forward(input)))
    input.dispose()
    target.dispose()
  }
  for (const remove of removers) remove()
  const means = (sum: number[][]): number[][] =>
    sum.map((row, label) => row.map((value) => Number((value / Math.max(1, counts[label]!)).toFixed(4))))
  return Object.fromEntries(Object.entries(sums).map(([path, sum]) => [path, means(sum)]))
}

/** Standard deviation of a channel's mean gate over the classes, averaged over the channels of all blocks given. */
function spread(gates: MeanGates): number {
  const channels = Object.values(gates).flatMap(columns)
  return mean(channels.map((column) => Math.sqrt(mean(column.map((value) => (value - mean(column)) ** 2)))))
}

/** Gates that no longer look at the picture. */
class HeldGates extends Module {
  readonly #gates: Tensor

  constructor(gates: readonly number[]) {
    super()
    this.#gates = tensor([...gates], { shape: [1, gates.length, 1, 1] }).keep()
  }

  forward(x: Tensor): Tensor {
    return x.mul(this.#gates)
  }
}

/** Accuracy with the gates of one stage held at their mean over the classes, for each stage by its name. */
export async function holdStages(model: Network & Model, gates: MeanGates, test: DataLoader): Promise<HeldStage[]> {
  const blocks = [...model.namedModules()].flatMap(([path, block]) => {
    const rows = gates[path]
    return block instanceof BasicBlock && rows ? [{ stage: path.split('.')[0]!, path, block, rows }] : []
  })
  const stages: HeldStage[] = []
  for (const stage of new Set(blocks.map(({ stage }) => stage))) {
    const held = blocks.filter((block) => block.stage === stage)
    const own = held.map(({ block }) => block.attention)
    for (const { block, rows } of held) block.attention = new HeldGates(columns(rows).map(mean))
    const { accuracy = 0 } = await evaluate(model, test)
    for (const [i, { block }] of held.entries()) block.attention = own[i]
    stages.push({ spread: spread(Object.fromEntries(held.map(({ path, rows }) => [path, rows]))), accuracy })
  }
  return stages
}

/** A row of heat maps for every stage, and the key to their colours. */
export function gatePanels(gates: MeanGates, classes: readonly string[]): Panel[][] {
  const stages: Panel[][] = []
  for (const [path, rows] of Object.entries(gates)) {
    const [stage, block] = (path.match(/\d+/g) ?? []).map(Number) as [number, number]
    const heading = `Stage ${stage}, block ${block + 1}: ${spread({ [path]: rows }).toFixed(3)}`
    stages[stage - 1] ??= []
    stages[stage - 1]!.push(heatPanel(heading, rows, block === 0 ? classes : undefined))
  }
  return [...stages, [heatKey('mean gate')]]
}
