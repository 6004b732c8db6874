/** One step of training. */
import { clipGradNorm, clipGradNormOnDevice, clipGradValue } from '@convnets/optim'
import { type Backend, BackendError, type Generator, noGrad, seeded, type Tensor, tidy, zeros } from '@convnets/tensor'
import { judge, type Model, samplesOf, type TrainingBatch } from './data.ts'
import { type BatchCounts, hitsByRank } from './metrics.ts'
import type { FitOptions } from './options.ts'

/** What a step gives: its numbers, or a promise of them where the device is read asynchronously. */
export type StepResult = BatchCounts | Promise<BatchCounts>

/** Whether a backend's memory is the host's, so that reading a number costs nothing. */
export function readsAtOnce(backend: Backend): boolean {
  const probe = zeros([1], { backend })
  try {
    probe.item()
    return true
  } catch (error) {
    if (error instanceof BackendError) return false
    throw error
  } finally {
    probe.dispose()
  }
}

/** Frees the gradients of a model's parameters. */
export function clearGradients(parameters: Iterable<Tensor>): void {
  for (const parameter of parameters) parameter.grad = undefined
}

/**
 * Forward, backward and update by one batch; nothing is left in memory. What the model draws comes from `generator`.
 *
 * `atOnce`: the loss is read, and given to `check`, before anything changes. Otherwise the numbers come as a promise, so
 * that the device goes on working.
 */
export function trainStep<Output, B extends TrainingBatch>(
  model: Model<Output>,
  batch: B,
  options: FitOptions<Output, B>,
  {
    generator,
    ranks,
    atOnce,
    check,
  }: {
    generator: Generator
    ranks: number
    atOnce: boolean
    check: (loss: number) => void
  },
): StepResult {
  const { optimizer, ema } = options
  const parameters = model.parameters()
  const samples = samplesOf('fit', batch)
  const read = tidy(() => {
    const { loss, logits } = seeded(generator, () => judge('fit', model, batch, options))
    const value = atOnce ? loss.item() : undefined
    if (value !== undefined) check(value)
    const hits = hitsByRank(logits, batch.target, ranks)
    const counts = atOnce ? { loss: value as number, samples, hits: hits?.dataSync() } : undefined
    // The loss itself would hold its graph.
    const kept = counts ?? { loss: noGrad(() => loss.detach()), hits }
    loss.backward()
    if (options.clipGradNorm !== undefined) {
      if (atOnce) clipGradNorm(parameters, options.clipGradNorm)
      // A device that fails tells so by the loss too.
      else clipGradNormOnDevice(parameters, options.clipGradNorm).catch(() => undefined)
    }
    if (options.clipGradValue !== undefined) clipGradValue(parameters, options.clipGradValue)
    optimizer.step()
    clearGradients(parameters)
    optimizer.zeroGrad()
    ema?.update()
    return kept
  })
  if ('samples' in read) return read
  const { loss, hits } = read
  return Promise.all([loss.data(), hits?.data()])
    .then(([value, ranked]) => ({ loss: value[0] as number, samples, hits: ranked }))
    .finally(() => {
      loss.dispose()
      hits?.dispose()
    })
}
