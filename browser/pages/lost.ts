/** Devices that go away for real: what a run is told, and how it goes on. */
import { BatchNorm2d, Conv2d, Flatten, Linear, ReLU, Sequential } from '@convnets/nn'
import { SGD } from '@convnets/optim'
import { type Backend, moveTo, seeded, type Tensor, tensor, wasm } from '@convnets/tensor'
import { type GpuBackend, gpu } from '@convnets/tensor/gpu'
import { type FitOptions, fit, memoryFolder, type TrainingBatch } from '@convnets/train'
import { failure } from './failure.ts'

type Mode = 'webgpu' | 'webgl2'
type Method = (...args: unknown[]) => unknown

/** Ends what the backend that was made last runs on. */
let end: () => void = () => {}

/** Lets `seen` see what a method of a class of the browser gives. */
function watch(owner: object | undefined, method: string, seen: (result: unknown) => void): void {
  const place = owner as Record<string, Method> | undefined
  const original = place?.[method]
  if (place === undefined || original === undefined) return
  place[method] = function (this: unknown, ...args) {
    const result = original.apply(this, args)
    seen(result)
    return result
  }
}

interface GL {
  getExtension(name: 'WEBGL_lose_context'): { loseContext(): void } | null
}

const { GPUAdapter, HTMLCanvasElement, OffscreenCanvas } = globalThis as unknown as Record<
  string,
  { prototype: object } | undefined
>

watch(GPUAdapter?.prototype, 'requestDevice', (device) => {
  void (device as Promise<{ destroy(): void }>).then((made) => {
    end = () => made.destroy()
  })
})
for (const canvas of [HTMLCanvasElement, OffscreenCanvas]) {
  watch(canvas?.prototype, 'getContext', (context) => {
    end = () => (context as GL | null)?.getExtension('WEBGL_lose_context')?.loseContext()
  })
}

const batches = (backend: Backend, length: number) => ({
  length,
  *epoch(_: number, { from = 0 } = {}) {
    for (let i = from; i < length; i++) {
      const values = Float32Array.from({ length: 4 * 36 }, (_, j) => Math.sin((i + 3) * (j + 1)))
      const target = Int32Array.from({ length: 4 }, (_, j) => (i + j) % 3)
      yield { input: tensor(values, { shape: [4, 1, 6, 6], backend }), target: tensor(target, { backend }) }
    }
  },
})

const network = (): Sequential =>
  seeded(
    1,
    () =>
      new Sequential(
        new Conv2d(1, 6, { kernel: 3, stride: 2 }),
        new BatchNorm2d(6),
        new ReLU(),
        new Flatten(),
        new Linear(24, 3),
      ),
  )

async function start(backend: Backend, options: Partial<FitOptions<Tensor, TrainingBatch>>) {
  const model = network()
  const optimizer = new SGD(model.namedParameters(), { lr: 0.05, momentum: 0.9 })
  await moveTo(backend, model, optimizer)
  const result = fit(model, { train: batches(backend, 12), optimizer, epochs: 1, ...options })
  return { model, optimizer, result }
}

async function weights(model: Sequential): Promise<number[]> {
  return (await Promise.all(model.parameters().map((x) => x.data()))).flatMap((values) => [...values])
}

interface GoneOn {
  /** How a run ended whose device went away in its sixth step, in the order of what was tried. */
  readonly failures: readonly string[]
  /** Steps that the run on the next device took from the last checkpoint on. */
  readonly steps: readonly number[]
  readonly resumed: readonly number[]
  readonly whole: readonly number[]
}

async function backendOf(mode: Mode): Promise<GpuBackend> {
  const backend = await gpu({ mode })
  if (backend.info().mode !== mode) throw new Error(`${mode} was asked for, ${backend.info().mode} runs`)
  return backend
}

/** How something fails that is tried now. */
const failureOf = (attempt: () => unknown): Promise<string> => failure((async () => attempt())())

/** Trains, loses the device, and goes on from the checkpoint on a new one. */
async function goesOn({ mode }: { mode: Mode }): Promise<GoneOn> {
  const first = await backendOf(mode)
  const out = memoryFolder()
  const broken = await start(first, {
    out,
    checkpointEvery: 4,
    onBatch: ({ step }) => {
      if (step === 6) end()
    },
  })
  const failures = [
    await failure(broken.result),
    await failureOf(() => broken.model.forward(tensor(new Float32Array(36), { shape: [1, 1, 6, 6], backend: first }))),
    await failureOf(() => broken.model.parameters()[0]?.data()),
    await failure(moveTo(wasm, broken.model, broken.optimizer)),
    await failure(first.submitted()),
  ]
  for (const one of [broken.model, broken.optimizer]) one.dispose()
  await first.destroy()

  const second = await backendOf(mode)
  const steps: number[] = []
  const resumed = await start(second, { out, resume: 'auto', onBatch: ({ step }) => void steps.push(step) })
  await resumed.result
  const whole = await start(second, {})
  await whole.result
  // One of them is read where it came from.
  await moveTo(wasm, resumed.model, resumed.optimizer)
  const found = { failures, steps, resumed: await weights(resumed.model), whole: await weights(whole.model) }
  await second.destroy()
  return found
}

export const losing: { readonly goesOn: typeof goesOn } = { goesOn }
