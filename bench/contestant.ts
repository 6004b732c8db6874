/** One contestant in a process of its own, for `bench.ts`: `contestant.ts NAME THREADS`. */
import type { ContestantName } from './src/cases.ts'
import type { Contestant } from './src/contestants/contestant.ts'
import { serve } from './src/contestants/serve.ts'

const [name, count] = process.argv.slice(2)
const threads = Number(count)

const makers: Partial<Record<ContestantName, () => Promise<Contestant>>> = {
  ours: async () => (await import('./src/contestants/ours.ts')).ours(threads),
  turbo: async () => (await import('./src/contestants/ours.ts')).ours(threads, { turbo: true }),
  uncompiled: async () => (await import('./src/contestants/ours.ts')).ours(threads, { compiled: false }),
  'onnxruntime-web': async () =>
    (await import('./src/contestants/onnxruntime.ts')).onnxruntime('onnxruntime-web', threads),
  'onnxruntime-node': async () =>
    (await import('./src/contestants/onnxruntime.ts')).onnxruntime('onnxruntime-node', threads),
  'tfjs-wasm': async () => (await import('./src/contestants/tfjs.ts')).tfjs(threads),
  'jax-js': async () => (await import('./src/contestants/jax.ts')).jax(threads),
}

const make = makers[name as ContestantName]
if (make === undefined) throw new Error(`bench: there is no contestant called '${name}'`)
await serve(make)
