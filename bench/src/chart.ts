/** The chart beside the tables: how many times as long as ours each peer needs, for networks and training steps. */
import { type ContestantName, peers } from './cases.ts'
import { type Result, timeOf } from './measure.ts'
import type { Report } from './report.ts'

const colours: Record<ContestantName, string> = {
  ours: '#1a7f5a',
  'onnxruntime-web': '#c2571a',
  'tfjs-wasm': '#b08a00',
  'jax-js': '#8a4fae',
  'onnxruntime-node': '#4a6fa5',
  uncompiled: '#8fb8a5',
  turbo: '#5cc29a',
  torch: '#a23b4c',
}

const bar = 13
const gap = 14
const left = 190
const width = 860
const right = 90
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

/** Bars of milliseconds, as shares of the slowest in the group; none where there is nothing to draw. */
export function chart(report: Report): string | undefined {
  const drawn = report.results.filter(({ section }) => section === 'networks' || section === 'training')
  const threads = Math.max(...drawn.map((result) => result.threads))
  const groups = drawn.filter((result) => result.threads === threads && timeOf(result, 'ours') !== undefined)
  if (groups.length === 0) return undefined
  const seen = new Set<ContestantName>()
  const parts: string[] = []
  let y = 66
  for (const section of ['networks', 'training'] as const) {
    const own = groups.filter((result) => result.section === section)
    if (own.length === 0) continue
    const title = section === 'networks' ? 'One image, forward' : 'One training step'
    parts.push(`<text x="16" y="${y}" class="h">${title}</text>`)
    y += 12
    for (const result of own) y = group(result, y, seen, parts)
    y += 24
  }
  const who = (['ours', ...peers] as const).filter((name) => seen.has(name))
  let x = 16
  const legend = who.map((name) => {
    const item = `<rect x="${x}" y="${34}" width="11" height="11" rx="2" fill="${colours[name]}"/><text x="${x + 16}" y="44">${name}</text>`
    x += 30 + 7 * name.length
    return item
  })
  const { machine, date } = report
  const head = `${escaped(machine)}; ${threads} ${threads === 1 ? 'thread' : 'threads'}; ${date}; shorter is faster`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" role="img" aria-label="Time per network and training step, ours beside the peers">
<style>text{font:12px system-ui,sans-serif;fill:#222}.h{font-weight:600;font-size:13px}.m{fill:#666}svg{background:#fff}</style>
<rect width="${width}" height="${y}" fill="#fff"/>
<text x="16" y="20" class="m">${head}</text>
${[...legend, ...parts].join('\n')}
</svg>
`
}

function group(result: Result, from: number, seen: Set<ContestantName>, parts: string[]): number {
  let y = from
  const bars = (['ours', 'turbo', ...peers.filter((peer) => peer !== 'turbo')] as const).flatMap((name) => {
    const time = timeOf(result, name)
    return time === undefined ? [] : [{ name, time }]
  })
  const most = Math.max(...bars.map(({ time }) => time))
  parts.push(`<text x="${left - 10}" y="${y + bar - 2}" text-anchor="end">${escaped(result.name)}</text>`)
  for (const { name, time } of bars) {
    seen.add(name)
    const length = Math.max(1, ((width - left - right) * time) / most)
    const label = `${time < 10 ? time.toFixed(1) : time.toFixed(0)} ms`
    parts.push(
      `<rect x="${left}" y="${y}" width="${length.toFixed(1)}" height="${bar - 2}" rx="2" fill="${colours[name]}"/>` +
        `<text x="${(left + length + 6).toFixed(1)}" y="${y + bar - 3}" class="m">${label}</text>`,
    )
    y += bar
  }
  return y + gap
}
