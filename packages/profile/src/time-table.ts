/** Times as text. */
import { checkInteger } from '@convnets/tensor'
import type { Peak } from './peak.ts'
import { percent, shorten } from './table.ts'
import type { TimeRow } from './timing.ts'

/** How a table of times is laid out. */
export interface TimeTableOptions {
  /** A line per op (default) or per module. */
  readonly by?: 'op' | 'module'
  /** Lines at most; the rest is added up in one. Default 20. */
  readonly limit?: number
  /** Characters in a line. Default 100. */
  readonly width?: number
}

/** The whole that the rows are parts of. */
interface Whole {
  readonly milliseconds: number
  readonly opMilliseconds: number
  readonly peak: Peak | undefined
}

export function timeTable(
  rows: readonly TimeRow[],
  whole: Whole,
  { by, limit, width }: Required<TimeTableOptions>,
): string {
  checkInteger('table', 'limit', limit, 1)
  checkInteger('table', 'width', width, 20)
  const { milliseconds, opMilliseconds, peak } = whole
  const titles = ['calls', 'ms', 'share', 'GFLOP/s', ...(peak ? ['of peak'] : []), 'GB/s']
  const shown = rows.slice(0, limit)
  const rest = rows.slice(limit)
  const names = shown.map(({ name, type }) => (type === '' ? name : `${name === '' ? 'the model' : name} ${type}`))
  const cells = shown.map(({ calls, milliseconds: ms, share, gflops, ofPeak, gigabytes }) => [
    String(calls),
    ms.toFixed(2),
    percent(share),
    gflops.toFixed(1),
    ...(ofPeak === undefined ? [] : [percent(ofPeak)]),
    gigabytes.toFixed(1),
  ])
  const blank = titles.slice(3).map(() => '')
  if (rest.length > 0) {
    const sum = (value: (row: TimeRow) => number): number => rest.reduce((total, row) => total + value(row), 0)
    names.push(`${rest.length} more`)
    cells.push([
      String(sum(({ calls }) => calls)),
      sum((row) => row.milliseconds).toFixed(2),
      percent(sum(({ share }) => share)),
      ...blank,
    ])
  }
  names.push('between ops', 'whole pass')
  cells.push(
    ['', Math.max(0, milliseconds - opMilliseconds).toFixed(2), '', ...blank],
    ['', milliseconds.toFixed(2), '', ...blank],
  )
  const widths = titles.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)))
  const head = by === 'module' ? 'module' : 'op'
  const room = width - widths.reduce((sum, own) => sum + own + 2, 0)
  const first = Math.max(8, Math.min(room, Math.max(head.length, ...names.map((name) => name.length))))
  const line = (name: string, row: readonly string[]): string =>
    [shorten(name, first).padEnd(first), ...row.map((cell, i) => cell.padStart(widths[i] ?? 0))].join('  ').trimEnd()
  return [line(head, titles), ...names.map((name, i) => line(name, cells[i] as string[]))].join('\n')
}
