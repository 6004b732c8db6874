import { describe, expect, it } from 'vitest'
import { random } from '../../src/backends/reference/random.ts'
import { reference } from '../../src/backends/reference/reference.ts'
import { ArgumentError, BackendError, DisposedError } from '../../src/errors.ts'
import { f } from '../../src/formula.ts'

describe('random', () => {
  it('starts with the known answer of Philox 4x32-10 for key 0 and counter 0', () => {
    const out = new Float64Array(5)
    random('uniform', 0, 0, out)
    const words = [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]
    expect([...out.subarray(0, 4)]).toEqual(words.map((word) => (word >>> 8) / 2 ** 24))
    const [radius, angle] = [Math.sqrt(-2 * Math.log(((words[2]! >>> 8) + 1) / 2 ** 24)), (words[3]! >>> 8) / 2 ** 24]
    random('normal', 0, 0, out)
    expect(out[2]).toBeCloseTo(radius * Math.cos(2 * Math.PI * angle), 14)
    expect(out[3]).toBeCloseTo(radius * Math.sin(2 * Math.PI * angle), 14)
  })

  it('can be taken up at any block', () => {
    for (const kind of ['uniform', 'normal'] as const) {
      const [all, part] = [new Float64Array(40), new Float64Array(21)]
      random(kind, 2 ** 40 + 3, 2 ** 32 - 2, all)
      random(kind, 2 ** 40 + 3, 2 ** 32 + 1, part)
      expect([...part]).toEqual([...all.subarray(12, 33)])
    }
  })

  it('has the moments of its distributions', () => {
    const length = 200_000
    const moments = (kind: 'uniform' | 'normal'): number[] => {
      const out = new Float64Array(length)
      random(kind, 7, 0, out)
      return [1, 2, 3, 4].map((power) => out.reduce((sum, value) => sum + value ** power, 0) / length)
    }
    // Tolerances are five standard errors.
    for (const [i, m] of moments('uniform').entries()) expect(Math.abs(m - 1 / (i + 2))).toBeLessThan(0.0035)
    const expected = [0, 1, 0, 3]
    const deviations = [1, 2, 15, 96].map((variance) => 5 * Math.sqrt(variance / length))
    for (const [i, m] of moments('normal').entries()) expect(Math.abs(m - expected[i]!)).toBeLessThan(deviations[i]!)
  })
})

describe('the reference backend', () => {
  it('counts bytes, buffers and the peak', () => {
    const before = reference.memory()
    reference.resetPeak()
    const a = reference.fill('float32', 100, 1.5)
    const b = reference.upload('bool', Uint8Array.of(1, 0, 1))
    expect(reference.memory()).toMatchObject({ bytes: before.bytes + 403, buffers: before.buffers + 2 })
    reference.free(a)
    reference.free(b)
    expect(reference.memory()).toMatchObject({ bytes: before.bytes, buffers: before.buffers })
    expect(reference.memory().peakBytes).toBe(before.bytes + 403)
    reference.resetPeak()
    expect(reference.memory().peakBytes).toBe(before.bytes)
  })

  it('copies what goes in and out, and counts changes', async () => {
    const source = Float64Array.of(1, 2)
    const a = reference.upload('float64', source)
    source[0] = 9
    const read = await reference.read(a)
    expect([...read]).toEqual([1, 2])
    read[0] = 9
    expect([...reference.readSync(a)]).toEqual([1, 2])
    expect(a.version).toBe(0)
    reference.write(a, Float64Array.of(3, 4))
    reference.update([f.mul(f.input(0), f.param(0))], [{ targets: [a], others: [] }], [10])
    expect(a.version).toBe(2)
    expect([...reference.readSync(a)]).toEqual([30, 40])
    reference.free(a)
  })

  it('refuses freed buffers and those of others', () => {
    const a = reference.fill('float32', 1, 0)
    reference.free(a)
    expect(() => reference.readSync(a)).toThrow(DisposedError)
    expect(() => reference.free(a)).toThrow(DisposedError)
    expect(() => reference.readSync({ dtype: 'float32', length: 1, version: 0 })).toThrow(BackendError)
  })

  it('leaves no buffer behind when a kernel fails', () => {
    const before = reference.memory().buffers
    const index = reference.upload('int32', Int32Array.of(5))
    const source = reference.fill('float32', 3, 0)
    const view = { buffer: source, offset: 0, strides: [0] }
    const at = { buffer: index, offset: 0, strides: [1] }
    expect(() => reference.gather(view, at, 1, 3, [1])).toThrow(ArgumentError)
    const spec = { rows: 1, classes: 3, labelSmoothing: 0, ignoreIndex: -100 }
    expect(() => reference.crossEntropy(source, index, null, spec)).toThrow(ArgumentError)
    reference.free(index)
    reference.free(source)
    expect(reference.memory().buffers).toBe(before)
  })
})
