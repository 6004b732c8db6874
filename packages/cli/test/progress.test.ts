import { Writable } from 'node:stream'
import type { EpochRecord, Progress } from '@convnets/train'
import colors from 'picocolors'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Context, isInteractive } from '../src/context.ts'
import { createProgress } from '../src/progress.ts'

/** A terminal, or a file, that remembers what was written. */
function screen(isTTY: boolean): { context: Context; text: () => string } {
  let text = ''
  const stderr = new Writable({
    write: (chunk, _, done) => {
      text += String(chunk)
      done()
    },
  })
  Object.assign(stderr, { isTTY, columns: 100 })
  const signal = new AbortController().signal
  const context: Context = { stdout: stderr, stderr, env: {}, signal, colors: colors.createColors(false) }
  return { context, text: () => text }
}

const half: Progress = {
  phase: 'train',
  epoch: 1,
  epochs: 2,
  batch: 5,
  batches: 10,
  step: 5,
  steps: 20,
  loss: 1.25,
  accuracy: 0.5,
  lr: 0.1,
  imagesPerSecond: 1234.4,
  secondsLeft: 75.2,
}
const end: EpochRecord = {
  epoch: 1,
  step: 10,
  lr: 0.1,
  train: { loss: 1, accuracy: 0.625 },
  test: { loss: 0.5, accuracy: 0.75 },
  seconds: 60,
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('without a terminal', () => {
  test('there is a line per epoch with loss, accuracy, speed and time left, and no control characters', () => {
    const { context, text } = screen(false)
    const progress = createProgress(context, false)
    progress.batch(half)
    expect(text()).toBe('')
    progress.epoch(end)
    expect(text()).toBe(
      'epoch 1/2  loss 1.000  accuracy 62.5 %  test loss 0.500  accuracy 75.0 %  1,234 images/s  1:15 left\n',
    )
    progress.epoch({ epoch: 2, step: 20, lr: 0, train: { loss: 0.5 }, seconds: 120 })
    progress.stop()
    expect(text().split('\n')[1]).toBe('epoch 2/2  loss 0.500  1,234 images/s')
  })

  test('long epochs give a sign of life every minute, unless quiet', () => {
    const [loud, quiet] = [screen(false), screen(false)]
    const views = [createProgress(loud.context, false), createProgress(quiet.context, true)]
    vi.advanceTimersByTime(61_000)
    for (const view of views) view.batch(half)
    for (const view of views) view.batch({ ...half, batch: 6 })
    expect(loud.text()).toBe('epoch 1/2  50.0 % of it  loss 1.250  accuracy 50.0 %  1,234 images/s  1:15 left\n')
    expect(quiet.text()).toBe('')
  })
})

describe('on a terminal', () => {
  test('there is a bar, which gives way to a line per epoch and restores the cursor', () => {
    const { context, text } = screen(true)
    const progress = createProgress(context, false)
    progress.batch(half)
    expect(text()).toContain('epoch 1/2  loss 1.250  accuracy 50.0 %  1,234 images/s  1:15 left')
    expect(text()).toMatch(/━+─+ /)
    progress.batch({ ...half, phase: 'test', step: 10 })
    vi.advanceTimersByTime(500)
    expect(text()).toContain('epoch 1/2  test  loss 1.250')
    progress.epoch(end)
    progress.stop()
    expect(text()).toContain('epoch 1/2  loss 1.000  accuracy 62.5 %  test loss 0.500')
    expect(text().lastIndexOf('\x1b[?25h')).toBeGreaterThan(text().lastIndexOf('\x1b[?25l'))
  })

  test('quiet, CI, NO_COLOR and dumb terminals get lines', () => {
    const { context, text } = screen(true)
    const progress = createProgress(context, true)
    progress.batch(half)
    progress.epoch(end)
    expect(text()).toMatch(/^epoch 1\/2 .* left\n$/)
    const { stderr } = context
    expect(isInteractive({ stderr, env: {} })).toBe(true)
    expect(isInteractive({ stderr, env: { CI: 'false', NO_COLOR: '' } })).toBe(true)
    for (const env of [{ CI: 'true' }, { CI: '1' }, { NO_COLOR: '1' }, { TERM: 'dumb' }]) {
      expect(isInteractive({ stderr, env })).toBe(false)
    }
  })
})
