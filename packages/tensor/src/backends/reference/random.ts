import type { TypedArray } from '../../dtype.ts'
import { philox } from '../../random.ts'

const block = new Uint32Array(4)
const scale = 2 ** -24

/**
 * Fills `out` from Philox block `offset` on, four numbers per block. Uniform numbers are multiples of 2^-24 in [0, 1);
 * normal ones come in pairs (Box and Muller): sqrt(-2 log u1) times cos and sin of 2 pi u2, where u1 is in (0, 1].
 */
export function random(kind: 'uniform' | 'normal', seed: number, offset: number, out: TypedArray): void {
  for (let i = 0; i < out.length; i++) {
    if (i % 4 === 0) philox(seed, offset + i / 4, block)
    if (kind === 'uniform') out[i] = (block[i % 4]! >>> 8) * scale
    else {
      const first = (i % 4) & ~1
      const radius = Math.sqrt(-2 * Math.log(((block[first]! >>> 8) + 1) * scale))
      const angle = 2 * Math.PI * (block[first + 1]! >>> 8) * scale
      out[i] = radius * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle))
    }
  }
}
