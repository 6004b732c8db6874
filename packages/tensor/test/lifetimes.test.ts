import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { makeInputs, type OpName, opCases } from '@convnets/testkit'
import { describe, expect, it } from 'vitest'
import {
  adaptiveMaxPool2d,
  type Backend,
  batchNormTraining,
  conv2d,
  crossEntropy,
  DisposedError,
  embedding,
  exp,
  f,
  Generator,
  gather,
  getThreads,
  grad,
  linear,
  maxPool2d,
  maxPool2dWithIndices,
  memory,
  noGrad,
  oneHot,
  randn,
  reference,
  relu,
  resetPeakMemory,
  setThreads,
  sum,
  type Tensor,
  tensor,
  tidy,
  topk,
  update,
  wasm,
  zeros,
} from '../src/index.ts'

const both: [string, Backend][] = [
  ['reference', reference],
  ['wasm', wasm],
]

const live = (backend: Backend) => {
  const { tensors, buffers, bytes } = memory(backend)
  return { tensors, buffers, bytes }
}

describe.each(both)('tensors on %s', (_, backend) => {
  const make = (...numbers: number[]): Tensor => tensor(numbers, { backend })

  it('of max pooling come with positions only where these are asked for or a gradient is recorded', () => {
    const x = zeros([1, 2, 4, 4], { backend })
    const buffersOf = (fn: () => unknown): number => {
      const before = live(backend).buffers
      return tidy(() => {
        fn()
        return live(backend).buffers - before
      })
    }
    expect(buffersOf(() => maxPool2d(x, 2))).toBe(1)
    expect(buffersOf(() => adaptiveMaxPool2d(x, 1))).toBe(1)
    expect(buffersOf(() => maxPool2dWithIndices(x, 2))).toBe(2)
    x.requiresGrad = true
    expect(buffersOf(() => maxPool2d(x, 2))).toBe(2)
    expect(buffersOf(() => noGrad(() => maxPool2d(x, 2)))).toBe(1)
    expect(buffersOf(() => noGrad(() => maxPool2dWithIndices(x, 2)))).toBe(2)
    x.dispose()
  })

  it('are freed by dispose, once, and their memory with the last handle', () => {
    const before = live(backend)
    const x = make(1, 2, 3)
    const view = x.reshape([3, 1])
    expect(live(backend)).toMatchObject({ tensors: before.tensors + 2, buffers: before.buffers + 1 })
    x.dispose()
    x.dispose()
    expect(x.disposed).toBe(true)
    expect([...view.dataSync()]).toEqual([1, 2, 3])
    view.dispose()
    expect(live(backend)).toEqual(before)
  })

  it('say who they are when they are used after that, whatever the use', async () => {
    const x = make(1, 2)
    const y = make(3, 4)
    x.dispose()
    const gone = /Tensor #\d+ \(2\) float32.* was used after it was freed/
    const uses: (() => unknown)[] = [
      () => x.add(1),
      () => y.mul(x),
      () => x.reshape([1, 2]),
      () => x.dataSync(),
      () => sum(x),
      () => x.detach(),
      () => x.clone(),
      () => x.assign_([1, 2]),
      () => y.assign_(x),
      () => x.to('float64'),
      () => x.to(backend === wasm ? reference : wasm),
      () => update([f.const(1)], [x]),
      () => tensor([1], { backend }).item() && x.select(0, 0).item(),
    ]
    for (const use of uses) {
      expect(use).toThrow(DisposedError)
      expect(use).toThrow(gone)
    }
    await expect(x.data()).rejects.toThrow(gone)
    await expect(x.array()).rejects.toThrow(gone)
    expect(String(x)).toMatch(/freed/)
  })

  it('are freed at the end of a block by using', () => {
    const before = live(backend)
    {
      using x = make(1)
      using y = x.add(1)
      expect(y.item()).toBe(2)
    }
    expect(live(backend)).toEqual(before)
  })

  it('belong to the innermost tidy, which hands on what it returns', () => {
    const before = live(backend)
    const outer = tidy(() => {
      const x = make(1, 2)
      const inner = tidy(() => {
        make(9, 9)
        return {
          list: [x.add(1), x],
          map: new Map([['k', x.mul(2)]]),
          set: new Set([x.mul(3)]),
          nothing: null,
          word: 'a',
        }
      })
      expect(inner.list[0]?.disposed).toBe(false)
      return [inner.map.get('k')!, [...inner.set][0]!]
    })
    expect(outer.map((t) => [...t.dataSync()])).toEqual([
      [2, 4],
      [3, 6],
    ])
    expect(live(backend).tensors).toBe(before.tensors + 2)
    for (const t of outer) t.dispose()
    expect(live(backend)).toEqual(before)
  })

  it('are found by tidy in instances, in cycles, and behind what their gradient needs', () => {
    const before = live(backend)
    class Holder {
      readonly x: Tensor
      self: Holder | undefined
      constructor(x: Tensor) {
        this.x = x
        this.self = this
      }
    }
    const w = make(1, 2)
    w.requiresGrad = true
    const { x } = tidy(() => new Holder(sum(exp(w.mul(2)))))
    x.backward()
    expect([...w.grad!.dataSync()].map((v) => Math.round(v))).toEqual([
      Math.round(2 * Math.E ** 2),
      Math.round(2 * Math.E ** 4),
    ])
    x.dispose()
    w.dispose()
    expect(live(backend)).toEqual(before)
  })

  it('live on when kept, in whatever scope they were made', () => {
    const before = live(backend)
    let kept: Tensor | undefined
    tidy(() => {
      tidy(() => {
        kept = make(1, 2).keep()
      })
    })
    expect(kept?.kept).toBe(true)
    expect([...kept!.dataSync()]).toEqual([1, 2])
    kept?.dispose()
    expect(live(backend)).toEqual(before)
  })

  it('are all freed when tidy ends by an error, which comes through unchanged', () => {
    const before = live(backend)
    const problem = new Error('mine')
    const w = make(1, 2)
    w.requiresGrad = true
    expect(() =>
      tidy(() => {
        exp(w).mul(2)
        throw problem
      }),
    ).toThrow(problem)
    w.dispose()
    expect(live(backend)).toEqual(before)
  })

  it('would be freed under a promise, so tidy refuses one', () => {
    const before = live(backend)
    expect(() => tidy(async () => make(1))).toThrow(/tidy: fn expects a synchronous function, got an async one/)
    expect(() => tidy(() => Promise.reject(new Error('lost')))).toThrow(
      /tidy: fn expects a synchronous function, got one that returns a promise/,
    )
    expect(live(backend)).toEqual(before)
  })

  it('take their gradient with them', () => {
    const before = live(backend)
    const x = make(1, 2)
    x.requiresGrad = true
    tidy(() => sum(x.mul(x)).backward())
    const g = x.grad!
    x.dispose()
    expect(g.disposed).toBe(true)
    expect(live(backend)).toEqual(before)
  })

  it('count towards the peak until it is measured anew', () => {
    const start = memory(backend).bytes
    resetPeakMemory(backend)
    zeros([1000], { backend }).dispose()
    expect(memory(backend).peakBytes).toBeGreaterThanOrEqual(start + 4000)
    resetPeakMemory(backend)
    expect(memory(backend).peakBytes).toBe(memory(backend).bytes)
  })
})

/** Ops whose cases make tensors beside their inputs (indices, masks) or drop a part of the result. */
const ownTensors: readonly OpName[] = [
  'batchNormTraining',
  'cast',
  'crossEntropy',
  'embedding',
  'gather',
  'indexSelect',
  'logicalAnd',
  'logicalNot',
  'logicalOr',
  'max',
  'min',
  'oneHot',
  'scatterAdd',
  'topk',
  'where',
]

const counted = (Object.keys(opCases) as OpName[]).filter((op) => !ownTensors.includes(op))

describe.each(both)('an op on %s leaves nothing but its results', (_, backend) => {
  const disposeAll = (list: readonly (Tensor | undefined)[]): void => {
    for (const t of list) t?.dispose()
  }
  const resultsOf = (y: Tensor | readonly Tensor[]): Tensor[] => (Array.isArray(y) ? [...y] : [y as Tensor])

  it.each(counted)('%s', (op) => {
    for (const c of opCases[op]) {
      const inputs = makeInputs(op, c, backend, 'float32')
      const before = live(backend)
      const ys = noGrad(() => resultsOf(c.run(...inputs)))
      expect(live(backend).tensors - before.tensors, `handles beside the results of ${c.id}`).toBe(ys.length)
      disposeAll(ys)
      expect(live(backend), c.id).toEqual(before)
      if (c.order > 0) {
        for (const x of inputs) x.requiresGrad = true
        const recorded = resultsOf(c.run(...inputs))
        const sources = recorded.filter((y) => y.requiresGrad)
        const upstream = sources.map((y) => noGrad(() => y.mul(0)))
        if (sources.length > 0) disposeAll(grad(sources, inputs, { gradients: upstream, allowUnused: true }))
        disposeAll([...upstream, ...recorded])
        expect(live(backend), `after the gradient of ${c.id}`).toEqual(before)
      }
      disposeAll(inputs)
    }
  })

  it('neither do those that take indices', () => {
    const x = tensor(
      [
        [3, 1, 2],
        [4, 6, 5],
      ],
      { backend },
    )
    const at = tensor([1, 0], { dtype: 'int32', backend })
    const column = at.reshape([2, 1])
    const before = live(backend)
    const calls: (() => Tensor[])[] = [
      () => [crossEntropy(x, at, { labelSmoothing: 0.1 })],
      () => [embedding(at, x)],
      () => [gather(x, 1, column)],
      () => [x.indexSelect(0, at)],
      () => Object.values(x.max(1)),
      () => Object.values(x.min(1, { keepdim: true })),
      () => [oneHot(at, 3)],
      () => Object.values(topk(x, 2)),
      () => Object.values(batchNormTraining(x)),
    ]
    for (const call of calls) {
      const ys = call()
      expect(live(backend).tensors - before.tensors, String(call)).toBe(ys.length)
      disposeAll(ys)
      expect(live(backend)).toEqual(before)
    }
  })
})

/** conv-bn-relu-pool-linear with SGD by hand: a training step as users write it. `size` scales all extents. */
function trainer(backend: Backend, size = 1) {
  const generator = new Generator(1)
  const parameter = (shape: number[], scale: number): Tensor => {
    const p = tidy(() => randn(shape, { backend, generator }).mul(scale))
    p.requiresGrad = true
    return p.keep()
  }
  const [batch, channels, side] = [2 * size, 4 * size, 4 * size]
  const w = [
    parameter([channels, size, 3, 3], 0.3),
    parameter([channels], 1),
    parameter([channels], 0),
    parameter([3, (channels * side * side) / 4], 0.2),
    parameter([3], 0),
  ]
  const velocities = w.map((p) => zeros(p.shape, { backend }).keep())
  const x = randn([batch, size, side, side], { backend, generator }).keep()
  const classes = Array.from({ length: batch }, (_, i) => (i * 2) % 3)
  const target = tensor(classes, { dtype: 'int32', backend }).keep()
  const v = f.add(f.mul(f.param(0), f.input(1)), f.input(2))
  const rule = [f.sub(f.input(0), f.mul(f.param(1), v)), v]
  return {
    step: (): number =>
      tidy(() => {
        for (const p of w) p.grad = undefined
        const y = relu(batchNormTraining(conv2d(x, w[0]!, undefined, { padding: 1 }), w[1]!, w[2]!).output)
        const loss = crossEntropy(linear(maxPool2d(y, 2).flatten(1), w[3]!, w[4]!), target)
        loss.backward()
        w.forEach((p, i) => {
          update(rule, [p, velocities[i]!], [p.grad!], [0.9, 0.01])
        })
        return loss.item()
      }),
    infer: (): number => tidy(() => noGrad(() => sum(conv2d(x, w[0]!)).item())),
    weights: (): number[] => w.flatMap((p) => [...p.dataSync()]),
    dispose: (): void => {
      for (const t of [...w, ...velocities, x, target]) t.dispose()
    },
  }
}

describe('training', () => {
  it.each(both)('leaves nothing behind on %s, a step and an inference alike', (_, backend) => {
    const before = live(backend)
    const { step, infer, dispose } = trainer(backend)
    const first = step()
    const during = live(backend)
    for (let i = 0; i < 30; i++) step()
    infer()
    expect(live(backend)).toEqual(during)
    expect(step()).toBeLessThan(first)
    dispose()
    expect(live(backend)).toEqual(before)
  })

  it('runs 10,000 steps in flat memory', () => {
    const { step, dispose } = trainer(wasm)
    for (let i = 0; i < 20; i++) step()
    resetPeakMemory(wasm)
    step()
    const before = memory(wasm)
    for (let i = 0; i < 10_000; i++) step()
    expect(memory(wasm)).toEqual(before)
    dispose()
  }, 120_000)

  it.each(both)('gives the same weights to the bit from run to run on %s', (_, backend) => {
    const run = (): number[] => {
      const { step, weights, dispose } = trainer(backend)
      for (let i = 0; i < 20; i++) step()
      const result = weights()
      dispose()
      return result
    }
    expect(run()).toEqual(run())
  })

  it('gives the same weights to the bit for any number of threads', () => {
    const run = (threads: number): number[] => {
      setThreads(threads)
      const { step, weights, dispose } = trainer(wasm, 16)
      for (let i = 0; i < 3; i++) step()
      const result = weights()
      dispose()
      return result
    }
    const threads = getThreads()
    try {
      const [one, two, three] = [1, 2, 3].map(run)
      expect(two).toEqual(one)
      expect(three).toEqual(one)
    } finally {
      setThreads(threads)
    }
  })
})

it('what nobody holds any more is freed by the finalizer', () => {
  const script = `
    import { memory, record, tensor, sum, tidy } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)}
    const start = memory().tensors
    const make = () => {
      for (let i = 0; i < 100; i++) {
        const x = tensor([1, 2, 3], { requiresGrad: true })
        sum(x.exp())
        tidy(() => [tidy(() => sum(x.exp())), x.mul(2)])
        tidy(() => void x.mul(3).keep())
        if (i < 3) record((y) => y.mul(2))(tensor([1, 2, 3]))
      }
    }
    make()
    const made = memory().tensors - start
    for (let i = 0; i < 20 && memory().tensors > start; i++) { globalThis.gc(); await new Promise((r) => setTimeout(r, 10)) }
    console.log(JSON.stringify({ made: made > 100, left: memory().tensors - start, bytes: memory().bytes, held: memory().heldBytes < 2 ** 20 }))
  `
  const tsx = createRequire(import.meta.url).resolve('tsx')
  const args = ['--expose-gc', '--import', tsx, '--input-type=module', '--eval', script]
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    cwd: fileURLToPath(new URL('..', import.meta.url)),
  })
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toEqual({ made: true, left: 0, bytes: 0, held: true })
})
