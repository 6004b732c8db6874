/** Estimates of memory against what training steps take, each in a process of its own, as the wasm memory never shrinks. */

import { densenet121 } from '@convnets/models-modern'
import { SGD } from '@convnets/optim'
import { type OptimizerName, profile, type TrainingMemory, withoutNumbers } from '@convnets/profile'
import { crossEntropy, memory, randn, resetPeakMemory, tidy, zeros } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { networkOf } from '../src/networks.ts'
import { program, scratch } from './drive.ts'

/** Smaller than the networks' own images, as three steps of each are really run. */
const input = [3, 128, 128] as const

/** What `convnets bench --train` measures. */
interface Measured {
  readonly peakBytes: number
  readonly reservedBytes: number
}

async function measure(name: string, ...options: readonly string[]): Promise<Measured> {
  const argv = ['bench', name, '--train', '--runs', '1', '--json', '--input', input.join('x'), ...options]
  const { code, stdout, stderr } = await program(argv, await scratch())
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as Measured
}

function estimate(name: string, batch: number, threads: number, optimizer: OptimizerName): TrainingMemory {
  const entry = networkOf(name)
  const p = profile(
    withoutNumbers(() => entry()),
    input,
  )
  return p.trainingMemory({ batch, threads, optimizer })
}

describe('a training step takes what was estimated, within 5 %', () => {
  test.each([
    ['resnet18', 2, 1, 'sgd'],
    ['resnet18', 5, 2, 'adam'],
    ['densenet121', 1, 2, 'momentum'],
    ['densenet121', 3, 1, 'sgd'],
    ['efficientnet_b0', 2, 2, 'rmsprop'],
    ['efficientnet_b0', 3, 1, 'sgd'],
  ] as const)(
    '%s, batch %i, %i threads, %s',
    async (name, batch, threads, optimizer) => {
      const wishes = ['--batch', batch, '--threads', threads, '--optimizer', optimizer].map(String)
      const { peakBytes, reservedBytes } = await measure(name, ...wishes)
      const { peak, reserved } = estimate(name, batch, threads, optimizer)
      expect(Math.abs(peak / peakBytes - 1)).toBeLessThan(0.05)
      // The wasm memory grows by more than is asked for, so that it grows rarely.
      expect(reserved).toBeGreaterThan(0.7 * reservedBytes)
    },
    240_000,
  )
})

test('memory-efficient DenseNet takes what was estimated, which is much less', () => {
  const [batch, small] = [8, [3, 64, 64]] as const
  const estimates: number[] = []
  // The workspace never shrinks, so the sparing one comes first.
  for (const memoryEfficient of [true, false]) {
    const before = memory().heldBytes - memory().workspaceBytes
    const model = densenet121({ memoryEfficient })
    const optimizer = new SGD(model.parameters())
    const step = (): void =>
      tidy(() => {
        optimizer.zeroGrad()
        crossEntropy(model.forward(randn([batch, ...small])), zeros([batch], { dtype: 'int32' })).backward()
        optimizer.step()
      })
    step()
    resetPeakMemory()
    step()
    const measured = memory().peakHeldBytes - before
    const { peak } = profile(model, small).trainingMemory({ batch })
    expect(Math.abs(peak / measured - 1)).toBeLessThan(0.05)
    estimates.push(peak)
    optimizer.dispose()
    model.dispose()
  }
  const [sparing, plain] = estimates as [number, number]
  expect(sparing).toBeLessThan(0.85 * plain)
})
