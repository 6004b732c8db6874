import type { Backend, MatmulSpec } from '../backend.ts'
import { addProducts, cellsOf, sumsOf } from './cells.ts'
import type { Device } from './device.ts'
import { sumOver } from './reduce.ts'
import { checkExact, type Source } from './source.ts'

/** Where each product of the batch starts: in steps of one length where that is so, else from a table. */
function offsets(spec: MatmulSpec): { tables: Float32Array[]; at: (s: Source, batch: string, which: 0 | 1) => string } {
  const lists = [spec.offsetsA, spec.offsetsB] as const
  const steps = lists.map((list) => {
    const [first = 0, second = first] = list
    return list.every((offset, k) => offset === first + k * (second - first)) ? [first, second - first] : undefined
  })
  const tables = lists.flatMap((list, which) => {
    if (steps[which] !== undefined) return []
    for (const offset of list) checkExact('matmul', 'an offset of a batch without regular steps', offset)
    return [Float32Array.from(list)]
  })
  return {
    tables,
    at(s, batch, which) {
      const step = steps[which]
      if (step !== undefined) return s.place([batch], [step[1] as number], step[0])
      return s.tableInt(which === 1 && tables.length === 2 ? 1 : 0, batch)
    },
  }
}

export function matmulKernels(device: Device): Pick<Backend, 'matmul'> {
  return {
    matmul(a, b, bias, spec) {
      const { m, n, k, transA, transB } = spec
      const [rowA, stepA] = transA ? [1, m] : [k, 1]
      const [columnB, stepB] = transB ? [k, 1] : [1, n]
      const { tables, at } = offsets(spec)
      const batches = spec.offsetsA.length
      const inputs = [a, b, ...(bias === null ? [] : [bias])].map((buffer) => device.own(buffer))
      const length = batches * m * n
      const cells = cellsOf(length, n)
      const element = (s: Source): string[] => {
        const [batch, i, j] = s.coordinates(s.i, [batches, m, n]) as readonly [string, string, string]
        const startA = s.int(`${at(s, batch, 0)} + ${s.place([i], [rowA])}`)
        const startB = s.int(`${at(s, batch, 1)} + ${s.place([j], [columnB])}`)
        const sums = sumsOf(s, cells, (cell) => (bias === null ? 0 : s.at(2, s.place([j], [1], cell))))
        s.loop(k, (p) =>
          addProducts(s, sums, s.at(0, s.place([startA, p], [1, stepA])), (cell) =>
            s.at(1, s.place([startB, p], [1, stepB], cell * columnB)),
          ),
        )
        return sums
      }
      // Few long products: cut them, or a few threads would do all the work.
      if (bias === null && length < 4096 && k >= 1024) {
        return sumOver(device, {
          op: 'matmul',
          kept: [batches, m, n],
          reduced: [k],
          products: true,
          inputs,
          tables,
          term(s, [batch, i, j], [p], add) {
            const startA = at(s, batch as string, 0)
            const startB = at(s, batch as string, 1)
            add(s.at(0, s.place([startA, i as string, p as string], [1, rowA, stepA])), (cell) =>
              s.at(1, s.place([startB, j as string, p as string], [1, columnB, stepB], cell * columnB)),
            )
          },
        })
      }
      return device.make('float32', length, { op: 'matmul', cells, inputs, tables, element })
    },
  }
}
