/** Random numbers: Philox 4x32-10, four blocks at a time, one to a lane; see `random.ts` for the generator. */
import { type FunctionBuilder, f32x4, i32, i32x4, i64, i64x2, ints, type Local, v128 } from '../asm.ts'
import type { Engine, Kernels } from '../engine.ts'
import { cos, log, sin } from '../math.ts'
import { transpose4 } from './pack.ts'
import { eachUnit } from './tile.ts'

type Four = [Local<'v128'>, Local<'v128'>, Local<'v128'>, Local<'v128'>]

/** Units that are worth a wake-up of another thread. */
const grain = 500

/** The halves of the products of the lanes with a word. */
function product(b: FunctionBuilder, x: Local<'v128'>, word: number): [high: Local<'v128'>, low: Local<'v128'>] {
  const factor = i32x4.const(word)
  const first = b.let(i64x2.mulLowU(x, factor))
  const second = b.let(i64x2.mulHighU(x, factor))
  return [b.let(v128.shuffle32(first, second, [1, 3, 5, 7])), b.let(v128.shuffle32(first, second, [0, 2, 4, 6]))]
}

/** Ten rounds on the counters and the key, in place. */
function rounds(b: FunctionBuilder, [c0, c1, c2, c3]: Four, key0: Local<'v128'>, key1: Local<'v128'>): void {
  const turns = b.let(i32.const(10))
  b.repeat(turns, () => {
    const [high0, low0] = product(b, c0, 0xd2511f53)
    const [high1, low1] = product(b, c2, 0xcd9e8d57)
    b.set(c0, v128.xor(v128.xor(high1, c1), key0))
    b.set(c2, v128.xor(v128.xor(high0, c3), key1))
    b.set(c1, low1)
    b.set(c3, low0)
    b.set(key0, i32x4.add(key0, i32x4.const(0x9e3779b9)))
    b.set(key1, i32x4.add(key1, i32x4.const(0xbb67ae85)))
  })
}

/** The upper 24 bits, plus `more`, times 2^-24. */
function fraction(word: Local<'v128'>, more: number): ReturnType<typeof f32x4.mul> {
  return f32x4.mul(f32x4.fromI32(i32x4.add(i32x4.shrU(word, 8), i32x4.const(more))), 2 ** -24)
}

/** Two words of each block become two normal numbers (Box and Muller). */
function normals(b: FunctionBuilder, first: Local<'v128'>, second: Local<'v128'>): void {
  const radius = b.let(f32x4.sqrt(f32x4.mul(log(b, fraction(first, 1)), -2)))
  const angle = b.let(f32x4.mul(fraction(second, 0), 2 * Math.PI))
  b.set(first, f32x4.mul(radius, cos(b, angle)))
  b.set(second, f32x4.mul(radius, sin(b, angle)))
}

/** The generator of the wasm backend; `plain` serves float64. */
export function randomKernels(engine: Engine, plain: Pick<Kernels, 'random'>): Pick<Kernels, 'random'> {
  return {
    random(kind, dtype, length, position) {
      engine.whole()
      if (dtype !== 'float32') return plain.random(kind, dtype, length, position)
      const { seed, offset } = position
      // Units are whole: the last one may write to the end of the buffer's block, which is a multiple of 64 bytes.
      const out = engine.alloc('float32', length)
      const kernel = engine.kernel(`random ${kind}`, (m) => {
        m.func('run', ints(7), (b, out, seedLow, seedHigh, low, high, from, to) => {
          const start = b.let(i64.or(i64.extendU(low), i64.shl(i64.extendU(high), 32)))
          eachUnit(b, from, to, (unit) => {
            const block = b.let(i64.add(start, i64.shl(i64.extendU(unit), 2)))
            const first = b.let(i32x4.splat(i32.wrap(block)))
            const c0 = b.let(i32x4.add(first, i32x4.const(0, 1, 2, 3)))
            // Where the lower word has gone past its end, 1 is carried.
            const carried = i32x4.ltU(c0, first)
            const c1 = b.let(i32x4.sub(i32x4.splat(i32.wrap(i64.shrU(block, 32))), carried))
            const words: Four = [c0, c1, b.let(i32x4.const(0)), b.let(i32x4.const(0))]
            rounds(b, words, b.let(i32x4.splat(seedLow)), b.let(i32x4.splat(seedHigh)))
            if (kind === 'normal') {
              normals(b, words[0], words[1])
              normals(b, words[2], words[3])
            } else for (const word of words) b.set(word, fraction(word, 0))
            const at = b.let(i32.add(out, i32.shl(unit, 6)))
            for (const [k, row] of transpose4(b, words).entries()) b.emit(v128.store(at, row, 16 * k))
          })
        })
      })
      const high = (value: number): number => Math.floor(value / 0x100000000)
      engine.parallel(
        kernel,
        [out.ptr, seed >>> 0, high(seed), offset >>> 0, high(offset)],
        Math.ceil(length / 16),
        grain,
      )
      return out
    },
  }
}
