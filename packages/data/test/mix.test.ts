import {
  ArgumentError,
  crossEntropy,
  Generator,
  memory,
  randn,
  ShapeError,
  type Tensor,
  tensor,
  tidy,
} from '@convnets/tensor'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { beta } from '../src/beta.ts'
import { type Batch, cutMix, DataLoader, ImageDataset, mixUp, oneOf } from '../src/index.ts'
import { cutMixBox } from '../src/mix.ts'

let tensorsBefore = 0
beforeEach(() => {
  tensorsBefore = memory().tensors
})
afterEach(() => {
  expect(memory().tensors).toBe(tensorsBefore)
})

const [N, C, H, W] = [5, 2, 7, 9]
const numClasses = 4
const values = Float32Array.from({ length: N * C * H * W }, (_, i) => Math.sin(i))
const labels = Int32Array.from([0, 3, 1, 1, 2])
/** One tensor, and none left over. */
const shaped = (data: Float32Array, shape: number[]): Tensor => tidy(() => tensor(data).reshape(shape))
const batch = (target: Tensor = tensor(labels, { dtype: 'int32' })): Batch => ({
  input: shaped(values, [N, C, H, W]),
  target,
  indices: Int32Array.from([4, 0, 1, 2, 3]),
})

interface Read {
  readonly input: Float32Array
  readonly target: Float32Array
}
function read({ input, target, indices }: Batch): Read {
  expect(input.shape).toEqual([N, C, H, W])
  expect([target.shape, target.dtype]).toEqual([[N, numClasses], 'float32'])
  expect(Array.from(indices)).toEqual([4, 0, 1, 2, 3])
  const result = { input: input.dataSync() as Float32Array, target: target.dataSync() as Float32Array }
  input.dispose()
  target.dispose()
  return result
}

/** What torchvision's `v2.MixUp` and `v2.CutMix` say of targets. */
function expectTargets(target: Float32Array, share: number): void {
  for (let n = 0; n < N; n++) {
    const other = labels[(n + N - 1) % N]!
    for (let c = 0; c < numClasses; c++) {
      const expected = (labels[n] === c ? share : 0) + (other === c ? 1 - share : 0)
      expect(target[n * numClasses + c]).toBeCloseTo(expected, 6)
    }
  }
}

describe('beta', () => {
  // Cumulative distributions in closed form.
  const distributions: readonly (readonly [number, (x: number) => number])[] = [
    [0.5, (x) => (2 / Math.PI) * Math.asin(Math.sqrt(x))],
    [1, (x) => x],
    [2, (x) => 3 * x ** 2 - 2 * x ** 3],
    [3, (x) => 10 * x ** 3 - 15 * x ** 4 + 6 * x ** 5],
  ]
  test.each(distributions)('of %f has its distribution', (alpha, cumulative) => {
    const generator = new Generator(7)
    const drawn = Float64Array.from({ length: 20_000 }, () => beta(alpha, generator)).sort()
    let distance = 0
    for (const [i, x] of drawn.entries())
      distance = Math.max(distance, Math.abs(cumulative(x) - (i + 0.5) / drawn.length))
    // Kolmogorov and Smirnov: a larger distance has probability 1e-6.
    expect(distance).toBeLessThan(Math.sqrt(Math.log(2 / 1e-6) / 2 / drawn.length))
  })

  test.each([0.001, 0.1, 0.2, 0.4, 10, 1000])('of %f has its mean and variance, and is a number', (alpha) => {
    const generator = new Generator(8)
    const n = 20_000
    const drawn = Array.from({ length: n }, () => beta(alpha, generator))
    expect(drawn.every((x) => x >= 0 && x <= 1)).toBe(true)
    const variance = 1 / (4 * (2 * alpha + 1))
    const mean = drawn.reduce((sum, x) => sum + x, 0) / n
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(variance / n))
    const got = drawn.reduce((sum, x) => sum + (x - 0.5) ** 2, 0) / n
    expect(Math.abs(got / variance - 1)).toBeLessThan(5 * Math.sqrt(2 / n))
  })
})

describe('mixUp', () => {
  test.each([0.2, 1])('is lambda x + (1 - lambda) x before it, alpha %f', (alpha) => {
    for (let seed = 0; seed < 5; seed++) {
      const share = beta(alpha, new Generator(seed))
      const { input, target } = read(mixUp({ numClasses, alpha })(batch(), new Generator(seed)))
      expectTargets(target, share)
      const size = C * H * W
      for (const [i, got] of input.entries()) {
        const other = values[(i + values.length - size) % values.length]!
        expect(got).toBeCloseTo(values[i]! * share + other * (1 - share), 6)
      }
    }
  })

  test('of a batch of one is that one', () => {
    const one: Batch = {
      input: shaped(Float32Array.of(1, 2), [1, 1, 1, 2]),
      target: tensor([2], { dtype: 'int32' }),
      indices: Int32Array.of(0),
    }
    const { input, target } = mixUp({ numClasses })(one, new Generator(0))
    expect([...input.dataSync()][0]).toBeCloseTo(1, 6)
    expect(Array.from(target.dataSync(), (x) => Math.round(x * 1e6) / 1e6)).toEqual([0, 0, 1, 0])
    input.dispose()
    target.dispose()
  })

  test('takes targets that are mixed already, and gives what crossEntropy takes', () => {
    const mixed = mixUp({ numClasses })(batch(), new Generator(1))
    const again = cutMix({ numClasses })(mixed, new Generator(2))
    const logits = randn([N, numClasses], { generator: new Generator(3) })
    const loss = crossEntropy(logits, again.target)
    const q = again.target.dataSync()
    const x = logits.dataSync()
    let expected = 0
    for (let n = 0; n < N; n++) {
      const row = Array.from({ length: numClasses }, (_, c) => x[n * numClasses + c]!)
      const sum = Math.log(row.reduce((total, value) => total + Math.exp(value), 0))
      for (const [c, value] of row.entries()) expected -= (q[n * numClasses + c]! * (value - sum)) / N
    }
    expect(loss.item()).toBeCloseTo(expected, 5)
    for (const made of [again.input, again.target, logits, loss]) made.dispose()
  })
})

describe('cutMix', () => {
  test('puts a box of the picture before it in, and weighs the classes by area', () => {
    const areas = new Set<number>()
    for (let seed = 0; seed < 40; seed++) {
      const generator = new Generator(seed)
      const drawn = beta(1, generator)
      const x = generator.integer(W)
      const y = generator.integer(H)
      // torchvision.transforms.v2.CutMix.make_params
      const r = 0.5 * Math.sqrt(1 - drawn)
      const [rw, rh] = [Math.trunc(r * W), Math.trunc(r * H)]
      const [x1, y1, x2, y2] = [Math.max(x - rw, 0), Math.max(y - rh, 0), Math.min(x + rw, W), Math.min(y + rh, H)]
      const share = 1 - ((x2 - x1) * (y2 - y1)) / (W * H)
      areas.add(share)
      const { input, target } = read(cutMix({ numClasses })(batch(), new Generator(seed)))
      expectTargets(target, share)
      for (let n = 0; n < N; n++) {
        for (let c = 0; c < C; c++) {
          for (let i = 0; i < H; i++) {
            for (let j = 0; j < W; j++) {
              const inside = i >= y1 && i < y2 && j >= x1 && j < x2
              const from = inside ? (n + N - 1) % N : n
              expect(input[((n * C + c) * H + i) * W + j]).toBe(values[((from * C + c) * H + i) * W + j])
            }
          }
        }
      }
    }
    expect(areas.size).toBeGreaterThan(10)
  })

  test('cuts boxes at the borders: everything, nothing, corners', () => {
    expect(cutMixBox([8, 6], 0, [4, 3])).toEqual({ top: 0, left: 0, bottom: 8, right: 6, share: 0 })
    expect(cutMixBox([8, 6], 1, [4, 3])).toEqual({ top: 4, left: 3, bottom: 4, right: 3, share: 1 })
    expect(cutMixBox([8, 6], 0, [0, 0])).toEqual({ top: 0, left: 0, bottom: 4, right: 3, share: 0.75 })
    expect(cutMixBox([8, 6], 0, [7, 5])).toEqual({ top: 3, left: 2, bottom: 8, right: 6, share: 1 - 20 / 48 })
  })
})

describe('in a loader', () => {
  const data = new ImageDataset({
    images: Uint8Array.from({ length: 12 * 12 }, (_, i) => (i * 37) % 256),
    height: 3,
    width: 4,
    channels: 1,
    labels: Uint8Array.from({ length: 12 }, (_, i) => i % numClasses),
    classes: ['a', 'b', 'c', 'd'],
  })
  const epoch = (n: number, from = 0): number[][] => {
    const batchTransform = oneOf([mixUp({ numClasses }), cutMix({ numClasses })])
    const loader = new DataLoader(data, { batchSize: 3, shuffle: true, seed: 2, batchTransform })
    return Array.from(loader.epoch(n, { from }), ({ input, target }) => {
      const all = [...input.dataSync(), ...target.dataSync()]
      input.dispose()
      target.dispose()
      return all
    })
  }
  test('follows from seed, epoch and batch alone', () => {
    const whole = epoch(1)
    expect(epoch(1)).toEqual(whole)
    expect(epoch(1, 2)).toEqual(whole.slice(2))
    expect(epoch(2)).not.toEqual(whole)
  })

  test('oneOf takes each as often as it weighs', () => {
    const seen = [0, 0, 0]
    const count = (i: number) => (given: Batch) => {
      seen[i]!++
      return given
    }
    const pick = oneOf([count(0), count(1), count(2)], [1, 0, 3])
    const nothing = {} as Batch
    for (let seed = 0; seed < 4000; seed++) pick(nothing, new Generator(seed))
    expect(seen[1]).toBe(0)
    expect(Math.abs(seen[0]! - 1000)).toBeLessThan(5 * Math.sqrt(4000 * 0.25 * 0.75))
  })
})

describe('they refuse', () => {
  test.each([
    ['no classes', () => mixUp({ numClasses: 0 }), 'mixUp: numClasses expects a positive integer, got 0'],
    [
      'an alpha that is none',
      () => cutMix({ numClasses: 2, alpha: 0 }),
      'cutMix: alpha expects a positive number, got 0',
    ],
    ['nothing to choose from', () => oneOf([]), 'oneOf: transforms expects at least one, got none'],
    ['too few weights', () => oneOf([mixUp({ numClasses })], []), 'oneOf: weights expects 1 numbers'],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(ArgumentError)
    expect(make).toThrow(message)
  })

  test('targets of another shape, and leave the batch as it is', () => {
    const given = batch(shaped(new Float32Array(N * 3), [N, 3]))
    expect(() => mixUp({ numClasses })(given, new Generator(0))).toThrow(ShapeError)
    expect(given.input.dataSync()).toEqual(values)
    given.input.dispose()
    given.target.dispose()
    const flat: Batch = {
      input: tensor([1, 2]),
      target: tensor([0, 1], { dtype: 'int32' }),
      indices: Int32Array.of(0, 1),
    }
    expect(() => cutMix({ numClasses })(flat, new Generator(0))).toThrow('cutMix: input expects (N, C, H, W), got (2)')
    flat.input.dispose()
    flat.target.dispose()
  })
})
