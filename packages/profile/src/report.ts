/** A page about one network: its tree with bars, its diagram, its memory and where its time goes. */
import { readOptions } from '@convnets/tensor'
import { diagram } from './diagram.ts'
import { escapeText, n } from './markup.ts'
import type { TrainingMemory } from './memory.ts'
import type { Profile } from './profile.ts'
import { reportStyle } from './report-style.ts'
import { arithmetic, percent, shapeText, short, size } from './table.ts'
import type { TimeRow } from './timing.ts'
import type { Trace } from './trace.ts'
import type { ProfileNode } from './tree.ts'

/** What a report shows beside the profile. */
export interface ReportOptions {
  /** Default: the class of the model. */
  readonly title?: string
  /** Memory of training, by what it is called: `{ 'adam, batch 32': p.trainingMemory({ ... }) }`. */
  readonly memory?: Readonly<Record<string, TrainingMemory>>
  /** A measured pass: adds a column of times and a table of ops. */
  readonly trace?: Trace
}

interface Measure {
  readonly title: string
  readonly hue: number
  readonly value: (node: ProfileNode) => number
  readonly text: (value: number) => string
}

const milliseconds = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(2))

/** Milliseconds of every module with all that is inside. */
function timesOf(root: ProfileNode, trace: Trace): Map<string, number> {
  const own = new Map(trace.byModule().map((row) => [row.name, row.milliseconds]))
  const total: Map<string, number> = new Map()
  const visit = (node: ProfileNode): number => {
    const time = node.children.reduce((sum, child) => sum + visit(child), own.get(node.path) ?? 0)
    total.set(node.path, time)
    return time
  }
  visit(root)
  return total
}

function measuresOf(profile: Profile, trace: Trace | undefined): Measure[] {
  const times = trace && timesOf(profile.root, trace)
  return [
    { title: 'parameters', hue: 1, value: (node) => node.parameters, text: short },
    { title: arithmetic[profile.convention], hue: 0, value: ({ cost }) => cost[profile.convention], text: short },
    { title: 'results', hue: 2, value: (node) => node.cost.bytes, text: size },
    ...(times === undefined
      ? []
      : [
          {
            title: 'time, ms',
            hue: 4,
            value: ({ path }: ProfileNode) => times.get(path) ?? 0,
            text: milliseconds,
          },
        ]),
  ]
}

function rowOf(node: ProfileNode, root: ProfileNode, measures: readonly Measure[], level: number): string {
  const label = node.path === '' ? node.type : node.name
  const note = node.path === '' ? '' : `${node.type}${node.description === '' ? '' : ` (${node.description})`}`
  const calls = node.calls === 1 ? '' : node.calls === 0 ? ', not called' : `, ${node.calls} calls`
  const bars = measures.map(({ hue, value, text, title }) => {
    const whole = value(root)
    const part = value(node)
    const share = whole > 0 ? part / whole : 0
    return `<div class="bar" title="${escapeText(`${title}: ${text(part)}, ${percent(share)}`)}"><u style="width:${n(100 * Math.min(1, share))}%;--hue:var(--c${hue})"></u><span>${part === 0 ? '' : escapeText(text(part))}</span></div>`
  })
  return `<div class="row${node.children.length === 0 ? ' leaf' : ''}"><div class="name" style="--level:${level}" title="${escapeText(`${node.path === '' ? node.type : node.path} ${note}${calls}`)}"><b>${escapeText(label)}</b><i>${escapeText(note + calls)}</i></div><div class="num">${escapeText(shapeText(node.outputShape))}</div>${bars.join('')}</div>`
}

function treeOf(node: ProfileNode, root: ProfileNode, measures: readonly Measure[], level = 0): string {
  const row = rowOf(node, root, measures, level)
  if (node.children.length === 0) return row
  const inside = node.children.map((child) => treeOf(child, root, measures, level + 1)).join('')
  return `<details${level === 0 ? ' open' : ''}><summary>${row}</summary>${inside}</details>`
}

const parts: readonly (readonly [key: keyof TrainingMemory, title: string, hue: number])[] = [
  ['parameters', 'parameters', 0],
  ['gradients', 'gradients', 1],
  ['optimizerState', 'optimizer state', 4],
  ['average', 'moving average', 6],
  ['saved', 'saved activations', 2],
  ['held', 'other activations', 5],
  ['derived', 'packed weights', 3],
  ['workspace', 'workspace', 7],
]

function memorySection(memory: Readonly<Record<string, TrainingMemory>>): string {
  const entries = Object.entries(memory)
  const sum = (m: TrainingMemory): number => parts.reduce((total, [key]) => total + (m[key] as number), 0)
  const most = Math.max(...entries.map(([, m]) => sum(m)))
  const used = parts.filter(([key]) => entries.some(([, m]) => (m[key] as number) > 0))
  const rows = entries.map(([name, m]) => {
    const pieces = used.map(([key, title, hue]) => {
      const bytes = m[key] as number
      return `<u style="width:${n((100 * bytes) / most)}%;background:var(--c${hue})" title="${escapeText(`${title}: ${size(bytes)}`)}"></u>`
    })
    return `<div>${escapeText(name)}</div><div class="stack">${pieces.join('')}</div><div class="num">${size(m.peak)}</div>`
  })
  const key = used.map(([, title, hue]) => `<span><u style="background:var(--c${hue})"></u>${title}</span>`)
  return `<h2>Memory of a training step</h2><p>Everything a step makes and keeps, and at the right what is in use at its peak: saved activations go as gradients come, and gradients on their way are there for a moment.</p><div class="memory">${rows.join('')}</div><div class="key">${key.join('')}</div>`
}

function timeSection(trace: Trace): string {
  const peak = trace.peak !== undefined
  const cells = ({ name, calls, milliseconds: ms, share, gflops, ofPeak, gigabytes }: TimeRow): string[] => [
    name,
    String(calls),
    ms.toFixed(2),
    percent(share),
    gflops.toFixed(1),
    ...(peak ? [percent(ofPeak ?? 0)] : []),
    gigabytes.toFixed(1),
  ]
  const titles = ['op', 'calls', 'ms', 'share', 'GFLOP/s', ...(peak ? ['of peak'] : []), 'GB/s']
  const rows = trace
    .byOp()
    .slice(0, 16)
    .map(
      (row) =>
        `<tr>${cells(row)
          .map((cell) => `<td>${escapeText(cell)}</td>`)
          .join('')}</tr>`,
    )
  return `<h2>Time by op</h2><p>${milliseconds(trace.milliseconds)} ms for the pass, ${milliseconds(trace.opMilliseconds)} of them in ops. FLOPs are those of direct convolution; Winograd's algorithm needs fewer.</p><div class="scroll"><table><tr>${titles.map((title) => `<th>${title}</th>`).join('')}</tr>${rows.join('')}</table></div>`
}

/**
 * A page about a network as one HTML file that needs nothing else: totals, diagram, the tree of modules with bars of parameters, MACs,
 * memory and time, memory of training, and the slowest ops. Follows the reader's choice of light or dark.
 */
export function report(profile: Profile, options: ReportOptions = {}): string {
  const defaults = { title: profile.name, memory: undefined, trace: undefined }
  const { title, memory, trace } = readOptions('report', options, defaults)
  const { root, input, batch, macs, flops, activations } = profile
  const measures = measuresOf(profile, trace)
  const tiles: readonly (readonly [string, string])[] = [
    [short(profile.parameters), 'parameters'],
    [short(macs), 'multiply-accumulates'],
    [short(flops), 'floating-point operations'],
    [short(activations), 'activations of convolutions'],
    [size(root.parameterBytes + root.bufferBytes), 'weights and statistics'],
    [size(profile.inferenceMemory()), 'memory of inference'],
    ...(trace === undefined ? [] : [[`${milliseconds(trace.milliseconds)} ms`, 'measured pass'] as const]),
  ]
  const head = ['module', 'output', ...measures.map((measure) => measure.title)]
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escapeText(title)}</title><style>${reportStyle}</style></head><body><main>
<h1>${escapeText(title)}</h1><p>${escapeText(`${profile.name} for ${batch === 1 ? 'one input' : `${batch} inputs`} of ${shapeText(input)}, ${profile.dtype}, ${profile.training ? 'training' : 'evaluation'} mode`)}</p>
<div class="tiles">${tiles.map(([value, name]) => `<div class="tile"><b>${escapeText(value)}</b><span>${escapeText(name)}</span></div>`).join('')}</div>
<h2>Modules</h2><div class="scroll"><div class="tree" style="--bars:${measures.length}"><div class="row head">${head.map((text, i) => `<div${i === 1 ? ' class="r"' : ''}>${text}</div>`).join('')}</div>${treeOf(root, root, measures)}</div></div>
${memory === undefined || Object.keys(memory).length === 0 ? '' : memorySection(memory)}
${trace === undefined ? '' : timeSection(trace)}
<h2>Diagram</h2><div class="picture">${diagram(profile)}</div>
<footer>MACs: convolutions and linear layers, without biases. FLOPs: everything. Results: what all ops give. Memory: as the wasm backend takes it.</footer>
</main></body></html>
`
}
