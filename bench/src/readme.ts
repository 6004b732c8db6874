/** The part of bench/README.md that a run writes: between two marks, the rest is prose. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { reached } from './goals.ts'
import { type Report, sections } from './report.ts'

const [open, close] = ['<!-- results -->', '<!-- /results -->']

function body(report: Report): string {
  const { date, command, machine, load, versions, peaks } = report
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  const peak = Object.entries(peaks).map(([threads, value]) => `${value.toFixed(1)} GFLOP/s on ${threads}`)
  const goals = reached(report)
  return [
    `## Results of ${date}`,
    `\`${command}\`: ${machine}; load ${load.map((value) => value.toFixed(2)).join(' before and ')} after. ${list.join(', ')}. ` +
      `Peak of multiply-adds in registers: ${peak.join(', ')} ${Object.keys(peaks).length > 1 ? 'threads' : 'thread(s)'}.`,
    '![Networks and training steps, ours beside the peers](chart.svg)',
    ...(goals ? [`### Goals\n\n${goals}`] : []),
    sections(report),
  ].join('\n\n')
}

/** Puts the results of a run into the README of `folder`. */
export function writeReadme(folder: string, report: Report): void {
  const file = join(folder, 'README.md')
  const text = readFileSync(file, 'utf8')
  const [from, to] = [text.indexOf(open), text.indexOf(close)]
  if (from < 0 || to < from) throw new Error(`bench: README.md has no place for results, ${open} ... ${close}`)
  writeFileSync(file, `${text.slice(0, from + open.length)}\n${body(report)}\n${text.slice(to)}`)
}
