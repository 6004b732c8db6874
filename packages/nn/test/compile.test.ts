/** Compiled models: the bits of the forward pass, and recorded anew whenever the model is another one. */
import {
  BatchNorm2d,
  Conv2d,
  compile,
  Flatten,
  GlobalAvgPool2d,
  init,
  type Layer,
  Linear,
  Module,
  ModuleDict,
  ReLU,
  Sequential,
  Sigmoid,
  Tanh,
} from '@convnets/nn'
import { memory, noGrad, randn, seeded, type Tensor, tensor, tidy } from '@convnets/tensor'
import { describe, expect, it, vi } from 'vitest'

class Net extends Module {
  body = new Sequential(
    new Conv2d(3, 16, { kernel: 3, padding: 1, bias: false }),
    new BatchNorm2d(16),
    new ReLU(),
    new GlobalAvgPool2d(),
    new Flatten(),
  )
  heads = [new Linear(16, 4), new Linear(16, 4)]
  named = new ModuleDict({ last: new ReLU() })
  table: Map<string, Layer> = new Map([['first', new ReLU()]])
  scale = 2

  forward(x: Tensor): { logits: Tensor; both: Tensor[] } {
    const y = this.named.get('last')!.forward(this.table.get('first')!.forward(this.body.forward(x)))
    const both = this.heads.map((head) => head.forward(y).mul(this.scale))
    return { logits: both[0]!.add(both[1]!), both }
  }
}

const net = (): Net => seeded(1, () => new Net()).eval()
const image = (seed: number): Tensor => seeded(seed, () => randn([2, 3, 8, 8])).keep()
const numbers = ({ logits, both }: ReturnType<Net['forward']>): number[][] =>
  [logits, ...both].map((t) => [...t.dataSync()])

describe('compile', () => {
  it('gives what forward gives, and follows every change of the model', () => {
    const model = net()
    const run = compile(model)
    const images = [image(2), image(3)]
    const forward = vi.spyOn(model.body, 'forward')
    const same = (fresh: boolean): void => {
      forward.mockClear()
      const got = images.map((x) => tidy(() => numbers(run(x))))
      expect(forward.mock.calls.length, 'passes that ran').toBe(fresh ? 2 : 0)
      expect(got).toEqual(images.map((x) => tidy(() => numbers(noGrad(() => model.forward(x))))))
    }
    same(true)
    same(false)
    const overwrite = (t: Tensor, factor: number): void => noGrad(() => tidy(() => void t.assign_(t.mul(factor))))
    const changes: Record<string, () => void> = {
      'a number': () => {
        model.scale = 3
      },
      'a layer': () => {
        model.heads[1] = seeded(4, () => new Linear(16, 4))
      },
      'an item of a ModuleDict': () => void model.named.set('last', new Tanh()),
      'an item of a Map': () => void model.table.set('first', new Sigmoid()),
      'all tensors': () => void model.loadStateDict(seeded(5, net).stateDict(), { assign: true }),
    }
    for (const [, change] of Object.entries(changes)) {
      change()
      same(true)
      same(false)
    }
    // Numbers may be other ones.
    overwrite(model.heads[0]!.weight, 2)
    same(false)
    overwrite(model.body.namedBuffers().get('1.running_var') as Tensor, 4)
    same(false)
    seeded(8, () => init.xavierUniform_(model.heads[1]!.weight))
    same(false)
    run.dispose()
    model.dispose()
  })

  it('sees hooks come and go', () => {
    const model = net()
    const run = compile(model)
    const x = image(2)
    const seen: unknown[] = []
    const call = (): void => tidy(() => void run(x))
    call()
    const remove = model.body.registerForwardHook((_, __, y) => seen.push((y as Tensor).shape))
    call()
    expect(seen.length).toBeGreaterThan(0)
    remove()
    seen.length = 0
    call()
    call()
    expect(seen).toEqual([])
    run.dispose()
    model.dispose()
  })

  it('has gradients in training mode alone, and says so', () => {
    const model = net()
    const run = compile(model)
    const x = image(2)
    x.requiresGrad = true
    expect(() => tidy(() => run(x))).toThrow(
      'record: input 0 requires a gradient, which results have with { gradient: true } (those of compiled models in training mode)',
    )
    expect(tidy(() => noGrad(() => run(x)).logits.requiresGrad)).toBe(false)
    model.train()
    expect(tidy(() => run(x).logits.requiresGrad)).toBe(true)
    run.dispose()
    model.dispose()
  })

  it('wants a module, and options that there are', () => {
    expect(() => compile((() => tensor([1])) as never)).toThrow('compile: model expects a Module, got function')
    const model = net()
    expect(() => compile(model, { limits: 1 } as never)).toThrow('limits')
    expect(() => compile(model, { limit: 0 })).toThrow('limit')
    model.dispose()
  })

  it('gives back all that it holds', () => {
    const model = net()
    const x = image(2)
    const run = compile(model)
    tidy(() => void run(x))
    run.dispose()
    const before = memory()
    tidy(() => void run(x))
    run.dispose()
    expect(memory()).toMatchObject({ tensors: before.tensors, bytes: before.bytes, heldBytes: before.heldBytes })
    model.dispose()
  })
})
