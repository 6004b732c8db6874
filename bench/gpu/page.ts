/** The half of the measurement that runs in a browser. */
import { resnet20 } from '@convnets/models-modern'
import { crossEntropy } from '@convnets/nn'
import { SGD } from '@convnets/optim'
import {
  type Backend,
  conv2d,
  Generator,
  noGrad,
  randn,
  setThreads,
  type Tensor,
  tensor,
  tidy,
  wasm,
} from '@convnets/tensor'
import { type GpuBackend, type GpuMode, gpu } from '@convnets/tensor/gpu'
import { type PageReport, sizes, type Timing } from './shapes.ts'
import { variantTimings } from './variants.ts'

/** Milliseconds of a run, the median of `runs`; each ends when its result has been read. */
async function time(run: () => Promise<unknown>, runs: number): Promise<number> {
  await run()
  const all: number[] = []
  for (let i = 0; i < runs; i++) {
    const start = performance.now()
    await run()
    all.push(performance.now() - start)
  }
  return all.sort((a, b) => a - b)[runs >> 1] as number
}

const filled = (shape: readonly number[], backend: Backend): Tensor =>
  randn(shape, { generator: new Generator(shape.length), backend })

/** How often things are run: adapters in software take their time. */
interface Patience {
  /** Runs of which the median counts. */
  readonly runs: number
  /** Runs for one result that is read. */
  readonly repeat: number
  readonly steps: number
}

const patience: Patience = { runs: 5, repeat: 4, steps: 3 }
const short: Patience = { runs: 5, repeat: 1, steps: 3 }

/** Runs `repeat` times for each result that is read, so that reading does not count. */
async function timeOp(make: () => Tensor, { repeat, runs }: Patience): Promise<number> {
  const once = async (): Promise<void> => {
    for (let i = 1; i < repeat; i++) make().dispose()
    using last = make()
    using one = tidy(() => last.sum())
    await one.data()
  }
  return (await time(once, runs)) / repeat
}

async function measure(contestant: string, backend: Backend, often: Patience = patience): Promise<Timing[]> {
  const out: Timing[] = []
  const kernels = [
    ['conv 3x3', sizes.conv3x3, 3],
    ['conv 1x1', sizes.conv1x1, 1],
  ] as const
  for (const [name, [channelsIn, channelsOut, size], kernel] of kernels) {
    using x = filled([1, channelsIn, size, size], backend)
    using w = filled([channelsOut, channelsIn, kernel, kernel], backend)
    const milliseconds = await timeOp(() => conv2d(x, w, undefined, { padding: kernel >> 1 }), often)
    const flops = 2 * channelsOut * size * size * channelsIn * kernel * kernel
    out.push({ name, contestant, milliseconds, flops })
  }
  using a = filled([sizes.gemm, sizes.gemm], backend)
  const milliseconds = await timeOp(() => a.matmul(a), often)
  out.push({ name: 'GEMM', contestant, milliseconds, flops: 2 * sizes.gemm ** 3 })
  using model = resnet20().to(backend)
  using optimizer = new SGD(model.parameters(), { lr: 0.01, momentum: 0.9 })
  using x = filled([4, 3, 32, 32], backend)
  using target = tensor([1, 2, 3, 4], { dtype: 'int32', backend })
  const step = async (): Promise<void> => {
    using loss = tidy(() => {
      optimizer.zeroGrad()
      const loss = crossEntropy(model.forward(x), target)
      loss.backward()
      optimizer.step()
      return noGrad(() => loss.detach())
    })
    await loss.data()
  }
  out.push({ name: 'ResNet-20 step, batch 4', contestant, milliseconds: await time(step, often.steps), flops: 0 })
  return out
}

/** Everything, one mode after the other. */
export async function report(modes: readonly GpuMode[]): Promise<PageReport> {
  setThreads(1)
  const adapters: Record<string, string> = {}
  const [timings, variants]: [Timing[], Timing[]] = [[], []]
  const missing: string[] = []
  for (const mode of modes) {
    let backend: GpuBackend
    try {
      backend = await gpu({ mode })
    } catch (error) {
      missing.push((error as Error).message)
      continue
    }
    const { adapter, software } = backend.info()
    adapters[mode] = `${adapter}${software ? ' (software)' : ''}`
    const often = software ? short : patience
    timings.push(...(await measure(mode, backend, often)))
    await backend.destroy()
    variants.push(...(await variantTimings(mode, often)))
  }
  timings.push(...(await measure('wasm, 1 thread', wasm)))
  return { adapters, timings, variants, missing }
}

Object.assign(globalThis, { report })
