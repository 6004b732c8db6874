import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Interruption } from '../src/failure.ts'
import { type SignalSource, stopSignal } from '../src/signals.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test.each(['SIGINT', 'SIGTERM'] as const)('%s stops the run, the next signal gets its default: the end', (name) => {
  const source = new EventEmitter()
  const signal = stopSignal(source as SignalSource)
  expect(signal.aborted).toBe(false)
  source.emit(name, name)
  expect(signal.reason).toBeInstanceOf(Interruption)
  expect(signal.reason).toMatchObject({ signal: name })
  // A wrapper may pass the same Ctrl-C on: that is not yet the next one.
  vi.advanceTimersByTime(100)
  source.emit('SIGINT', 'SIGINT')
  expect(source.listenerCount('SIGINT')).toBe(1)
  vi.advanceTimersByTime(200)
  // Without a listener, Node leaves the signal to the system.
  expect([source.listenerCount('SIGINT'), source.listenerCount('SIGTERM')]).toEqual([0, 0])
  expect(signal.reason).toMatchObject({ signal: name })
})
