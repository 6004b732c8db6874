/**
 * Normalisation over extents [a, b, c, d] by the formulas of the reference backend: sums over b and d first, then each
 * element by itself.
 */
import type { Backend, NormExtents } from '../backend.ts'
import type { Device } from './device.ts'
import { sumOver } from './reduce.ts'
import type { Source } from './source.ts'
import type { GpuBuffer } from './storage.ts'

type Four = readonly [string, string, string, string]

/** Where the element (ia, ib, ic, id) lies. */
const cell = (s: Source, at: readonly string[], extents: NormExtents): string => s.dense(at, extents)

export function normKernels(device: Device): Pick<Backend, 'normalize' | 'normalizeGrad'> {
  /** Sums over b and d for each (a, c); `value` is given the place of x, of the statistics and of the weight. */
  function statistics(
    extents: NormExtents,
    inputs: readonly GpuBuffer[],
    value: (s: Source, x: string, statistic: string, weight: string) => string,
  ): GpuBuffer {
    const [a, b, c, d] = extents
    return sumOver(device, {
      op: 'normalisation',
      kept: [a, c],
      reduced: [b, d],
      inputs,
      term(s, [ia, ic], [ib, id], add) {
        const at = [ia, ib, ic, id] as Four
        add(value(s, s.int(cell(s, at, extents)), s.dense([at[0], at[2]], [a, c]), s.dense([at[2], at[3]], [c, d])))
      },
      finish: (_, sum) => `${sum} / ${b * d}`,
    })
  }

  return {
    normalize(x, weight, bias, extents, eps) {
      const [a, b, c, d] = extents
      const input = device.own(x)
      // Sums of differences from one of the numbers are exact where all lie far from 0 and close together.
      const first = (s: Source, [ia, ic]: readonly string[]): string =>
        cell(s, [ia as string, '0', ic as string, '0'], extents)
      const mean = sumOver(device, {
        op: 'normalisation',
        kept: [a, c],
        reduced: [b, d],
        inputs: [input],
        term: (s, kept, [ib, id], add) => {
          const at = [kept[0], ib, kept[1], id] as Four
          add(`${s.at(0, cell(s, at, extents))} - ${s.at(0, first(s, kept))}`)
        },
        finish: (s, sum, kept, at) => `${at(0, first(s, kept))} + ${sum} / ${b * d}`,
        finishReads: true,
      })
      const variance = statistics(extents, [input, mean], (s, at, statistic) => {
        const off = s.float(`${s.at(0, at)} - ${s.at(1, statistic)}`)
        return `${off} * ${off}`
      })
      const optional = [weight, bias].filter((buffer) => buffer !== null).map((buffer) => device.own(buffer))
      const output = device.make('float32', x.length, {
        op: 'normalisation',
        inputs: [input, mean, variance, ...optional],
        element(s) {
          const [ia, , ic, id] = s.coordinates(s.i, extents) as Four
          const statistic = s.dense([ia, ic], [a, c])
          const own = s.dense([ic, id], [c, d])
          const h = s.float(
            `(${s.at(0, s.i)} - ${s.at(1, statistic)}) / Math.sqrt(${s.at(2, statistic)} + ${s.param(eps)})`,
          )
          const scaled = weight === null ? h : s.float(`${h} * ${s.at(3, own)}`)
          return bias === null ? scaled : `${scaled} + ${s.at(weight === null ? 3 : 4, own)}`
        },
      })
      return { output, mean, variance }
    },

    normalizeGrad(g, x, weight, mean, variance, extents, eps) {
      const [a, b, c, d] = extents
      const [og, ox, om, ov] = [device.own(g), device.own(x), device.own(mean), device.own(variance)]
      const w = weight === null ? [] : [device.own(weight)]
      /** g times the weight, where there is one: input 1 + `at` is the weight. */
      const u = (s: Source, at: string, own: string, k: number): string =>
        weight === null ? s.at(0, at) : `${s.at(0, at)} * ${s.at(k, own)}`
      const h = (s: Source, at: string, statistic: string): string =>
        `(${s.at(1, at)} - ${s.at(2, statistic)}) / Math.sqrt(${s.at(3, statistic)} + ${s.param(eps)})`

      const sums = (withH: boolean): GpuBuffer =>
        sumOver(device, {
          op: 'normalisation gradient',
          kept: [c, d],
          reduced: [a, b],
          inputs: withH ? [og, ox, om, ov] : [og],
          term(s, [ic, id], [ia, ib], add) {
            const at = [ia, ib, ic, id] as Four
            const place = s.int(cell(s, at, extents))
            add(withH ? `${s.at(0, place)} * ${h(s, place, s.dense([at[0], at[2]], [a, c]))}` : s.at(0, place))
          },
        })
      const gradWeight = sums(true)
      const gradBias = sums(false)

      // Where each statistic has one weight (batch norm), the sums of u are those of g, scaled.
      const same = a === 1 && d === 1
      const avgU = same ? gradBias : statistics(extents, [og, ...w], (s, at, _, own) => u(s, at, own, 1))
      const avgUH = same
        ? gradWeight
        : statistics(
            extents,
            [og, ox, om, ov, ...w],
            (s, at, statistic, own) => `${u(s, at, own, 4)} * ${h(s, at, statistic)}`,
          )
      const gradX = device.make('float32', x.length, {
        op: 'normalisation gradient',
        inputs: [og, ox, om, ov, avgU, avgUH, ...w],
        element(s) {
          const [ia, , ic, id] = s.coordinates(s.i, extents) as Four
          const statistic = s.dense([ia, ic], [a, c])
          const own = s.dense([ic, id], [c, d])
          const scale = s.float(`1 / Math.sqrt(${s.at(3, statistic)} + ${s.param(eps)})`)
          const factor = same ? s.float(weight === null ? `1 / ${b}` : `${s.at(6, own)} / ${b}`) : undefined
          const average = (k: number): string =>
            factor === undefined ? s.at(k, statistic) : `${s.at(k, statistic)} * ${factor}`
          const hat = s.float(`(${s.at(1, s.i)} - ${s.at(2, statistic)}) * ${scale}`)
          return `(${u(s, s.i, own, 6)} - ${average(4)} - ${hat} * ${average(5)}) * ${scale}`
        },
      })
      if (!same) {
        device.free(avgU)
        device.free(avgUH)
      }
      return { x: gradX, weight: gradWeight, bias: gradBias }
    },
  }
}
