import { Adam, SGD } from '@convnets/optim'
import { ones, type Tensor, tensor } from '@convnets/tensor'
import { expect, test } from 'vitest'

const leaf = (...values: number[]): Tensor => tensor(values, { requiresGrad: true })

test('over makes a fresh optimizer of the same method, groups and hyperparameters for other parameters', () => {
  const [a, b] = [leaf(1, 2), leaf(3)]
  const optimizer = new SGD(
    [
      { parameters: [['a', a]] as const, lr: 0.5 },
      { parameters: [['b', b]] as const, momentum: 0.9 },
    ],
    { lr: 0.1 },
  )
  const others = new Map([
    [a, leaf(1, 2)],
    [b, leaf(3)],
  ])
  const twin = optimizer.over((parameter) => others.get(parameter) as Tensor)
  expect(twin.name).toBe('SGD')
  expect(twin.groups.map(({ lr, momentum, baseLr }) => [lr, momentum, baseLr])).toEqual([
    [0.5, 0, 0.5],
    [0.1, 0.9, 0.1],
  ])
  for (const [own, other] of others) {
    own.grad = ones(own.shape)
    other.grad = ones(other.shape)
  }
  for (const one of [optimizer, twin]) {
    one.step()
    one.step()
  }
  for (const [own, other] of others) expect([...other.dataSync()]).toEqual([...own.dataSync()])
  expect([...twin.stateDict().tensors.keys()]).toEqual(['b.momentum'])
})

test('over starts without state and leaves that of the first alone', () => {
  const a = leaf(1)
  const optimizer = new Adam([a], { amsgrad: true })
  a.grad = ones([1])
  optimizer.step()
  const twin = optimizer.over(() => leaf(1))
  expect(twin.stateDict().parameters[0]).toMatchObject({ steps: 0, slots: [] })
  expect(optimizer.stateDict().parameters[0]).toMatchObject({ steps: 1, slots: ['mean', 'square', 'largest'] })
  expect(() => optimizer.over(() => tensor([1], { dtype: 'int32' }))).toThrow(/float leaf/)
})
