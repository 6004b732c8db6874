/** Gathering by an index, and its transpose. What the index repeats is moved in one piece. */

import { dtypes } from '../../../dtype.ts'
import type { View } from '../../backend.ts'
import { forEachPicked } from '../../reference/copy.ts'
import { count, type Way } from '../../reference/strided.ts'
import { f32x4, i32, ints, memory } from '../asm.ts'
import type { Engine, Kernels } from '../engine.ts'
import { alongRow, least } from './rows.ts'
import { eachUnit } from './tile.ts'

type Method = 'gather' | 'scatterAdd'

/** Shorter pieces are left to the plain loops. */
const leastBytes = 32
/** Bytes that are worth a wake-up of another thread. */
const grainBytes = 100_000
/** Bytes of each piece that a unit of `scatterAdd` adds up. */
const tileBytes = 256

/** Elements that follow each other in memory and share an index, and the axes that they span: those from `axis` on. */
function pieceOf(
  extents: readonly number[],
  strides: readonly number[],
  indexStrides: readonly number[],
): { length: number; axis: number } {
  let length = 1
  let axis = extents.length
  for (; axis > 0; axis--) {
    const extent = extents[axis - 1]!
    if (extent !== 1 && (indexStrides[axis - 1] !== 0 || strides[axis - 1] !== length)) break
    length *= extent
  }
  return { length, axis }
}

/** Writes to the workspace, as bytes, where each piece lies in the indexed array; checks the index. */
function pieces(
  engine: Engine,
  op: string,
  way: Way,
  index: View,
  axisStride: number,
  axisSize: number,
  extents: readonly number[],
  bytes: number,
): number {
  const table = engine.workspace(count(extents) * 4)
  const indices = { ...index, data: engine.array(index.buffer) }
  const out = engine.heap.i32
  forEachPicked(op, way, indices, axisStride, axisSize, extents, (i, place) => {
    out[(table >>> 2) + i] = place * bytes
  })
  return table
}

/** Gathering in the wasm backend, for every dtype; `plain` serves what is not in pieces. */
export function gatherKernels(engine: Engine, plain: Pick<Kernels, Method>): Pick<Kernels, Method> {
  return {
    gather(source, index, axisStride, axisSize, extents) {
      const { dtype } = source.buffer
      const { bytes } = dtypes[dtype]
      const { length, axis } = pieceOf(extents, source.strides, index.strides)
      const piece = length * bytes
      if (piece < leastBytes) return plain.gather(source, index, axisStride, axisSize, extents)
      const outer = extents.slice(0, axis)
      const out = engine.alloc(dtype, count(extents))
      const table = pieces(engine, 'gather', source, index, axisStride, axisSize, outer, bytes)
      const kernel = engine.kernel('gather', (m) => {
        m.func('run', ints(6), (b, source, table, out, piece, from, to) => {
          eachUnit(b, from, to, (unit) => {
            const at = i32.add(source, i32.load(i32.add(table, i32.shl(unit, 2))))
            b.emit(memory.copy(i32.add(out, i32.mul(unit, piece)), at, piece))
          })
        })
      })
      engine.parallel(
        kernel,
        [engine.ptr(source.buffer), table, out.ptr, piece],
        count(outer),
        Math.ceil(grainBytes / piece),
      )
      return out
    },

    scatterAdd(values, index, strides, axisStride, axisSize, extents, length) {
      const { length: run, axis } = pieceOf(extents, strides, index.strides)
      if (values.dtype !== 'float32' || run * 4 < leastBytes) {
        return plain.scatterAdd(values, index, strides, axisStride, axisSize, extents, length)
      }
      const outer = extents.slice(0, axis)
      const out = engine.alloc('float32', length)
      const table = pieces(engine, 'scatterAdd', { offset: 0, strides }, index, axisStride, axisSize, outer, 4)
      engine.array(out).fill(0)
      // A unit is a tile of all pieces: whoever adds to an element adds everything to it, in order.
      const kernel = engine.kernel('scatter-add', (m) => {
        m.func('run', ints(7), (b, values, table, out, piece, pieces, from, to) => {
          eachUnit(b, from, to, (unit) => {
            const tile = b.let(i32.mul(unit, tileBytes))
            const bytes = b.let(least(i32.const(tileBytes), i32.sub(piece, tile)))
            const source = b.let(i32.add(values, tile))
            const entry = b.let(table)
            const left = b.let(pieces)
            b.repeat(left, () => {
              const target = b.let(i32.add(i32.add(out, tile), i32.load(entry)))
              alongRow(b, bytes, (strip, at) => {
                const place = b.let(i32.add(target, at))
                b.emit(strip.store(place, f32x4.add(strip.load(place), strip.load(i32.add(source, at)))))
              })
              b.add(source, piece)
              b.add(entry, 4)
            })
          })
        })
      })
      const count_ = count(outer)
      if (count_ > 0) {
        engine.parallel(
          kernel,
          [engine.ptr(values), table, out.ptr, run * 4, count_],
          Math.ceil((run * 4) / tileBytes),
          Math.ceil(grainBytes / (count_ * tileBytes)),
        )
      }
      return out
    },
  }
}
