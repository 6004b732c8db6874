/** Training on the gpu backend: flat memory, and what becomes of a run whose device goes away. */

import { SGD } from '@convnets/optim'
import { DeviceLostError, memory, type Tensor, tensor } from '@convnets/tensor'
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

const batches = (backend: GpuBackend, length: number) => ({
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
