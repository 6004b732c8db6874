/** The plan of the wasm backend's memory against the backend, op by op, in a process that has computed nothing else. */
import { type Backend, type Tensor, tidy, wasm, zeros } from '@convnets/tensor'
import { createWasmPlan } from '@convnets/tensor/shape-only'
import { makeInputs, type OpCase, opCases } from '@convnets/testkit'
import { describe, expect, it } from 'vitest'
import { tileShape } from '../../src/backends/wasm/kernels/tile-choice.ts'
import { wasmEngine } from '../../src/backends/wasm/wasm.ts'

// Finding the tile that is fastest here takes workspace that a plan does not need; it becomes one block with the next call.
const engine = wasmEngine()
tileShape(engine)
engine.guard(() => engine.workspace(1))()
const trialBytes = wasm.memory().workspaceBytes

/** What a case of an op takes, forward and backward, beside what was there. */
function taken(backend: Backend, op: string, row: OpCase): object {
  const { bytes, buffers, derivedBytes } = backend.memory()
  const note = () => {
    const now = backend.memory()
    return {
      bytes: now.bytes - bytes,
      buffers: now.buffers - buffers,
      derived: now.derivedBytes - derivedBytes,
      peak: now.peakBytes - bytes,
      workspace: Math.max(now.workspaceBytes, trialBytes),
    }
  }
  backend.resetPeak()
  return tidy(() => {
    const inputs = makeInputs(op, row, backend, 'float32')
    if (row.order > 0) for (const x of inputs) x.requiresGrad = true
    const result = row.run(...inputs)
    const forward = note()
    const [main] = (Array.isArray(result) ? result : 'values' in result ? [result.values] : [result]) as Tensor[]
    if (row.order > 0 && main?.requiresGrad) main.backward(zeros(main.shape, { backend }))
    const outcome = { forward, backward: note() }
    for (const x of inputs) x.grad = undefined
    return outcome
  })
}

describe('the plan of the wasm backend', () => {
  // Whatever kernels do, they do to both: what is allocated is the same to the byte, workspace included.
  const plan = createWasmPlan()
  for (const [op, cases] of Object.entries(opCases) as [string, readonly OpCase[]][]) {
    it(`takes for ${op} what the wasm backend takes, to the byte`, () => {
      for (const row of cases) {
        const wanted = taken(wasm, op, row)
        expect([op, row.id, taken(plan, op, row)]).toEqual([op, row.id, wanted])
      }
    })
  }
})
