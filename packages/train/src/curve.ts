/** Loss and accuracy by epoch as a picture. */
import { readOptions } from '@convnets/tensor'
import { scaleLinear } from 'd3-scale'
import { line } from 'd3-shape'
import type { EpochRecord } from './history.ts'
import type { Metrics } from './metrics.ts'

/** How a curve is drawn. */
export interface CurveOptions {
  /** Heading (default none). */
  readonly title?: string
  /** Width in pixels (default 820); the height follows. */
  readonly width?: number
}

interface Point {
  readonly epoch: number
  readonly value: number
}

interface Series {
  readonly name: string
  readonly color: string
  readonly dash: string
  readonly points: readonly Point[]
}

interface Box {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

/** Blue and vermilion of Okabe and Ito's palette, apart for every kind of colour vision; dashes tell them apart in print. */
const styles = {
  train: { color: '#0072b2', dash: '5 4' },
  test: { color: '#d55e00', dash: 'none' },
} as const

const numbers = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 })
const shares = new Intl.NumberFormat('en-US', { style: 'percent', maximumFractionDigits: 1 })

const escaped = (text: string): string => text.replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`)
const at = (value: number): string => value.toFixed(1)

function seriesOf(history: readonly EpochRecord[], of: (metrics: Metrics) => number | undefined): Series[] {
  return (['train', 'test'] as const).flatMap((name) => {
    const points = history.flatMap((record) => {
      const metrics = record[name]
      const value = metrics && of(metrics)
      return value !== undefined && Number.isFinite(value) ? [{ epoch: record.epoch, value }] : []
    })
    return points.length > 0 ? [{ name, ...styles[name], points }] : []
  })
}

function panel(title: string, series: readonly Series[], epochs: number, percent: boolean, box: Box): string {
  const { left, top, width, height } = box
  const format = percent ? shares : numbers
  const [right, bottom] = [left + width, top + height]
  const values = series.flatMap(({ points }) => points.map(({ value }) => value))
  const [low, high] = [Math.min(...values), Math.max(...values)]
  // Values that are all but equal still get an axis with ticks that differ.
  const spread = Math.max(high - low, Math.abs(high) * 0.02)
  const room = spread * 0.06 + (spread > high - low ? spread : 0) || 1
  const x = scaleLinear([1, Math.max(2, epochs)], [left, right])
  const y = scaleLinear([low >= 0 ? Math.max(0, low - room) : low - room, high + room], [bottom, top]).nice(5)
  const parts: string[] = []
  const text = (content: string, px: number, py: number, attributes: string): void => {
    parts.push(`<text x="${at(px)}" y="${at(py)}" ${attributes}>${escaped(content)}</text>`)
  }
  text(title, left, top - 14, 'class="title"')
  const tickLabel = y.tickFormat(5, percent ? '.3~p' : undefined)
  for (const tick of y.ticks(5)) {
    parts.push(`<path class="grid" d="M${at(left)},${at(y(tick))}H${at(right)}"/>`)
    text(tickLabel(tick), left - 8, y(tick) + 4, 'text-anchor="end"')
  }
  for (const tick of x.ticks(Math.min(8, epochs)).filter(Number.isInteger)) {
    if (tick > epochs) continue
    parts.push(`<path class="axis" d="M${at(x(tick))},${at(bottom)}v5"/>`)
    text(String(tick), x(tick), bottom + 19, 'text-anchor="middle"')
  }
  parts.push(`<path class="axis" d="M${at(left)},${at(top)}V${at(bottom)}H${at(right)}"/>`)
  text('epoch', (left + right) / 2, bottom + 37, 'text-anchor="middle"')
  const path = line<Point>(
    ({ epoch }) => x(epoch),
    ({ value }) => y(value),
  ).digits(1)
  for (const { color, dash, points } of series) {
    parts.push(
      `<path d="${path(points) ?? ''}" fill="none" stroke="${color}" stroke-width="2" stroke-dasharray="${dash}" stroke-linejoin="round"/>`,
    )
    if (epochs > 40) continue
    for (const { epoch, value } of points) {
      parts.push(`<circle cx="${at(x(epoch))}" cy="${at(y(value))}" r="3" fill="${color}"/>`)
    }
  }
  // Legend above the panel, right-aligned: a line, a name and the last value.
  let end = right
  for (const { name, color, dash, points } of [...series].reverse()) {
    const label = `${name} ${format.format(points.at(-1)?.value ?? 0)}`
    const width = label.length * 6.6
    text(label, end, top - 14, 'text-anchor="end"')
    parts.push(
      `<path d="M${at(end - width - 26)},${at(top - 18)}h20" stroke="${color}" stroke-width="2" stroke-dasharray="${dash}"/>`,
    )
    end -= width + 40
  }
  return parts.join('\n')
}

/**
 * Loss and (where there is one) accuracy of training and test data by epoch, as the text of an SVG file.
 */
export function curveSvg(history: readonly EpochRecord[], options: CurveOptions = {}): string {
  const { title, width } = readOptions('curveSvg', options, { title: '', width: 820 })
  const epochs = Math.max(1, ...history.map(({ epoch }) => epoch))
  const panels = [
    { title: 'Loss', series: seriesOf(history, ({ loss }) => loss), percent: false },
    { title: 'Accuracy', series: seriesOf(history, ({ accuracy }) => accuracy), percent: true },
  ].filter(({ series }) => series.length > 0)
  const [margin, gap, head] = [62, 78, title === '' ? 44 : 78]
  const each = (width - margin - 28 - gap * (panels.length - 1)) / Math.max(1, panels.length)
  const plot = Math.round(Math.min(each * 0.68, 300))
  const height = head + plot + 52
  const body = panels.map(({ title, series, percent }, i) =>
    panel(title, series, epochs, percent, { left: margin + i * (each + gap), top: head, width: each, height: plot }),
  )
  if (title !== '') body.unshift(`<text x="${margin}" y="28" class="heading">${escaped(title)}</text>`)
  const last = history.at(-1)
  const label = last === undefined ? 'No epochs yet' : `Training curves over ${last.epoch} epochs`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(label)}">
<style>
text { font: 12px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #333 }
.title { font-size: 14px; font-weight: 600 }
.heading { font-size: 17px; font-weight: 600 }
.grid { stroke: #e4e4e4; fill: none }
.axis { stroke: #666; fill: none }
</style>
<rect width="100%" height="100%" fill="#fff"/>
${body.join('\n')}
</svg>
`
}
