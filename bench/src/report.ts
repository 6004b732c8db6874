/** Results as tables in Markdown, which also read well on a terminal. */
import { type ContestantName, callsPerRun, peers, type Section } from './cases.ts'
import { type Figure, type Result, timeOf } from './measure.ts'
import type { Startup } from './startup.ts'

/** All that a run of the benchmark found out. */
export interface Report {
  readonly date: string
  readonly command: string
  readonly machine: string
  readonly load: readonly number[]
  readonly versions: Readonly<Record<string, string>>
  /** Peak of arithmetic by number of threads, GFLOP/s. */
  readonly peaks: Readonly<Record<number, number>>
  readonly results: readonly Result[]
  readonly startups: readonly Startup[]
}

const titles: Record<Section, string> = {
  networks: 'Networks, one image, evaluation mode',
  training: 'Training steps: forward, cross-entropy, backward, SGD with momentum',
  gemm: 'Matrix products, m x n x k',
  convolutions: 'Convolutions',
  depthwise: 'Depthwise convolutions of EfficientNet-B0',
  memory: 'Ops that are bound by memory',
  overhead: 'Overhead of an op on one number, its gradient recorded',
  startup: 'Start of a program: ResNet-18 at 224 x 224, weights in memory',
}

const digits = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, 3, ...rows.map((row) => (row[i] ?? '').length)))
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, i) => (i === 0 ? (cells[i] ?? '').padEnd(width) : (cells[i] ?? '').padStart(width))).join(' | ')} |`
  const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [line(head), rule, ...rows.map(line)].join('\n')
}

/** How many times as long as ours the peer takes, or in a word why nobody knows. */
function ratio(result: Result, name: ContestantName): string {
  const figure = result.figures[name]
  if (figure === undefined) return ''
  if ('none' in figure) return /^failed/.test(figure.none) ? 'failed' : figure.none
  const ours = timeOf(result, 'ours')
  return ours === undefined ? `${digits(figure.milliseconds)} ms` : `${digits(figure.milliseconds / ours)}x`
}

function few(result: Result): string {
  const counts = Object.entries(result.figures).flatMap(([name, figure]) =>
    'runs' in figure && figure.runs < 15 ? [`${name}: ${figure.runs} runs`] : [],
  )
  return counts.length > 0 ? ` (${counts.join(', ')})` : ''
}

function ours(result: Result): Figure {
  return result.figures.ours ?? { none: 'not run' }
}

function arithmetic(results: readonly Result[]): string {
  const present = peers.filter((peer) => results.some(({ figures }) => figures[peer] !== undefined))
  const several = new Set(results.map(({ threads }) => threads)).size > 1
  const head = ['case', 'threads', 'ms', 'GFLOP/s', 'of peak', ...(several ? ['1 thread'] : []), ...present]
  const rows = results.map((result) => {
    const figure = ours(result)
    const time = timeOf(result, 'ours')
    const alone = results.find(({ name, threads }) => name === result.name && threads === 1)
    const single = alone && timeOf(alone, 'ours')
    const rate = time === undefined ? Number.NaN : result.flops / time / 1e6
    return [
      result.name + few(result),
      String(result.threads),
      'none' in figure ? figure.none : digits(figure.milliseconds),
      Number.isNaN(rate) ? '' : digits(rate),
      Number.isNaN(rate) ? '' : `${((100 * rate) / result.peak).toFixed(0)} %`,
      ...(several ? [result.threads > 1 && time && single ? `${digits(single / time)}x` : ''] : []),
      ...present.map((peer) => ratio(result, peer)),
    ]
  })
  return table(head, rows)
}

/** GB/s of a result. */
export const bandwidthOf = (result: Result): number => result.bytes / (timeOf(result, 'ours') ?? Number.NaN) / 1e6

function bandwidth(results: readonly Result[]): string {
  const rows = results.map((result) => {
    const copy = results.find(({ name, threads }) => name === 'copy' && threads === result.threads)
    const rate = bandwidthOf(result)
    const share = copy && copy !== result ? `${((100 * rate) / bandwidthOf(copy)).toFixed(0)} %` : ''
    const figure = ours(result)
    return [
      result.name,
      String(result.threads),
      'none' in figure ? figure.none : digits(figure.milliseconds),
      Number.isNaN(rate) ? '' : digits(rate),
      share,
    ]
  })
  return table(['op', 'threads', 'ms', 'GB/s', 'of a copy'], rows)
}

function overhead(results: readonly Result[]): string {
  const rows = results.map((result) => {
    const time = timeOf(result, 'ours')
    return [result.name, String(result.threads), time === undefined ? '' : digits((1000 * time) / callsPerRun)]
  })
  return table(['op', 'threads', 'microseconds'], rows)
}

function startups(list: readonly Startup[]): string {
  const rows = list.map(({ threads, imported, loaded, first, second }) => [
    String(threads),
    ...[imported, loaded, first, second].map((time) => `${time.toFixed(0)}`),
  ])
  return table(['threads', 'imported, ms', 'model built and loaded', 'first result', 'second pass'], rows)
}

/** The tables of all sections that were run. */
export function sections(report: Report): string {
  const parts: string[] = []
  for (const section of Object.keys(titles) as Section[]) {
    const results = report.results.filter((result) => result.section === section)
    const body =
      section === 'startup'
        ? report.startups.length > 0 && startups(report.startups)
        : results.length > 0 &&
          (section === 'memory' ? bandwidth(results) : section === 'overhead' ? overhead(results) : arithmetic(results))
    if (body) parts.push(`### ${titles[section]}\n\n${body}`)
  }
  const failures = report.results.flatMap(({ name, threads, figures }) =>
    Object.entries(figures).flatMap(([who, figure]) =>
      'none' in figure && figure.none.startsWith('failed')
        ? [`- ${name}, ${threads} threads, ${who} ${figure.none}`]
        : [],
    ),
  )
  if (failures.length > 0) parts.push(`### What failed\n\n${failures.join('\n')}`)
  return parts.join('\n\n')
}

/** One line for the terminal, as soon as a case is done. */
export function line(result: Result): string {
  const figure = ours(result)
  const head = `${result.name}, ${result.threads} ${result.threads === 1 ? 'thread' : 'threads'}: `
  if ('none' in figure) return head + figure.none
  const rate = result.flops / figure.milliseconds / 1e6
  const facts = [
    `${digits(figure.milliseconds)} ms`,
    ...(result.flops > 0 ? [`${digits(rate)} GFLOP/s, ${((100 * rate) / result.peak).toFixed(0)} % of peak`] : []),
    ...(result.bytes > 0 ? [`${digits(bandwidthOf(result))} GB/s`] : []),
    ...peers.flatMap((peer) => (result.figures[peer] === undefined ? [] : [`${peer} ${ratio(result, peer)}`])),
  ]
  return head + facts.join('; ') + few(result)
}
