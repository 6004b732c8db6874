/** Default initial weights, drawn at once and late. */
import { Conv2d, ConvTranspose2d, deferInit, init, Linear, type Module, Sequential } from '@convnets/nn'
import { defaultGenerator, seeded, type Tensor } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { values } from './values.ts'

const numbers = (module: Module): Map<string, number[]> =>
  new Map([...module.stateDict()].map(([key, t]) => [key, values(t)]))
const writes = (t: Tensor): number => t.storage.buffer.version

const layers = (): Sequential =>
  new Sequential(new Conv2d(3, 8, { kernel: 3 }), new ConvTranspose2d(8, 4, { kernel: 2 }), new Linear(4, 5))

/** A network that initialises the first of its weights itself. */
const build = (): Sequential => {
  const model = layers()
  const [conv] = model
  if (conv instanceof Conv2d) init.kaimingNormal_(conv.weight)
  return model
}

describe('deferInit', () => {
  test.each([
    ['layers', layers],
    ['a network with initial weights of its own', build],
  ])('gives %s the numbers that they would have had, and leaves the generator where it would stand', (_, make) => {
    const [eager, next] = seeded(7, () => [make(), defaultGenerator().state()] as const)
    const [late, after] = seeded(7, () => [deferInit(make), defaultGenerator().state()] as const)
    expect(numbers(late)).toEqual(numbers(eager))
    expect(after).toEqual(next)
    for (const bias of [...numbers(late)].filter(([key]) => key.endsWith('bias'))) {
      expect(bias[1].every((value) => value !== 0)).toBe(true)
    }
  })

  test('draws nothing twice', () => {
    const [eager, late] = [build(), deferInit(build)].map(([conv]) => writes((conv as Conv2d).weight)) as [
      number,
      number,
    ]
    expect(late).toBe(eager - 1)
  })

  test('keeps what was assigned or loaded meanwhile', () => {
    const source = layers()
    const loaded = deferInit(() => {
      const model = layers()
      model.loadStateDict(source.stateDict())
      return model
    })
    expect(numbers(loaded)).toEqual(numbers(source))
    const assigned = deferInit(() => {
      const linear = new Linear(2, 2)
      linear.weight.assign_([1, 2, 3, 4])
      return linear
    })
    expect(values(assigned.weight)).toEqual([1, 2, 3, 4])
  })

  test('shows weights to whoever asks for them inside, and moves them as they are', () => {
    const eager = seeded(3, layers)
    let seen: Map<string, number[]> | undefined
    const moved = seeded(3, () =>
      deferInit(() => {
        const model = layers()
        seen = numbers(model)
        return model.to('float64')
      }),
    )
    expect(seen).toEqual(numbers(eager))
    expect(numbers(moved)).toEqual(numbers(eager))
  })

  test('passes over what was freed, goes inside of itself, and ends with an error', () => {
    const kept = deferInit(() => {
      new Linear(3, 3).weight.dispose()
      return deferInit(() => new Linear(2, 2))
    })
    expect(values(kept.weight).every((value) => value !== 0)).toBe(true)
    expect(() =>
      deferInit(() => {
        layers()
        throw new Error('no')
      }),
    ).toThrow('no')
    expect(values(new Linear(2, 2).weight).every((value) => value !== 0)).toBe(true)
  })
})
