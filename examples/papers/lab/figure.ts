/** Plots side by side under one heading, as the text of an SVG file. */
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'

/** Okabe and Ito's colours, apart for every kind of colour vision. */
export const colors = {
  blue: '#0072b2',
  vermilion: '#d55e00',
  green: '#009e73',
  purple: '#cc79a7',
  orange: '#e69f00',
  grey: '#666666',
} as const

export interface Panel extends Plot.PlotOptions {
  /** Above the plot, left. */
  readonly heading?: string
  readonly width: number
  readonly height: number
}

export interface Key {
  readonly name: string
  readonly color: string
  /** Of a line, as `stroke-dasharray`; `box` for a filled area. */
  readonly dash?: string
  readonly box?: boolean
}

export interface FigureOptions {
  readonly title: string
  /** Smaller, below the title: what was done. */
  readonly subtitle?: string
  readonly legend?: readonly Key[]
  /** Rows of plots. */
  readonly panels: readonly (readonly Panel[])[]
}

const gap = 14
const margin = 20
const { document } = parseHTML('<html></html>')
const escaped = (text: string): string => text.replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`)

function drawPanel({ heading = '', ...options }: Panel, left: number, top: number): string {
  const plot = Plot.plot({ ...options, document: document as unknown as Document })
  plot.querySelector('style')?.remove()
  const title = heading && `<text class="panel" x="${options.marginLeft ?? 40}" y="12">${escaped(heading)}</text>`
  return `<g transform="translate(${left},${top})">${title}<g transform="translate(0,26)" text-anchor="middle">${plot.innerHTML}</g></g>`
}

/** One line of keys: what the colours and dashes stand for. */
function drawLegend(keys: readonly Key[], top: number): string {
  let left = margin
  const parts = keys.map(({ name, color, dash = 'none', box }) => {
    const sign = box
      ? `<rect x="${left}" y="${top - 10}" width="14" height="12" fill="${color}"/>`
      : `<path d="M${left},${top - 4}h28" stroke="${color}" stroke-width="2.5" stroke-dasharray="${dash}"/>`
    const at = left + (box ? 20 : 34)
    left = at + name.length * 6.6 + 20
    return `${sign}<text x="${at}" y="${top}">${escaped(name)}</text>`
  })
  return parts.join('\n')
}

/** Training loss by epoch, one line for each course. The axis ends a little above what a guess costs, ln 10. */
export function lossPanel(
  heading: string,
  width: number,
  courses: readonly (Key & { readonly curve: readonly { readonly epoch: number; readonly loss: number }[] })[],
): Panel {
  const epochs = Math.max(...courses.flatMap(({ curve }) => curve.map(({ epoch }) => Math.ceil(epoch))))
  return {
    heading,
    width,
    height: 300,
    marginBottom: 40,
    x: { label: 'epoch', domain: [0, epochs], ticks: Math.min(epochs, 8), tickFormat: 'd' },
    y: { label: 'training loss', grid: true, domain: [0, 2.5] },
    marks: courses.map(({ curve, color, dash = 'none' }) =>
      Plot.lineY(curve, { x: 'epoch', y: 'loss', stroke: color, strokeDasharray: dash, strokeWidth: 2, clip: true }),
    ),
  }
}

/** Lines through points [x, y], from 0 up. */
export function linePanel(
  heading: string,
  labels: { readonly x: string; readonly y: string },
  lines: readonly (Key & { readonly points: readonly (readonly number[])[] })[],
): Panel {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(([x]) => x!)))]
  return {
    heading,
    width: 400,
    height: 300,
    marginBottom: 40,
    marginLeft: 50,
    x: { label: labels.x, ticks: xs, tickFormat: 'd', inset: 8 },
    y: { label: labels.y, grid: true, zero: true, nice: true },
    marks: lines.flatMap(({ points, color, dash = 'none' }) => [
      Plot.line(points, { stroke: color, strokeDasharray: dash, strokeWidth: 2 }),
      Plot.dot(points, { fill: color, r: 3.5 }),
    ]),
  }
}

const heat = { type: 'linear', scheme: 'cividis', domain: [0, 1] } as const

/** Numbers from 0 to 1 as colours: rows with labels, columns in the order of their means. */
export function heatPanel(heading: string, rows: readonly (readonly number[])[], labels?: readonly string[]): Panel {
  const sums = rows[0]!.map((_, c) => rows.reduce((sum, row) => sum + row[c]!, 0))
  const order = sums.map((_, c) => c).sort((a, b) => sums[a]! - sums[b]!)
  const cells = rows.flatMap((row, y) => order.map((c, x) => ({ x, y, value: row[c]! })))
  const marginLeft = labels ? 76 : 4
  return {
    heading,
    width: 250 + marginLeft,
    height: 150,
    marginLeft,
    marginTop: 0,
    marginRight: 0,
    marginBottom: 4,
    x: { axis: null, padding: 0, round: false },
    y: labels
      ? { label: null, tickSize: 0, padding: 0, tickFormat: (y: number) => labels[y] ?? '' }
      : { axis: null, padding: 0 },
    color: heat,
    marks: [Plot.cell(cells, { x: 'x', y: 'y', fill: 'value', shapeRendering: 'crispEdges' })],
  }
}

/** What the colours of `heatPanel` mean. */
export function heatKey(label: string): Panel {
  const steps = Array.from({ length: 100 }, (_, i) => i / 100)
  return {
    width: 330,
    height: 58,
    marginLeft: 76,
    marginTop: 0,
    marginBottom: 40,
    x: { label, domain: [0, 1], ticks: 5 },
    color: heat,
    marks: [
      Plot.rectX(steps, {
        x1: (x: number) => x,
        x2: (x: number) => x + 0.01,
        fill: (x: number) => x,
        insetRight: -0.3,
      }),
    ],
  }
}

/** Draws a figure on white, as wide as its widest row or line of text. */
export function figure({ title, subtitle, legend = [], panels }: FigureOptions): string {
  const widths = panels.map((row) => row.reduce((sum, { width }) => sum + width, gap * (row.length - 1)))
  const words = Math.max(title.length * 9.2, (subtitle?.length ?? 0) * 6.6)
  const width = Math.ceil(Math.max(words, ...widths)) + 2 * margin
  const parts = [`<text class="title" x="${margin}" y="32">${escaped(title)}</text>`]
  let top = 32
  if (subtitle) {
    top += 22
    parts.push(`<text x="${margin}" y="${top}">${escaped(subtitle)}</text>`)
  }
  if (legend.length > 0) {
    top += 26
    parts.push(drawLegend(legend, top))
  }
  top += 20
  for (const row of panels) {
    let left = margin
    for (const panel of row) {
      parts.push(drawPanel(panel, left, top))
      left += panel.width + gap
    }
    top += Math.max(...row.map(({ height }) => height)) + 26 + gap
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${top}" width="${width}" height="${top}" role="img" aria-label="${escaped(title)}" color="#333" fill="currentColor" font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="12">
<style>.title { font-size: 17px; font-weight: 600 } .panel { font-size: 13px; font-weight: 600 }</style>
<rect width="100%" height="100%" fill="#fff"/>
${parts.join('\n')}
</svg>
`
}
