/** Training on the gpu backend: flat memory, and what becomes of a run whose device goes away. */

import { BatchNorm2d } from '@convnets/nn'
import { Adam, EMA, SGD } from '@convnets/optim'
import {
  type Backend,
  crossEntropy,
  DeviceLostError,
  memory,
  moveTo,
  type Tensor,
  tensor,
  tidy,
  wasm,
} from '@convnets/tensor'
import { type GpuBackend, gpu } from '@convnets/tensor/gpu'
import { type FitOptions, type FitResult, fit, memoryFolder, type TrainingBatch } from '@convnets/train'
import { beforeAll, describe, expect, it } from 'vitest'
import { nodeWebGPU, softwareAdapter } from '../../../scripts/verify/webgpu.ts'
import { type SmallNet, smallNet } from './small.ts'

interface WatchedDevice {
  createBuffer(options: { size: number }): { destroy(): void }
  destroy(): void
}

/** WebGPU whose devices tell the bytes of their buffers and can be destroyed. */
class Watched {
  readonly #webgpu: { requestAdapter(): Promise<object | null> }
  device: WatchedDevice | undefined
  bytes = 0

  constructor(webgpu: object) {
    this.#webgpu = webgpu as { requestAdapter(): Promise<object | null> }
  }

  async requestAdapter(): Promise<object | null> {
    const adapter = (await this.#webgpu.requestAdapter()) as {
      requestDevice(wish: object): Promise<WatchedDevice>
    } | null
    if (adapter === null) return null
    const requestDevice = adapter.requestDevice.bind(adapter)
    adapter.requestDevice = async (wish) => this.#watch(await requestDevice(wish))
    return adapter
  }

  #watch(device: WatchedDevice): WatchedDevice {
    const createBuffer = device.createBuffer.bind(device)
    device.createBuffer = (options) => {
      const buffer = createBuffer(options)
      const destroy = buffer.destroy.bind(buffer)
      let live = options.size
      this.bytes += live
      buffer.destroy = () => {
        this.bytes -= live
        live = 0
        destroy()
      }
      return buffer
    }
    this.device = device
    return device
  }
}

const batches = (backend: Backend, length: number) => ({
  length,
  *epoch(epoch: number, { from = 0 } = {}) {
    for (let i = from; i < length; i++) {
      const values = Float32Array.from({ length: 4 * 36 }, (_, j) => Math.sin((i + 3) * (j + 1) + epoch))
      const target = Int32Array.from({ length: 4 }, (_, j) => (i + j) % 3)
      yield { input: tensor(values, { shape: [4, 1, 6, 6], backend }), target: tensor(target, { backend }) }
    }
  },
})

function start(
  backend: GpuBackend,
  steps: number,
  options: Partial<FitOptions<Tensor, TrainingBatch>>,
): { model: SmallNet; result: Promise<FitResult> } {
  const model = smallNet().to(backend)
  const optimizer = new SGD(model.namedParameters(), { lr: 0.05, momentum: 0.9 })
  return { model, result: fit(model, { train: batches(backend, steps), optimizer, epochs: 1, ...options }) }
}

describe.skipIf(!softwareAdapter && !process.env.CI)('fit on the gpu', () => {
  let webgpu: Watched
  beforeAll(async () => {
    webgpu = new Watched(await nodeWebGPU({ software: true }))
  })

  it('holds the same memory after 500 more steps as after 20', async () => {
    const backend = await gpu({ mode: 'webgpu', webgpu })
    const model = smallNet().to(backend)
    const optimizer = new SGD(model.namedParameters(), { lr: 0.05, momentum: 0.9 })
    // Each run ends when all its results have been read: in the midst of one, two scalars may still be on their way.
    const after = async (steps: number) => {
      await fit(model, { train: batches(backend, steps), optimizer, epochs: 1, clipGradNorm: 5 })
      await backend.submitted()
      const { buffers, bytes } = memory(backend)
      return { buffers, bytes, device: webgpu.bytes, kernels: backend.info().kernels }
    }
    const before = await after(20)
    expect(before.bytes).toBeGreaterThan(0)
    expect(await after(500)).toEqual(before)
    model.dispose()
    await backend.destroy()
  }, 900_000)

  it('moves a model, an optimizer and averages in the middle of a run, there and back', async () => {
    const backend = await gpu({ mode: 'webgpu', webgpu })
    const run = (): {
      model: SmallNet
      optimizer: Adam
      ema: EMA
      steps(from: number, to: number, on: Backend): void
    } => {
      const model = smallNet()
      model.bn.dispose()
      model.bn = new BatchNorm2d(6, { momentum: null })
      model.drop.eval()
      const optimizer = new Adam(model.namedParameters(), { lr: 0.01 })
      const ema = new EMA(model, { decay: 0.5 })
      return {
        model,
        optimizer,
        ema,
        steps(from, to, on) {
          for (const { input, target } of batches(on, to).epoch(0, { from })) {
            tidy(() => {
              optimizer.zeroGrad()
              crossEntropy(model.forward(input), target).backward()
              optimizer.step()
              ema.update()
            })
            input.dispose()
            target.dispose()
          }
        },
      }
    }
    const state = ({ model, optimizer, ema }: ReturnType<typeof run>): Tensor[] => [
      ...model.ownTensors(),
      ...optimizer.ownTensors(),
      ...ema.ownTensors(),
    ]
    const read = (tensors: readonly Tensor[]) => Promise.all(tensors.map((x) => x.data()))
    const [stayed, moved] = [run(), run()]
    stayed.steps(0, 9, wasm)
    moved.steps(0, 3, wasm)
    const tensors = state(moved)
    const before = await read(tensors)
    const onWasm = memory(wasm).buffers
    await moveTo(backend, moved.model, moved.optimizer, moved.ema)
    expect(state(moved)).toEqual(tensors)
    expect(tensors.every((x) => x.backend === backend)).toBe(true)
    expect(await read(tensors)).toEqual(before)
    const grads = moved.model.parameters().length
    expect(memory(wasm).buffers).toBe(onWasm - tensors.length - grads)
    expect(memory(backend).buffers).toBe(tensors.length + grads)
    moved.steps(3, 6, backend)
    await moveTo(wasm, moved.model, moved.optimizer, moved.ema)
    expect(memory(backend).buffers).toBe(0)
    moved.steps(6, 9, wasm)
    const expected = await read(state(stayed))
    for (const [i, actual] of (await read(tensors)).entries()) {
      for (const [j, value] of actual.entries()) expect(value).toBeCloseTo(expected[i]?.[j] as number, 4)
    }
    expect(await moved.model.bn.num_batches_tracked?.data()).toEqual(Int32Array.of(9))

    // A device that is lost while a model is on its way there leaves the model where it was.
    const [weight, moving] = [moved.model.fc.weight, moveTo(backend, moved.model, moved.optimizer, moved.ema)]
    webgpu.device?.destroy()
    await expect(moving).rejects.toThrow(DeviceLostError)
    expect(tensors.every((x) => x.backend === wasm)).toBe(true)
    expect(await weight.data()).toHaveLength(18)
    for (const { model, optimizer, ema } of [stayed, moved]) for (const one of [model, optimizer, ema]) one.dispose()
    await backend.destroy()
  }, 300_000)

  it('ends with a typed error when the device is lost, and goes on from the checkpoint on another', async () => {
    const first = await gpu({ mode: 'webgpu', webgpu })
    const out = memoryFolder()
    const broken = start(first, 12, {
      out,
      checkpointEvery: 4,
      onBatch: ({ step }) => {
        if (step === 6) webgpu.device?.destroy()
      },
    })
    await expect(broken.result).rejects.toThrow(DeviceLostError)
    await expect(broken.result).rejects.toThrow(
      /make another backend with gpu\(\) and continue from the last checkpoint/,
    )
    expect(() => broken.model.forward(tensor([1], { backend: first }))).toThrow(DeviceLostError)
    broken.model.dispose()
    await first.destroy()

    const second = await gpu({ mode: 'webgpu', webgpu })
    const steps: number[] = []
    const resumed = start(second, 12, { out, resume: 'auto', onBatch: ({ step }) => void steps.push(step) })
    const { stopped } = await resumed.result
    expect(stopped).toBe('completed')
    expect(steps).toEqual([5, 6, 7, 8, 9, 10, 11, 12])

    const whole = start(second, 12, {})
    await whole.result
    const weights = async (model: SmallNet) => [...(await model.fc.weight.data())]
    expect(await weights(resumed.model)).toEqual(await weights(whole.model))
    await second.destroy()
  }, 900_000)
})
