import { readFileSync } from 'node:fs'
import { add, type Backend, elementwise, f, memory, mul, reference, type Tensor, tensor, wasm } from '@convnets/tensor'
import { describe, expect, it } from 'vitest'
import {
  backendConformance,
  checkGoldenOp,
  checkGradient,
  checkSecondGradient,
  fill,
  fillModel,
  fillValue,
  GoldenError,
  Json,
  makeInputs,
  modelTolerances,
  opCases,
  opsWithoutGradient,
  parseModelGolden,
  parseOpGoldens,
  parseTrainingGoldens,
  relativeError,
  runGoldenOp,
  within,
} from '../src/index.ts'

const fixture = (name: string): string =>
  readFileSync(new URL(`../../../fixtures/goldens/${name}`, import.meta.url), 'utf8')

describe('the fill rule', () => {
  it('gives the numbers of generate.py', () => {
    // What generate.py's uniform and fill_value give for these names.
    expect([...fill('train.x', [4])]).toEqual([
      0.3529466390609741, 0.11030280590057373, -0.38709700107574463, 0.7527129650115967,
    ])
    expect([...fill('é', [2])]).toEqual([0.11155200004577637, -0.005758523941040039])
    expect([...fillValue('conv1.weight', [2, 3, 1, 1])]).toEqual([
      1.2852905988693237, -0.2845851182937622, -0.3368372619152069, -1.2738195657730103, 0.24156180024147034,
      0.08814895153045654,
    ])
    expect([...fillValue('bn1.weight', [2], { normScale: 0.7 })]).toEqual([0.6449642777442932, 0.6779918670654297])
    expect([...fillValue('bn1.bias', [2])]).toEqual([0.0412013903260231, -0.06708979606628418])
    expect([...fillValue('bn1.running_mean', [2], { salt: 's' })]).toEqual([-0.031178820878267288, 0.08645330369472504])
    expect([...fillValue('bn1.running_var', [2])]).toEqual([0.8215429186820984, 1.0873135328292847])
    expect([...fillValue('bn1.num_batches_tracked', [])]).toEqual([0])
    expect([...fill('x', [3], 2.5)]).toEqual([-1.5749388933181763, -1.1367803812026978, -0.2489224076271057])
  })

  it('fills float32 exactly, evenly, and otherwise under another name', () => {
    const values = fill('name', [10_000])
    expect(values.every((v) => v === Math.fround(v) && v >= -1 && v < 1)).toBe(true)
    expect(Math.abs(values.reduce((a, b) => a + b, 0) / values.length)).toBeLessThan(0.02)
    expect(fill('name', [2, 5])).toEqual(values.slice(0, 10))
    expect(fill('other', [10])).not.toEqual(fill('name', [10]))
  })

  it('overwrites every entry of a state dict', () => {
    const weight = tensor([[0, 0, 0]], { backend: reference })
    const batches = tensor(5, { dtype: 'int32', backend: reference })
    const model = {
      stateDict: () =>
        new Map([
          ['fc.weight', weight],
          ['bn.num_batches_tracked', batches],
        ]),
    }
    expect(fillModel(model, { salt: 'a' })).toBe(model)
    expect([...weight.dataSync()]).toEqual([...fillValue('fc.weight', [1, 3], { salt: 'a' })])
    expect(batches.item()).toBe(0)
    const bad = { stateDict: () => new Map([['k', 3 as unknown as Tensor]]) }
    expect(() => fillModel(bad)).toThrow(/fillModel: entry k of the state dict expects a Tensor, got number/)
  })
})

describe('errors', () => {
  it('are relative to the largest expected value', () => {
    expect(relativeError([1, 2.2], [1, 2])).toBeCloseTo(0.1, 12)
    expect(relativeError([0.5], [0])).toBe(0.5)
    expect(relativeError([], [])).toBe(0)
    expect(relativeError([Number.NaN, Number.POSITIVE_INFINITY], [Number.NaN, Number.POSITIVE_INFINITY])).toBe(0)
  })

  it('are never small where a number is missing or no number', () => {
    for (const [a, b] of [
      [[1], [1, 2]],
      [
        [Number.NaN, 1],
        [1, 1],
      ],
      [
        [1, 1],
        [1, Number.NaN],
      ],
      [[Number.POSITIVE_INFINITY], [1]],
      [[Number.NEGATIVE_INFINITY], [Number.POSITIVE_INFINITY]],
    ] as const) {
      expect(within(relativeError(a, b), 1e9)).toBe(false)
    }
  })

  it('of models have floors', () => {
    expect(modelTolerances({ logits: 1e-6 }, 'strict')).toEqual({
      logits: 2e-5,
      loss: 1e-5,
      gradNormWorst: 2e-3,
      gradNormMedian: 1e-4,
    })
    const large = modelTolerances({ logits: 1, loss: 2, gradNormWorst: 3, gradNormMedian: 4 }, 'strict')
    expect(large).toEqual({ logits: 5, loss: 10, gradNormWorst: 15, gradNormMedian: 20 })
    expect(modelTolerances({ logits: 1 }, 'fast')).toMatchObject({ logits: 5e-4, gradNormMedian: 5e-4 })
  })
})

describe('gradient checks', () => {
  const x = (): Tensor => tensor([0.5, -0.3, 0.8], { dtype: 'float64', backend: reference })

  it('pass for right gradients, of one and several outputs', () => {
    expect(checkGradient((a) => mul(a, a), [x()])).toMatchObject({ passed: true })
    expect(checkGradient((a, b) => [add(a, b), mul(a, b)], [x(), x()]).errors.length).toBe(2)
    expect(checkSecondGradient((a) => mul(mul(a, a), a), [x()]).passed).toBe(true)
  })

  it('fail for wrong ones', () => {
    const wrong = elementwise('wrong', (a) => f.mul(a, a), { derivative: (_, [a]) => f.mul(2.001, a!) })
    const { passed, errors } = checkGradient((a) => wrong(a), [x()])
    expect(passed).toBe(false)
    expect(errors[0]).toBeGreaterThan(3e-4)
    // Right at first order, wrong at second: the gradient of the gradient is cut off.
    const flat = (a: Tensor): Tensor => mul(a, a.detach()).add(mul(a, a.detach())).mul(0.5)
    expect(checkSecondGradient((a) => flat(mul(a, a)), [x()]).passed).toBe(false)
    const missing = checkGradient((a) => a.detach().mul(a.detach()), [x()])
    expect(missing.passed).toBe(false)
    const none = elementwise('nan', (a) => f.mul(a, a), { derivative: () => f.const(Number.NaN) })
    expect(checkGradient((a) => none(a), [x()]).passed).toBe(false)
  })

  it('take float64 alone, leave their inputs as they are and nothing behind', () => {
    const single = tensor([1], { backend: reference })
    expect(() => checkGradient((a) => a, [single])).toThrow(/checkGradient: input 0 expects float64, got float32/)
    const point = x()
    const before = memory(reference)
    checkGradient((a) => mul(a, a), [point])
    expect(memory(reference).tensors).toBe(before.tensors)
    expect([...point.dataSync()]).toEqual([0.5, -0.3, 0.8])
  })
})

describe('the table of cases', () => {
  it('has cases for every op and a gradient for every op that has one', () => {
    for (const [op, cases] of Object.entries(opCases)) {
      expect(cases.length, op).toBeGreaterThan(0)
      const differentiable = cases.some(({ order }) => order > 0)
      expect(differentiable, op).toBe(!(opsWithoutGradient as readonly string[]).includes(op))
      expect(new Set(cases.map(({ id }) => id)).size, `ids of ${op}`).toBe(cases.length)
    }
  })

  it('fills inputs of both dtypes with the same numbers', () => {
    const [c] = opCases.matmul
    const values = (dtype: 'float32' | 'float64') =>
      makeInputs('matmul', c!, reference, dtype).map((t) => [...t.dataSync()])
    expect(values('float32')).toEqual(values('float64'))
  })
})

/** The reference backend with one thing changed. */
function broken(change: Partial<Backend>): Backend {
  return { ...reference, name: 'broken', ...change }
}

describe('conformance', () => {
  it('finds a kernel that is a little off', async () => {
    const backend = broken({
      matmul: (a, b, bias, spec) => {
        const out = reference.matmul(a, b, bias, spec)
        const data = reference.readSync(out)
        if (data.length > 10) data[10]! *= 1.0001
        reference.write(out, data)
        return out
      },
    })
    const failed = (await backendConformance(backend, { only: /^(matmul|relu)/ })).filter(({ passed }) => !passed)
    expect(failed.length).toBeGreaterThan(0)
    expect(new Set(failed.map(({ op }) => op))).toEqual(new Set(['matmul']))
    expect(failed.every(({ error }) => error > 1e-6)).toBe(true)
  })

  it('finds kernels that are missing, that leave buffers, and positions that are wrong', async () => {
    const missing = broken({
      softmax: () => {
        throw new Error('softmax: no such kernel')
      },
    })
    expect((await backendConformance(missing, { only: /^softmax/ })).every(({ passed }) => !passed)).toBe(true)
    const leaking = broken({
      softmax: (x, rows, log) => {
        reference.fill('float32', 1, 0)
        return reference.softmax(x, rows, log)
      },
    })
    const leaks = (await backendConformance(leaking, { only: /^softmax/ })).filter(({ passed }) => !passed)
    expect(leaks[0]?.reason).toMatch(/1 buffers were left behind/)
    const shifted = broken({
      argReduce: (kind, x, rows) => reference.argReduce(kind === 'max' ? 'min' : 'max', x, rows),
    })
    expect((await backendConformance(shifted, { only: /^argmax/ })).some(({ passed }) => !passed)).toBe(true)
  })

  it('finds storage that shares, forgets versions, or counts wrongly', async () => {
    const storage = async (backend: Backend) =>
      (await backendConformance(backend)).filter(({ op, passed }) => op === 'storage' && !passed)
    expect(await storage(broken({}))).toEqual([])
    expect((await storage(broken({ write: () => undefined }))).length).toBeGreaterThan(0)
    expect((await storage(broken({ free: () => undefined }))).length).toBeGreaterThan(0)
  }, 120_000)
})

describe('goldens', () => {
  it('are read', () => {
    expect(parseOpGoldens(fixture('ops.json')).cases.length).toBe(73)
    expect(parseTrainingGoldens(fixture('training.json')).runs.size).toBe(10)
    const model = parseModelGolden(fixture('models/resnet18.json'))
    expect([model.parameters, model.state.length, model.training?.target]).toEqual([11689512, 122, [3, 1, 4, 1]])
  })

  it('name the file and the field that is wrong', () => {
    const change = (text: string, edit: (json: never) => void): string => {
      const json = JSON.parse(text)
      edit(json as never)
      return JSON.stringify(json)
    }
    const ops = fixture('ops.json')
    const bad: [() => unknown, RegExp][] = [
      [() => parseOpGoldens('{', 'a.json'), /a\.json: expects JSON, got/],
      [() => parseOpGoldens('[]'), /ops\.json: expects an object, got an array of 0/],
      [() => parseOpGoldens('{"prefix":""}'), /ops\.json: cases: expects a value, got nothing/],
      [() => parseOpGoldens('{"prefix":"","cases":{}}'), /ops\.json: cases: expects an array, got \{\}/],
      [
        () => parseOpGoldens(change(ops, (j: { cases: { output: number[] }[] }) => void j.cases[2]!.output.pop())),
        /ops\.json: cases\[2\]\.output: expects 864 numbers, got an array of 863/,
      ],
      [
        () =>
          parseOpGoldens(
            change(ops, (j: { cases: { grads: object }[] }) => {
              j.cases[0]!.grads = {}
            }),
          ),
        /ops\.json: cases\[0\]\.grads\.x: expects a value, got nothing/,
      ],
      [
        () =>
          parseOpGoldens(
            change(ops, (j: { cases: { inputs: object }[] }) => {
              j.cases[0]!.inputs = { x: [-1] }
            }),
          ),
        /cases\[0\]\.inputs\.x: expects extents of a shape/,
      ],
      [
        () =>
          parseOpGoldens(
            change(ops, (j: { cases: { id: unknown }[] }) => {
              j.cases[1]!.id = 7
            }),
          ),
        /cases\[1\]\.id: expects a string, got 7/,
      ],
      [() => parseTrainingGoldens('{"batch":1.5}'), /training\.json: batch: expects an integer, got 1\.5/],
      [() => parseModelGolden('null', 'm.json'), /m\.json: expects an object, got null/],
      [
        () =>
          parseModelGolden(
            change(fixture('models/resnet34.json'), (j: { state: unknown[] }) => {
              j.state[0] = ['conv1.weight']
            }),
          ),
        /state\[0\]: expects an array of 2, got an array of 1/,
      ],
    ]
    for (const [call, message] of bad) {
      expect(call).toThrow(GoldenError)
      expect(call).toThrow(message)
    }
  })

  it('fail for another op, another output or another gradient', async () => {
    const { cases } = parseOpGoldens(fixture('ops.json'))
    const golden = cases.find(({ id }) => id === 'matmul')!
    const check = (change: object) => checkGoldenOp({ ...golden, ...change }, { backend: reference, dtype: 'float64' })
    expect(await check({})).toMatchObject({ passed: true })
    expect((await check({ output: golden.output.map((v, i) => (i === 0 ? v + 1e-8 : v)) })).passed).toBe(false)
    expect((await check({ outputShape: [3, 5] })).passed).toBe(false)
    expect((await check({ id: 'other' })).passed).toBe(false)
    const grads = new Map([...golden.grads].map(([name, g]) => [name, g.map((v) => -v)]))
    expect((await check({ grads })).passed).toBe(false)
    await expect(check({ op: 'frobnicate' })).rejects.toThrow(/op frobnicate is not one of conv2d/)
    const none = new Json({}, 'case: ')
    expect(() => runGoldenOp('toString', new Map(), none)).toThrow(GoldenError)
    expect(() => runGoldenOp('matmul', new Map(), none)).toThrow(/matmul: expects an input called a, got none/)
    expect(() =>
      runGoldenOp(
        'conv2d',
        new Map([
          ['x', tensor([1])],
          ['w', tensor([1])],
        ]),
        none,
      ),
    ).toThrow(/case: stride: expects a value/)
  })
})

it('measures the wasm backend by the same table', async () => {
  const results = await backendConformance(wasm, { only: /^(relu|matmul|sum) / })
  expect(results.filter(({ passed }) => !passed)).toEqual([])
  expect(results.length).toBeGreaterThan(50)
})
