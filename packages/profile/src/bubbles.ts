/** The chart of many networks: accuracy against arithmetic, bubbles as large as their parameters are many. */
import { ArgumentError, readOptions } from '@convnets/tensor'
import { escapeText, hues, n, pictureStyle, textWidth } from './markup.ts'
import { short } from './table.ts'

/** A network as the chart needs it. */
export interface Bubble {
  readonly name: string
  /** Numbers in all parameters. */
  readonly parameters: number
  /** Multiply-accumulates for one image. */
  readonly macs: number
  /** Published accuracy in percent. */
  readonly top1: number
  /** What gives the colour. */
  readonly family: string
}

/** The columns of a model table that the chart reads; entries of the model packages are such. */
export interface ModelRow {
  readonly name: string
  readonly params: number
  readonly macs: number
  readonly inputSize: readonly [height: number, width: number]
  readonly weights: Readonly<
    Record<
      string,
      { readonly top1?: number; readonly labels: string; readonly crop: number; readonly benchmark?: string }
    >
  >
}

/** Family of a variant by its name: `wide_resnet50_2` is a wide resnet, `resnext101_32x8d` a resnext. */
function familyOf(name: string): string {
  const bare = name.replace(/^(tf|legacy)_/, '').replace(/_(nano|tiny|small|medium|base|large|xlarge|huge)\b.*/, '')
  const stem = bare.match(/^[a-z]+(_(?!v\d)[a-z]{3,})*/)?.[0] ?? name
  return stem.replaceAll('_', ' ')
}

/**
 * Bubbles of all models in a list of tables that have accuracies on ImageNet-1k at the size that their MACs are counted for:
 * `bubblesOf([classic, modern])`. The best weights count.
 */
export function bubblesOf(tables: readonly (readonly ModelRow[])[]): Bubble[] {
  return tables.flat().flatMap(({ name, params, macs, inputSize, weights }) => {
    const scores = Object.values(weights).flatMap(({ top1, labels, crop, benchmark }) =>
      top1 !== undefined && labels === 'imagenet-1k' && crop === inputSize[0] && !benchmark ? [top1] : [],
    )
    return scores.length === 0
      ? []
      : [{ name, parameters: params, macs, top1: Math.max(...scores), family: familyOf(name) }]
  })
}

/** How the chart is drawn. */
export interface BubbleChartOptions {
  readonly title?: string
  /** Pixels. Default 1100 by 760. */
  readonly width?: number
  readonly height?: number
}

interface Box {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

const overlaps = (a: Box, b: Box): boolean => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h

const meetsDisc = (box: Box, x: number, y: number, r: number): boolean => {
  const dx = Math.max(box.x - x, 0, x - box.x - box.w)
  const dy = Math.max(box.y - y, 0, y - box.y - box.h)
  return dx * dx + dy * dy < r * r
}

/** A step of 1, 2 or 5 times a power of ten that divides `span` into about `count` parts. */
function niceStep(span: number, count: number): number {
  const rough = span / count
  const power = 10 ** Math.floor(Math.log10(rough))
  return power * ([1, 2, 5, 10].find((m) => m * power >= rough) ?? 10)
}

/** Values 1, 2, 5 of each decade from `low` to `high`. */
function decades(low: number, high: number): number[] {
  const marks: number[] = []
  for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10) {
    for (const m of [1, 2, 5]) if (m * power >= low && m * power <= high) marks.push(m * power)
  }
  return marks
}

/** A round number: 2000000 as `2 M`. */
function brief(value: number): string {
  return short(value).replace(/\.0+(?= |$)|(?<=\.\d*[1-9])0+(?= |$)/, '')
}

/**
 * Accuracy against MACs (logarithmic), bubble area by parameters, colour by family, as an SVG that stands alone. Names do not
 * overlap each other; one that finds no place is left to the tooltip that every bubble has.
 *
 * @throws ArgumentError for no bubbles, or numbers that cannot be drawn.
 */
export function bubbleChart(bubbles: readonly Bubble[], options: BubbleChartOptions = {}): string {
  const { title, width, height } = readOptions('bubbleChart', options, {
    title: 'Top-1 accuracy on ImageNet against multiply-accumulates',
    width: 1100,
    height: 760,
  })
  if (bubbles.length === 0) throw new ArgumentError('bubbleChart: bubbles expects at least one, got none')
  for (const { name, macs, parameters, top1 } of bubbles) {
    if (!(macs > 0 && parameters > 0 && Number.isFinite(macs + parameters + top1))) {
      throw new ArgumentError(`bubbleChart: ${name} expects macs and parameters above 0 and a top-1 accuracy`)
    }
  }
  const families = [...new Set(bubbles.map(({ family }) => family))]
  // Where there are more families than hues, they differ by outline and by how full their bubbles are.
  const rounds = [
    'fill-opacity="0.45"',
    'fill-opacity="0.3" stroke-width="1.4" stroke-dasharray="4 2"',
    'fill-opacity="0.1" stroke-width="2"',
    'fill-opacity="0.1" stroke-width="2" stroke-dasharray="1.5 2"',
  ] as const
  const look = (family: string): string => {
    const index = families.indexOf(family)
    const hue = `var(--c${index % hues})`
    return `fill="${hue}" stroke="${hue}" ${rounds[Math.floor(index / hues) % rounds.length]}`
  }

  // The legend of families, in lines above the chart.
  const keys: { readonly family: string; readonly x: number; readonly line: number }[] = []
  let [keyX, keyLine] = [64, 0]
  for (const family of families) {
    const wide = 22 + textWidth(family, 12) + 14
    if (keyX + wide > width - 24) [keyX, keyLine] = [64, keyLine + 1]
    keys.push({ family, x: keyX, line: keyLine })
    keyX += wide
  }
  const plot = { left: 64, right: width - 28, top: 66 + (keyLine + 1) * 20, bottom: height - 58 }

  const macs = bubbles.map((b) => b.macs)
  const [lowX, highX] = [Math.min(...macs) / 1.35, Math.max(...macs) * 2]
  const tops = bubbles.map((b) => b.top1)
  const span = Math.max(2, Math.max(...tops) - Math.min(...tops))
  const [lowY, highY] = [Math.min(...tops) - 0.07 * span, Math.max(...tops) + 0.09 * span]
  const X = (value: number): number =>
    plot.left + ((plot.right - plot.left) * Math.log(value / lowX)) / Math.log(highX / lowX)
  const Y = (value: number): number => plot.bottom - ((plot.bottom - plot.top) * (value - lowY)) / (highY - lowY)
  const most = Math.max(...bubbles.map((b) => b.parameters))
  const R = (parameters: number): number => Math.max(3.5, 34 * Math.sqrt(parameters / most))

  // Large bubbles lie below small ones.
  const discs = [...bubbles]
    .sort((a, b) => b.parameters - a.parameters)
    .map((bubble) => ({ bubble, x: X(bubble.macs), y: Y(bubble.top1), r: R(bubble.parameters) }))

  const fontSize = 10.5
  const taken: Box[] = []
  const labels: string[] = []
  for (const { bubble, x, y, r } of [...discs].sort((a, b) => a.r - b.r)) {
    const [w, h] = [textWidth(bubble.name, fontSize) + 4, fontSize + 3]
    const around = [0, 180, -35, 35, -145, 145, -90, 90, -65, 65, -115, 115]
    const rings = (aways: readonly number[], clear: boolean) =>
      aways.flatMap((away) => around.map((degrees) => ({ away, degrees, clear })))
    // First where no bubble is, then over the rims of large ones, then far away.
    const places = [...rings([3, 14, 28], true), ...rings([3, 14, 28], false), ...rings([45, 65, 90, 120], false)]
    for (const { away, degrees, clear } of places) {
      const [dx, dy] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)]
      const [px, py] = [x + (r + away) * dx, y + (r + away) * dy]
      const box = {
        x: dx > 0.3 ? px : dx < -0.3 ? px - w : px - w / 2,
        y: dy > 0.3 ? py : dy < -0.3 ? py - h : py - h / 2,
        w,
        h,
      }
      const inside = box.x > plot.left && box.x + w < plot.right && box.y > plot.top && box.y + h < plot.bottom
      const free =
        !taken.some((other) => overlaps(box, other)) &&
        !discs.some((disc) => meetsDisc(box, disc.x, disc.y, clear ? disc.r + 1 : Math.min(disc.r, 8) + 1))
      if (!inside || !free) continue
      taken.push(box)
      const leader = away < 10 ? '' : `<path class="lead" d="M${n(x + r * dx)} ${n(y + r * dy)}L${n(px)} ${n(py)}"/>`
      labels.push(
        `${leader}<text x="${n(box.x + 2)}" y="${n(box.y + h - 3.5)}" font-size="${fontSize}">${escapeText(bubble.name)}</text>`,
      )
      break
    }
  }

  const step = niceStep(highY - lowY, 8)
  const rows: number[] = []
  for (let value = Math.ceil(lowY / step) * step; value <= highY; value += step) rows.push(value)
  const grid = [
    ...rows.map(
      (value) =>
        `<path class="grid" d="M${plot.left} ${n(Y(value))}H${n(plot.right)}"/><text class="soft" x="${plot.left - 8}" y="${n(Y(value) + 4)}" text-anchor="end" font-size="11">${n(value)}</text>`,
    ),
    ...decades(lowX, highX).map(
      (value) =>
        `<path class="grid" d="M${n(X(value))} ${plot.top}V${plot.bottom}"/><text class="soft" x="${n(X(value))}" y="${plot.bottom + 18}" text-anchor="middle" font-size="11">${brief(value)}</text>`,
    ),
  ]
  const circles = discs.map(
    ({ bubble: { name, parameters, macs: own, top1, family }, x, y, r }) =>
      `<circle cx="${n(x)}" cy="${n(y)}" r="${n(r)}" ${look(family)}><title>${escapeText(`${name}: ${top1} %, ${short(own)} MACs, ${short(parameters)} parameters`)}</title></circle>`,
  )
  const legend = keys.map(
    ({ family, x, line }) =>
      `<circle cx="${n(x + 6)}" cy="${52 + line * 20}" r="6" ${look(family)}/><text x="${n(x + 18)}" y="${56 + line * 20}" font-size="12">${escapeText(family)}</text>`,
  )
  // Sizes, in the corner of networks that are dear and bad: there are none.
  const samples = [...new Set([most, most / 4, most / 16].map((value) => Number(value.toPrecision(1))))]
  const sizes = samples.map((value) => {
    const r = R(value)
    const x = plot.right - 150
    return `<circle class="size" cx="${n(x)}" cy="${n(plot.bottom - 14 - r)}" r="${n(r)}"/><path class="lead" d="M${n(x)} ${n(plot.bottom - 14 - 2 * r)}H${n(x + 44)}"/><text class="soft" x="${n(x + 48)}" y="${n(plot.bottom - 10 - 2 * r)}" font-size="10.5">${escapeText(`${brief(value)} parameters`)}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeText(title)}">${pictureStyle('.grid{stroke:var(--line);stroke-width:.7;fill:none}.lead{stroke:var(--soft);stroke-width:.7;fill:none}.size{fill:none;stroke:var(--soft)}')}<rect width="100%" height="100%" fill="var(--paper)"/><text x="${plot.left}" y="30" font-size="17" font-weight="600">${escapeText(title)}</text>${legend.join('')}${grid.join('')}${circles.join('')}${labels.join('')}${sizes.join('')}<text class="soft" x="${n((plot.left + plot.right) / 2)}" y="${height - 16}" text-anchor="middle" font-size="12">multiply-accumulates for one image (logarithmic); bubble area: parameters</text><text class="soft" transform="translate(18 ${n((plot.top + plot.bottom) / 2)}) rotate(-90)" text-anchor="middle" font-size="12">top-1 accuracy, %</text></svg>`
}
