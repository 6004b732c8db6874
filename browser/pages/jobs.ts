/** What is run in a page, in a worker, and in Node, to be compared. */

import { resnet20 } from '@convnets/models-modern'
import { compile } from '@convnets/nn'
import { SGD } from '@convnets/optim'
import { crossEntropy, Generator, grad, randn, type Tensor, tensor, tidy } from '@convnets/tensor'
import { type JobContext, type ThreadInfo, threadInfo } from '@convnets/tensor/worker'
import { checkGoldenOp, fill, parseOpGoldens, runGoldenOp, tolerances } from '@convnets/testkit'
import { backendNamed, describeBackend } from './backends.ts'
import { type Learned, learn } from './learning.ts'

/** Of the values of tensors, one after another. */
async function sha256(tensors: readonly (Tensor | undefined)[]): Promise<string> {
  const parts = await Promise.all(
    tensors.map(async (x) => {
      const { buffer, byteOffset, byteLength } = (await x?.data()) ?? new Uint8Array()
      return new Uint8Array(buffer, byteOffset, byteLength).slice()
    }),
  )
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer()))
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export interface GoldensResult {
  readonly cases: number
  readonly failed: readonly string[]
  /** Of output and gradients by case; empty on GPUs, whose bits are their own. */
  readonly sha256: Readonly<Record<string, string>>
}

export interface TrainingResult {
  readonly losses: readonly number[]
  /** Of all weights and buffers after the last step. */
  readonly sha256: string
}

export const jobs = {
  /** Every op of ops.json against PyTorch's outputs and gradients; with their bits where every engine has the same. */
  async goldens({ text, backend: name }: { text: string; backend: string }): Promise<GoldensResult> {
    const backend = await backendNamed(name)
    const { cases, prefix } = parseOpGoldens(text)
    const failed: string[] = []
    const hashes: Record<string, string> = {}
    for (const golden of cases) {
      const limits = name === 'wasm' && golden.op.startsWith('conv') ? tolerances.winograd : tolerances.float32
      const result = await checkGoldenOp(golden, { backend, prefix, tolerances: limits })
      if (!result.passed) failed.push(`${result.id}: ${result.output}, ${[...result.gradients]}`)
      if (name !== 'wasm') continue
      const make = (name: string, shape: readonly number[]): Tensor =>
        tensor(fill(`${prefix}${golden.id}.${name}`, shape), { shape, dtype: 'float32', backend })
      const results = tidy(() => {
        const inputs = new Map([...golden.inputs].map(([name, shape]) => [name, make(name, shape)] as const))
        for (const x of inputs.values()) x.requiresGrad = true
        const y = runGoldenOp(golden.op, inputs, golden.attrs)
        const upstream = y.rank === 0 ? undefined : make('grad', y.shape)
        return [y, ...grad(y, [...inputs.values()], { gradients: [upstream] })].map((x) => x?.detach())
      })
      hashes[golden.id] = await sha256(results)
      for (const x of results) x?.dispose()
    }
    return { cases: cases.length, failed, sha256: hashes }
  },

  /** ResNet-20 on noise, compiled or as it is written, with every loss reported. */
  async train(
    { steps, backend: name, compiled }: { steps: number; backend: string; compiled?: boolean },
    { progress }: Pick<JobContext<number>, 'progress'>,
  ): Promise<TrainingResult> {
    const backend = await backendNamed(name)
    const generator = new Generator(1)
    const input = randn([16, 3, 32, 32], { generator, backend })
    const target = tensor(
      Array.from({ length: 16 }, (_, i) => i % 10),
      { dtype: 'int32', backend },
    )
    const model = resnet20({ seed: 1 })
    model.to(backend)
    const forward = compiled ? compile(model) : (x: Tensor) => model.forward(x)
    const optimizer = new SGD(model.parameters(), { lr: 0.05, momentum: 0.9, weightDecay: 5e-4 })
    const losses: number[] = []
    for (let step = 0; step < steps; step++) {
      const loss = tidy(() => {
        optimizer.zeroGrad()
        const loss = crossEntropy(forward(input), target)
        loss.backward()
        optimizer.step()
        return loss.detach()
      })
      losses.push((await loss.data())[0] ?? Number.NaN)
      loss.dispose()
      await progress(losses.at(-1) as number)
    }
    const hash = await sha256([...model.stateDict().values()])
    for (const each of [model, optimizer, input, target]) each.dispose()
    return { losses, sha256: hash }
  },

  /** What the training page shows. */
  async learn(
    { steps, backend }: { steps: number; backend: string },
    { progress }: Pick<JobContext<number>, 'progress'>,
  ): Promise<Learned> {
    return learn(await backendNamed(backend), steps, progress)
  },

  describe: (backend: string): Promise<string> => describeBackend(backend),

  threads(): ThreadInfo {
    return threadInfo()
  },
}
