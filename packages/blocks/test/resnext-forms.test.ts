/** The three forms of ResNeXt's block: one function, whichever way it is computed. */
import { Bottleneck, ConcatBottleneck, convertResNeXt, joinBranches, SummedBottleneck } from '@convnets/blocks'
import { reference, type Tensor, tensor, tidy } from '@convnets/tensor'
import { fill, fillModel, relativeError } from '@convnets/testkit'
import { describe, expect, test } from 'vitest'

type Form = Bottleneck | SummedBottleneck | ConcatBottleneck

const options = { groups: 4, outChannels: 12, stride: 2 } as const
const exact = (shape: readonly number[], name: string): Tensor =>
  tensor(fill(name, shape), { shape, dtype: 'float64', backend: reference })
const forms = (): readonly [Bottleneck, SummedBottleneck, ConcatBottleneck] => {
  const grouped = fillModel(new Bottleneck(6, 8, options).to('float64').to(reference))
  const branched = [SummedBottleneck, ConcatBottleneck] as const
  const [summed, joined] = branched.map((B) =>
    convertResNeXt<SummedBottleneck | ConcatBottleneck>(grouped, new B(6, 8, options).to('float64').to(reference)),
  )
  return [grouped, summed as SummedBottleneck, joined as ConcatBottleneck]
}

/** Output, and gradients by the keys of form C, of one step. */
function step(block: Form): Map<string, number[]> {
  return tidy(() => {
    const x = exact([3, 6, 6, 6], 'x')
    x.requiresGrad = true
    const y = block.forward(x)
    y.mul(exact(y.shape, 'upstream')).sum().backward()
    const gradients = new Map([...block.namedParameters()].map(([key, p]) => [key, p.grad as Tensor]))
    const statistics = [...block.namedBuffers()]
    const all = [['y', y], ['x', x.grad as Tensor], ...joinBranches(new Map([...gradients, ...statistics]))] as const
    return new Map(all.map(([key, value]) => [key, Array.from(value.dataSync())]))
  })
}

describe.each([
  ['training', true],
  ['evaluation', false],
])('in %s mode', (_, training) => {
  test('all three forms give the same output, gradients and running statistics', () => {
    const [grouped, ...branched] = forms()
    const expected = step(grouped.train(training))
    expect(expected.get('y')).toHaveLength(3 * 12 * 3 * 3)
    for (const block of branched) {
      const actual = step(block.train(training))
      expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort())
      for (const [key, values] of expected) {
        expect(relativeError(actual.get(key) ?? [], values), `${block.constructor.name} ${key}`).toBeLessThan(1e-12)
      }
    }
  })
})

test('weights go from every form to every other and back', () => {
  const [grouped, summed, joined] = forms()
  const state = (block: Form): [string, number[]][] =>
    [...block.stateDict()].map(([key, value]) => [key, Array.from(value.dataSync())])
  for (const from of [summed, joined]) {
    const back = convertResNeXt(from, new Bottleneck(6, 8, options).to('float64').to(reference))
    expect(state(back)).toEqual(state(grouped))
  }
  const across = convertResNeXt(joined, new SummedBottleneck(6, 8, options).to('float64').to(reference))
  expect(state(across)).toEqual(state(summed))
})

test('shapes, keys and channels', () => {
  const [, summed, joined] = forms()
  const shapes = (block: Form): Record<string, readonly number[]> =>
    Object.fromEntries([...block.stateDict()].map(([key, { shape }]) => [key, shape]))
  expect(shapes(summed)).toMatchObject({
    'paths.3.conv1.weight': [2, 6, 1, 1],
    'paths.3.conv2.weight': [2, 2, 3, 3],
    'paths.3.conv3.weight': [12, 2, 1, 1],
    'bn3.weight': [12],
    'downsample.0.weight': [12, 6, 1, 1],
  })
  expect(shapes(joined)).toMatchObject({ 'paths.0.bn2.weight': [2], 'conv3.weight': [12, 8, 1, 1] })
  for (const block of [summed, joined]) expect([block.inChannels, block.outChannels]).toEqual([6, 12])
  const [a, c] = [
    new SummedBottleneck(256, 128, { groups: 32, outChannels: 256 }),
    new Bottleneck(256, 128, { groups: 32, outChannels: 256 }),
  ]
  // Batch norms apart, figure 3 of the paper has the same parameters in all forms.
  expect(a.parameterCount()).toBe(c.parameterCount())
})

test('zeroInit makes a block its shortcut', () => {
  const x = exact([1, 4, 3, 3], 'x').abs()
  for (const B of [SummedBottleneck, ConcatBottleneck]) {
    const block = new B(4, 4, { groups: 2, outChannels: 4, zeroInit: true }).to('float64').to(reference)
    expect(Array.from(block.forward(x).dataSync())).toEqual(Array.from(x.dataSync()))
  }
})

test.each([
  [() => new SummedBottleneck(4, 6, { groups: 4 }), 'SummedBottleneck: groups expects a divisor of width 6, got 4'],
  [() => new ConcatBottleneck(4, 6, { groups: 0 }), 'ConcatBottleneck: groups expects an integer of at least 1, got 0'],
  [() => new ConcatBottleneck(0, 6), 'ConcatBottleneck: inChannels expects an integer of at least 1, got 0'],
  [
    () => convertResNeXt(new Bottleneck(4, 4, { groups: 2 }), new SummedBottleneck(4, 4, { groups: 4 })),
    'paths.0.conv2.weight expects (1, 1, 3, 3), got (1, 2, 3, 3)',
  ],
  [
    () => convertResNeXt(new Bottleneck(4, 8, { groups: 2 }), new SummedBottleneck(4, 4, { groups: 2 })),
    'paths.0.conv1.weight expects (2, 4, 1, 1), got (8, 4, 1, 1)',
  ],
])('bad arguments, case %#', (call, message) => {
  expect(call).toThrow(message)
})
