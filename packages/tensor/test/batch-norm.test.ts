/** Batch norm in training with its activation and its running statistics: the same numbers as the ops one by one. */
import { describe, expect, it } from 'vitest'
import {
  batchNormTraining,
  checkpoint,
  DTypeError,
  grad,
  isnan,
  type RunningStatistics,
  randn,
  reference,
  relu,
  relu6,
  type Shape,
  ShapeError,
  seeded,
  setThreads,
  silu,
  type Tensor,
  tanh,
  tensor,
  tidy,
  wasm,
  watchOps,
  zeros,
} from '../src/index.ts'

const bits = (t: Tensor): number[] => [...new Int32Array((t.dataSync() as Float32Array).slice().buffer)]

const shapes: Shape[] = [
  [5, 3],
  [2, 3, 7],
  [2, 1, 1, 1],
  [2, 3, 4, 4],
  [1, 20, 9, 10],
  [3, 17, 5, 4],
  [1, 700, 13, 11],
  [4, 8, 40, 40],
]

interface Parts {
  readonly x: Tensor
  readonly g: Tensor
  readonly weight: Tensor
  readonly bias: Tensor
}

/** Numbers of which a good part ends below 0; the mean is far from it, so that its rounding counts. */
function parts(shape: Shape, backend = wasm): Parts {
  const channels = [shape[1] as number]
  return seeded(7, () => {
    const on = (t: Tensor): Tensor => t.to(backend)
    const x = on(randn(shape).add(3.3))
    const [g, weight, bias] = [on(randn(shape)), on(randn(channels)), on(randn(channels))]
    for (const t of [x, weight, bias]) t.requiresGrad = true
    return { x, g, weight, bias }
  })
}

function statistics(channels: number, momentum: number | null = 0.1, backend = wasm): RunningStatistics {
  return seeded(3, () => ({
    mean: randn([channels]).to(backend),
    variance: randn([channels]).square().to(backend),
    count: tensor(new Int32Array([4]), { shape: [] }).to(backend),
    momentum,
  }))
}

const allOf = ({ mean, variance, count }: RunningStatistics): number[][] => [bits(mean), bits(variance), [count.item()]]

/** Output and all gradients. */
function results(
  { x, g, weight, bias }: Parts,
  affine: readonly boolean[],
  activation?: (x: Tensor) => Tensor,
  running?: RunningStatistics,
): Tensor[] {
  const [w, b] = [affine[0] ? weight : undefined, affine[1] ? bias : undefined]
  const { output, mean, variance } = batchNormTraining(x, w, b, { activation, running })
  const by = [x, w, b].filter((t) => t !== undefined)
  return [output, mean, variance, ...grad(output, by, { gradients: [g] })]
}

const activations = { relu, relu6, silu, tanh }

describe('batchNormTraining with an activation', () => {
  for (const [name, act] of Object.entries(activations)) {
    it(`is the norm and ${name} to the bit, forward and backward`, () => {
      for (const shape of shapes) {
        tidy(() => {
          const given = parts(shape)
          for (const affine of [
            [false, false],
            [true, false],
            [false, true],
            [true, true],
          ]) {
            const whole = results(given, affine, act)
            // A function that is no op by itself runs after the norm.
            const apart = results(given, affine, (y) => act(y))
            expect(whole.map(bits)).toEqual(apart.map(bits))
          }
        })
      }
    })
  }

  it('leaves ops of truth values to themselves, whose dtype is another', () => {
    tidy(() => {
      const { x, weight, bias } = parts([3, 17, 5, 4])
      const { output } = batchNormTraining(x, weight, bias, { activation: isnan })
      expect(output.dtype).toBe('bool')
      expect([...output.dataSync()].every((value) => !value)).toBe(true)
    })
  })

  it('agrees with the reference backend', () => {
    const run = (backend: typeof wasm): number[][] =>
      tidy(() => results(parts([3, 17, 5, 4], backend), [true, true], silu).map((t) => [...t.dataSync()]))
    const expected = run(reference)
    run(wasm).forEach((list, k) => {
      list.forEach((value, i) => void expect(value).toBeCloseTo(expected[k]?.[i] as number, 4))
    })
  })

  it('has gradients of gradients, equal to those of the ops one by one', () => {
    tidy(() => {
      const { x, g, weight, bias } = parts([2, 3, 4, 4])
      const second = (act: (x: Tensor) => Tensor): number[] => {
        const { output } = batchNormTraining(x, weight, bias, { activation: act })
        const [first] = grad(output, [x], { gradients: [g], createGraph: true })
        return grad((first as Tensor).square().sum(), [x, weight, bias]).flatMap((t) => [...t.dataSync()])
      }
      const [whole, apart] = [second(silu), second((y) => silu(y))]
      expect(whole.some((value) => Math.abs(value) > 0.1)).toBe(true)
      whole.forEach((value, i) => void expect(value).toBeCloseTo(apart[i] as number, 3))
    })
  })

  it('holds less for the gradient than the ops one by one', () => {
    const held = (act: (x: Tensor) => Tensor): number =>
      tidy(() => {
        const { x, weight, bias } = parts([4, 8, 40, 40])
        const before = wasm.memory().bytes
        const { output } = batchNormTraining(x, weight, bias, { activation: act })
        return (wasm.memory().bytes - before) / (4 * output.size)
      })
    expect(held(silu)).toBeLessThan(1.1)
    expect(held((y) => silu(y))).toBeGreaterThan(2)
  })

  it('is the same for any number of threads', () => {
    const run = (threads: number): number[][] => {
      setThreads(threads)
      return tidy(() => results(parts([4, 8, 40, 40]), [true, true], silu).map(bits))
    }
    try {
      const [one, two, three] = [run(1), run(2), run(3)]
      expect(two).toEqual(one)
      expect(three).toEqual(one)
    } finally {
      setThreads(2)
    }
  })
})

describe('running statistics', () => {
  it('move on as the ops one by one move them, to the bit', () => {
    for (const momentum of [0.1, 0, 1, 0.37]) {
      tidy(() => {
        const given = parts([3, 17, 5, 4])
        const whole = statistics(17, momentum)
        const apart = statistics(17, momentum)
        for (let i = 0; i < 3; i++) {
          results(given, [true, true], relu, whole)
          watchOps({ end: () => undefined }, () => results(given, [true, true], relu, apart))
        }
        expect(allOf(whole)).toEqual(allOf(apart))
        expect(whole.count.item()).toBe(7)
      })
    }
  })

  it('average over all batches without a momentum', () => {
    tidy(() => {
      for (const backend of [wasm, reference]) {
        const running = {
          mean: zeros([2]).to(backend),
          variance: zeros([2]).to(backend),
          count: zeros([], { dtype: 'int32' }).to(backend),
          momentum: null,
        }
        const means: number[][] = []
        const variances: number[][] = []
        for (let i = 0; i < 3; i++) {
          const x = seeded(i, () => randn([6, 2])).to(backend)
          const { mean, variance } = batchNormTraining(x, undefined, undefined, { running })
          means.push([...mean.dataSync()])
          variances.push([...variance.dataSync()])
        }
        for (const c of [0, 1]) {
          const average = (lists: number[][]): number => lists.reduce((sum, list) => sum + (list[c] as number), 0) / 3
          expect(running.mean.dataSync()[c]).toBeCloseTo(average(means), 5)
          expect(running.variance.dataSync()[c]).toBeCloseTo((average(variances) * 6) / 5, 5)
        }
        expect(running.count.item()).toBe(3)
      }
    })
  })

  it('stay as they are where an argument is wrong, and the error names it', () => {
    tidy(() => {
      const { x, weight, bias } = parts([3, 17, 5, 4])
      const running = statistics(17)
      const before = allOf(running)
      const cases: [Partial<RunningStatistics>, new (message: string) => Error, RegExp][] = [
        [{ mean: zeros([3]) }, ShapeError, /batchNorm: running.mean expects \(17\), got \(3\)/],
        [{ variance: zeros([17, 1]) }, ShapeError, /batchNorm: running.variance expects \(17\), got \(17, 1\)/],
        [{ count: zeros([]) }, DTypeError, /batchNorm: running.count expects int32, got float32/],
        [
          { count: zeros([2], { dtype: 'int32' }) },
          ShapeError,
          /batchNorm: running.count expects one element, got \(2\)/,
        ],
        [{ momentum: 2 }, Error, /batchNorm: running.momentum expects .*, got 2/],
      ]
      for (const [wrong, kind, message] of cases) {
        const run = () => batchNormTraining(x, weight, bias, { running: { ...running, ...wrong } })
        expect(run).toThrow(kind)
        expect(run).toThrow(message)
      }
      expect(() => batchNormTraining(x, zeros([4]), bias, { running })).toThrow(ShapeError)
      const elsewhere = zeros([17]).to(reference)
      expect(() => batchNormTraining(x, weight, bias, { running: { ...running, mean: elsewhere } })).toThrow(/backend/)
      expect(() => batchNormTraining(x, weight, bias, { running: null as never })).toThrow(
        /batchNorm: running expects \{ mean, variance, count, momentum \}, got null/,
      )
      // Also where the statistics are moved on by ops.
      const watched = () =>
        watchOps({ end: () => undefined }, () =>
          batchNormTraining(x, weight, bias, { running: { ...running, mean: elsewhere } }),
        )
      expect(watched).toThrow(/lies on/)
      expect(allOf(running)).toEqual(before)
    })
  })

  it('move on once under checkpoint where the norm is told so', () => {
    tidy(() => {
      const { x, weight, bias } = parts([3, 17, 5, 4])
      const running = statistics(17)
      let times = 0
      const y = checkpoint((x: Tensor) => {
        const first = times++ === 0
        return batchNormTraining(x, weight, bias, { activation: relu, running: first ? running : undefined }).output
      }, x)
      grad(y.sum(), [x])
      expect(times).toBe(2)
      expect(running.count.item()).toBe(5)
    })
  })
})
