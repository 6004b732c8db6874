/** Default initial weights, and initial weights that nobody has looked at yet. */
import { Conv2d, ConvTranspose2d, init, Linear, type Module, Sequential } from '@convnets/nn'
import { type Backend, defaultGenerator, Generator, seeded, type Tensor, wasm } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { values } from './values.ts'

const numbers = (module: Module): Map<string, number[]> =>
  new Map([...module.stateDict()].map(([key, t]) => [key, values(t)]))

const layers = (): Sequential =>
  new Sequential(new Conv2d(3, 8, { kernel: 3 }), new ConvTranspose2d(8, 4, { kernel: 2 }), new Linear(4, 5))

/** How often numbers are drawn while `fn` runs, and what it gives. */
function watchDraws<T>(fn: () => T, backend: Backend = wasm): [count: number, result: T] {
  const { random } = backend
  let count = 0
  backend.random = (...args) => {
    count++
    return random(...args)
  }
  try {
    const result = fn()
    return [count, result]
  } finally {
    backend.random = random
  }
}

describe('initial weights', () => {
  test('are not drawn before somebody looks at them, and then once', () => {
    const [whileMade, model] = watchDraws(layers)
    const [whileRead] = watchDraws(() => numbers(model))
    const [whileReadAgain] = watchDraws(() => numbers(model))
    expect([whileMade, whileRead, whileReadAgain]).toEqual([0, 6, 0])
  })

  test('are numbers of where the generator stood, whenever they are drawn', () => {
    const [early, after] = seeded(7, () => {
      const model = layers()
      return [numbers(model), defaultGenerator().state()] as const
    })
    const [late, end] = seeded(7, () => [layers(), defaultGenerator().state()] as const)
    expect(end).toEqual(after)
    expect(numbers(late)).toEqual(early)
    for (const [, drawn] of early) expect(drawn.every((value) => value !== 0)).toBe(true)
  })

  test('are drawn in any order', () => {
    const expected = [...seeded(3, () => numbers(layers()))]
    const dict = [...seeded(3, layers).stateDict()].reverse().map(([key, t]) => [key, values(t)])
    expect(dict.reverse()).toEqual(expected)
  })

  test('are drawn once where a network has its own, which follow from the generator as if both were', () => {
    const own = (): Linear => {
      const linear = new Linear(4, 5, { bias: false })
      init.normal_(linear.weight, 0, 2)
      return linear
    }
    const [count, late] = watchDraws(() => seeded(5, () => values(own().weight)))
    expect(count).toBe(1)
    const generator = new Generator(5)
    generator.take(20)
    expect(late).toEqual(values(init.normal_(new Linear(4, 5).weight, 0, 2, { generator })))
  })

  test('are never drawn where something else is written first', () => {
    const source = layers()
    const state = numbers(source)
    const [count] = watchDraws(() => {
      const loaded = layers()
      loaded.loadStateDict(source.stateDict())
      expect(numbers(loaded)).toEqual(state)
      const linear = new Linear(2, 2)
      linear.weight.assign_([1, 2, 3, 4])
      init.constant_(linear.bias as Tensor, 3)
      expect([values(linear.weight), values(linear.bias as Tensor)]).toEqual([
        [1, 2, 3, 4],
        [3, 3],
      ])
      new Linear(3, 3).weight.dispose()
    })
    expect(count).toBe(0)
  })

  test('are seen by whoever shares them, and move as they are', () => {
    const { weight } = seeded(2, () => new Linear(3, 3))
    const other = weight.detach()
    expect(values(other)).toEqual(values(seeded(2, () => new Linear(3, 3)).weight))
    expect(numbers(seeded(3, layers).to('float64'))).toEqual(numbers(seeded(3, layers)))
  })

  test('are there for the first pass and its gradient', () => {
    const run = (look: boolean): number[][] => {
      const linear = seeded(4, () => new Linear(3, 2))
      if (look) numbers(linear)
      const x = new Linear(2, 3).weight.detach()
      x.assign_([1, -2, 3, 0.5, 0, 1, 2, 2, 1].slice(0, x.size))
      const y = linear.forward(x.reshape([2, 3]))
      y.sum().backward()
      return [values(y), values(linear.weight.grad as Tensor)]
    }
    expect(run(false)).toEqual(run(true))
  })
})
