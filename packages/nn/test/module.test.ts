import {
  BatchNorm1d,
  BatchNorm2d,
  buffer,
  Conv2d,
  type Layer,
  Linear,
  Module,
  ModuleDict,
  ModuleList,
  parameter,
  ReLU,
  Sequential,
  StateDictError,
} from '@convnets/nn'
import {
  type Backend,
  BackendError,
  memory,
  moveTo,
  noGrad,
  ones,
  randn,
  reference,
  seeded,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { Fields, values } from './values.ts'

class Small extends Module {
  conv1 = new Conv2d(1, 2, { kernel: 3, bias: false })
  bn1 = new BatchNorm2d(2)
  fc = new Linear(2, 3)

  forward(x: Tensor): Tensor {
    return this.fc.forward(this.bn1.forward(this.conv1.forward(x)).mean({ dim: [2, 3] }))
  }
}

const smallKeys = [
  'conv1.weight',
  'bn1.weight',
  'bn1.bias',
  'bn1.running_mean',
  'bn1.running_var',
  'bn1.num_batches_tracked',
  'fc.weight',
  'fc.bias',
]

describe('what a module finds in its fields', () => {
  test('own parameters, own buffers, then children, as PyTorch orders a state dict', () => {
    class Mixed extends Fields {
      child = new Linear(2, 1, { bias: false })
      count = buffer(zeros([1]))
      scale = parameter(ones([2]))
      passing = ones([5])
      late = parameter(ones([1]))
    }
    const module = new Mixed()
    expect([...module.stateDict().keys()]).toEqual(['scale', 'late', 'count', 'child.weight'])
    expect([...module.namedParameters().keys()]).toEqual(['scale', 'late', 'child.weight'])
    expect([...module.namedBuffers().keys()]).toEqual(['count'])
    expect(module.parameterCount()).toBe(5)
  })

  test('arrays, records and Maps, nested', () => {
    class Nested extends Fields {
      list = [new Linear(1, 1, { bias: false }), [parameter(ones([1]))]]
      record = { a: new ReLU(), b: { c: parameter(ones([1])) }, text: 'x', nothing: null }
      map = new Map<string, Layer>([['m', new Linear(1, 1, { bias: false })]])
    }
    const module = new Nested()
    expect([...module.stateDict().keys()]).toEqual(['list.0.weight', 'list.1.0', 'record.b.c', 'map.m.weight'])
    expect([...module.namedModules().keys()]).toEqual(['', 'list.0', 'record.a', 'map.m'])
    expect([...module.namedChildren().keys()]).toEqual(['list.0', 'record.a', 'map.m'])
  })

  test('any name is a plain key', () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '0']
    const dict = new ModuleDict(new Map(names.map((name) => [name, new Linear(1, 1, { bias: false })])))
    expect([...dict.stateDict().keys()]).toEqual(names.map((name) => `${name}.weight`))
    const report = dict.loadStateDict(new Map(names.map((name, i) => [`${name}.weight`, tensor([[i]])])))
    expect(report).toEqual({ missing: [], unexpected: [], mismatched: [] })
    expect(names.map((name) => values((dict.get(name) as Linear).weight))).toEqual([[0], [1], [2], [3], [4]])
    const record = JSON.parse('{ "__proto__": 1 }') as Record<string, unknown>
    Object.defineProperty(record, '__proto__', { value: parameter(ones([1])), enumerable: true, writable: true })
    class Odd extends Fields {
      record = record
    }
    expect([...new Odd().stateDict().keys()]).toEqual(['record.__proto__'])
  })

  test('a tensor in two places is one parameter and two keys', () => {
    class Tied extends Fields {
      a = new Linear(2, 2, { bias: false })
      b = new Linear(2, 2, { bias: false })
    }
    const module = new Tied()
    module.b.weight = module.a.weight
    expect(module.parameters()).toEqual([module.a.weight])
    expect([...module.stateDict().keys()]).toEqual(['a.weight', 'b.weight'])
    module.to('float64')
    expect(module.a.weight.dtype).toBe('float64')
    expect(module.b.weight).toBe(module.a.weight)
  })

  test('a module in two places is one module and two sets of keys', () => {
    class Shared extends Fields {
      a = new Linear(1, 1, { bias: false })
      b = { again: this.a }
    }
    const module = new Shared()
    expect([...module.stateDict().keys()]).toEqual(['a.weight', 'b.again.weight'])
    expect([...module.namedModules().keys()]).toEqual(['', 'a'])
    expect(module.parameterCount()).toBe(1)
  })

  test('private fields are not looked at, undefined ones are skipped', () => {
    class Hidden extends Fields {
      readonly #weight = parameter(ones([1]))
      nothing: Tensor | undefined
      get hidden(): Tensor {
        return this.#weight
      }
    }
    const module = new Hidden()
    expect(module.stateDict().size).toBe(0)
    expect(module.hidden.requiresGrad).toBe(true)
  })

  test('a module inside of itself is an error, not an endless walk', () => {
    class Loop extends Fields {
      child: { self?: Module } = {}
    }
    const module = new Loop()
    module.child.self = module
    expect(() => module.stateDict()).toThrow('Module: field child.self leads back to a module that it is part of')
  })

  test('buffers that are not persistent stay out of state dicts but move along', () => {
    class Cache extends Fields {
      grid = buffer(ones([2]), { persistent: false })
    }
    const module = new Cache()
    expect(module.stateDict().size).toBe(0)
    module.to(reference)
    expect(module.grid.backend).toBe(reference)
    expect([...module.namedBuffers().keys()]).toEqual(['grid'])
  })
})

describe('parameter and buffer', () => {
  test('outlive the scope they are made in', () => {
    const kept: Tensor[] = []
    tidy(() => void kept.push(parameter(ones([2])), buffer(zeros([1]))))
    expect(kept.map((t) => t.disposed)).toEqual([false, false])
  })

  test('refuse what cannot be one', () => {
    const leaf = parameter(ones([2]))
    expect(() => parameter(zeros([2], { dtype: 'int32' }))).toThrow(/requiresGrad: expects a float tensor, got Tensor/)
    expect(() => parameter(leaf.mul(2))).toThrow(/parameter: values expects a leaf, got Tensor .* made by mul/)
    expect(() => buffer([1] as unknown as Tensor)).toThrow('buffer: values expects a Tensor, got object')
    expect(noGrad(() => parameter(leaf.mul(2))).requiresGrad).toBe(true)
  })
})

describe('loadStateDict', () => {
  const dictOf = (module: Module): Map<string, Tensor> =>
    new Map([...module.stateDict()].map(([key, t]) => [key, t.dtype === 'int32' ? t : t.detach().add(1)]))

  test('copies, and leaves the dict its own tensors', () => {
    const [from, to] = [new Small(), new Small()]
    const before = to.fc.weight
    expect(to.loadStateDict(from.stateDict())).toEqual({ missing: [], unexpected: [], mismatched: [] })
    expect(to.fc.weight).toBe(before)
    expect(values(to.fc.weight)).toEqual(values(from.fc.weight))
    expect(to.fc.weight).not.toBe(from.fc.weight)
    from.dispose()
    expect(values(to.conv1.weight)).toHaveLength(18)
  })

  test('converts dtypes and backends', () => {
    const module = new Small()
    const dict = dictOf(module)
    dict.set('fc.bias', tensor([1, 2, 3], { dtype: 'float64', backend: reference }))
    dict.set('bn1.num_batches_tracked', tensor(7, { dtype: 'int32', backend: reference }))
    module.loadStateDict(dict)
    expect(values(module.fc.bias)).toEqual([1, 2, 3])
    expect(module.bn1.num_batches_tracked?.item()).toBe(7)
  })

  test('strict names everything that does not fit and changes nothing', () => {
    const module = new Small()
    const before = [...module.stateDict().values()].map(values)
    const dict = dictOf(module)
    dict.delete('bn1.running_mean')
    dict.delete('conv1.weight')
    dict.set('fc.extra', ones([1]))
    dict.set('__proto__', ones([1]))
    dict.set('fc.weight', ones([4, 2]))
    let error: unknown
    try {
      module.loadStateDict(dict)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(StateDictError)
    expect(error).toMatchObject({
      message:
        'loadStateDict: the keys do not fit, nothing was changed: missing conv1.weight, bn1.running_mean; ' +
        'unexpected fc.extra, __proto__; fc.weight expects (3, 2), got (4, 2)',
      missing: ['conv1.weight', 'bn1.running_mean'],
      unexpected: ['fc.extra', '__proto__'],
      mismatched: [{ key: 'fc.weight', expected: [3, 2], got: [4, 2] }],
    })
    expect([...module.stateDict().values()].map(values)).toEqual(before)
  })

  test('otherwise loads what fits and reports the rest', () => {
    const module = new Small()
    const weight = values(module.fc.weight)
    const dict = new Map([
      ['fc.weight', ones([4, 2])],
      ['fc.bias', tensor([1, 2, 3])],
      ['head.weight', ones([1])],
    ])
    expect(module.loadStateDict(dict, { strict: false })).toEqual({
      missing: smallKeys.filter((key) => !key.startsWith('fc') && !key.endsWith('num_batches_tracked')),
      unexpected: ['head.weight'],
      mismatched: [{ key: 'fc.weight', expected: [3, 2], got: [4, 2] }],
    })
    expect(values(module.fc.bias)).toEqual([1, 2, 3])
    expect(values(module.fc.weight)).toEqual(weight)
  })

  test('does not miss num_batches_tracked, which old checkpoints lack', () => {
    const module = new Small()
    const dict = dictOf(module)
    dict.delete('bn1.num_batches_tracked')
    expect(module.loadStateDict(dict).missing).toEqual([])
  })

  test.each<[string, (dict: Map<string, Tensor>) => unknown, string]>([
    [
      'a plain object',
      () => ({}),
      'loadStateDict: dict expects a Map of tensors by key, got an object of class Object',
    ],
    ['nothing', () => null, 'loadStateDict: dict expects a Map of tensors by key, got null'],
    [
      'an array for a tensor',
      (dict) => dict.set('fc.bias', [1, 2, 3] as unknown as Tensor),
      'loadStateDict: fc.bias expects a Tensor, got an object of class Array',
    ],
  ])('refuses %s', (_, spoil, message) => {
    const module = new Small()
    const dict = dictOf(module)
    const bad = spoil(dict) as Map<string, Tensor>
    expect(() => module.loadStateDict(bad)).toThrow(message)
  })

  test('assign takes the tensors of the dict over, as they are and frozen as the module was', () => {
    const [from, to] = [seeded(1, () => new Small()), seeded(2, () => new Small())]
    to.freeze('fc')
    const dict = from.stateDict()
    const former = [...to.stateDict().values()]
    expect(to.loadStateDict(dict, { assign: true })).toEqual({ missing: [], unexpected: [], mismatched: [] })
    expect(former.every((t) => t.disposed)).toBe(true)
    expect([...to.stateDict().values()].map((t) => t.storage)).toEqual([...dict.values()].map((t) => t.storage))
    expect([...to.stateDict().keys()]).toEqual(smallKeys)
    expect(to.fc.weight).not.toBe(from.fc.weight)
    expect([to.fc.weight.requiresGrad, to.conv1.weight.requiresGrad]).toEqual([false, true])
    from.fc.bias?.assign_([1, 2, 3])
    expect(values(to.fc.bias as Tensor)).toEqual([1, 2, 3])
    from.dispose()
    expect(values(to.forward(ones([1, 1, 4, 4])))).toHaveLength(3)
    to.dispose()
  })

  test('assign converts what has another dtype, keeps ties, and changes nothing where a key does not fit', () => {
    const shared = parameter(tensor([[1, 2]]))
    class Tied extends Fields {
      a = shared
      b = [shared]
    }
    const tied = new Tied()
    const dict = new Map([
      ['a', tensor([[3, 4]], { dtype: 'float64' })],
      ['b.0', tensor([[3, 4]], { dtype: 'float64' })],
    ])
    const bad = new Map([...dict, ['b.0', tensor([[3, 4, 5]])]])
    expect(() => tied.loadStateDict(bad, { assign: true })).toThrow(StateDictError)
    expect([tied.parameters()[0], shared.disposed]).toEqual([shared, false])
    tied.loadStateDict(dict, { assign: true })
    const [only, ...more] = tied.parameters() as [Tensor]
    expect([values(only), only.dtype, more, shared.disposed]).toEqual([[3, 4], 'float32', [], true])
  })

  test('refuses options that it does not have', () => {
    const module = new Small()
    const options = { asign: true } as object
    expect(() => module.loadStateDict(module.stateDict(), options)).toThrow('got asign (did you mean assign?)')
  })

  test('a freed tensor is an error before anything is changed', () => {
    const module = new Small()
    const before = values(module.conv1.weight)
    const dict = dictOf(module)
    dict.get('fc.bias')?.dispose()
    expect(() => module.loadStateDict(dict)).toThrow(/was used after it was freed/)
    expect(values(module.conv1.weight)).toEqual(before)
  })
})

describe('modes', () => {
  test('train and eval reach every module', () => {
    const module = new Sequential(new Small(), new Sequential(new ReLU()))
    const modes = (): Set<boolean> => new Set([...module.namedModules().values()].map(({ training }) => training))
    expect(modes()).toEqual(new Set([true]))
    expect(module.eval()).toBe(module)
    expect(modes()).toEqual(new Set([false]))
    module.train()
    expect(modes()).toEqual(new Set([true]))
  })

  test('a module may keep its children out of training mode', () => {
    class Frozen extends Small {
      override train(mode = true): this {
        super.train(mode)
        this.bn1.eval()
        return this
      }
    }
    const module = new Sequential(new Frozen()).train()
    expect((module.at(0) as Frozen).bn1.training).toBe(false)
    expect((module.at(0) as Frozen).conv1.training).toBe(true)
  })

  test('freeze and unfreeze parameters by path', () => {
    const module = new Small()
    const trainable = (): string[] => [...module.namedParameters()].flatMap(([key, p]) => (p.requiresGrad ? [key] : []))
    module.freeze('conv1', 'fc.bias')
    expect(trainable()).toEqual(['bn1.weight', 'bn1.bias', 'fc.weight'])
    module.unfreeze('fc')
    expect(trainable()).toEqual(['bn1.weight', 'bn1.bias', 'fc.weight', 'fc.bias'])
    module.freeze()
    expect(trainable()).toEqual([])
    expect(
      module
        .requiresGrad_(true)
        .parameters()
        .every((p) => p.requiresGrad),
    ).toBe(true)
    expect(() => module.freeze('conv1', 'con')).toThrow(
      "freeze: prefix expects the path of a parameter or module (conv1, bn1, fc), got 'con'",
    )
    expect(module.conv1.weight.requiresGrad).toBe(true)
    expect([...module.stateDict().keys()]).toEqual(smallKeys)
  })

  test('frozen parameters get no gradient, and none flows past them', () => {
    const module = new Small().freeze('conv1')
    tidy(() =>
      module
        .forward(randn([2, 1, 5, 5]))
        .sum()
        .backward(),
    )
    expect(module.conv1.weight.grad).toBeUndefined()
    expect(module.fc.weight.grad?.shape).toEqual([3, 2])
    module.zeroGrad()
    expect(module.fc.weight.grad).toBeUndefined()
  })

  test('to converts floats alone, moves all, and frees what was there', () => {
    const before = memory().tensors
    const module = new Small().freeze('fc')
    const former = module.fc.weight
    const numbers = values(former)
    module.to('float64')
    expect(former.disposed).toBe(true)
    expect(values(module.fc.weight)).toEqual(numbers)
    expect(module.fc.weight.requiresGrad).toBe(false)
    expect(module.conv1.weight.requiresGrad).toBe(true)
    expect(module.bn1.num_batches_tracked?.dtype).toBe('int32')
    module.to(reference)
    expect([...module.stateDict().values()].every((t) => t.backend === reference)).toBe(true)
    expect([...module.stateDict().keys()]).toEqual(smallKeys)
    expect(tidy(() => module.forward(randn([2, 1, 5, 5], { dtype: 'float64', backend: reference })).dtype)).toBe(
      'float64',
    )
    expect(() => module.to('int32')).toThrow('Module.to: target expects float32, float64 or a backend, got int32')
    module.dispose()
    expect([...module.stateDict().values()].every((t) => t.disposed)).toBe(true)
    expect(memory().tensors).toBe(before)
  })

  test('moveTo takes all tensors along, each as the object it is, shared ones once', async () => {
    class Tied extends Fields {
      small = new Small().freeze('fc')
      again = this.small.fc.weight
      grid = buffer(ones([2]), { persistent: false })
    }
    const before = memory().tensors
    const module = new Tied()
    tidy(() =>
      module.small
        .forward(randn([2, 1, 5, 5]))
        .sum()
        .backward(),
    )
    const [tensors, { grad }] = [module.ownTensors(), module.small.conv1.weight]
    const numbers = tensors.map(values)
    expect(tensors).toHaveLength(smallKeys.length + 1)
    const buffers = memory(reference).buffers
    await moveTo(reference, module)
    expect(memory(reference).buffers).toBe(buffers + tensors.length + 3)
    expect(module.ownTensors()).toEqual(tensors)
    expect(module.again).toBe(module.small.fc.weight)
    expect(module.small.conv1.weight.grad).toBe(grad)
    expect([...tensors, grad].every((t) => t?.backend === reference)).toBe(true)
    expect(tensors.map(values)).toEqual(numbers)
    expect(module.small.fc.weight.requiresGrad).toBe(false)
    module.dispose()
    expect(memory(reference).buffers).toBe(buffers)
    expect(memory().tensors).toBe(before)
  })

  test('to leaves nothing behind where the other backend is full', () => {
    const module = new Small()
    let uploads = 0
    const full: Backend = {
      ...reference,
      upload(dtype, data) {
        if (++uploads === 4) throw new BackendError('full')
        return reference.upload(dtype, data)
      },
    }
    const before = [memory().tensors, memory(reference).buffers]
    expect(() => module.to(full)).toThrow('full')
    expect([memory().tensors, memory(reference).buffers]).toEqual(before)
    expect([...module.stateDict().values()].some((t) => t.backend === full || t.disposed)).toBe(false)
    module.dispose()
  })

  test('apply visits children before their parents', () => {
    const seen: string[] = []
    new Sequential(new ReLU(), new Sequential(new Linear(1, 1))).apply((m) => void seen.push(m.constructor.name))
    expect(seen).toEqual(['ReLU', 'Linear', 'Sequential', 'Sequential'])
  })

  test('nothing is left of a module in a scope after dispose', () => {
    const before = memory().tensors
    using module = new Small()
    tidy(() =>
      module
        .forward(randn([2, 1, 5, 5]))
        .sum()
        .backward(),
    )
    module.dispose()
    expect(memory().tensors).toBe(before)
  })
})

describe('forward hooks', () => {
  test('watch calls from wherever, with module, inputs and output, until removed', () => {
    const module = new Small()
    const calls: unknown[] = []
    const remove = module.bn1.registerForwardHook((m, [x], y) => void calls.push([m === module.bn1, x.shape, y.shape]))
    const other = module.registerForwardHook((m, inputs, y) => void calls.push([m === module, inputs.length, y.shape]))
    const x = randn([2, 1, 5, 5])
    module.forward(x)
    expect(calls).toEqual([
      [true, [2, 2, 3, 3], [2, 2, 3, 3]],
      [true, 1, [2, 3]],
    ])
    remove()
    remove()
    module.forward(x)
    expect(calls).toHaveLength(3)
    other()
    module.forward(x)
    expect(calls).toHaveLength(3)
    expect(Object.getOwnPropertyNames(module)).not.toContain('forward')
  })

  test('work for forward as a field, for super.forward, and for hooks given twice', () => {
    class Arrow extends Module {
      forward = (x: Tensor): Tensor => x.mul(2)
    }
    class Child extends Small {
      override forward(x: Tensor): Tensor {
        return super.forward(x)
      }
    }
    const [arrow, child] = [new Arrow(), new Child()]
    const own = arrow.forward
    let count = 0
    const hook = (): void => {
      count++
    }
    const removers = [arrow.registerForwardHook(hook), arrow.registerForwardHook(hook)]
    expect(values(arrow.forward(ones([1])))).toEqual([2])
    expect(count).toBe(2)
    removers[0]?.()
    arrow.forward(ones([1]))
    expect(count).toBe(3)
    removers[1]?.()
    expect(arrow.forward).toBe(own)
    child.registerForwardHook(hook)
    child.forward(randn([2, 1, 5, 5]))
    expect(count).toBe(4)
  })

  test('a hook may remove itself, and what it returns changes nothing', () => {
    const layer = new ReLU()
    let count = 0
    const remove = layer.registerForwardHook(() => {
      count++
      remove()
      return ones([1])
    })
    expect(values(layer.forward(tensor([3])))).toEqual([3])
    layer.forward(tensor([3]))
    expect(count).toBe(1)
    expect(() => layer.registerForwardHook(1 as unknown as () => void)).toThrow(
      'registerForwardHook: hook expects a function, got number',
    )
  })

  test('leave state dicts and the tree as they are', () => {
    const module = new Small()
    const [keys, text] = [[...module.stateDict().keys()], String(module)]
    module.registerForwardHook(() => undefined)
    expect([...module.stateDict().keys()]).toEqual(keys)
    expect(String(module)).toBe(text)
  })
})

describe('containers', () => {
  test('Sequential runs in order, and makes layers from the channels before', () => {
    const body = new Sequential(
      new Conv2d(3, 4, { kernel: 1 }),
      new ReLU(),
      (channels) => new BatchNorm2d(channels),
      (channels) => new Conv2d(channels, 6, { kernel: 1 }),
    )
    expect(body.forward(randn([2, 3, 4, 4])).shape).toEqual([2, 6, 4, 4])
    expect([body.inChannels, body.outChannels, body.length]).toEqual([3, 6, 4])
    expect([...body].map((layer) => layer.constructor.name)).toEqual(['Conv2d', 'ReLU', 'BatchNorm2d', 'Conv2d'])
    expect(body.at(-1)).toBe(body.at(3))
    expect([...body.namedChildren().keys()]).toEqual(['0', '1', '2', '3'])
    const x = randn([1])
    expect(new Sequential().forward(x)).toBe(x)
  })

  test('ModuleList and ModuleDict hold and name', () => {
    const list = new ModuleList([new ReLU()]).push(new ReLU())
    expect([list.length, [...list].length, [...list.namedChildren().keys()]]).toEqual([2, 2, ['0', '1']])
    const dict = new ModuleDict({ b: new ReLU() }).set('a', new ReLU())
    expect([[...dict.keys()], dict.size, dict.has('a'), dict.get('z')]).toEqual([['b', 'a'], 2, true, undefined])
    expect([dict.delete('b'), [...dict.namedChildren().keys()]]).toEqual([true, ['a']])
  })

  test.each<[string, () => unknown, string]>([
    ['a number in Sequential', () => new Sequential(1 as never), 'Sequential: layer 0 expects a module, got number'],
    [
      'no layer from a function',
      () => new Sequential(new Linear(1, 1), () => 1 as never),
      'Sequential: layer 1 expects a module, got number',
    ],
    [
      'a function first',
      () => new Sequential((n) => new Linear(n, 1)),
      'Sequential: layer 0 asks for its input channels, but no layer before says outChannels',
    ],
    [
      'outChannels of nothing',
      () => new Sequential(new ReLU()).outChannels,
      'Sequential: outChannels expects a layer that says it, got none',
    ],
    [
      'inChannels of nothing',
      () => new Sequential().inChannels,
      'Sequential: inChannels expects a layer that says it, got none',
    ],
    [
      'a module for ModuleList',
      () => new ModuleList(new ReLU() as never),
      'ModuleList: modules expects a list of modules, got ReLU',
    ],
    ['no function for apply', () => new ReLU().apply(3 as never), 'apply: fn expects a function, got number'],
    ['a string in ModuleList', () => new ModuleList(['x'] as never), 'ModuleList: item 0 expects a module, got string'],
    [
      'a call of ModuleList',
      () => new ModuleList().forward(),
      'ModuleList: forward expects to be written by the module that holds the list',
    ],
    [
      'a call of ModuleDict',
      () => new ModuleDict().forward(),
      'ModuleDict: forward expects to be written by the module that holds the modules',
    ],
    [
      'a dot in a name',
      () => new ModuleDict({ 'a.b': new ReLU() }),
      "ModuleDict: key expects a name without dots, got 'a.b'",
    ],
    ['a number in ModuleDict', () => new ModuleDict({ a: 1 as never }), 'ModuleDict: a expects a module, got number'],
  ])('refuse %s', (_, make, message) => {
    expect(make).toThrow(message)
  })
})

test('the tree is printed as PyTorch prints it', () => {
  expect(String(new Sequential(new Small(), new ReLU()))).toBe(
    [
      'Sequential(',
      '  (0): Small(',
      '    (conv1): Conv2d(1, 2, kernel: 3, bias: false)',
      '    (bn1): BatchNorm2d(2)',
      '    (fc): Linear(2, 3)',
      '  )',
      '  (1): ReLU()',
      ')',
    ].join('\n'),
  )
})

test('a module made twice from a seed is the same to the bit', () => {
  const state = (seed: number): number[][] =>
    [
      ...seeded(seed, () => new Small())
        .stateDict()
        .values(),
    ].map(values)
  expect(state(1)).toEqual(state(1))
  expect(state(1)).not.toEqual(state(2))
  expect(new BatchNorm1d(2).weight?.requiresGrad).toBe(true)
})
