/** jax-js on its WebAssembly backend; one thread. */
import { load, versionOf } from '../../peers/load.ts'
import { type ConvCase, type Job, padding } from '../cases.ts'
import { numbers } from '../numbers.ts'
import { type Contestant, type Run, Unsupported } from './contestant.ts'

/** An array of jax-js: an op uses its arguments up, `ref` is one more reference. */
interface JaxArray {
  readonly ref: JaxArray
  reshape(shape: readonly number[]): JaxArray
  blockUntilReady(): Promise<JaxArray>
  dispose(): void
}

/** As much of `@jax-js/jax` as is used. */
interface Jax {
  init(device: 'wasm'): Promise<readonly string[]>
  defaultDevice(device: 'wasm'): unknown
  jit(fn: (...args: JaxArray[]) => JaxArray): ((...args: JaxArray[]) => JaxArray) & { dispose(): void }
  readonly numpy: { array(data: Float32Array): JaxArray; matmul(a: JaxArray, b: JaxArray): JaxArray }
  readonly lax: {
    convGeneralDilated(x: JaxArray, w: JaxArray, strides: number[], pads: [number, number][], options: object): JaxArray
  }
}

export async function jax(threads: number): Promise<Contestant> {
  if (threads > 1) throw new Unsupported('one thread')
  const { init, defaultDevice, jit, numpy, lax } = (await load('@jax-js/jax')) as Jax
  await init('wasm')
  defaultDevice('wasm')
  const filled = (shape: readonly number[], seed: number): JaxArray =>
    numpy
      .array(
        numbers(
          shape.reduce((n, d) => n * d, 1),
          seed,
        ),
      )
      .reshape(shape)
  const run = (a: JaxArray, b: JaxArray, fn: (a: JaxArray, b: JaxArray) => JaxArray): Run => {
    const compiled = jit(fn)
    return {
      async once() {
        const y = await compiled(a.ref, b.ref).blockUntilReady()
        y.dispose()
      },
      dispose() {
        a.dispose()
        b.dispose()
        compiled.dispose()
      },
    }
  }
  const convolution = ({ spec: s, pass }: ConvCase): Run => {
    if (pass !== 'forward') throw new Unsupported('not compared')
    const { top, left, bottom, right } = padding(s)
    const pads: [number, number][] = [
      [top, bottom],
      [left, right],
    ]
    const options = { rhsDilation: [s.dilationHeight, s.dilationWidth], featureGroupCount: s.groups }
    return run(
      filled([s.batch, s.inChannels, s.inHeight, s.inWidth], 1),
      filled([s.outChannels, s.inChannels / s.groups, s.kernelHeight, s.kernelWidth], 2),
      (x, w) => lax.convGeneralDilated(x, w, [s.strideHeight, s.strideWidth], pads, options),
    )
  }
  return {
    version: await versionOf('@jax-js/jax'),
    threads: 1,
    prepare(job: Job): Run {
      if (job.kind === 'conv') return convolution(job)
      if (job.kind !== 'gemm') throw new Unsupported(`no ${job.kind}`)
      return run(filled([job.m, job.k], 1), filled([job.k, job.n], 2), numpy.matmul)
    },
  }
}
