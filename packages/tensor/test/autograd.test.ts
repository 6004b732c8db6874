import { describe, expect, it } from 'vitest'
import {
  add,
  type Backend,
  backward,
  batchNormTraining,
  checkpoint,
  conv2d,
  DisposedError,
  dropout,
  enableGrad,
  exp,
  Generator,
  GradientError,
  grad,
  isGradEnabled,
  isRecomputing,
  matmul,
  memory,
  mul,
  noGrad,
  reference,
  relu,
  seeded,
  sin,
  sum,
  type Tensor,
  tensor,
  tidy,
  wasm,
} from '../src/index.ts'

const values = (x: Tensor | undefined): number[] => [...(x?.dataSync() ?? [])]

const both: [string, Backend][] = [
  ['reference', reference],
  ['wasm', wasm],
]

describe.each(both)('gradients on %s', (_, backend) => {
  const leaf = (numbers: Parameters<typeof tensor>[0]): Tensor => tensor(numbers, { backend, requiresGrad: true })
  const plain = (numbers: Parameters<typeof tensor>[0]): Tensor => tensor(numbers, { backend })

  it('collects in leaves, and adds up over calls until the gradient is taken away', () => {
    const x = leaf([1, 2, 3])
    sum(x.mul(x)).backward()
    expect(values(x.grad)).toEqual([2, 4, 6])
    sum(x).backward()
    expect(values(x.grad)).toEqual([3, 5, 7])
    x.grad = undefined
    sum(x.mul(4)).backward()
    expect(values(x.grad)).toEqual([4, 4, 4])
  })

  it('adds up where a tensor is used more than once, in ops of one and several inputs', () => {
    const x = leaf([2, -1])
    sum(x.mul(x).mul(x)).backward()
    expect(values(x.grad)).toEqual([12, 3])
    const y = leaf([1, 2])
    const z = y.add(y)
    sum(z.add(z).mul(z)).backward()
    expect(values(y.grad)).toEqual([16, 32])
  })

  it('takes the gradient of an output that is no scalar, and refuses to guess one', () => {
    const x = leaf([1, 2])
    x.mul(3).backward(plain([10, 100]))
    expect(values(x.grad)).toEqual([30, 300])
    expect(() => x.mul(3).backward()).toThrow(/backward: Tensor #\d+ \(2\) float32 made by mul is no scalar/)
    expect(() => x.mul(3).backward(plain([1]))).toThrow(/backward: gradient expects \(2\) float32, got .*\(1\)/)
  })

  it('never lets two gradients, or a gradient and what the caller passed in, share memory', () => {
    const [a, b] = [leaf([1, 2]), leaf([3, 4])]
    const g = plain([1, 1])
    add(a, b).backward(g)
    a.grad?.assign_([7, 7])
    expect(values(b.grad)).toEqual([1, 1])
    expect(values(g)).toEqual([1, 1])
    const c = leaf([5, 6])
    c.reshape([2, 1]).reshape([2]).backward(g)
    c.grad?.assign_([9, 9])
    expect(values(g)).toEqual([1, 1])
    sum(c).backward()
    expect(values(c.grad)).toEqual([10, 10])
    expect(values(g)).toEqual([1, 1])
  })

  it('is given to a leaf that is the output itself', () => {
    const x = leaf(3)
    x.backward()
    expect(x.grad?.item()).toBe(1)
    expect(values(grad(x, [x])[0])).toEqual([1])
  })

  it('walks a graph once, unless it is asked to retain it', () => {
    const x = leaf([1, 2])
    const y = sum(x.mul(x))
    y.backward(undefined, { retainGraph: true })
    y.backward()
    expect(values(x.grad)).toEqual([4, 8])
    expect(() => y.backward()).toThrow(GradientError)
    expect(() => y.backward()).toThrow(/graph through \w+ was freed by an earlier backward; pass retainGraph/)
  })

  it('notices that a saved tensor was changed in place', () => {
    const x = leaf([1, 2])
    const y = x.mul(2)
    const z = sum(y.mul(y))
    y.detach().assign_([5, 5])
    expect(() => z.backward()).toThrow(/backward: input \d of mul \(.*\) was changed in place since the forward pass/)
    // What the gradient does not read may change.
    const w = leaf([1, 2])
    const v = w.add(1)
    const u = sum(v.add(1))
    v.detach().assign_([5, 5])
    u.backward()
    expect(values(w.grad)).toEqual([1, 1])
  })

  it('notices that an input of a checkpoint was changed in place', () => {
    const x = leaf([1, 2])
    const y = x.mul(2)
    const z = sum(checkpoint((t) => t.mul(t), y))
    y.detach().assign_([5, 5])
    expect(() => z.backward()).toThrow(/backward: input 0 of checkpoint .* was changed in place/)
  })

  it('does not flow through noGrad, detach, integers and comparisons', () => {
    const x = leaf([1, 2])
    expect(noGrad(() => x.mul(2)).requiresGrad).toBe(false)
    expect(isGradEnabled()).toBe(true)
    expect(noGrad(() => enableGrad(() => x.mul(2))).requiresGrad).toBe(true)
    expect(x.detach().requiresGrad).toBe(false)
    expect(x.gt(0).requiresGrad).toBe(false)
    expect(x.to('int32').requiresGrad).toBe(false)
    sum(x.mul(x.detach())).backward()
    expect(values(x.grad)).toEqual([1, 2])
    expect(() => sum(x.detach()).backward()).toThrow(/backward: .* requires no gradient/)
    expect(() =>
      noGrad(() => {
        throw new Error('inside')
      }),
    ).toThrow('inside')
    expect(isGradEnabled()).toBe(true)
  })

  it('asks only float leaves for gradients', () => {
    expect(() => tensor([1], { dtype: 'int32', backend, requiresGrad: true })).toThrow(/requiresGrad expects a float/)
    const x = leaf([1])
    const y = x.mul(2)
    expect(() => {
      y.requiresGrad = false
    }).toThrow(/is no leaf; use detach/)
    x.requiresGrad = false
    expect(x.mul(2).requiresGrad).toBe(false)
    expect(() => {
      x.grad = plain([1, 2])
    }).toThrow(/expects a gradient of its shape and dtype/)
    expect(() => {
      x.grad = tensor([1], { dtype: 'float64', backend })
    }).toThrow(/expects a gradient of its shape/)
  })

  it('is given back by grad, without touching what leaves have collected', () => {
    const [x, y] = [leaf([1, 2]), leaf([3, 4])]
    const [gx, gy] = grad(sum(x.mul(y)), [x, y])
    expect([values(gx), values(gy)]).toEqual([
      [3, 4],
      [1, 2],
    ])
    expect([x.grad, y.grad]).toEqual([undefined, undefined])
  })

  it('is given by grad for tensors inside the graph, whose own graph stays walkable', () => {
    const x = leaf([1, 2])
    const h = x.mul(x)
    const y = sum(h.mul(h))
    const [gh] = grad(y, [h])
    expect(values(gh)).toEqual([2, 8])
    h.backward(gh)
    expect(values(x.grad)).toEqual([4, 32])
  })

  it('is given by grad for a tensor and for what lies below it, together', () => {
    const x = leaf([1, 2])
    const h = x.mul(x)
    const [gx, gh, again] = grad(sum(h.mul(h)), [x, h, x])
    expect([values(gx), values(gh), values(again)]).toEqual([
      [4, 32],
      [2, 8],
      [4, 32],
    ])
  })

  it('is given by grad for several outputs with gradients of their own', () => {
    const x = leaf([1, 2])
    const [g] = grad([x.mul(2), sum(x.mul(x))], [x], { gradients: [plain([10, 20]), undefined] })
    expect(values(g)).toEqual([22, 44])
    const y = x.mul(2)
    expect(values(grad([sum(y), sum(y)], [x])[0])).toEqual([4, 4])
  })

  it('says which input is unused, or gives undefined', () => {
    const [x, y] = [leaf([1]), leaf([2])]
    expect(() => grad(sum(x.mul(2)), [x, y])).toThrow(/grad: no output depends on input 1/)
    const [gx, gy] = grad(sum(x.mul(2)), [x, y], { allowUnused: true })
    expect([values(gx), gy]).toEqual([[2], undefined])
    expect(() => grad(sum(x), [plain([1])])).toThrow(/grad: input 0 .* requires no gradient/)
    expect(() => grad(plain(1), [x])).toThrow(/grad: output 0 .* requires no gradient/)
  })

  it('can be differentiated again under createGraph', () => {
    const x = leaf([2, 3])
    const [g] = grad(sum(x.mul(x).mul(x)), [x], { createGraph: true })
    expect(values(g)).toEqual([12, 27])
    const [h] = grad(sum(g!), [x], { createGraph: true })
    expect(values(h)).toEqual([12, 18])
    const [third] = grad(sum(h!), [x])
    expect(values(third)).toEqual([6, 6])
    const y = leaf([2])
    sum(y.mul(y).mul(y)).backward(undefined, { createGraph: true })
    sum(y.grad!).backward()
    expect(values(y.grad)).toEqual([12 + 12])
  })

  it('keeps the graph of the gradients that come in, so that forward derivatives are two backward ones', () => {
    const x = leaf([1, 2])
    const v = leaf([0, 0])
    const [back] = grad(x.mul(x), [x], { gradients: [v], createGraph: true })
    const [forward] = grad(back!, [v], { gradients: [plain([1, 10])] })
    expect(values(forward)).toEqual([2, 40])
  })

  it('reaches leaves by several paths of different length', () => {
    const x = leaf([3])
    let y: Tensor = x
    for (let i = 0; i < 20; i++) y = y.add(x)
    sum(y).backward()
    expect(values(x.grad)).toEqual([21])
  })

  it('does not overflow the stack in a graph of 20,000 steps', () => {
    tidy(() => {
      const x = leaf([1])
      let y: Tensor = x
      for (let i = 0; i < 20_000; i++) y = y.add(1)
      sum(y).backward()
      expect(values(x.grad)).toEqual([1])
    })
  })

  it('comes to tensors without elements', () => {
    const x = tensor(new Float32Array(0), { shape: [0, 3], backend, requiresGrad: true })
    sum(x.mul(x).add(x)).backward()
    expect(x.grad?.shape).toEqual([0, 3])
  })

  it('fails for tensors that were freed: the output, an input, a leaf, or what the graph has saved', () => {
    const x = leaf([1])
    const y = sum(x.add(1))
    expect(() => grad(y, [y.add(1)])).toThrow(/no output depends on input 0/)
    x.dispose()
    expect(() => y.backward()).toThrow(/backward: a leaf \(1\) was freed/)
    y.dispose()
    expect(() => y.backward()).toThrow(DisposedError)
    expect(() => grad(y, [leaf([1])])).toThrow(DisposedError)
    const z = leaf([1])
    const gone = z.mul(2)
    gone.dispose()
    expect(() => grad(sum(z), [gone])).toThrow(/grad: input 0 .* was used after it was freed/)
    const w = exp(z)
    w.node?.saved[0]?.dispose()
    expect(() => w.backward()).toThrow(/backward: output of exp was freed with its scope/)
  })
})

describe.each(both)('checkpoint on %s', (_, backend) => {
  const generator = (): Generator => new Generator(5)
  const leaf = (shape: number[], name: number): Tensor => {
    const random = new Generator(name)
    const size = shape.reduce((a, b) => a * b, 1)
    return tensor(
      Float32Array.from({ length: size }, () => random.normal()),
      { shape, backend, requiresGrad: true },
    )
  }
  const weights = (): Tensor[] => [leaf([4, 3, 3, 3], 1), leaf([4], 2), leaf([4], 3), leaf([2, 4, 1, 1], 4)]
  const block =
    (w: Tensor[], random: Generator) =>
    (x: Tensor): Tensor => {
      const y = batchNormTraining(conv2d(x, w[0]!, undefined, { padding: 1 }), w[1]!, w[2]!).output
      return conv2d(dropout(relu(y), { p: 0.3, generator: random }), w[3]!)
    }

  it('repeats numbers of the default generator, also where that is another one by then', () => {
    const x = leaf([64], 1)
    const y = seeded(3, () => checkpoint((t) => dropout(t.mul(1)), x))
    const kept = values(y).map((value) => (value === 0 ? 0 : 2))
    expect(new Set(kept).size).toBe(2)
    sum(y).backward()
    expect(values(x.grad)).toEqual(kept)
  })

  it('gives the same output and gradients to the bit, parameters inside included, with dropout repeated', () => {
    const run = (wrap: boolean) => {
      const [w, random, x] = [weights(), generator(), leaf([2, 3, 5, 5], 9)]
      const f = block(w, random)
      const once = wrap ? checkpoint(f, x) : f(x)
      const y = once.mul(once)
      sum(y).backward()
      return { y: values(y), grads: [x, ...w].map((t) => values(t.grad)), state: random.state() }
    }
    expect(run(true)).toEqual(run(false))
  })

  it('nests', () => {
    const run = (wrap: boolean) => {
      const [w, random, x] = [weights(), generator(), leaf([1, 3, 4, 4], 8)]
      const f = block(w, random)
      const square = (t: Tensor): Tensor => t.mul(t)
      const y = wrap ? checkpoint((t) => checkpoint(square, checkpoint(f, t)), x) : square(f(x))
      sum(y).backward()
      return { y: values(y), grads: [x, ...w].map((t) => values(t.grad)) }
    }
    expect(run(true)).toEqual(run(false))
  })

  it('gives gradients back through grad, of inputs and of parameters inside', () => {
    const [w, x] = [leaf([3, 3], 1), leaf([2, 3], 2)]
    const run = (wrap: boolean) => {
      const f = (t: Tensor): Tensor => relu(matmul(t, w))
      const y = sum(wrap ? checkpoint(f, x) : f(x))
      return tidy(() => grad(y, [w, x]).map(values))
    }
    expect(run(true)).toEqual(run(false))
    const y = sum(checkpoint((t) => checkpoint((u) => matmul(u, w), t), x))
    const [gw] = grad(y, [w])
    expect(gw?.disposed).toBe(false)
    expect(values(gw)).toEqual(values(grad(sum(matmul(x, w)), [w])[0]))
  })

  it('saves nothing but its inputs', () => {
    const x = leaf([1000], 1)
    const chain = (t: Tensor): Tensor => sin(exp(sin(exp(sin(exp(t))))))
    const cost = (make: () => Tensor): number =>
      tidy(() => {
        const before = memory(backend).bytes
        const y = make()
        void y
        return memory(backend).bytes - before
      })
    const live = tidy(() => {
      const before = memory(backend).bytes
      const y = checkpoint(chain, x)
      const used = memory(backend).bytes - before
      y.dispose()
      return used
    })
    expect(live).toBeLessThanOrEqual(4096)
    expect(cost(() => chain(x))).toBeGreaterThan(5 * 4000)
  })

  it('says that code runs a second time, so that side effects can be left out', () => {
    const x = leaf([2], 1)
    const seen: boolean[] = []
    const y = checkpoint((t) => {
      seen.push(isRecomputing())
      return t.mul(2)
    }, x)
    sum(y).backward()
    expect(seen).toEqual([false, true])
    expect(isRecomputing()).toBe(false)
  })

  it('takes functions that give an input, or a tensor from outside, without freeing it', () => {
    const [x, w] = [leaf([2], 1), leaf([2], 2)]
    sum(checkpoint((t) => t, x)).backward()
    expect(values(x.grad)).toEqual([1, 1])
    sum(checkpoint(() => w, x)).backward()
    expect(w.disposed).toBe(false)
    expect(values(w.grad)).toEqual([1, 1])
  })

  it('does nothing but run under noGrad', () => {
    const x = leaf([2], 1)
    const y = noGrad(() => checkpoint((t) => t.mul(2), x))
    expect(y.requiresGrad).toBe(false)
  })

  it('refuses second derivatives, inputs that are no tensors and results that are no tensor', () => {
    const x = leaf([2], 1)
    const y = sum(checkpoint((t) => t.mul(t), x))
    expect(() => grad(y, [x], { createGraph: true })).toThrow(/checkpoint has no gradient under createGraph/)
    expect(() => checkpoint((t) => t, 3 as unknown as Tensor)).toThrow(
      /checkpoint: input 0 expects a Tensor, got number/,
    )
    expect(() => checkpoint((() => [x]) as unknown as () => Tensor, x)).toThrow(/checkpoint: fn expects .* one Tensor/)
  })

  it('leaves nothing behind', () => {
    const [w, random] = [weights(), generator()]
    const x = leaf([2, 3, 5, 5], 9)
    const step = (): void =>
      tidy(() => {
        for (const t of [x, ...w]) t.grad = undefined
        sum(checkpoint(block(w, random), x)).backward()
      })
    step()
    const before = memory(backend)
    step()
    step()
    const after = memory(backend)
    expect([after.tensors, after.buffers, after.bytes]).toEqual([before.tensors, before.buffers, before.bytes])
  })
})

it('backward as a function is the method', () => {
  const x = tensor([1, 2], { requiresGrad: true })
  backward(sum(mul(x, 3)))
  expect(values(x.grad)).toEqual([3, 3])
})
