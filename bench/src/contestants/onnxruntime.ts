/** onnxruntime-web (WebAssembly, in this process) and onnxruntime-node (native code): one interface, two peers. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { load, versionOf } from '../../peers/load.ts'
import type { Job } from '../cases.ts'
import { numbers } from '../numbers.ts'
import { convGraph, gemmGraph } from '../onnx/graph.ts'
import { type Contestant, type Run, Unsupported } from './contestant.ts'

interface Session {
  readonly inputNames: readonly string[]
  run(feeds: Record<string, unknown>): Promise<Record<string, { dispose?(): void }>>
  release(): Promise<void>
}

/** As much of `onnxruntime-common` as is used. */
interface Runtime {
  readonly env: { readonly wasm: { numThreads?: number } }
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<Session> }
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => unknown
}

async function modelOf(job: Job): Promise<Uint8Array> {
  if (job.kind === 'gemm') return gemmGraph(job)
  if (job.kind === 'network') {
    return await readFile(fileURLToPath(new URL(`../../onnx/${job.model}.onnx`, import.meta.url)))
  }
  if (job.kind === 'conv') {
    const graph = convGraph(job)
    if (graph !== undefined) return graph
    throw new Unsupported('no weight gradient')
  }
  throw new Unsupported(job.kind === 'training' ? 'no training' : `no ${job.kind}`)
}

export async function onnxruntime(name: 'onnxruntime-web' | 'onnxruntime-node', threads: number): Promise<Contestant> {
  const runtime = (await load(name)) as Runtime & { default?: Runtime }
  const { env, InferenceSession, Tensor } = runtime.InferenceSession ? runtime : (runtime.default as Runtime)
  if (name === 'onnxruntime-web') env.wasm.numThreads = threads
  const options = {
    executionProviders: [name === 'onnxruntime-web' ? 'wasm' : 'cpu'],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  }
  return {
    version: await versionOf(name),
    threads,
    async prepare(job): Promise<Run> {
      const session = await InferenceSession.create(await modelOf(job), options)
      const feeds: Record<string, unknown> = {}
      if (job.kind === 'network') {
        const shape = [1, 3, job.size, job.size]
        feeds[session.inputNames[0] as string] = new Tensor('float32', numbers(3 * job.size * job.size), shape)
      }
      return {
        async once() {
          const results = await session.run(feeds)
          for (const result of Object.values(results)) result.dispose?.()
        },
        dispose: () => session.release(),
      }
    },
  }
}
