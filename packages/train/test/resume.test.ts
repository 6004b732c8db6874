/** A run that is stopped after any step and resumed is, to the bit, the run that was never stopped. */

import type { Tensor } from '@convnets/tensor'
import { type EpochRecord, type FitOptions, memoryFolder, type TrainingBatch } from '@convnets/train'
import { describe, expect, test } from 'vitest'
import { type Small, small } from './small.ts'

type Options = Partial<FitOptions<Tensor, TrainingBatch>>

const timeless = (history: readonly EpochRecord[]) => history.map(({ seconds: _, ...rest }) => rest)

/** Runs until `stop` steps are done, or to the end. */
async function runUntil(run: Small, stop: number, options: Options) {
  const controller = new AbortController()
  return await run.run({
    ...options,
    signal: controller.signal,
    onBatch: ({ step }) => {
      if (step === stop) controller.abort()
    },
  })
}

describe.each(['sgd', 'adam'] as const)('%s', (kind) => {
  test('stopped after every single step', async () => {
    const whole = small(kind)
    const expected = await whole.run()
    expect(expected.steps).toBe(10)
    expect(expected.stopped).toBe('completed')
    for (let stop = 1; stop < expected.steps; stop++) {
      const out = memoryFolder()
      const first = small(kind)
      const stopped = await runUntil(first, stop, { out })
      expect(stopped.stopped).toBe('aborted')
      expect(stopped.steps).toBe(stop)
      first.dispose()
      const second = small(kind)
      const result = await second.run({ out, resume: 'auto', seed: 99 })
      expect(result.stopped).toBe('completed')
      expect(second.state(), `stopped after step ${stop}`).toEqual(whole.state())
      expect(timeless(result.history)).toEqual(timeless(expected.history))
      expect(result.best).toEqual(expected.best)
      second.dispose()
    }
    whole.dispose()
  })
})

test('stopped after each of its steps in turn, in one folder', async () => {
  const whole = small()
  const expected = await whole.run()
  const out = memoryFolder()
  let result = expected
  // After the last step the measurement is still ahead.
  for (let stop = 1; stop <= expected.steps + 1; stop++) {
    const part = small()
    result = await runUntil(part, stop, { out, resume: 'auto' })
    if (stop > expected.steps) expect(part.state()).toEqual(whole.state())
    part.dispose()
  }
  expect(timeless(result.history)).toEqual(timeless(expected.history))
  whole.dispose()
})

test('stopped while it is measured', async () => {
  const whole = small()
  const expected = await whole.run()
  const out = memoryFolder()
  const controller = new AbortController()
  const first = small()
  const stopped = await first.run({
    out,
    signal: controller.signal,
    onProgress: ({ phase, batch }) => {
      if (phase === 'test' && batch === 2) controller.abort()
    },
  })
  expect([stopped.stopped, stopped.steps, stopped.epochs]).toEqual(['aborted', 5, 0])
  // The averages were lent to the model: the weights are back.
  expect(first.state()).not.toEqual(whole.state())
  const second = small()
  const result = await second.run({ out, resume: 'auto' })
  expect(second.state()).toEqual(whole.state())
  expect(timeless(result.history)).toEqual(timeless(expected.history))
})

test('crashed between checkpoints: the last one is taken up', async () => {
  const whole = small()
  await whole.run()
  const out = memoryFolder()
  const saved: number[] = []
  const crash = small().run({
    out,
    checkpointEvery: 2,
    onCheckpoint: (step) => void saved.push(step),
    onBatch: ({ step }) => {
      if (step === 8) throw new Error('power cut')
    },
  })
  await expect(crash).rejects.toThrow('power cut')
  expect(saved).toEqual([0, 2, 4, 5, 6])
  const second = small()
  let first = 0
  await second.run({
    out,
    resume: 'auto',
    onBatch: ({ step }) => {
      first ||= step
    },
  })
  expect(first).toBe(7)
  expect(second.state()).toEqual(whole.state())
})

test('a finished run is not trained again, and goes on for more epochs', async () => {
  const out = memoryFolder()
  const first = small()
  const done = await first.run({ out })
  const again = small()
  const result = await again.run({
    out,
    resume: 'auto',
    onBatch: () => {
      throw new Error('trained again')
    },
  })
  expect(again.state()).toEqual(first.state())
  expect({ ...result, seconds: 0 }).toEqual({ ...done, seconds: 0 })
  const more = await small().run({ out, resume: 'auto', epochs: 3 })
  expect([more.epochs, more.steps]).toEqual([3, 15])
})

test('an aborted signal before the first step leaves a checkpoint and no steps', async () => {
  const out = memoryFolder()
  const run = small()
  const result = await run.run({ out, signal: AbortSignal.abort() })
  expect([result.stopped, result.steps, result.best]).toEqual(['aborted', 0, undefined])
  expect(await out.read('checkpoint.safetensors')).toBeDefined()
})
