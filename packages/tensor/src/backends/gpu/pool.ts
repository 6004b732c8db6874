/**
 * Pooling and its gradients. A gradient is gathered: as windows start and end in order, those that hold an input cell
 * follow each other, so each cell looks through its own few windows.
 */
import type { Backend, PoolSpec, Windows } from '../backend.ts'
import type { Device } from './device.ts'
import type { Source } from './source.ts'

/** The windows of one axis as a table: starts, ends, counts; and of each input cell the first window and the end. */
interface Axis {
  readonly size: number
  readonly windows: number
  readonly table: Float32Array
  /** Most cells of a window, and most windows of a cell. */
  readonly longest: number
  readonly most: number
}

function axis({ starts, ends, counts }: Windows, size: number): Axis {
  const windows = starts.length
  const first = new Int32Array(size).fill(windows)
  const end = new Int32Array(size)
  let longest = 0
  for (let w = 0; w < windows; w++) {
    longest = Math.max(longest, (ends[w] as number) - (starts[w] as number))
    for (let cell = starts[w] as number; cell < (ends[w] as number); cell++) {
      first[cell] = Math.min(first[cell] as number, w)
      end[cell] = w + 1
    }
  }
  const most = first.reduce((n, from, cell) => Math.max(n, (end[cell] as number) - from), 0)
  return { size, windows, longest, most, table: Float32Array.of(...starts, ...ends, ...counts, ...first, ...end) }
}

/** Calls `body` for each input cell of window `out`. */
function eachCell(
  s: Source,
  table: number,
  { windows, longest }: Axis,
  out: string,
  body: (cell: string) => void,
): void {
  const start = s.tableInt(table, out)
  const end = s.tableInt(table, `${out} + ${windows}`)
  s.loop(longest, (k) => {
    const cell = s.int(`${start} + ${k}`)
    s.when(`${cell} < ${end}`, () => body(cell))
  })
}

/** Calls `body` for each window that may hold input `cell`. */
function eachWindow(s: Source, table: number, own: Axis, cell: string, body: (window: string) => void): void {
  const first = s.tableInt(table, `${cell} + ${3 * own.windows}`)
  const end = s.tableInt(table, `${cell} + ${3 * own.windows + own.size}`)
  s.loop(own.most, (k) => {
    const window = s.int(`${first} + ${k}`)
    s.when(`${window} < ${end}`, () => body(window))
  })
}

interface Plan {
  readonly rows: Axis
  readonly columns: Axis
  readonly tables: readonly Float32Array[]
  /** Extents of the input and of the output. */
  readonly input: readonly number[]
  readonly output: readonly number[]
}

function plan({ batch, height, width, channels, rows, columns }: PoolSpec): Plan {
  const [own, other] = [axis(rows, height), axis(columns, width)]
  return {
    rows: own,
    columns: other,
    tables: [own.table, other.table],
    input: [batch, height, width, channels],
    output: [batch, own.windows, other.windows, channels],
  }
}

const product = (extents: readonly number[]): number => extents.reduce((n, extent) => n * extent, 1)
type Four = readonly [string, string, string, string]

/** Maximum of each window, or where it is. */
function extreme(device: Device, x: Parameters<Backend['maxPool']>[0], p: Plan, what: 'value' | 'place') {
  const { rows, columns, tables, input, output } = p
  return device.make(what === 'value' ? 'float32' : 'int32', product(output), {
    op: 'maxPool2d',
    inputs: [device.own(x)],
    tables,
    element(s) {
      const [n, oy, ox, c] = s.coordinates(s.i, output) as Four
      const best = s.float(s.param(-Infinity))
      const found = s.int(-1)
      eachCell(s, 0, rows, oy, (iy) =>
        eachCell(s, 1, columns, ox, (ix) => {
          const value = s.float(s.at(0, s.dense([n, iy, ix, c], input)))
          s.when(`${found} < 0 || ${value} > ${best} || ${value} !== ${value}`, () => {
            s.set(best, value)
            s.set(found, `${iy} * ${columns.size} + ${ix}`)
          })
        }),
      )
      return what === 'value' ? best : found
    },
  })
}

export function poolKernels(device: Device): Pick<Backend, 'avgPool' | 'avgPoolGrad' | 'maxPool' | 'maxPoolGrad'> {
  /** The number of cells that an average of window (oy, ox) divides by. */
  const cells = (s: Source, { rows, columns }: Plan, oy: string, ox: string): string =>
    s.float(`${s.table(0, `${oy} + ${2 * rows.windows}`)} * ${s.table(1, `${ox} + ${2 * columns.windows}`)}`)

  return {
    avgPool(x, spec) {
      const p = plan(spec)
      return device.make('float32', product(p.output), {
        op: 'avgPool2d',
        inputs: [device.own(x)],
        tables: p.tables,
        element(s) {
          const [n, oy, ox, c] = s.coordinates(s.i, p.output) as Four
          const sum = s.float(0)
          eachCell(s, 0, p.rows, oy, (iy) =>
            eachCell(s, 1, p.columns, ox, (ix) => s.push(`${sum} += ${s.at(0, s.dense([n, iy, ix, c], p.input))};`)),
          )
          const count = cells(s, p, oy, ox)
          s.when(`${count} > 0`, () => s.set(sum, `${sum} / ${count}`))
          return sum
        },
      })
    },
    avgPoolGrad(g, spec) {
      const p = plan(spec)
      return device.make('float32', product(p.input), {
        op: 'avgPool2d gradient',
        inputs: [device.own(g)],
        tables: p.tables,
        element(s) {
          const [n, iy, ix, c] = s.coordinates(s.i, p.input) as Four
          const sum = s.float(0)
          eachWindow(s, 0, p.rows, iy, (oy) =>
            eachWindow(s, 1, p.columns, ix, (ox) =>
              s.push(`${sum} += ${s.at(0, s.dense([n, oy, ox, c], p.output))} / ${cells(s, p, oy, ox)};`),
            ),
          )
          return sum
        },
      })
    },
    maxPool(x, spec, indexed) {
      const p = plan(spec)
      return { output: extreme(device, x, p, 'value'), indices: indexed ? extreme(device, x, p, 'place') : null }
    },
    maxPoolGrad(g, indices, spec) {
      const p = plan(spec)
      return device.make('float32', product(p.input), {
        op: 'maxPool2d gradient',
        inputs: [device.own(g), device.own(indices)],
        tables: p.tables,
        element(s) {
          const [n, iy, ix, c] = s.coordinates(s.i, p.input) as Four
          const mine = s.int(s.place([iy, ix], [spec.width, 1]))
          const sum = s.float(0)
          eachWindow(s, 0, p.rows, iy, (oy) =>
            eachWindow(s, 1, p.columns, ix, (ox) => {
              const out = s.int(s.dense([n, oy, ox, c], p.output))
              s.when(`toInt(${s.at(1, out)}) === ${mine}`, () => s.push(`${sum} += ${s.at(0, out)};`))
            }),
          )
          return sum
        },
      })
    },
  }
}
