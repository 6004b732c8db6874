import {
  type Backend,
  batchNormTraining,
  conv2d,
  crossEntropy,
  dropout,
  globalAvgPool2d,
  linear,
  maxPool2d,
  relu,
  type Tensor,
  tidy,
  update,
  wasm,
  zeros,
} from '@convnets/tensor'
import { createWasmPlan } from '@convnets/tensor/shape-only'
import { describe, expect, it } from 'vitest'

/** Three training steps of a network with a convolution of every kind: Winograd, strided, depthwise, pointwise, grouped. */
function train(backend: Backend): void {
  const make = (...shape: number[]): Tensor => {
    const t = zeros(shape, { backend }).keep()
    t.requiresGrad = true
    return t
  }
  const weights = {
    stem: make(32, 3, 7, 7),
    winograd: make(64, 32, 3, 3),
    depthwise: make(64, 1, 5, 5),
    pointwise: make(128, 64, 1, 1),
    grouped: make(128, 32, 3, 3),
    scale: make(128),
    shift: make(128),
    fc: make(10, 128),
    bias: make(10),
  }
  for (let i = 0; i < 3; i++) {
    tidy(() => {
      for (const t of Object.values(weights)) t.grad = undefined
      let x = conv2d(zeros([4, 3, 64, 64], { backend }), weights.stem, undefined, { stride: 2, padding: 3 })
      x = conv2d(maxPool2d(relu(x), 3, { stride: 2, padding: 1 }), weights.winograd, undefined, { padding: 1 })
      x = conv2d(x, weights.depthwise, undefined, { padding: 2, groups: 64 })
      x = conv2d(conv2d(x, weights.pointwise), weights.grouped, undefined, { padding: 1, groups: 4 })
      x = relu(batchNormTraining(x, weights.scale, weights.shift).output)
      const logits = linear(dropout(globalAvgPool2d(x)), weights.fc, weights.bias)
      crossEntropy(logits, zeros([4], { backend, dtype: 'int32' })).backward()
      for (const t of Object.values(weights)) update([{ kind: 'input', index: 0 }], [t], [t.grad as Tensor])
    })
  }
}

describe('the plan of the wasm backend', () => {
  it('takes what the wasm backend takes, packed weights, workspace and rounding included', () => {
    train(wasm)
    const plan = createWasmPlan()
    train(plan)
    const [got, wanted] = [plan.memory(), wasm.memory()]
    expect(got.bytes).toBe(wanted.bytes)
    expect(got.buffers).toBe(wanted.buffers)
    expect(got.peakBytes).toBe(wanted.peakBytes)
    expect(got.derivedBytes).toBe(wanted.derivedBytes)
    expect(got.derivedBytes).toBeGreaterThan(0)
    expect(got.workspaceBytes / wanted.workspaceBytes).toBeCloseTo(1, 1)
    expect(got.workspaceBytes).toBeGreaterThan(0)
    // The wasm backend also holds the code of its kernels, for its threads.
    expect(wanted.peakHeldBytes - got.peakHeldBytes).toBeGreaterThanOrEqual(0)
    expect(wanted.peakHeldBytes - got.peakHeldBytes).toBeLessThan(300_000)
  })

  it('knows no limit', () => {
    const plan = createWasmPlan({ threads: 4 })
    tidy(() => {
      const x = zeros([512, 64, 224, 224], { backend: plan })
      expect(relu(x).shape).toEqual([512, 64, 224, 224])
      expect(plan.memory().bytes).toBe(2 * 512 * 64 * 224 * 224 * 4)
    })
    expect(plan.memory().bytes).toBe(0)
  })

  it('has no numbers', () => {
    expect(() => zeros([1], { backend: createWasmPlan() }).item()).toThrow(/no numbers to read/)
  })
})
