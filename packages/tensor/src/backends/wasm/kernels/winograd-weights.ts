/** The weights of a 3 x 3 convolution as the planes that Winograd's products take: 36 for F(4x4, 3x3), 16 for F(2x2, 3x3). */
import type { ConvSpec } from '../../backend.ts'
import { i32, ints, type Value, v128 } from '../asm.ts'
import type { Engine } from '../engine.ts'
import { grainWork, roundUp } from './matmul.ts'
import { transpose4 } from './pack.ts'
import { eachUnit, tileShape } from './tile.ts'
import type { Weights } from './weights.ts'
import { emitLine, emitLines, planeBytes, planesOf, type TileSide, transforms } from './winograd-transforms.ts'

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
  const { columns } = tileShape(engine)
  const [inner, outer] = flipped ? [outChannels, inChannels] : [inChannels, outChannels]
  const plane = weightPlane(inner, outer, columns)
  const sideIn = side + 2
  const planes = planesOf(side)
  const perThread = 512 + planes * columns * 16
  const key = `winograd ${side} ${columns} ${flipped} ${inChannels} ${outChannels}`
  return weights.derived(key, planes * plane, (origin, to) => {
    const kernel = engine.kernel(`${key} weights`, (module) => {
      module.func('run', ints(6), (b, weight, to, scratches, from, end, thread) => {
        const { weight: line } = transforms(side, engine.fma)
        const local = () => b.local('i32')
        const [at, source, c, j, target] = [local(), local(), local(), local(), local()]
        const scratch = b.let(i32.add(scratches, i32.mul(thread, perThread)))
        const turned = i32.add(scratch, 512)
        /** The transforms of four input channels of one output channel, to `target` in steps of `step` bytes. */
        const transform = (step: number) => {
          // Flipped, the kernel is read from its last cell on.
          const cell = (i: number) => (flipped ? 8 - i : i) * inChannels * 4
          for (let x = 0; x < 3; x++) {
            emitLine(
              b,
              line,
              3,
              (i) => [source, cell(3 * i + x)],
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
          i32.add(weight, i32.shl(i32.add(i32.mul(out, 9 * inChannels), channel), 2))
        eachUnit(b, from, end, (panel) => {
          const first = b.let(i32.mul(panel, columns))
          const last = b.let(i32.add(first, columns))
          b.if(i32.gtU(last, outer), () => b.set(last, outer))
          const panelAt = b.let(i32.add(to, i32.mul(panel, inner * columns * 4)))
          b.set(c, 0)
          if (flipped) {
            // Vectors lie along the panel's columns.
            b.for(c, inner, 1, () => {
              const row = b.let(i32.add(panelAt, i32.mul(c, columns * 4)))
              b.set(j, first)
              b.for(j, last, 4, () => {
                b.set(source, sourceAt(c, j))
                b.set(target, row)
                transform(plane)
                b.add(row, 16)
              })
            })
            return
          }
          // Vectors lie along c: all columns of the panel are collected, then turned by 4 x 4 blocks.
          b.for(c, inner, 4, () => {
            const into = b.let(turned)
            b.set(j, first)
            b.for(j, last, 1, () => {
              b.set(source, sourceAt(j, c))
              b.set(target, into)
              transform(columns * 16)
              b.add(into, 16)
            })
            b.set(into, turned)
            b.set(target, i32.add(panelAt, i32.mul(c, columns * 4)))
            emitLines(b, planes, () => {
              for (let q = 0; q < columns; q += 4) {
                const block = [0, 1, 2, 3].map((i) => b.let(v128.load(into, (q + i) * 16)))
                transpose4(b, block).forEach((row, k) => {
                  b.emit(v128.store(target, row, k * columns * 4 + q * 4))
                })
              }
              b.add(into, columns * 16)
              b.add(target, plane)
            })
          })
        })
      })
    })
    const mark = engine.heap.mark()
    const scratch = engine.workspace(perThread * engine.pool.threads)
    const panels = Math.ceil(outer / columns)
    const grain = Math.ceil(grainWork / (400 * columns * inner))
    engine.parallel(kernel, [origin, to, scratch], panels, grain)
    engine.heap.release(mark)
  })
}
