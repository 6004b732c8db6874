/** Separable resampling, and its gradient gathered from the output cells that an input cell had a share in. */
import type { Backend, InterpolateSpec, Samples } from '../backend.ts'
import type { Device } from './device.ts'
import type { Source } from './source.ts'

/** Samples of one axis as a table: low, high, fraction; and of each input cell its first output and the end. */
interface Axis {
  readonly outputs: number
  readonly size: number
  readonly table: Float32Array
  /** Most outputs that one input has a share in. */
  readonly most: number
}

function axis({ low, high, fraction }: Samples, size: number): Axis {
  const outputs = low.length
  const first = new Int32Array(size).fill(outputs)
  const end = new Int32Array(size)
  for (let out = 0; out < outputs; out++) {
    for (const cell of [low[out] as number, high[out] as number]) {
      first[cell] = Math.min(first[cell] as number, out)
      end[cell] = out + 1
    }
  }
  const most = first.reduce((n, from, cell) => Math.max(n, (end[cell] as number) - from), 0)
  return { outputs, size, most, table: Float32Array.of(...low, ...high, ...fraction, ...first, ...end) }
}

type Four = readonly [string, string, string, string]
const product = (extents: readonly number[]): number => extents.reduce((n, extent) => n * extent, 1)

/** Calls `body` with the two input cells of output `out` and their weights, but for those of weight 0. */
function eachTap(s: Source, t: number, own: Axis, out: string, body: (cell: string, weight: string) => void): void {
  const fraction = s.float(s.table(t, `${out} + ${2 * own.outputs}`))
  const rest = s.float(`1 - ${fraction}`)
  for (const [weight, shift] of [
    [rest, 0],
    [fraction, own.outputs],
  ] as const) {
    s.when(`${weight} !== 0`, () => body(s.tableInt(t, shift === 0 ? out : `${out} + ${shift}`), weight))
  }
}

/** Calls `body` with each output that input `cell` may have a share in, and the share. */
function eachShare(s: Source, t: number, own: Axis, cell: string, body: (out: string, share: string) => void): void {
  const first = s.tableInt(t, `${cell} + ${3 * own.outputs}`)
  const end = s.tableInt(t, `${cell} + ${3 * own.outputs + own.size}`)
  s.loop(own.most, (k) => {
    const out = s.int(`${first} + ${k}`)
    s.when(`${out} < ${end}`, () => {
      const fraction = s.float(s.table(t, `${out} + ${2 * own.outputs}`))
      const share = s.float(0)
      s.when(`${s.tableInt(t, out)} === ${cell}`, () => s.push(`${share} += 1 - ${fraction};`))
      s.when(`${s.tableInt(t, `${out} + ${own.outputs}`)} === ${cell}`, () => s.push(`${share} += ${fraction};`))
      s.when(`${share} !== 0`, () => body(out, share))
    })
  })
}

export function interpolateKernels(device: Device): Pick<Backend, 'interpolate' | 'interpolateGrad'> {
  const plan = ({ batch, height, width, channels, rows, columns }: InterpolateSpec) => ({
    rows: axis(rows, height),
    columns: axis(columns, width),
    input: [batch, height, width, channels],
    output: [batch, rows.low.length, columns.low.length, channels],
  })
  return {
    interpolate(x, spec) {
      const { rows, columns, input, output } = plan(spec)
      return device.make('float32', product(output), {
        op: 'interpolate',
        inputs: [device.own(x)],
        tables: [rows.table, columns.table],
        element(s) {
          const [n, oy, ox, c] = s.coordinates(s.i, output) as Four
          const sum = s.float(0)
          eachTap(s, 0, rows, oy, (iy, rowWeight) =>
            eachTap(s, 1, columns, ox, (ix, columnWeight) =>
              s.push(`${sum} += ${rowWeight} * ${columnWeight} * ${s.at(0, s.dense([n, iy, ix, c], input))};`),
            ),
          )
          return sum
        },
      })
    },
    interpolateGrad(g, spec) {
      const { rows, columns, input, output } = plan(spec)
      return device.make('float32', product(input), {
        op: 'interpolate gradient',
        inputs: [device.own(g)],
        tables: [rows.table, columns.table],
        element(s) {
          const [n, iy, ix, c] = s.coordinates(s.i, input) as Four
          const sum = s.float(0)
          eachShare(s, 0, rows, iy, (oy, rowShare) =>
            eachShare(s, 1, columns, ix, (ox, columnShare) =>
              s.push(`${sum} += ${rowShare} * ${columnShare} * ${s.at(0, s.dense([n, oy, ox, c], output))};`),
            ),
          )
          return sum
        },
      })
    },
  }
}
