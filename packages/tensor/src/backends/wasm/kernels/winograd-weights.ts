/** The weights of a 3 x 3 convolution as the planes that Winograd's products take: 36 for F(4x4, 3x3), 16 for F(2x2, 3x3). */
import type { ConvSpec } from '../../backend.ts'
import { f32x4, i32, ints, memory, type Value, v128 } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { grainWork } from './gemm.ts'
import { transpose4 } from './pack.ts'
import { eachUnit, roundUp } from './tile.ts'
import { planeTile } from './tile-choice.ts'
import type { Weights } from './weights.ts'
import { emitLine, emitLines, planeBytes, planesOf, type TileSide, transforms } from './winograd-transforms.ts'

/** Channels in that are collected before they are written. */
const blockChannels = 64

/** Bytes from plane to plane of the transformed weights. */
export function weightPlane(inner: number, outer: number, columns: number): number {
  return planeBytes(roundUp(outer, columns), inner)
}

/**
 * The transformed weights, as [planes][panels][channels in][columns], kept as long as the weights do not change: of the
 * convolution itself or, `flipped`, of the one that gives the input's gradient.
 */
export function transformWeights(
  engine: Engine,
  weights: Weights,
  spec: ConvSpec,
  side: TileSide,
  flipped: boolean,
): number {
  const { inChannels, outChannels } = spec
  const [inner, outer] = flipped ? [outChannels, inChannels] : [inChannels, outChannels]
  const { columns } = planeTile(engine, outer)
  const plane = weightPlane(inner, outer, columns)
  const sideIn = side + 2
  const planes = planesOf(side)
  const row = columns * 4
  // A block holds what all planes have of some channels in, until there is enough of each for a run of memory: written at once,
  // all planes are more streams than a cache keeps in flight.
  const blockPlane = planeBytes(columns, blockChannels)
  const perThread = 512 + planes * (columns * 16 + blockPlane)
  const key = `winograd ${side} ${columns} ${flipped}`
  return weights.transformed(`${key} ${inChannels} ${outChannels}`, planes * plane, (origin, to, factors) => {
    const scaled = factors !== 0
    const kernel = engine.kernel(`${key} weights ${scaled}`, (module) => {
      const params = ints(11)
      module.func(
        'run',
        params,
        (b, weight, to, scratches, factors, channels, inner, outer, plane, from, end, thread) => {
          const { weight: line } = transforms(side, engine.fma)
          const local = () => b.local('i32')
          const [at, source, c, j, target, c0] = [local(), local(), local(), local(), local(), local()]
          const scratch = b.let(i32.add(scratches, i32.mul(thread, perThread)))
          const turned = b.let(i32.add(scratch, 512))
          const block = b.let(i32.add(turned, planes * columns * 16))
          // Where the nine cells of a kernel are, behind the first; flipped, it is read from its last cell on.
          const cellBytes = b.let(i32.shl(channels, 2))
          const cells = Array.from({ length: 9 }, (_, i) => b.let(i32.mul(cellBytes, flipped ? 8 - i : i)))
          /** The transforms of four input channels of one output channel, to `target` in steps of `step` bytes. */
          const transform = (step: number) => {
            for (let x = 0; x < 3; x++) {
              emitLine(
                b,
                line,
                3,
                (i) => [i32.add(source, cells[3 * i + x]!), 0],
                (i, value) => b.emit(v128.store(scratch, value, i * 48 + x * 16)),
              )
            }
            b.set(at, scratch)
            emitLines(b, sideIn, () => {
              emitLine(
                b,
                line,
                3,
                (i) => [at, i * 16],
                (i, value) => b.emit(v128.store(target, value, i * step)),
              )
              b.add(at, 48)
              b.add(target, sideIn * step)
            })
          }
          const sourceAt = (out: Value<'i32'>, channel: Value<'i32'>) =>
            i32.add(weight, i32.shl(i32.add(i32.mul(out, i32.mul(channels, 9)), channel), 2))
          eachUnit(b, from, end, (panel) => {
            const first = b.let(i32.mul(panel, columns))
            const last = b.let(i32.add(first, columns))
            b.if(i32.gtU(last, outer), () => b.set(last, outer))
            const factorsAt = i32.add(factors, i32.shl(first, 2))
            const scales = Array.from({ length: scaled ? columns / 4 : 0 }, (_, q) =>
              b.let(v128.load(factorsAt, q * 16)),
            )
            const panelAt = b.let(i32.add(to, i32.mul(panel, i32.mul(inner, row))))
            b.set(c0, 0)
            b.for(c0, inner, blockChannels, () => {
              const c1 = b.let(i32.add(c0, blockChannels))
              b.if(i32.gtU(c1, inner), () => b.set(c1, inner))
              const into = b.let(block)
              b.set(c, c0)
              if (flipped) {
                // Vectors lie along the panel's columns.
                b.for(c, c1, 1, () => {
                  b.set(j, first)
                  const cell = b.let(into)
                  b.for(j, last, 4, () => {
                    b.set(source, sourceAt(c, j))
                    b.set(target, cell)
                    transform(blockPlane)
                    b.add(cell, 16)
                  })
                  b.add(into, row)
                })
              } else {
                // Vectors lie along c: all columns of the panel are collected, then turned by 4 x 4 blocks.
                b.for(c, c1, 4, () => {
                  const cell = b.let(turned)
                  b.set(j, first)
                  b.for(j, last, 1, () => {
                    b.set(source, sourceAt(j, c))
                    b.set(target, cell)
                    transform(columns * 16)
                    b.add(cell, 16)
                  })
                  b.set(cell, turned)
                  b.set(target, into)
                  emitLines(b, planes, () => {
                    for (let q = 0; q < columns; q += 4) {
                      const four = [0, 1, 2, 3].map((i) => b.let(v128.load(cell, (q + i) * 16)))
                      transpose4(b, four).forEach((vector, k) => {
                        const scale = scales[q / 4]
                        b.emit(v128.store(target, scale ? f32x4.mul(vector, scale) : vector, k * row + q * 4))
                      })
                    }
                    b.add(cell, columns * 16)
                    b.add(target, blockPlane)
                  })
                  b.add(into, 4 * row)
                })
              }
              b.set(into, block)
              b.set(target, b.let(i32.add(panelAt, i32.mul(c0, row))))
              const bytes = b.let(i32.mul(i32.sub(c1, c0), row))
              emitLines(b, planes, () => {
                b.emit(memory.copy(target, into, bytes))
                b.add(into, blockPlane)
                b.add(target, plane)
              })
            })
          })
        },
      )
    })
    const mark = engine.mark()
    const scratch = engine.workspace(perThread * engine.pool.threads)
    const panels = Math.ceil(outer / columns)
    const grain = Math.ceil(grainWork / (400 * columns * inner))
    engine.parallel(kernel, [origin, to, scratch, factors, inChannels, inner, outer, plane], panels, grain)
    engine.release(mark)
  })
}
