/** Numbers to compute with: the same for every contestant, and never denormal, which would slow some of them down. */
import { Generator } from '@convnets/tensor'

/** `length` numbers between -1 and 1. */
export function numbers(length: number, seed = 1): Float32Array {
  const generator = new Generator(seed)
  const period = Float32Array.from({ length: Math.min(length, 4099) }, () => generator.integer(2001) / 1000 - 1)
  const all = new Float32Array(length)
  for (let at = 0; at < length; at += period.length) all.set(period.subarray(0, length - at), at)
  return all
}
