/** Trees and numbers as text. */
import { ArgumentError, checkInteger, readOptions } from '@convnets/tensor'
import type { Convention } from './cost.ts'
import type { ProfileNode } from './tree.ts'

/** How a table is laid out. */
export interface TableOptions {
  /** Levels of modules below the model. Default: all. */
  readonly depth?: number
  /** Characters in a line; long names are shortened and, if need be, columns left out. Default 100. */
  readonly width?: number
  /** Columns after the module's name, in order. Default: all that fit. */
  readonly columns?: readonly TableColumn[]
}

/** What a table can show. */
export type TableColumn = 'output' | 'parameters' | 'macs' | 'share' | 'flops' | 'activations' | 'bytes'

/** 4089184256 as `4.09 G`, with three digits; below 1000 as it is. */
export function short(value: number): string {
  const units = ['', ' k', ' M', ' G', ' T', ' P']
  let scaled = value
  let unit = 0
  while (unit < units.length - 1 && Number(scaled.toPrecision(3)) >= 1000) {
    scaled /= 1000
    unit++
  }
  return unit === 0 ? String(Number(scaled.toPrecision(3))) : `${scaled.toPrecision(3)}${units[unit]}`
}

/** 102228128 as `97.5 MiB`, with three digits. */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let scaled = bytes
  let unit = 0
  while (unit < units.length - 1 && scaled >= 1023.5) {
    scaled /= 1024
    unit++
  }
  return `${unit === 0 ? scaled : scaled >= 999.5 ? Math.round(scaled) : scaled.toPrecision(3)} ${units[unit]}`
}

/** 0.1234 as `12.3 %`. */
export function percent(share: number): string {
  return `${(100 * (Number.isFinite(share) ? share : 0)).toFixed(1)} %`
}

/** [1, 64, 112, 112] as `1x64x112x112`. */
export function shapeText(shape: readonly number[] | undefined): string {
  return shape === undefined ? '' : shape.length === 0 ? 'scalar' : shape.join('x')
}

/** Names of what is counted. */
export const arithmetic: Readonly<Record<Convention, string>> = { macs: 'MACs', flops: 'FLOPs' }

/** What a table reads of a profile. */
interface Tabled {
  readonly root: ProfileNode
  share(node: ProfileNode): number
}

interface Kind {
  readonly title: string
  readonly right: boolean
  /** Columns of the highest number go first where the line is too short. */
  readonly spare: number
  readonly text: (node: ProfileNode, profile: Tabled) => string
}

const kinds: Readonly<Record<TableColumn, Kind>> = {
  output: { title: 'output', right: true, spare: 1, text: (node) => shapeText(node.outputShape) },
  parameters: { title: 'parameters', right: true, spare: 0, text: (node) => node.parameters.toLocaleString('en-US') },
  macs: { title: 'MACs', right: true, spare: 0, text: (node) => short(node.cost.macs) },
  share: { title: 'share', right: true, spare: 3, text: (node, profile) => percent(profile.share(node)) },
  flops: { title: 'FLOPs', right: true, spare: 2, text: (node) => short(node.cost.flops) },
  activations: { title: 'activations', right: true, spare: 5, text: (node) => short(node.cost.activations) },
  bytes: { title: 'results', right: true, spare: 4, text: (node) => size(node.cost.bytes) },
}

/** Text in at most `width` characters, its middle left out if need be. */
export function shorten(text: string, width: number): string {
  if (text.length <= width) return text
  if (width <= 1) return '…'.slice(0, Math.max(0, width))
  const head = Math.ceil((width - 1) / 2)
  return `${text.slice(0, head)}…${text.slice(text.length - (width - 1 - head))}`
}

interface Line {
  readonly node: ProfileNode
  readonly branch: string
}

function linesOf(root: ProfileNode, depth: number): Line[] {
  const lines: Line[] = [{ node: root, branch: '' }]
  const visit = (node: ProfileNode, indent: string, left: number): void => {
    if (left === 0) return
    node.children.forEach((child, i) => {
      const last = i === node.children.length - 1
      lines.push({ node: child, branch: `${indent}${last ? '└ ' : '├ '}` })
      visit(child, `${indent}${last ? '  ' : '│ '}`, left - 1)
    })
  }
  visit(root, '', depth)
  return lines
}

/** A tree of modules as a table: a line each. */
export function tableOf(profile: Tabled, options: TableOptions): string {
  const {
    depth: levels,
    width,
    columns: wanted,
  } = readOptions('table', options, {
    depth: undefined,
    width: 100,
    columns: Object.keys(kinds) as TableColumn[],
  })
  checkInteger('table', 'width', width, 20)
  const depth = levels === undefined ? Number.POSITIVE_INFINITY : checkInteger('table', 'depth', levels, 0)
  for (const column of wanted) {
    if (!Object.hasOwn(kinds, column)) {
      throw new ArgumentError(`table: columns expects ${Object.keys(kinds).join(', ')}, got '${column}'`)
    }
  }
  const lines = linesOf(profile.root, depth)
  const names = lines.map(
    ({ node, branch }) => `${branch}${node.name === '' ? node.type : `${node.name} ${node.type}`}`,
  )
  let columns = wanted.map((column) => {
    const { title, text, spare } = kinds[column]
    const cells = lines.map(({ node }) => text(node, profile))
    return { title, cells, spare, width: Math.max(title.length, ...cells.map((cell) => cell.length)) }
  })
  const longest = Math.max('module'.length, ...names.map((name) => name.length))
  const room = (): number => width - columns.reduce((sum, column) => sum + column.width + 2, 0)
  const enough = Math.min(longest, 24)
  while (room() < enough && columns.some(({ spare }) => spare > 0)) {
    const most = Math.max(...columns.map(({ spare }) => spare))
    columns = columns.filter(({ spare }) => spare !== most)
  }
  const first = Math.max(6, Math.min(longest, room()))
  const row = (name: string, cells: readonly string[]): string =>
    [shorten(name, first).padEnd(first), ...cells.map((cell, i) => cell.padStart(columns[i]?.width ?? 0))]
      .join('  ')
      .trimEnd()
  return [
    row(
      'module',
      columns.map(({ title }) => title),
    ),
    ...lines.map((_, i) =>
      row(
        names[i] as string,
        columns.map(({ cells }) => cells[i] as string),
      ),
    ),
  ].join('\n')
}
