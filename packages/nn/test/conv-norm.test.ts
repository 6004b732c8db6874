/** A convolution with what follows it: the same numbers as its layers, whoever watches. */

import { BatchNorm2d, Conv2d, convNormAct, init, type Layer, normAct, ReLU, Sequential, SiLU } from '@convnets/nn'
import {
  conv2dBatchNorm,
  memory,
  noGrad,
  randn,
  reference,
  relu,
  seeded,
  type Tensor,
  tidy,
  wasm,
  withPrecision,
} from '@convnets/tensor'
import { describe, expect, it, test, vi } from 'vitest'

function layers(): { conv: Conv2d; norm: BatchNorm2d; x: Tensor; residual: Tensor } {
  return seeded(3, () => {
    const norm = new BatchNorm2d(20)
    for (const t of [norm.weight, norm.running_var]) init.uniform_(t as Tensor, 0.5, 2)
    for (const t of [norm.bias, norm.running_mean]) init.uniform_(t as Tensor, -1, 1)
    norm.eval()
    const conv = new Conv2d(16, 20, { kernel: 3, padding: 1 })
    return { conv, norm, x: randn([2, 16, 9, 10]), residual: randn([2, 20, 9, 10]) }
  })
}

const values = (t: Tensor): number[] => [...t.dataSync()]
const close = (a: Tensor, b: Tensor): void =>
  values(a).forEach((value, i) => void expect(value).toBeCloseTo(values(b)[i] as number, 4))

const endings: [string, (Layer | typeof relu)?][] = [
  ['nothing'],
  ['relu', relu],
  ['ReLU', new ReLU()],
  ['SiLU', new SiLU()],
]

describe.each(endings)('convNormAct that ends with %s', (_, act) => {
  const end = (y: Tensor): Tensor => (act === undefined ? y : typeof act === 'function' ? act(y) : act.forward(y))

  it('gives what its layers give, without gradients and with', () => {
    const { conv, norm, x, residual } = layers()
    tidy(() => {
      for (const added of [undefined, residual]) {
        const y = norm.forward(conv.forward(x))
        const expected = end(added === undefined ? y : y.add(added))
        close(convNormAct(x, conv, norm, act, added), expected)
        close(
          noGrad(() => convNormAct(x, conv, norm, act, added)),
          expected,
        )
        const strict = withPrecision('strict', () => noGrad(() => convNormAct(x, conv, norm, act, added)))
        const one = withPrecision('strict', () => {
          const y = norm.forward(conv.forward(x))
          return end(added === undefined ? y : y.add(added))
        })
        expect(values(strict)).toEqual(values(one))
      }
    })
  })
})

describe.each(endings)('convNormAct without a norm that ends with %s', (_, act) => {
  it('gives what its layers give, without gradients and with, as Sequential does', () => {
    const { conv, x, residual } = layers()
    tidy(() => {
      for (const added of [undefined, residual]) {
        const y = added === undefined ? conv.forward(x) : conv.forward(x).add(added)
        const expected = values(act === undefined ? y : typeof act === 'function' ? act(y) : act.forward(y))
        const run = () => values(convNormAct(x, conv, undefined, act, added))
        expect(run()).toEqual(expected)
        expect(noGrad(run)).toEqual(expected)
        if (typeof act !== 'object' || added !== undefined) continue
        const inOrder = () => values(new Sequential(conv, act, new ReLU()).forward(x))
        expect(inOrder()).toEqual(values(relu(act.forward(y))))
        expect(noGrad(inOrder)).toEqual(inOrder())
      }
    })
  })
})

test('convNormAct sees changed statistics and weights, and leaves nothing behind', () => {
  const { conv, norm, x } = layers()
  const before = memory().tensors
  tidy(() => {
    const run = () => values(noGrad(() => convNormAct(x, conv, norm, relu)))
    const first = run()
    expect(run()).toEqual(first)
    let last = first
    for (const t of [conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var]) {
      ;(t as Tensor).assign_((t as Tensor).add(0.25))
      const next = run()
      expect(next).not.toEqual(last)
      last = next
      close(
        noGrad(() => convNormAct(x, conv, norm, relu)),
        relu(norm.forward(conv.forward(x))),
      )
    }
  })
  expect(memory().tensors).toBe(before)
})

test('convNormAct calls the hooks of its layers', () => {
  const { conv, norm, x } = layers()
  const act = new ReLU()
  for (const layer of [conv, norm, act]) {
    const seen: unknown[] = []
    const remove = layer.registerForwardHook((module, _, output) => {
      seen.push(module)
      expect((output as Tensor).shape).toEqual([2, 20, 9, 10])
    })
    tidy(() => noGrad(() => convNormAct(x, conv, norm, act)))
    tidy(() => noGrad(() => new Sequential(conv, norm, act).forward(x)))
    remove()
    expect(seen).toEqual([layer, layer])
    tidy(() => noGrad(() => convNormAct(x, conv, norm, act)))
    expect(seen.length).toBe(2)
  }
  for (const layer of [conv, act]) {
    const hook = vi.fn()
    const remove = layer.registerForwardHook(hook)
    tidy(() => noGrad(() => convNormAct(x, conv, undefined, act)))
    tidy(() => noGrad(() => new Sequential(conv, act).forward(x)))
    remove()
    expect(hook).toHaveBeenCalledTimes(2)
  }
})

test('convNormAct trains: statistics of the batch, and gradients for all, also of a norm that is frozen', () => {
  const { conv, norm, x } = layers()
  norm.train()
  tidy(() => {
    convNormAct(x, conv, norm, relu).square().sum().backward()
    expect(norm.num_batches_tracked?.item()).toBe(1)
    for (const t of [conv.weight, norm.weight, norm.bias])
      expect(values(t?.grad as Tensor).some((g) => g !== 0)).toBe(true)
  })
  norm.eval()
  conv.zeroGrad()
  tidy(() => {
    convNormAct(x, conv, norm, relu).square().sum().backward()
    const got = values(conv.weight.grad as Tensor)
    conv.zeroGrad()
    relu(norm.forward(conv.forward(x)))
      .square()
      .sum()
      .backward()
    expect(got).toEqual(values(conv.weight.grad as Tensor))
  })
})

test('convNormAct runs on backends that fold nothing, and says what does not fit', () => {
  const { conv, norm, x, residual } = layers()
  tidy(() => {
    const expected = noGrad(() => convNormAct(x, conv, norm, relu, residual))
    conv.to(reference)
    norm.to(reference)
    const [there, added] = [x.to(reference), residual.to(reference)]
    close(
      noGrad(() => convNormAct(there, conv, norm, relu, added)),
      expected,
    )
    expect(() => noGrad(() => convNormAct(there, conv, norm, relu, there))).toThrow(
      'conv2dBatchNorm: residual expects (2, 20, 9, 10) as the output, got (2, 16, 9, 10)',
    )
    const narrow = new BatchNorm2d(8).eval().to(reference)
    expect(() => noGrad(() => convNormAct(there, conv, narrow))).toThrow(
      /BatchNorm2d: x expects .* got \(2, 20, 9, 10\)/,
    )
  })
})

test('conv2dBatchNorm names the part of the norm that is not there or does not fit', () => {
  const { conv, norm, x } = layers()
  const { running_mean: mean, running_var: variance } = norm as { running_mean: Tensor; running_var: Tensor }
  tidy(() => {
    expect(() => conv2dBatchNorm(x, conv.weight, undefined, undefined as never)).toThrow(
      'conv2dBatchNorm: mean expects a Tensor, got undefined',
    )
    expect(() => conv2dBatchNorm(x, conv.weight, undefined, { mean, variance: variance.narrow(0, 0, 8) })).toThrow(
      'batchNorm: variance expects (20), got (8)',
    )
  })
})

describe.each(endings)('normAct that ends with %s', (_, act) => {
  const end = (y: Tensor): Tensor => (act === undefined ? y : typeof act === 'function' ? act(y) : act.forward(y))

  it('gives what its layers give to the bit, without gradients and with, by given statistics and by those of the batch', () => {
    const { norm, residual: x } = layers()
    tidy(() => {
      for (const precision of ['fast', 'strict'] as const) {
        for (const training of [false, true]) {
          norm.train(training)
          withPrecision(precision, () => {
            const expected = values(end(norm.forward(x)))
            expect(values(normAct(x, norm, act))).toEqual(expected)
            expect(values(noGrad(() => normAct(x, norm, act)))).toEqual(expected)
            const chain = new Sequential(norm, ...(typeof act === 'object' ? [act] : []))
            if (act !== relu) expect(values(noGrad(() => chain.forward(x)))).toEqual(expected)
          })
        }
      }
    })
  })
})

test('normAct runs a norm in evaluation mode and ReLU as one op, unless somebody looks', () => {
  const { norm, residual: x } = layers()
  const act = new ReLU()
  const passes = vi.spyOn(wasm, 'map')
  tidy(() => noGrad(() => normAct(x, norm, act)))
  tidy(() => noGrad(() => new Sequential(norm, act).forward(x)))
  expect(passes).not.toHaveBeenCalled()
  for (const layer of [norm, act]) {
    const seen: unknown[] = []
    const remove = layer.registerForwardHook((module, [input], output) => {
      seen.push(module)
      expect([input?.shape, output.shape]).toEqual([x.shape, x.shape])
    })
    tidy(() => noGrad(() => normAct(x, norm, act)))
    tidy(() => noGrad(() => new Sequential(norm, act).forward(x)))
    remove()
    expect(seen).toEqual([layer, layer])
  }
  expect(passes).toHaveBeenCalledTimes(4)
  passes.mockRestore()
})

test('normAct calls the forward of a subclass', () => {
  class Twice extends BatchNorm2d {
    override forward(x: Tensor): Tensor {
      return super.forward(x).mul(2)
    }
  }
  const { norm, residual: x } = layers()
  const twice = new Twice(20).eval()
  twice.loadStateDict(norm.stateDict())
  tidy(() => {
    const expected = values(relu(norm.forward(x)).mul(2))
    expect(values(noGrad(() => normAct(x, twice, relu)))).toEqual(expected)
  })
})

test('normAct says what does not fit', () => {
  const { norm, x } = layers()
  for (const given of [x, x.reshape([2, 16, 90])]) {
    expect(() => noGrad(() => normAct(given, norm, relu))).toThrow(
      /BatchNorm2d: x expects \(N, 20, H, W\), got \(2, 16/,
    )
  }
})
