/**
 * How long it takes from the first line of a program to its first result: ResNet-18 at 224 x 224, the packages bundled into
 * one file as a user's would be, in fresh processes.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { resnet18 } from '@convnets/models-modern'
import { withoutNumbers } from '@convnets/profile'
import { build } from 'esbuild'
import { median } from './median.ts'

/** Milliseconds since the first line, medians over fresh processes; `second` is the second forward pass alone. */
export interface Startup {
  readonly threads: number
  readonly runs: number
  readonly imported: number
  readonly loaded: number
  readonly first: number
  readonly second: number
}

type Times = Pick<Startup, 'imported' | 'loaded' | 'first' | 'second'>

const library = `
export { resnet18 } from '@convnets/models-modern'
export { noGrad, setThreads, tensor, zeros } from '@convnets/tensor'`

// The weights are in memory before the clock starts, as plain arrays by name.
const program = `
import { readFileSync } from 'node:fs'
const shapes = JSON.parse(readFileSync(new URL('shapes.json', import.meta.url)))
const arrays = shapes.map(([name, shape]) => [name, shape, new Float32Array(shape.reduce((n, d) => n * d, 1)).fill(0.01)])
const start = performance.now()
const { noGrad, resnet18, setThreads, tensor, zeros } = await import('./library.mjs')
setThreads(Number(process.argv[2]))
const imported = performance.now() - start
const model = resnet18().eval()
model.loadStateDict(new Map(arrays.map(([name, shape, data]) => [name, tensor(data, { shape })])), { assign: true })
const loaded = performance.now() - start
const x = zeros([1, 3, 224, 224])
const run = () => noGrad(() => model.forward(x).dataSync())
run()
const first = performance.now() - start
run()
const second = performance.now() - start - first
console.log(JSON.stringify({ imported, loaded, first, second }))`

/** Starts the program `runs` times. */
export async function startup(threads: number, runs: number = 15): Promise<Startup> {
  const folder = await mkdtemp(join(tmpdir(), 'convnets-startup-'))
  try {
    await build({
      stdin: { contents: library, resolveDir: fileURLToPath(new URL('..', import.meta.url)), loader: 'ts' },
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      outfile: join(folder, 'library.mjs'),
      logLevel: 'silent',
    })
    const state = withoutNumbers(() => [...resnet18().stateDict()])
    const floats = state.filter(([, { dtype }]) => dtype === 'float32')
    await writeFile(join(folder, 'shapes.json'), JSON.stringify(floats.map(([name, { shape }]) => [name, shape])))
    await writeFile(join(folder, 'program.mjs'), program)
    const times: Times[] = []
    // The first one warms the caches of the file system.
    for (let i = 0; i <= runs; i++) {
      const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'program.mjs'), String(threads)])
      if (i > 0) times.push(JSON.parse(stdout) as Times)
    }
    const middle = (key: keyof Times): number => median(times.map((each) => each[key]))
    return {
      threads,
      runs,
      imported: middle('imported'),
      loaded: middle('loaded'),
      first: middle('first'),
      second: middle('second'),
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}
