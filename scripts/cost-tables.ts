/**
 * What the profile package shows in its documents, made from what it computes: figures that others publish beside ours, and the
 * table and the memory of ResNet-50. `pnpm tables` writes them anew.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { classic } from '@convnets/models-classic'
import { modern } from '@convnets/models-modern'
import { costOf, type Profile, profile, type TrainingMemory, withoutNumbers } from '@convnets/profile'
import { noGrad, type OpCall, tidy, watchOps, zeros } from '@convnets/tensor'
import { shapeOnly } from '@convnets/tensor/shape-only'

/** A published row; parameters and activations in millions, GMACs in billions, of which as many decimals stand as count. */
interface Published {
  readonly model: string
  /** Its name there. */
  readonly as?: string
  readonly input: number
  readonly batch?: number
  readonly parameters: number
  readonly gmacs: number
  readonly activations?: number
}

type Publisher = 'timm' | 'torchinfo' | 'fvcore'

export const published = JSON.parse(
  readFileSync(new URL('../fixtures/published-costs.json', import.meta.url), 'utf8'),
) as Readonly<Record<Publisher, { readonly source: string; readonly networks: readonly Published[] }>>

/** What a network does in a forward pass, sorted as others sort it. */
interface Counted {
  readonly parameters: number
  readonly macs: number
  readonly activations: number
  /** The same arithmetic by the rules of the publisher. */
  readonly theirs: number
}

/** A published row beside ours. */
export interface Comparison extends Counted {
  readonly row: Published
  readonly publisher: Publisher
}

const entryOf = (name: string) => {
  const entry = [...classic, ...modern].find((known) => known.name === name)
  if (entry === undefined) throw new Error(`no network is called ${name}`)
  return entry
}

/** Elements of the inputs of a normalisation's or a pooling's calls. */
const inputSize = ({ inputs: [x] }: OpCall): number => x?.size ?? 0

/**
 * fvcore's count (fvcore/nn/flop_count.py and jit_handles.py): multiply-accumulates, and beside them 2 for each element that
 * goes through a batch norm, or 5 in training mode and through a layer norm, and 1 for each that goes into the last pooling.
 */
function asFvcore(calls: readonly OpCall[], macs: number, perNorm: number): number {
  const sum = (name: string): number => calls.filter((call) => call.name === name).reduce((n, c) => n + inputSize(c), 0)
  const last = calls.filter(({ name }) => name === 'avgPool2d').at(-1)
  const global = last?.output.shape.slice(2).every((extent) => extent === 1)
  return macs + perNorm * sum('batchNorm') + 5 * sum('layerNorm') + (last && global ? inputSize(last) : 0)
}

/**
 * torchinfo's count (torchinfo/layer_info.py): all parameters of a convolution, bias included, for each cell of its output, and
 * all other parameters once for each image.
 */
function asTorchinfo({ layers, batch }: Profile): number {
  return layers
    .filter(({ calls }) => calls > 0)
    .reduce((sum, { type, parameters, outputShape = [] }) => {
      const cells = type === 'Conv2d' ? outputShape.slice(2).reduce((n, extent) => n * extent, 1) : 1
      return sum + parameters * batch * cells
    }, 0)
}

/** Runs a network without numbers and counts. */
function count({ model, input, batch = 1 }: Published, publisher: Publisher): Counted {
  const network = withoutNumbers(() => entryOf(model)()).eval()
  const p = profile(network, [3, input, input], { batch })
  const { parameters, activations } = p
  if (publisher === 'torchinfo') return { parameters, macs: p.macs, activations, theirs: asTorchinfo(p) }
  const calls: OpCall[] = []
  watchOps({ end: (call) => void calls.push(call) }, () =>
    tidy(() => void noGrad(() => network.forward(zeros([batch, 3, input, input], { backend: shapeOnly })))),
  )
  const macs = calls.reduce((sum, call) => sum + costOf(call).macs, 0)
  return { parameters, macs, activations, theirs: asFvcore(calls, macs, publisher === 'fvcore' ? 5 : 2) }
}

/** All published rows beside ours. */
export function comparisons(): Comparison[] {
  return (Object.keys(published) as Publisher[]).flatMap((publisher) =>
    published[publisher].networks.map((row) => ({ row, publisher, ...count(row, publisher) })),
  )
}

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`
const millions = (value: number): string => (value / 1e6).toFixed(2)
const billions = (value: number): string => (value / 1e9).toFixed(4)

function comparisonTable(rows: readonly Comparison[]): string {
  const heads = ['network', 'parameters, M', 'theirs', 'GMACs', 'by their rules', 'theirs', 'activations, M', 'theirs']
  const body = rows.map(({ row, parameters, macs, activations, theirs }) =>
    line([
      `\`${row.model}\`${row.as === undefined ? '' : ` (\`${row.as}\`)`} @${row.input}${row.batch === undefined || row.batch === 1 ? '' : `, batch ${row.batch}`}`,
      millions(parameters),
      row.parameters > 1000 ? millions(row.parameters) : String(row.parameters),
      billions(macs),
      billions(theirs),
      String(row.gmacs),
      millions(activations),
      row.activations === undefined ? '' : String(row.activations),
    ]),
  )
  return line(heads) + line(['---', ...heads.slice(1).map(() => '---:')]) + body.join('')
}

/** The page that compares. */
export function comparisonPage(rows: readonly Comparison[] = comparisons()): string {
  const of = (publisher: Publisher): string =>
    `Source: ${published[publisher].source}.\n\n${comparisonTable(rows.filter((row) => row.publisher === publisher))}`
  return `# Costs beside those that others publish

Made by \`pnpm tables\` from [the published figures](../../fixtures/published-costs.json) and what \`profile\` computes; a test checks
every row. "GMACs" are ours: multiply-accumulates of convolutions and linear layers. "By their rules" is the same network counted
as the publisher counts, so that what is left of the difference is their rounding.

## timm, which counts with fvcore

${of('timm')}
- fvcore adds 2 for each element that goes through a batch norm (one multiply-accumulate is 1 there), 5 for one through a layer
  norm, and 1 for each that goes into adaptive pooling (\`fvcore/nn/flop_count.py\`). That is the whole difference in GMACs; it is
  largest, 3 to 4 %, where depthwise convolutions have few products for each result (MobileNets, EfficientNets).
- \`inception_v3\` has 3.33 million parameters less in timm, which leaves out the auxiliary classifier; ours has it, as
  torchvision's. It does not run in evaluation, so that GMACs and activations agree.
- Activations are the results of convolutions and linear layers, by the same definition (Radosavovic et al. 2020).
- FLOPs as papers and timm write it are these multiply-accumulates. Ours count two for each, and everything else as well.

## torchinfo

${of('torchinfo')}
- torchinfo multiplies all parameters of a convolution, its bias included, by the cells of its output, and counts the parameters of
  other layers once for each image (\`torchinfo/layer_info.py\`): batch norm and the bias of the classifier add less than 0.1 %.
- Its "forward/backward pass size" is twice the output of every layer. Ours is what the tape keeps, by op, and the peak of a step.

## fvcore in training mode

${of('fvcore')}
- MMEngine counts a network that was not put into evaluation mode, where fvcore takes 5 for each element of a batch norm.
`
}

/** The memory of a training step of ResNet-50, as the README shows it. */
const shown = { batch: 16, optimizers: ['sgd', 'momentum', 'adam'] } as const

const resnet50 = (): Profile =>
  profile(
    withoutNumbers(() => entryOf('resnet50')()),
    [3, 224, 224],
  )

/** Columns of the README's table of memory, the last of which is the peak. */
const parts = {
  parameters: (m: TrainingMemory) => m.parameters,
  gradients: (m: TrainingMemory) => m.gradients,
  'optimizer state': (m: TrainingMemory) => m.optimizerState,
  'saved activations': (m: TrainingMemory) => m.saved,
  'other activations': (m: TrainingMemory) => m.held,
  'packed weights': (m: TrainingMemory) => m.derived,
  workspace: (m: TrainingMemory) => m.workspace,
  'in use at the peak': (m: TrainingMemory) => m.peak,
} as const

/** Rows of that table, in bytes; one thread, so that it does not depend on the machine. */
function memoryRows(p: Profile = resnet50()): readonly (readonly [optimizer: string, bytes: readonly number[]])[] {
  return shown.optimizers.map((optimizer) => {
    const memory = p.trainingMemory({ batch: shown.batch, optimizer, threads: 1, precision: 'fast' })
    return [optimizer, Object.values(parts).map((of) => of(memory))]
  })
}

const START = '<!-- resnet50: made by `pnpm tables` -->\n'
const END = '<!-- end of resnet50 -->\n'

/** The text between the marks of the README. */
export function resnetTables(p: Profile = resnet50()): string {
  const mebi = (bytes: number): string => (bytes / 2 ** 20).toLocaleString('en-US', { maximumFractionDigits: 0 })
  const names = Object.keys(parts)
  const rows = memoryRows(p).map(([optimizer, bytes]) => line([`\`${optimizer}\``, ...bytes.map(mebi)]))
  return `\`\`\`
${p.table({ depth: 1, width: 100, columns: ['output', 'parameters', 'macs', 'share', 'flops', 'activations'] })}
\`\`\`
Memory of a training step of ${shown.batch} such images, by optimizer, as \`p.trainingMemory()\` tells it:

${line([`batch ${shown.batch}, MiB`, ...names])}${line(['---', ...names.map(() => '---:')])}${rows.join('')}`
}

/** Splits a README at the marks: before, between and after. */
export function atMarks(readme: string): readonly [string, string, string] {
  const [start, end] = [readme.indexOf(START), readme.indexOf(END)]
  if (start < 0 || end < start) throw new Error(`the README lacks the lines ${START.trim()} and ${END.trim()}`)
  return [readme.slice(0, start + START.length), readme.slice(start + START.length, end), readme.slice(end)]
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = new URL('../packages/profile/', import.meta.url)
  writeFileSync(new URL('COMPARISON.md', folder), comparisonPage())
  const [before, , after] = atMarks(readFileSync(new URL('README.md', folder), 'utf8'))
  writeFileSync(new URL('README.md', folder), before + resnetTables() + after)
}
