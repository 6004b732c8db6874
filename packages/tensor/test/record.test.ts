/** Recorded functions: the bits of the function as it is written, whatever ops it consists of and whatever happens meanwhile. */
import { makeInputs, type OpCase, type OpName, opCases, opsWithoutGradient } from '@convnets/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import {
  ArgumentError,
  BackendError,
  conv2d,
  convTranspose2d,
  cos,
  DisposedError,
  defaultGenerator,
  GradientError,
  getThreads,
  globalAvgPool2d,
  grad,
  groupNorm,
  isFloat,
  layerNorm,
  linear,
  matmul,
  maxPool2d,
  memory,
  mul,
  noGrad,
  oneHot,
  type Precision,
  randn,
  record,
  reference,
  relu,
  seeded,
  setThreads,
  softmax,
  type Tensor,
  tensor,
  tidy,
  watchOps,
  withPrecision,
  zeros,
} from '../src/index.ts'

const bits = (t: Tensor): unknown[] => {
  const data = t.dataSync()
  return [t.shape, t.dtype, ...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]
}
const all = (value: unknown): Tensor[] => (Array.isArray(value) ? value.flatMap(all) : [value as Tensor])
const disposeAll = (list: readonly Tensor[]): void => {
  for (const each of list) each.dispose()
}
const threads = getThreads()

afterEach(() => setThreads(threads))

/** Runs `body` for all cases of an op, which leaves nothing in memory. */
function eachCase(op: OpName, body: (c: OpCase, dtype: 'float32' | 'float64') => void): void {
  const held = () => {
    const { tensors, bytes, buffers } = memory()
    return { tensors, bytes, buffers }
  }
  for (const dtype of ['float32', 'float64'] as const) {
    for (const c of opCases[op]) {
      const before = held()
      tidy(() => body(c, dtype))
      expect(held(), c.id).toEqual(before)
    }
  }
}

describe.each([1, 2])('every op, recorded, on %d threads', (count) => {
  it.each(Object.keys(opCases) as OpName[])('%s', (op) => {
    setThreads(count)
    eachCase(op, (c, dtype) => {
      const [a, b] = [
        makeInputs(op, c, tensor([0]).backend, dtype),
        makeInputs(`${op} b`, c, tensor([0]).backend, dtype),
      ]
      if (a.length === 0) return
      const run = record((...inputs: Tensor[]) => c.run(...inputs))
      for (const [k, inputs] of [a, a, b, a].entries()) {
        const expected = seeded(k, () => noGrad(() => all(c.run(...inputs)).map(bits)))
        expect(
          seeded(k, () => all(run(...inputs)).map(bits)),
          c.id,
        ).toEqual(expected)
      }
      expect(run.recordings).toBe(1)
      run.dispose()
    })
  })
})

describe('every op with a gradient, recorded', () => {
  const ops = (Object.keys(opCases) as OpName[]).filter((op) => !opsWithoutGradient.includes(op))

  it.each(ops)('%s', (op) => {
    eachCase(op, (c, dtype) => {
      const inputs = makeInputs(op, c, tensor([0]).backend, dtype)
      if (inputs.length === 0) return
      for (const input of inputs) input.requiresGrad = isFloat(input.dtype)
      const run = record((...inputs: Tensor[]) => c.run(...inputs), { gradient: true })
      /** Results and the gradients of the first of them, by a function of the inputs. */
      const computed = (fn: (...inputs: Tensor[]) => unknown): unknown =>
        tidy(() => {
          const results = all(fn(...inputs))
          const y = results.find(({ requiresGrad }) => requiresGrad)
          if (y === undefined) return results.map(bits)
          const g = seeded(9, () => randn(y.shape, { dtype: y.dtype as 'float32' }))
          const leaves = inputs.filter(({ requiresGrad }) => requiresGrad)
          const grads = grad(y, leaves, { gradients: [g], allowUnused: true })
          return [results.map(bits), grads.map((t) => t && bits(t))]
        })
      for (let round = 0; round < 5; round++) {
        expect(
          seeded(round, () => computed(run)),
          c.id,
        ).toEqual(seeded(round, () => computed((...inputs) => c.run(...inputs))))
      }
      expect(run.recordings).toBe(1)
      run.dispose()
    })
  })

  it('gives gradients where results are inputs, leaves, one another, or of several dtypes', () => {
    tidy(() => {
      const w = tensor([2, 3], { requiresGrad: true })
      const d = tensor([5, 7], { dtype: 'float64', requiresGrad: true })
      const fn = (x: Tensor) => {
        const y = x.mul(w)
        return { x, w, y, again: y, sum: x.add(w), d: d.mul(d), index: y.argmax(), cut: y.detach() }
      }
      const run = record(fn, { gradient: true })
      const computed = (f: typeof fn): unknown[] =>
        tidy(() => {
          const x = tensor([1, -4], { requiresGrad: true })
          const r = f(x)
          const loss = [r.x, r.w.mul(3), r.y.mul(5), r.again, r.sum.mul(r.sum), r.d.to('float32')]
          loss
            .reduce((a, b) => a.add(b))
            .sum()
            .backward()
          const grads = [x, w, d].map((t) => [...(t.grad as Tensor).dataSync()])
          for (const t of [w, d]) t.grad = undefined
          return [...grads, Object.values(r).map(bits)]
        })
      for (let i = 0; i < 5; i++) expect(computed(run)).toEqual(computed(fn))
      run.dispose()
    })
  })
})

/** A small network of everything that has an algorithm of its own. */
function network() {
  const [stem, three, grouped, depthwise, one, up] = seeded(3, () =>
    [
      [16, 3, 7, 7],
      [32, 16, 3, 3],
      [32, 8, 3, 3],
      [32, 1, 3, 3],
      [48, 32, 1, 1],
      [48, 8, 3, 3],
    ].map((shape) => randn(shape).mul(0.1)),
  ) as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
  const weights = [stem, three, grouped, depthwise, one, up]
  const forward = (x: Tensor): Tensor => {
    let y = maxPool2d(conv2d(x, stem, undefined, { stride: 2, padding: 3, activation: relu }), 3, {
      stride: 2,
      padding: 1,
    })
    y = groupNorm(conv2d(y, three, undefined, { padding: 1 }), 4)
    y = conv2d(y, grouped, undefined, { padding: 1, groups: 4 })
    y = conv2d(y, depthwise, undefined, { padding: 1, groups: 32, activation: relu })
    y = conv2d(y, one)
    y = convTranspose2d(y, up, undefined, { stride: 3 })
    return softmax(layerNorm(globalAvgPool2d(y), [8]))
  }
  return { forward, weights, dispose: () => disposeAll(weights) }
}

describe('a recorded network', () => {
  const eager = (net: ReturnType<typeof network>, x: Tensor): unknown[] =>
    tidy(() => bits(noGrad(() => net.forward(x))))

  it('follows whatever changes: weights, precision, threads, shapes', () => {
    const net = network()
    const run = record(net.forward)
    const again = (x: Tensor): unknown[] => tidy(() => bits(run(x)))
    const inputs = seeded(4, () =>
      [
        [2, 3, 32, 32],
        [2, 3, 32, 32],
        [1, 3, 40, 24],
      ].map((shape) => randn(shape)),
    )
    const same = (): void => {
      for (const x of [...inputs, ...inputs]) expect(again(x)).toEqual(eager(net, x))
    }
    same()
    expect(run.recordings).toBe(2)
    noGrad(() => tidy(() => void net.weights[1]!.assign_(net.weights[1]!.mul(1.5))))
    same()
    for (const precision of ['strict', 'fast'] satisfies Precision[]) withPrecision(precision, same)
    for (const count of [1, 2, 3]) {
      setThreads(count)
      same()
    }
    expect(run.recordings).toBe(2)
    run.dispose()
    expect(run.recordings).toBe(0)
    same()
    run.dispose()
    disposeAll(inputs)
    net.dispose()
  })

  it('keeps its memory, and nothing but the results is new in each call', () => {
    const net = network()
    const x = seeded(4, () => randn([1, 3, 32, 32]))
    // What is packed of the weights stays.
    const run = record(net.forward)
    const recordIt = (): void => {
      for (const _ of [1, 2]) run(x).dispose()
    }
    recordIt()
    run.dispose()
    const before = memory()
    recordIt()
    const recorded = memory()
    expect(recorded.bytes).toBe(before.bytes)
    expect(recorded.heldBytes).toBeGreaterThan(before.heldBytes)
    for (let i = 0; i < 20; i++) run(x).dispose()
    expect(memory().heldBytes).toBe(recorded.heldBytes)
    const y = run(x)
    expect(memory().bytes - before.bytes).toBe(8 * 4)
    y.dispose()
    run[Symbol.dispose]()
    expect(memory().heldBytes).toBe(before.heldBytes)
    x.dispose()
    net.dispose()
  })

  it('keeps as many recordings as it may', () => {
    const run = record((x: Tensor) => relu(x), { limit: 2 })
    tidy(() => {
      for (const size of [1, 1, 2, 2, 3, 3, 1, 3]) expect(run(zeros([size])).shape).toEqual([size])
    })
    expect(run.recordings).toBe(2)
    run.dispose()
  })

  it('is as it is written for who watches, and a part of what is recorded around it', () => {
    tidy(() => {
      const inner = record((x: Tensor) => relu(x))
      const outer = record((x: Tensor) => mul(inner(x), 2))
      const names: string[] = []
      const x = tensor([-1, 2])
      const values = [x, x, tensor([3, -4])].flatMap((each) => [...outer(each).dataSync()])
      expect(values).toEqual([0, 4, 0, 4, 6, 0])
      expect([inner.recordings, outer.recordings]).toEqual([0, 1])
      watchOps({ end: ({ name }) => names.push(name) }, () => outer(x))
      expect(names).toEqual(['relu', 'mul'])
      outer.dispose()
    })
  })

  it('derives anew what comes from its inputs, however often it is used', () => {
    const product = (x: Tensor): Tensor => {
      const w = x.mul(2)
      return [1, 2, 3, 4, 5].reduce(
        (sum) => linear(sum, w).add(conv2d(sum.reshape([1, 8, 4, 2]), w.reshape([8, 8, 1, 1])).reshape([8, 8])),
        x,
      )
    }
    tidy(() => {
      const run = record(product)
      const inputs = seeded(6, () => [randn([8, 8]), randn([8, 8]), randn([8, 8])])
      for (const x of [...inputs, ...inputs]) expect(bits(run(x))).toEqual(bits(product(x)))
      run.dispose()
    })
  })

  it('gives structures, tensors from outside and its inputs as tensors of their own', () => {
    tidy(() => {
      const outside = tensor([7])
      const run = record((x: Tensor, y: Tensor) => ({
        sum: x.add(y),
        both: [x, y.argmax()],
        outside,
        name: 'n',
        none: null,
      }))
      for (const k of [1, 2, 3]) {
        const [x, y] = [tensor([k, 2]), tensor([0, k])]
        const { sum, both, outside: seven, name, none } = run(x, y)
        expect([...sum.dataSync()]).toEqual([k, 2 + k])
        expect(both.map((t) => [...t.dataSync()])).toEqual([[k, 2], [1]])
        expect(both[0]).not.toBe(x)
        expect(seven.dataSync()[0]).toBe(7)
        expect([name, none]).toEqual(['n', null])
        expect(outside.disposed).toBe(false)
      }
      noGrad(() => outside.assign_(tensor([8])))
      expect(run(tensor([1, 2]), tensor([3, 4])).outside.dataSync()[0]).toBe(8)
      run.dispose()
    })
  })

  it('is recorded anew when its guard says so', () => {
    tidy(() => {
      const settings = { scale: 2 }
      let runs = 0
      const fn = (x: Tensor): Tensor => {
        runs++
        return x.mul(settings.scale)
      }
      const guard = () => {
        const was = settings.scale
        return () => settings.scale === was
      }
      const run = record(fn, { guard })
      const values = () => run(tensor([3])).dataSync()[0]
      expect([values(), values(), runs]).toEqual([6, 6, 2])
      settings.scale = 5
      expect([values(), values(), runs]).toEqual([15, 15, 4])
      run.dispose()
    })
  })
})

describe('what cannot be recorded', () => {
  const x = (): Tensor => tensor([1, 2, 3])
  const fails = (fn: (x: Tensor) => unknown, message: string): void => {
    const before = memory()
    const run = record(fn as (x: Tensor) => Tensor)
    expect(() =>
      tidy(() => {
        for (const _ of [1, 2]) run(x())
      }),
    ).toThrow(message)
    expect(memory().tensors).toBe(before.tensors)
    expect(memory().bytes).toBe(before.bytes)
  }

  it('is an error that says what', () => {
    fails((x) => x.mul(x.sum().item()), 'record: fn expects to read no numbers')
    fails(
      (x) => x.mul(defaultGenerator().uniform()),
      'record: fn expects to draw no random numbers but those of tensors',
    )
    fails((x) => Promise.resolve(x), 'tidy: fn expects a synchronous function')
    fails(
      (x) => new Map([[1, x.add(1)]]),
      'record: fn expects to return tensors, in arrays and plain objects, got an object of class Map',
    )
    fails(() => {
      throw new RangeError('mine')
    }, 'mine')
  })

  it('leaves tensors that are kept to who keeps them', () => {
    const kept: Tensor[] = []
    const run = record((x: Tensor) => {
      kept.push(cos(x).keep())
      return x.add(1)
    })
    tidy(() => void run(x()))
    kept.pop()?.dispose()
    const before = memory().heldBytes
    expect(() => tidy(() => run(x()))).toThrow(
      'record: fn expects to keep no tensors but those it returns, and it keeps 64 bytes',
    )
    for (const each of kept) {
      expect(each.dataSync()[0]).toBe(Math.fround(Math.cos(1)))
      each.dispose()
    }
    expect(memory().heldBytes).toBe(before)
  })

  it('is refused where inputs, options or backends are none of its own', () => {
    tidy(() => {
      const run = record((x: Tensor) => relu(x))
      expect(() => record(3 as never)).toThrow('record: fn expects a function, got number')
      expect(() => record(relu, { limit: 0 })).toThrow('limit')
      expect(() => record(relu, { guard: true } as never)).toThrow('record: guard expects a function, got boolean')
      expect(() => record(relu, { gradient: 'yes' } as never)).toThrow(
        'record: gradient expects true, false or a function that gives them, got yes',
      )
      expect(() => record(relu, { limits: 3 } as never)).toThrow(ArgumentError)
      expect(() => (run as unknown as () => unknown)()).toThrow(
        'record: the function expects at least one tensor, got none',
      )
      expect(() => run([1] as never)).toThrow('record: input 0 expects a Tensor, got an array')
      expect(() => run(tensor([1], { backend: reference }))).toThrow(BackendError)
      const freed = x()
      freed.dispose()
      expect(() => run(freed)).toThrow(DisposedError)
      const leaf = x()
      leaf.requiresGrad = true
      expect(() => run(leaf)).toThrow(GradientError)
      expect(noGrad(() => run(leaf)).requiresGrad).toBe(false)
      const two = record((a: Tensor, b: Tensor) => matmul(a, b))
      expect(() => two(x(), tensor([1], { backend: reference }))).toThrow('record: inputs lie on different backends')
      expect(() => two(x(), oneHot(tensor([0], { dtype: 'int32' }), 2))).toThrow('matmul')
      run.dispose()
    })
  })
})
