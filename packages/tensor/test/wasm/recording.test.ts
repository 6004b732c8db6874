/** Recordings on an engine of their own: what they hold, what they need, and what becomes of it when memory is short. */
import { describe, expect, it } from 'vitest'
import type { Buffer } from '../../src/backends/backend.ts'
import { Engine } from '../../src/backends/wasm/engine.ts'
import { recordOn } from '../../src/backends/wasm/recording.ts'
import { kernelsOf } from '../../src/backends/wasm/wasm.ts'
import { OutOfMemoryError } from '../../src/errors.ts'

const spec = {
  batch: 1,
  inHeight: 8,
  inWidth: 8,
  inChannels: 16,
  outHeight: 8,
  outWidth: 8,
  outChannels: 16,
  kernelHeight: 3,
  kernelWidth: 3,
  strideHeight: 1,
  strideWidth: 1,
  padTop: 1,
  padLeft: 1,
  dilationHeight: 1,
  dilationWidth: 1,
  groups: 1,
}

function engineOf(maximumPages = 1024) {
  const engine = new Engine({ threads: 1, initialPages: 16, maximumPages })
  const backend = engine.guarded(kernelsOf(engine))
  const image = (seed: number): Buffer => backend.random('normal', 'float32', 1024, seed, 0)
  const weight = backend.random('normal', 'float32', 16 * 9 * 16, 9, 0)
  /** Two convolutions, of which the first result is freed. */
  const twice = ([x]: readonly Buffer[]): Buffer[] => {
    const middle = backend.conv2d(x as Buffer, weight, null, spec)
    const y = backend.conv2d(middle, weight, null, spec)
    backend.free(middle)
    return [y]
  }
  const record = (x: Buffer, before: () => void = () => undefined) =>
    recordOn(engine, [x], (inputs) => {
      before()
      const results = twice(inputs)
      for (const input of inputs) backend.free(input)
      return results
    })
  const numbers = ([buffer]: readonly Buffer[]) => [...backend.readSync(buffer as Buffer)]
  return { engine, backend, image, twice, record, numbers }
}

describe('a recording', () => {
  it('gives what the calls give, and needs what was derived from the weights', () => {
    const { engine, image, twice, record, numbers } = engineOf()
    const [a, b] = [image(1), image(2)]
    const recorded = record(a)
    expect(numbers(recorded.outputs)).toEqual(numbers(twice([a])))
    expect(numbers(recorded.replay([b]) as Buffer[])).toEqual(numbers(twice([b])))
    while (engine.heap.relief?.());
    expect(recorded.replay([b])).toBeUndefined()
  })

  it('is none if what it needs goes while it is done again', () => {
    const { engine, image, record, numbers, twice } = engineOf()
    let calls = 0
    // A call that looks at memory is done again as a whole; the second time memory is short.
    const greedy = engine.guard(() => {
      void engine.heap.u8
      if (++calls > 1) while (engine.heap.relief?.());
    })
    const x = image(1)
    const recorded = record(x, greedy)
    expect(calls).toBe(1)
    expect(recorded.replay([x])).toBeUndefined()
    expect(calls).toBe(2)
    expect(numbers(recorded.outputs)).toEqual(numbers(twice([x])))
  })

  it('gives all memory back, also where there was too little', () => {
    const { engine, image, record, backend } = engineOf(64)
    const x = image(1)
    const settle = (): void => {
      while (engine.heap.relief?.());
    }
    const once = record(x)
    for (const buffer of once.outputs) backend.free(buffer)
    expect(once.held).toBe(64 * 64)
    once.dispose()
    settle()
    const before = engine.memory
    const large = backend.fill('float32', 2 ** 18, 1)
    const larger = () => recordOn(engine, [large], () => [backend.fill('float32', 2 ** 20, 1)])
    expect(larger).toThrow(OutOfMemoryError)
    backend.free(large)
    settle()
    expect(engine.memory.bytes).toBe(before.bytes)
    expect(engine.memory.heldBytes).toBe(before.heldBytes)
  })
})
