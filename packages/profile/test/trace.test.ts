import { measurePeak, profile, trace } from '@convnets/profile'
import { ArgumentError, memory, randn, reference, type Tensor, tidy, zeros } from '@convnets/tensor'
import { shapeOnly } from '@convnets/tensor/shape-only'
import { describe, expect, test } from 'vitest'
import { lossOf, net } from './nets.ts'

const x = randn([4, 3, 64, 64]).keep()

describe('a trace', () => {
  const model = net()
  const t = trace(model, x, { backward: true, peak: { gflops: 50, threads: 1, fma: true, together: true } })

  test('puts every op down to its module, its gradient too', () => {
    const of = (path: string) => t.ops.filter((op) => op.path === path).map(({ name, phase }) => `${phase} ${name}`)
    expect(of('stem').filter((name) => name.includes('conv2d'))).toEqual([
      'forward conv2d',
      'backward conv2d weight gradient',
    ])
    expect(of('blocks.1.conv1').filter((name) => name.includes('conv2d'))).toEqual([
      'forward conv2d',
      'backward conv2d input gradient',
      'backward conv2d weight gradient',
    ])
    expect(of('blocks.0.gate.1')).toEqual(['forward sigmoid', 'backward sigmoid gradient'])
    // The product and the sum of the block itself.
    expect(of('blocks.0')).toEqual(expect.arrayContaining(['forward mul', 'forward add', 'backward mul gradient']))
    expect(t.ops.filter(({ phase }) => phase === 'loss').map(({ name }) => name)).toContain('crossEntropy')
  })

  test('counts the arithmetic that a profile counts, and as much again for each gradient', () => {
    const p = profile(model, [3, 64, 64], { batch: 4, training: true })
    const forward = t.ops.filter(({ phase }) => phase === 'forward')
    expect(forward.reduce((sum, { macs }) => sum + macs, 0)).toBe(p.macs)
    const backward = t.ops.filter(({ phase }) => phase === 'backward').reduce((sum, { macs }) => sum + macs, 0)
    // The image wants no gradient.
    expect(backward).toBe(2 * p.macs - p.at('stem').cost.macs)
    const conv = t.ops.find(({ path, name }) => path === 'stem' && name === 'conv2d')
    expect(conv?.bytes).toBe(4 * (x.size + model.stem.weight.size + 4 * 16 * 32 * 32))
  })

  test('has times that lie one after the other, within their modules, and make up the whole', () => {
    let end = 0
    for (const op of t.ops) {
      expect(op.start).toBeGreaterThanOrEqual(end)
      end = op.start + op.duration
    }
    expect(end).toBeLessThanOrEqual(t.milliseconds)
    for (const module of t.modules) {
      const inside = t.ops.filter(({ path, phase }) => path === module.path && phase === 'forward')
      for (const op of inside) {
        expect(op.start).toBeGreaterThanOrEqual(module.start)
        expect(op.start + op.duration).toBeLessThanOrEqual(module.start + module.duration + 1e-9)
      }
    }
    for (const rows of [t.byOp(), t.byModule()]) {
      expect(rows.reduce((sum, row) => sum + row.share, 0)).toBeCloseTo(1, 9)
      expect(rows.reduce((sum, row) => sum + row.milliseconds, 0)).toBeCloseTo(t.opMilliseconds, 6)
      for (const row of rows) {
        expect(row.forward + row.backward).toBeCloseTo(row.milliseconds, 9)
        expect(row.ofPeak).toBeCloseTo(row.gflops / 50, 9)
      }
      expect(rows.map((row) => row.milliseconds)).toEqual(rows.map((row) => row.milliseconds).sort((a, b) => b - a))
    }
    const conv = t.byOp().find(({ name }) => name === 'conv2d')
    const flops = t.ops.filter(({ name }) => name === 'conv2d').reduce((sum, op) => sum + op.flops, 0)
    expect(conv?.gflops).toBeCloseTo(flops / (conv?.milliseconds as number) / 1e6, 6)
  })

  test("in Chrome's format: complete events in microseconds, modules nested", () => {
    const { traceEvents, displayTimeUnit } = JSON.parse(JSON.stringify(t.chrome())) as ReturnType<typeof t.chrome>
    expect(displayTimeUnit).toBe('ms')
    const spans = traceEvents.filter(({ ph }) => ph === 'X')
    expect(spans).toHaveLength(t.ops.length + t.modules.length)
    // What the viewer asks of one thread: any two spans are apart or one holds the other.
    for (const [i, a] of spans.entries()) {
      expect(a.dur).toBeGreaterThanOrEqual(0)
      for (const b of spans.slice(i + 1)) {
        const [from, to] = [Math.max(a.ts, b.ts), Math.min(a.ts + (a.dur ?? 0), b.ts + (b.dur ?? 0))]
        if (to - from < 0.01) continue
        const shorter = Math.min(a.dur ?? 0, b.dur ?? 0)
        expect([a, b, to - from > shorter - 0.01]).toEqual([a, b, true])
      }
    }
    expect(spans.find(({ name }) => name === 'blocks.0.gate')?.args).toEqual({ type: 'Sequential' })
  })

  test('as a table shows the slowest first, adds up the rest and keeps to its width', () => {
    const lines = t.table({ limit: 3, width: 70 }).split('\n')
    expect(lines[0]).toMatch(/^op +calls +ms +share +GFLOP\/s +of peak +GB\/s$/)
    expect(lines[1]?.startsWith(t.byOp()[0]?.name as string)).toBe(true)
    expect(lines.slice(4).map((line) => line.split(/ {2,}/)[0])).toEqual([
      `${t.byOp().length - 3} more`,
      'between ops',
      'whole pass',
    ])
    for (const line of t.table({ by: 'module', width: 60 }).split('\n')) expect(line.length).toBeLessThanOrEqual(62)
    expect(t.table({ by: 'module' })).toContain('blocks.0.conv1 Conv2d')
  })
})

test('tracing leaves gradients, statistics, hooks and memory as they were', () => {
  const model = net()
  const statistics = model.stateDict().get('blocks.0.bn1.running_mean')?.dataSync()
  trace(model, x, { backward: true })
  const before = memory()
  trace(model, x, { backward: true })
  expect(memory().buffers).toBe(before.buffers)
  expect(memory().tensors).toBe(before.tensors)
  expect(model.stateDict().get('blocks.0.bn1.running_mean')?.dataSync()).toEqual(statistics)
  expect(model.parameters().every(({ grad }) => grad === undefined)).toBe(true)
  expect(Object.hasOwn(model.fc, 'forward')).toBe(false)
})

test('a forward pass alone, on the reference backend too', () => {
  const model = net().eval().to(reference)
  const t = trace(model, zeros([1, 3, 16, 16], { backend: reference }), { warmup: 0 })
  expect(new Set(t.ops.map(({ phase }) => phase))).toEqual(new Set(['forward']))
  expect(t.byModule().map(({ name }) => name)).toContain('blocks.1.conv2')
  expect(t.peak).toBeUndefined()
  expect(t.table()).not.toContain('of peak')
})

test('bad input', () => {
  expect(() => trace(net(), [1, 2] as unknown as Tensor)).toThrow(ArgumentError)
  expect(() => trace(net(), zeros([1, 3, 16, 16], { backend: shapeOnly }))).toThrow(/has none to compute with/)
  expect(() => trace(net(), x, { loss: undefined as never, backward: true })).not.toThrow()
})

describe('the peak', () => {
  test('is above what any kernel reaches, and grows with threads', async () => {
    const one = await measurePeak({ threads: 1, milliseconds: 40 })
    expect(one).toMatchObject({ threads: 1, together: true })
    expect(one.gflops).toBeGreaterThan(1)
    const two = await measurePeak({ threads: 2, milliseconds: 40 })
    expect(two).toMatchObject({ threads: 2, together: true, fma: one.fma })
    expect(two.gflops).toBeGreaterThan(0.5 * one.gflops)
    expect(two.gflops).toBeLessThan(3 * one.gflops)
  })

  test('bad input', async () => {
    await expect(measurePeak({ threads: 0 })).rejects.toThrow(ArgumentError)
    await expect(measurePeak({ milliseconds: 0 })).rejects.toThrow(/milliseconds expects a number/)
  })
})

test('loss of a trace is the loss of the model', () => {
  const model = net().eval()
  const names = (loss?: (output: unknown) => Tensor): string[] =>
    trace(model, x, { backward: true, ...(loss && { loss }) })
      .ops.filter(({ phase }) => phase === 'loss')
      .map(({ name }) => name)
  expect(names()).toContain('crossEntropy')
  expect(names((y) => (y as Tensor).square().mean())).toEqual(expect.arrayContaining(['square', 'sum']))
  expect(tidy(() => lossOf(model, x).item())).toBeGreaterThan(0)
})
