/** Compiled models in training: weights, statistics and losses with the bits of the model as it is written, step after step. */
import {
  BatchNorm2d,
  Conv2d,
  compile,
  Dropout,
  DropPath,
  Flatten,
  GlobalAvgPool2d,
  Linear,
  MaxPool2d,
  Module,
  ReLU,
  Sequential,
} from '@convnets/nn'
import {
  checkpoint,
  crossEntropy,
  getThreads,
  grad,
  memory,
  noGrad,
  randn,
  seeded,
  setThreads,
  type Tensor,
  tensor,
  tidy,
  withPrecision,
} from '@convnets/tensor'
import { afterEach, describe, expect, it, vi } from 'vitest'

const convNorm = (from: number, to: number, stride = 1): Sequential =>
  new Sequential(new Conv2d(from, to, { kernel: 3, padding: 1, stride, bias: false }), new BatchNorm2d(to), new ReLU())

/** A small network of what training has: strides, statistics, a branch that is dropped, recomputation, two heads. */
class Net extends Module {
  stem = convNorm(3, 16)
  pool = new MaxPool2d(2)
  body = convNorm(16, 16)
  drop = new DropPath(0.3)
  again = new Sequential(convNorm(16, 16), new Dropout(0.2))
  last = convNorm(16, 32, 2)
  flat = new Sequential(new GlobalAvgPool2d(), new Flatten(), new Dropout(0.5))
  heads = [new Linear(32, 5), new Linear(32, 5)]

  forward(x: Tensor): { logits: Tensor; aux: Tensor } {
    const y = this.pool.forward(this.stem.forward(x))
    const z = y.add(this.drop.forward(this.body.forward(y)))
    const w = checkpoint((input) => this.again.forward(input), z)
    const features = this.flat.forward(this.last.forward(w))
    const [logits, aux] = this.heads.map((head) => head.forward(features)) as [Tensor, Tensor]
    return { logits, aux }
  }
}

const net = (): Net => seeded(1, () => new Net())
const threads = getThreads()
afterEach(() => setThreads(threads))

const target = (n: number): Tensor => tensor(Int32Array.from({ length: n }, (_, i) => i % 5)).keep()
const batch = (seed: number, n = 4): Tensor => seeded(seed, () => randn([n, 3, 12, 12])).keep()
const bytes = (t: Tensor): number[] => {
  const data = t.dataSync()
  return [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]
}

/** Gradient descent, for a step whose forward pass is `forward`. Gives the loss. */
function step(model: Net, forward: (x: Tensor) => ReturnType<Net['forward']>, x: Tensor, y: Tensor): number {
  return tidy(() => {
    const { logits, aux } = forward(x)
    const loss = crossEntropy(logits, y).add(crossEntropy(aux, y).mul(0.3))
    loss.backward()
    descend(model)
    return loss.item()
  })
}

function descend(model: Module): void {
  noGrad(() => {
    for (const p of model.parameters()) {
      if (p.grad) p.assign_(p.sub(p.grad.mul(0.1)))
      p.grad = undefined
    }
  })
}

const state = (model: Module): Record<string, number[]> =>
  Object.fromEntries([...model.stateDict()].map(([key, t]) => [key, bytes(t)]))

/** Does the same to a model and to a compiled one, and expects the same of both. */
function sideBySide(act: (model: Net, forward: (x: Tensor) => ReturnType<Net['forward']>) => unknown): void {
  const [plain, compiled] = [net(), net()]
  const run = compile(compiled)
  const expected = seeded(7, () => act(plain, (x) => plain.forward(x)))
  const got = seeded(7, () => act(compiled, run))
  expect(got).toEqual(expected)
  expect(state(compiled)).toEqual(state(plain))
  for (const p of [...plain.parameters(), ...compiled.parameters()]) p.grad = undefined
  run.dispose()
  for (const model of [plain, compiled]) model.dispose()
}

describe.each([1, 2])('a compiled model in training, on %d threads', (count) => {
  it('takes the steps of the model, with its bits', () => {
    setThreads(count)
    const [x, x2] = [batch(2), batch(3, 3)]
    const [y, y2] = [target(4), target(3)]
    sideBySide((model, forward) => {
      const losses = [x, x, x, x2, x, x2, x2, x2, x, x].map((each) => step(model, forward, each, each === x ? y : y2))
      model.eval()
      const evaluated = [1, 2, 3].map(() => tidy(() => bytes(noGrad(() => forward(x)).logits)))
      model.train()
      return [losses, evaluated, [x, x, x, x].map((each) => step(model, forward, each, y))]
    })
    for (const t of [x, x2, y, y2]) t.dispose()
  })
})

describe('a compiled model in training', () => {
  const x = batch(2)
  const y = target(4)

  it('runs no JavaScript of the model once it is recorded, and holds the same memory in every step', () => {
    const model = net()
    const forward = vi.spyOn(model.stem, 'forward')
    const run = compile(model)
    for (let i = 0; i < 4; i++) step(model, run, x, y)
    expect(forward).toHaveBeenCalledTimes(3)
    forward.mockClear()
    const before = memory()
    for (let i = 0; i < 5; i++) step(model, run, x, y)
    expect(forward).not.toHaveBeenCalled()
    expect(memory()).toMatchObject({ bytes: before.bytes, tensors: before.tensors, heldBytes: before.heldBytes })
    run.dispose()
    model.dispose()
  })

  it('adds gradients up over steps, and leaves those that are kept alone', () => {
    sideBySide((model, forward) => {
      const seen: number[][] = []
      for (let i = 0; i < 6; i++) {
        tidy(() => crossEntropy(forward(x).logits, y).backward())
        expect(model.heads[1]!.weight.grad).toBeUndefined()
        seen.push(bytes(model.heads[0]!.weight.grad as Tensor))
        if (i % 3 === 2) descend(model)
      }
      // A gradient that outlives its step.
      tidy(() => crossEntropy(forward(x).logits, y).backward())
      const kept = (model.stem.parameters()[0]!.grad as Tensor).alias().keep()
      const was = bytes(kept)
      for (const p of model.parameters()) p.grad = undefined
      step(model, forward, x, y)
      seen.push(was, bytes(kept))
      expect(bytes(kept)).toEqual(was)
      kept.dispose()
      return seen
    })
  })

  it('lets passes wait for each other, be dropped, and be taken under noGrad', () => {
    sideBySide((model, forward) => {
      const losses: number[] = []
      for (let i = 0; i < 5; i++) {
        losses.push(
          tidy(() => {
            const [a, b] = [forward(x), forward(x)]
            const loss = crossEntropy(a.logits, y).add(crossEntropy(b.aux, y))
            loss.backward()
            descend(model)
            return loss.item()
          }),
        )
        tidy(() => void forward(x))
        losses.push(tidy(() => noGrad(() => crossEntropy(forward(x).aux, y).item())))
        losses.push(step(model, forward, x, y))
      }
      return losses
    })
  })

  it('gives gradients by its input, and by what is asked for', () => {
    sideBySide((model, forward) => {
      const leaf = tidy(() => x.clone().keep())
      leaf.requiresGrad = true
      const seen: unknown[] = []
      for (let i = 0; i < 5; i++) {
        tidy(() => {
          const h = leaf.mul(2)
          const loss = crossEntropy(forward(h).logits, y)
          const found = grad(loss, [h, model.heads[0]!.weight, leaf])
          seen.push(found.map(bytes))
        })
      }
      tidy(() => crossEntropy(forward(leaf).logits, y).backward())
      seen.push(bytes(leaf.grad as Tensor))
      leaf.dispose()
      return seen
    })
  })

  it('follows what is frozen, replaced, and under which precision it is computed', () => {
    sideBySide((model, forward) => {
      const losses: number[] = []
      const several = (): void => {
        for (let i = 0; i < 4; i++) losses.push(step(model, forward, x, y))
      }
      several()
      for (const p of model.stem.parameters()) p.requiresGrad = false
      several()
      model.stem.eval()
      several()
      for (const p of model.stem.parameters()) p.requiresGrad = true
      model.stem.train()
      model.heads[0] = seeded(4, () => new Linear(32, 5))
      several()
      withPrecision('strict', several)
      several()
      return losses
    })
  })

  it('says what it cannot do', () => {
    const model = net()
    const run = compile(model)
    for (let i = 0; i < 4; i++) step(model, run, x, y)
    const loss = (): Tensor => crossEntropy(run(x).logits, y)
    const both = (): Tensor => {
      const { logits, aux } = run(x)
      return crossEntropy(logits, y).add(crossEntropy(aux, y))
    }
    const fails = (fn: () => void, message: string): void => {
      const { tensors } = memory()
      expect(() => tidy(fn)).toThrow(message)
      for (const p of model.parameters()) p.grad = undefined
      expect(memory().tensors).toBe(tensors)
    }
    fails(
      () => loss().backward(undefined, { createGraph: true }),
      'a recorded function has no gradient under createGraph',
    )
    fails(() => {
      const l = both()
      l.backward(undefined, { retainGraph: true })
      l.backward()
    }, 'it can be walked once, also with retainGraph')
    fails(() => {
      const l = loss()
      noGrad(() => model.heads[0]!.weight.assign_(model.heads[0]!.weight.mul(2)))
      l.backward()
    }, 'was changed in place since the forward pass')
    fails(() => {
      const l = loss()
      run.dispose()
      l.backward()
    }, 'backward: a recorded function expects')
    fails(() => {
      const l = tidy(() => loss().detach())
      l.backward()
    }, 'requires no gradient')
    const losses = [1, 2, 3].map(() => step(model, run, x, y))
    expect(losses.every(Number.isFinite)).toBe(true)
    run.dispose()
    model.dispose()
  })
})
