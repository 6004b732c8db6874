/** Softmax and cross-entropy, by way of the maximum of a row and the logarithm of its sum of exponentials. */
import { ArgumentError } from '../../errors.ts'
import type { Backend, Buffer, CrossEntropySpec, Rows } from '../backend.ts'
import type { Device } from './device.ts'
import { sumOver } from './reduce.ts'
import type { Source } from './source.ts'
import type { GpuBuffer } from './storage.ts'

type Three = readonly [string, string, string]

/** Throws an `ArgumentError` where a class that came from the host does not exist. */
function checkClasses({ host }: GpuBuffer, { classes, ignoreIndex }: CrossEntropySpec): void {
  for (const [row, index] of (host ?? []).entries()) {
    if (index === ignoreIndex || (index >= 0 && index < classes)) continue
    throw new ArgumentError(
      `crossEntropy: target expects class indices from 0 to ${classes - 1} or ignoreIndex ${ignoreIndex}, ` +
        `got ${index} in row ${row}`,
    )
  }
}

export function softmaxKernels(
  device: Device,
  reduce: Backend['reduce'],
): Pick<Backend, 'softmax' | 'softmaxGrad' | 'crossEntropy' | 'crossEntropyGrad'> {
  /** Maximum of each row and log(sum(exp(x - maximum))). */
  function logSumExp(x: GpuBuffer, rows: Rows): [max: GpuBuffer, log: GpuBuffer] {
    const [outer, size, inner] = rows
    const max = device.own(reduce('max', x, rows))
    const log = sumOver(device, {
      op: 'softmax',
      kept: [outer, inner],
      reduced: [size],
      inputs: [x, max],
      term: (s, [o, i], [k], add) => {
        const row = s.dense([o as string, i as string], [outer, inner])
        add(`Math.exp(${s.at(0, s.dense([o as string, k as string, i as string], rows))} - ${s.at(1, row)})`)
      },
      finish: (_, sum) => `Math.log(${sum})`,
    })
    return [max, log]
  }

  /** `use` with the two, which are freed after it. */
  function withLogSumExp<R>(x: GpuBuffer, rows: Rows, use: (max: GpuBuffer, log: GpuBuffer) => R): R {
    const pair = logSumExp(x, rows)
    const result = use(...pair)
    for (const buffer of pair) device.free(buffer)
    return result
  }

  /** q_c of a row: weight_c ((1 - e) target_c + e / K). Inputs: `target`, and `weight` where there is one. */
  function share(
    s: Source,
    [target, weight]: readonly [number, number | undefined],
    spec: CrossEntropySpec,
    dtype: Buffer['dtype'],
    row: string,
    c: string,
  ): string {
    const { classes, labelSmoothing } = spec
    const part = s.float(0)
    if (dtype === 'int32') {
      s.when(`toInt(${s.at(target, row)}) === ${c}`, () => s.set(part, '1'))
    } else s.set(part, s.at(target, s.dense([row, c], [spec.rows, classes])))
    const smooth =
      labelSmoothing === 0 ? part : `(${s.param(1 - labelSmoothing)} * ${part} + ${s.param(labelSmoothing / classes)})`
    return s.float(weight === undefined ? smooth : `${s.at(weight, c)} * ${smooth}`)
  }

  /** The condition that a row counts, and NaN for what it is worth if its class is none. */
  function counted(s: Source, target: number, spec: CrossEntropySpec, dtype: Buffer['dtype'], row: string) {
    if (dtype !== 'int32') return { counts: undefined, wrong: undefined }
    const index = s.int(`toInt(${s.at(target, row)})`)
    const ignored = s.int(spec.ignoreIndex)
    return {
      counts: `${index} !== ${ignored}`,
      wrong: `${index} !== ${ignored} && (${index} < 0 || ${index} >= ${spec.classes})`,
    }
  }

  return {
    softmax(x, rows, log) {
      const [outer, , inner] = rows
      const input = device.own(x)
      return withLogSumExp(input, rows, (max, logSum) =>
        device.make('float32', x.length, {
          op: log ? 'logSoftmax' : 'softmax',
          inputs: [input, max, logSum],
          element(s) {
            const [o, , i] = s.coordinates(s.i, rows) as Three
            const row = s.dense([o, i], [outer, inner])
            const value = `${s.at(0, s.i)} - ${s.at(1, row)} - ${s.at(2, row)}`
            return log ? value : `Math.exp(${value})`
          },
        }),
      )
    },
    softmaxGrad(g, y, rows, log) {
      const [outer, size, inner] = rows
      const [og, oy] = [device.own(g), device.own(y)]
      const sum = sumOver(device, {
        op: 'softmax gradient',
        kept: [outer, inner],
        reduced: [size],
        inputs: log ? [og] : [og, oy],
        term(s, [o, i], [k], add) {
          const at = s.int(s.dense([o as string, k as string, i as string], rows))
          add(log ? s.at(0, at) : `${s.at(0, at)} * ${s.at(1, at)}`)
        },
      })
      const result = device.make('float32', g.length, {
        op: 'softmax gradient',
        inputs: [og, oy, sum],
        element(s) {
          const [o, , i] = s.coordinates(s.i, rows) as Three
          const total = s.at(2, s.dense([o, i], [outer, inner]))
          return log
            ? `${s.at(0, s.i)} - Math.exp(${s.at(1, s.i)}) * ${total}`
            : `${s.at(1, s.i)} * (${s.at(0, s.i)} - ${total})`
        },
      })
      device.free(sum)
      return result
    },

    crossEntropy(logits, target, weight, spec) {
      const { rows, classes } = spec
      const [x, t] = [device.own(logits), device.own(target)]
      checkClasses(t, spec)
      const w = weight === null ? [] : [device.own(weight)]
      const loss = withLogSumExp(x, [rows, classes, 1], (max, log) =>
        device.make('float32', rows, {
          op: 'crossEntropy',
          inputs: [x, max, log, t, ...w],
          element(s) {
            const sum = s.float(0)
            const { counts, wrong } = counted(s, 3, spec, t.dtype, s.i)
            const add = (): void =>
              s.loop(classes, (c) => {
                const q = share(s, [3, weight === null ? undefined : 4], spec, t.dtype, s.i, c)
                s.when(`${q} !== 0`, () => {
                  const own = s.at(0, s.place([s.i, c], [classes, 1]))
                  s.push(`${sum} -= ${q} * (${own} - ${s.at(1, s.i)} - ${s.at(2, s.i)});`)
                })
              })
            if (counts === undefined) add()
            else s.when(counts, add)
            if (wrong !== undefined) s.when(wrong, () => s.set(sum, s.param(Number.NaN)))
            return sum
          },
        }),
      )
      const rowWeight = device.make('float32', rows, {
        op: 'crossEntropy',
        inputs: t.dtype === 'int32' ? [t, ...w] : [],
        element(s) {
          const { counts } = counted(s, 0, spec, t.dtype, s.i)
          if (counts === undefined) return s.param(1)
          const result = s.float(s.param(0))
          s.when(counts, () => s.set(result, weight === null ? '1' : s.at(1, s.int(`toInt(${s.at(0, s.i)})`))))
          return result
        },
      })
      return { loss, rowWeight }
    },

    crossEntropyGrad(g, logits, target, weight, spec) {
      const { rows, classes } = spec
      const [og, x, t] = [device.own(g), device.own(logits), device.own(target)]
      checkClasses(t, spec)
      const w = weight === null ? [] : [device.own(weight)]
      const total = sumOver(device, {
        op: 'crossEntropy gradient',
        kept: [rows],
        reduced: [classes],
        inputs: [t, ...w],
        term: (s, [row], [c], add) =>
          add(share(s, [0, weight === null ? undefined : 1], spec, t.dtype, row as string, c as string)),
      })
      const result = withLogSumExp(x, [rows, classes, 1], (max, log) =>
        device.make('float32', logits.length, {
          op: 'crossEntropy gradient',
          inputs: [x, max, log, t, og, total, ...w],
          element(s) {
            const [row, c] = s.coordinates(s.i, [rows, classes]) as readonly [string, string]
            const sum = s.float(0)
            const { counts } = counted(s, 3, spec, t.dtype, row)
            const compute = (): void => {
              const q = share(s, [3, weight === null ? undefined : 6], spec, t.dtype, row, c)
              const p = `Math.exp(${s.at(0, s.i)} - ${s.at(1, row)} - ${s.at(2, row)})`
              s.set(sum, `${s.at(4, row)} * (${p} * ${s.at(5, row)} - ${q})`)
            }
            if (counts === undefined) compute()
            else s.when(counts, compute)
            return sum
          },
        }),
      )
      device.free(total)
      return result
    },
  }
}
