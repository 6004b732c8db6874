import { describe, expect, it } from 'vitest'
import type { CrossEntropySpec, Rows } from '../../src/backends/backend.ts'
import { crossEntropy, crossEntropyGrad, softmax, softmaxGrad } from '../../src/backends/reference/softmax.ts'
import { ArgumentError } from '../../src/errors.ts'
import { between, dot, expectClose, forSeeds, normals, numericalGradient } from '../numbers.ts'

describe('softmax', () => {
  it('gives the shares of exponentials, without overflow', () => {
    const out = new Float64Array(3)
    softmax(Float64Array.of(1000, 1000 + Math.log(2), 1000 + Math.log(5)), [1, 3, 1], false, out)
    expectClose(out, [1 / 8, 2 / 8, 5 / 8], 1e-12)
    softmax(Float64Array.of(-5000, 0, -5000), [1, 3, 1], true, out)
    expect([...out]).toEqual([-5000, 0, -5000])
    softmax(Float64Array.of(-Infinity, 0, 0), [1, 3, 1], false, out)
    expectClose(out, [0, 0.5, 0.5], 1e-15)
  })

  it('has gradients that central differences confirm, along any axis', () => {
    forSeeds(12, (random) => {
      const rows: Rows = [between(random, 1, 3), between(random, 1, 6), between(random, 1, 3)]
      const length = rows[0] * rows[1] * rows[2]
      const [x, g] = [normals(random, length), normals(random, length)]
      for (const log of [false, true]) {
        const run = (x: Float64Array): Float64Array => {
          const out = new Float64Array(length)
          softmax(x, rows, log, out)
          return out
        }
        const out = new Float64Array(length)
        softmaxGrad(g, run(x), rows, log, out)
        expectClose(
          out,
          numericalGradient((x) => dot(run(x), g), x),
          1e-7,
        )
      }
    })
  })
})

describe('crossEntropy', () => {
  const run = (
    logits: Float64Array,
    target: Int32Array | Float64Array,
    weight: Float64Array | null,
    spec: CrossEntropySpec,
  ): [loss: Float64Array, rowWeight: Float64Array] => {
    const [loss, rowWeight] = [new Float64Array(spec.rows), new Float64Array(spec.rows)]
    crossEntropy(logits, target, weight, spec, loss, rowWeight)
    return [loss, rowWeight]
  }

  it('is the negative log of the probability, weighted, and nothing for ignored rows', () => {
    const logits = Float64Array.of(0, Math.log(3), Math.log(4), 0, 7, 7)
    const spec = { rows: 3, classes: 2, labelSmoothing: 0, ignoreIndex: -100 }
    const [loss, rowWeight] = run(logits, Int32Array.of(1, 1, -100), Float64Array.of(1, 2), spec)
    expectClose(loss, [2 * Math.log(4 / 3), 2 * Math.log(5), 0], 1e-14)
    expect([...rowWeight]).toEqual([2, 2, 0])
  })

  it('ignores an impossible class that no target asks for', () => {
    const spec = { rows: 1, classes: 2, labelSmoothing: 0, ignoreIndex: -100 }
    expect(run(Float64Array.of(-Infinity, 3), Int32Array.of(1), null, spec)[0][0]).toBe(0)
  })

  it('treats a one-hot distribution as its class, and smoothing as a mixture', () => {
    forSeeds(10, (random) => {
      const [rows, classes] = [between(random, 1, 4), between(random, 2, 5)]
      const logits = normals(random, rows * classes)
      const weight = normals(random, classes).map(Math.abs)
      const target = Int32Array.from({ length: rows }, () => random.integer(classes))
      const spec = { rows, classes, labelSmoothing: 0.1, ignoreIndex: -100 }
      const onehot = new Float64Array(rows * classes)
      const mixed = new Float64Array(rows * classes).fill(0.1 / classes)
      for (const [row, index] of target.entries()) {
        onehot[row * classes + index] = 1
        mixed[row * classes + index]! += 0.9
      }
      const [loss, rowWeight] = run(logits, target, weight, spec)
      expectClose(run(logits, onehot, weight, spec)[0], loss, 1e-13)
      expectClose(run(logits, mixed, weight, { ...spec, labelSmoothing: 0 })[0], loss, 1e-13)
      expectClose(
        rowWeight,
        [...target].map((index) => weight[index]!),
        1e-15,
      )
    })
  })

  it('has gradients that central differences confirm', () => {
    forSeeds(12, (random) => {
      const [rows, classes] = [between(random, 1, 4), between(random, 2, 5)]
      const logits = normals(random, rows * classes)
      const weight = random.integer(2) === 0 ? null : normals(random, classes).map(Math.abs)
      const target =
        random.integer(2) === 0
          ? Int32Array.from({ length: rows }, () => random.integer(classes + 1) - 1)
          : normals(random, rows * classes).map(Math.abs)
      const spec = { rows, classes, labelSmoothing: random.integer(2) * 0.2, ignoreIndex: -1 }
      const g = normals(random, rows)
      const out = new Float64Array(rows * classes).fill(9)
      crossEntropyGrad(g, logits, target, weight, spec, out)
      expectClose(
        out,
        numericalGradient((logits) => dot(run(logits, target, weight, spec)[0], g), logits),
        1e-7,
      )
    })
  })

  it('refuses a class that is not there', () => {
    const spec = { rows: 2, classes: 3, labelSmoothing: 0, ignoreIndex: -100 }
    for (const bad of [-1, 3]) {
      expect(() => run(new Float64Array(6), Int32Array.of(0, bad), null, spec)).toThrow(ArgumentError)
      expect(() => run(new Float64Array(6), Int32Array.of(0, bad), null, spec)).toThrow(`got ${bad} in row 1`)
    }
  })
})
