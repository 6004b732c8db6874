/** Recordings on an engine of their own: what they hold, what they need, and what becomes of it when memory is short. */
import { describe, expect, it } from 'vitest'
import type { Buffer } from '../../src/backends/backend.ts'
import { Engine } from '../../src/backends/wasm/engine.ts'
import { WasmRecording } from '../../src/backends/wasm/recording.ts'
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
  const image = (seed: number): Buffer => backend.random('normal', 'float32', 1024, { seed, offset: 0 })
  const weight = backend.random('normal', 'float32', 16 * 9 * 16, { seed: 9, offset: 0 })
  /** Two convolutions, of which the first result is freed. */
  const twice = ([x]: readonly Buffer[]): Buffer[] => {
    const middle = backend.conv2d(x as Buffer, weight, null, spec)
    const y = backend.conv2d(middle, weight, null, spec)
    backend.free(middle)
    return [y]
  }
  const empty = () => new WasmRecording(engine, { changing: false, isBusy: () => false })
  const record = (x: Buffer, { before, lends }: { before?: () => void; lends?: boolean } = {}) => {
    const recording = empty()
    let results: Buffer[] = []
    const passage = recording.passage(
      [x],
      (inputs) => {
        before?.()
        results = twice(inputs)
        for (const input of inputs) backend.free(input)
        return results
      },
      { lends: lends ?? false },
    )
    for (const buffer of results) backend.free(buffer)
    return { recording, passage }
  }
  const numbers = ([buffer]: readonly Buffer[]) => [...backend.readSync(buffer as Buffer)]
  return { engine, backend, image, weight, twice, empty, record, numbers }
}

describe('a recording', () => {
  it('gives what the calls give, and needs what was derived from the weights', () => {
    const { engine, image, twice, record, numbers } = engineOf()
    const [a, b] = [image(1), image(2)]
    const { passage } = record(a)
    expect(numbers(passage.outputs)).toEqual(numbers(twice([a])))
    expect(passage.isGood()).toBe(true)
    expect(numbers(passage.replay([b]))).toEqual(numbers(twice([b])))
    while (engine.heap.relief?.());
    expect(passage.isGood()).toBe(false)
  })

  it('computes anew what was derived from what has changed, and keeps it while it is done again', () => {
    const { engine, backend, image, weight, record, numbers, twice } = engineOf()
    let calls = 0
    // A call that looks at memory is done again as a whole; the second time memory is short.
    const greedy = engine.guard(() => {
      void engine.heap.u8
      if (++calls > 1) while (engine.heap.relief?.());
    })
    const x = image(1)
    const { passage } = record(x, { before: greedy })
    expect(calls).toBe(1)
    backend.write(
      weight,
      Float32Array.from(backend.readSync(weight), (value) => value * 2),
    )
    expect(passage.isGood()).toBe(true)
    expect(numbers(passage.replay([x]))).toEqual(numbers(twice([x])))
    expect(calls).toBe(2)
    expect(passage.isGood()).toBe(true)
  })

  it('lends its results until it needs their memory', () => {
    const { engine, backend, image, twice, record, numbers } = engineOf()
    const [a, b] = [image(1), image(2)]
    const { recording, passage } = record(a, { lends: true })
    const expected = [a, b].map((x) => numbers(twice([x])))
    const first = passage.outputs
    expect(numbers(first)).toEqual(expected[0])
    const place = engine.ptr(first[0]!)
    const second = passage.replay([b])
    expect([numbers(first), numbers(second)]).toEqual(expected)
    expect(engine.ptr(second[0]!)).toBe(place)
    backend.free(second[0]!)
    // Nothing is in the way now: no copy.
    const { bytes } = engine.memory
    const third = passage.replay([a])
    expect(engine.ptr(third[0]!)).toBe(place)
    expect(engine.memory.bytes).toBe(bytes + 1024 * 4)
    recording.dispose()
    expect(numbers(third)).toEqual(expected[0])
    expect(passage.isGood()).toBe(false)
    for (const buffer of [...first, ...third]) backend.free(buffer)
    expect(recording.region.bytes).toBe(0)
  })

  it('makes room for others when memory is short, unless it is needed', () => {
    const { engine, backend, image, record } = engineOf(512)
    const x = image(1)
    const { passage, recording } = record(x)
    let busy = true
    const other = new WasmRecording(engine, { changing: false, isBusy: () => busy })
    const filled = other.passage([x], ([input]) => {
      backend.free(input!)
      const y = backend.fill('float32', 2 ** 22, 1)
      backend.free(y)
      return []
    })
    expect([recording, other].map(({ region }) => region.bytes > 0)).toEqual([true, true])
    const fill = () => backend.free(backend.fill('uint8', 14 * 2 ** 20, 1))
    expect(fill).toThrow(OutOfMemoryError)
    expect([passage.isGood(), filled.isGood()]).toEqual([false, true])
    busy = false
    fill()
    expect(filled.isGood()).toBe(false)
  })

  it('gives all memory back, also where there was too little', () => {
    const { engine, image, empty, record, backend } = engineOf(64)
    const x = image(1)
    const settle = (): void => {
      while (engine.heap.relief?.());
    }
    const { passage, recording } = record(x)
    for (const buffer of passage.outputs) backend.free(buffer)
    expect(recording.heldBeside([])).toBe(0)
    recording.dispose()
    settle()
    const before = engine.memory
    const large = backend.fill('float32', 2 ** 18, 1)
    const greedy = empty()
    expect(() => greedy.passage([large], () => [backend.fill('float32', 2 ** 20, 1)])).toThrow(OutOfMemoryError)
    greedy.dispose()
    backend.free(large)
    settle()
    expect(engine.memory.bytes).toBe(before.bytes)
    expect(engine.memory.heldBytes).toBe(before.heldBytes)
  })
})
