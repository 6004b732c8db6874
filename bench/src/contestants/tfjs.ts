/** TensorFlow.js on its WebAssembly backend (XNNPACK). It runs forward; in Node it has one thread. */
import { dirname } from 'node:path'
import { load, resolve, versionOf } from '../../peers/load.ts'
import { type ConvCase, type Job, padding } from '../cases.ts'
import { isDepthwise } from '../convolutions.ts'
import { numbers } from '../numbers.ts'
import { type Contestant, type Run, Unsupported } from './contestant.ts'

interface Disposable {
  dispose(): void
}

type Pads = [[0, 0], [number, number], [number, number], [0, 0]]

/** As much of `@tensorflow/tfjs-core` as is used. */
interface Core {
  setBackend(name: string): Promise<boolean>
  ready(): Promise<void>
  tidy(fn: () => void): void
  tensor(data: Float32Array, shape: readonly number[]): Disposable
  matMul(a: Disposable, b: Disposable): Disposable
  conv2d(x: Disposable, w: Disposable, strides: number[], pad: Pads, format: 'NHWC', dilations: number[]): Disposable
  depthwiseConv2d: Core['conv2d']
}

export async function tfjs(threads: number): Promise<Contestant> {
  if (threads > 1) throw new Unsupported('one thread in Node')
  const core = (await load('@tensorflow/tfjs-core')) as Core
  const backend = (await load('@tensorflow/tfjs-backend-wasm')) as { setWasmPaths(folder: string): void }
  backend.setWasmPaths(`${dirname(await resolve('@tensorflow/tfjs-backend-wasm'))}/`)
  if (!(await core.setBackend('wasm'))) throw new Error('the wasm backend does not start')
  await core.ready()
  const filled = (shape: readonly number[], seed: number): Disposable =>
    core.tensor(
      numbers(
        shape.reduce((n, d) => n * d, 1),
        seed,
      ),
      shape,
    )
  const run = (a: Disposable, b: Disposable, fn: () => unknown): Run => ({
    once: () => core.tidy(() => void fn()),
    dispose() {
      a.dispose()
      b.dispose()
    },
  })
  const convolution = ({ spec: s, pass }: ConvCase): Run => {
    if (pass === 'weightGrad') throw new Unsupported('no weight gradient')
    if (pass === 'inputGrad') throw new Unsupported('not compared')
    if (s.groups > 1 && !isDepthwise(s)) throw new Unsupported('no groups')
    const { top, left, bottom, right } = padding(s)
    const pads: Pads = [
      [0, 0],
      [top, bottom],
      [left, right],
      [0, 0],
    ]
    const depthwise = isDepthwise(s)
    const x = filled([s.batch, s.inHeight, s.inWidth, s.inChannels], 1)
    const w = filled([s.kernelHeight, s.kernelWidth, s.inChannels, depthwise ? 1 : s.outChannels], 2)
    const op = depthwise ? core.depthwiseConv2d : core.conv2d
    const strides = [s.strideHeight, s.strideWidth]
    return run(x, w, () => op(x, w, strides, pads, 'NHWC', [s.dilationHeight, s.dilationWidth]))
  }
  return {
    version: await versionOf('@tensorflow/tfjs-backend-wasm'),
    threads: 1,
    prepare(job: Job): Run {
      if (job.kind === 'conv') return convolution(job)
      if (job.kind !== 'gemm') throw new Unsupported(`no ${job.kind}`)
      const [a, b] = [filled([job.m, job.k], 1), filled([job.k, job.n], 2)]
      return run(a, b, () => core.matMul(a, b))
    },
  }
}
