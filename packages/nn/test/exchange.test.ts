import { exchange, Linear, Module, parameter } from '@convnets/nn'
import { memory, ones, reference, type Tensor, tensor, tidy, wasm, zeros } from '@convnets/tensor'
import { expect, test } from 'vitest'

class Tied extends Module {
  first = parameter(ones([2]))
  second = this.first
  layer = new Linear(2, 2)
  forward(x: Tensor): Tensor {
    return this.layer.forward(x.mul(this.first).add(this.second))
  }
}

test('exchange lends a module other tensors, on another backend too, and puts its own back', () => {
  const model = new Tied().freeze('layer.bias')
  const own = model.stateDict()
  const before = memory(reference).buffers
  const seen: string[] = []
  const result = exchange(
    model,
    (t, role) => {
      seen.push(`${t.shape} ${role}`)
      return zeros(t.shape, { backend: reference })
    },
    () => {
      expect(model.layer.bias?.requiresGrad).toBe(false)
      expect(model.first.requiresGrad).toBe(true)
      expect(model.first).toBe(model.second)
      expect([...model.stateDict().keys()]).toEqual([...own.keys()])
      return tidy(() => model.forward(tensor([[1, 2]], { backend: reference })).dataSync())
    },
  )
  expect([...result]).toEqual([0, 0])
  expect(seen).toEqual(['2 parameter', '2,2 parameter', '2 parameter'])
  expect([...model.stateDict()]).toEqual([...own])
  expect(model.first.backend).toBe(wasm)
  expect([...model.first.dataSync()]).toEqual([1, 1])
  expect(memory(reference).buffers).toBe(before)
})

test('exchange puts a module back when what runs throws, and when a stand-in cannot be made', () => {
  const model = new Tied()
  const own = [...model.stateDict()]
  expect(() =>
    exchange(
      model,
      (t) => zeros(t.shape),
      () => {
        throw new Error('inside')
      },
    ),
  ).toThrow('inside')
  expect([...model.stateDict()]).toEqual(own)
  const buffers = memory().buffers
  let made = 0
  expect(() =>
    exchange(
      model,
      (t) => {
        if (made++ === 1) throw new Error('no more')
        return zeros(t.shape)
      },
      () => undefined,
    ),
  ).toThrow('no more')
  expect([...model.stateDict()]).toEqual(own)
  expect(memory().buffers).toBe(buffers)
  model.dispose()
})
