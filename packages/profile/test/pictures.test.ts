import { Conv2d, Module, Sequential } from '@convnets/nn'
import { type Bubble, bubbleChart, bubblesOf, diagram, profile, report, trace } from '@convnets/profile'
import { ArgumentError, randn, type Tensor } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'
import { net } from './nets.ts'

/** Checks that tags are closed in order; throws where they are not. Enough of XML for what is made here. */
function wellFormed(text: string): void {
  const open: string[] = []
  const alone = new Set(['meta', 'br', 'hr', '!doctype'])
  const bare = text.replaceAll(/<style>.*?<\/style>/gs, '')
  for (const [, close, name = '', , end] of bare.matchAll(/<(\/?)([!a-zA-Z][\w-]*)((?:\s[^<>"]*|"[^"]*")*?)(\/?)>/g)) {
    if (close === '/') expect(open.pop()).toBe(name)
    else if (end !== '/' && !alone.has(name.toLowerCase())) open.push(name)
  }
  expect(open).toEqual([])
  expect(bare.replaceAll(/<[^<>]*>/g, '')).not.toMatch(/[<>]/)
  expect(bare).not.toMatch(/&(?!(amp|lt|gt|quot|#39);)/)
}

/** Nothing is fetched. */
function standsAlone(text: string): void {
  expect(text.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|src=|<link|@import|url\((?!#)|<script/)
}

class Odd extends Module {
  '<b> & "quotes"' = new Sequential(new Conv2d(3, 4, { kernel: 1 }))
  forward(x: Tensor): Tensor {
    return this['<b> & "quotes"'].forward(x)
  }
}

describe('a report', () => {
  test('stands alone, is well formed, and has a line per module with its numbers', () => {
    const model = net()
    const p = profile(model, [3, 64, 64])
    const t = trace(model, randn([1, 3, 64, 64]), { backward: true })
    const page = report(p, {
      title: 'A net',
      trace: t,
      memory: { 'adam, batch 8': p.trainingMemory({ batch: 8, optimizer: 'adam' }) },
    })
    wellFormed(page)
    standsAlone(page)
    expect(page.startsWith('<!doctype html>')).toBe(true)
    expect(page).toContain('<h1>A net</h1>')
    for (const path of model.namedModules().keys()) if (path !== '') expect(page).toContain(`title="${path} `)
    expect(page).toContain('1x16x32x32')
    expect(page).toContain('optimizer state')
    expect(page).toContain('conv2d weight gradient')
    expect(page).toContain('prefers-color-scheme:dark')
  })

  test('names that look like markup are text', () => {
    const page = report(profile(new Odd(), [3, 2, 2]), { title: '<script>alert(1)</script>' })
    wellFormed(page)
    standsAlone(page)
    expect(page).toContain('&lt;b&gt; &amp; &quot;quotes&quot;')
  })
})

describe('a diagram', () => {
  test('has the parts in order with their shapes, in well-formed SVG', () => {
    const picture = diagram(profile(net(), [3, 64, 64]))
    wellFormed(picture)
    standsAlone(picture)
    const texts = [...picture.matchAll(/class="mono">([^<]*)</g)].map(([, text]) => text)
    expect(texts).toEqual(['1x3x64x64', '1x16x32x32', '1x16x16x16', '1x16x16x16', '1x16x16x16', '1x16', '1x10'])
    wellFormed(diagram(profile(new Odd(), [3, 2, 2]), { parts: 1, width: 300 }))
  })
})

describe('the chart of networks', () => {
  const row = (name: string, extra: object = {}): Bubble => ({
    name,
    parameters: 1e6,
    macs: 1e9,
    top1: 75,
    family: 'a',
    ...extra,
  })

  test('puts more arithmetic to the right, better accuracy higher, more parameters in larger bubbles', () => {
    const picture = bubbleChart([
      row('small'),
      row('large & good', { macs: 1e10, parameters: 4e7, top1: 82, family: 'b' }),
    ])
    wellFormed(picture)
    standsAlone(picture)
    const bubbles = [...picture.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"[^>]*><title>(\w+)/g)]
    const numbers = new Map(bubbles.map(([, cx, cy, r, name]) => [name, [Number(cx), Number(cy), Number(r)]]))
    const [small, large] = [numbers.get('small') as number[], numbers.get('large') as number[]]
    expect(large[0]).toBeGreaterThan(small[0] as number)
    expect(large[1]).toBeLessThan(small[1] as number)
    expect((large[2] as number) / (small[2] as number)).toBeCloseTo(Math.sqrt(40), 1)
  })

  test('labels do not overlap, however crowded it is', () => {
    const crowd = Array.from({ length: 80 }, (_, i) =>
      row(`network_${i}_of_many`, { macs: 1e9 * 1.03 ** i, top1: 75 + ((i * 7) % 11) / 4, family: `f${i % 11}` }),
    )
    const picture = bubbleChart(crowd)
    const labels = [...picture.matchAll(/<text x="([\d.]+)" y="([\d.]+)" font-size="10.5">(network[^<]*)</g)].map(
      ([, x, y, text]) => ({ x: Number(x), y: Number(y), w: 0.5 * 10.5 * (text as string).length }),
    )
    expect(labels.length).toBeGreaterThan(40)
    for (const [i, a] of labels.entries()) {
      for (const b of labels.slice(i + 1)) {
        const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || Math.abs(a.y - b.y) >= 10.5
        expect(apart).toBe(true)
      }
    }
    // What has no name has one in its tooltip.
    expect(picture.match(/<title>network/g)).toHaveLength(80)
  })

  test('reads the tables of the model packages', () => {
    const weights = (labels: string, crop: number, top1: number, benchmark?: string) => ({
      w: { labels, crop, top1, ...(benchmark && { benchmark }) },
    })
    const table = [
      {
        name: 'wide_resnet50_2',
        params: 10,
        macs: 20,
        inputSize: [224, 224],
        weights: weights('imagenet-1k', 224, 80),
      },
      { name: 'resnet20', params: 10, macs: 20, inputSize: [32, 32], weights: weights('cifar-10', 32, 91) },
      { name: 'elsewhere', params: 10, macs: 20, inputSize: [160, 160], weights: weights('imagenet-1k', 224, 80) },
      { name: 'lfw', params: 10, macs: 20, inputSize: [160, 160], weights: weights('imagenet-1k', 160, 99, 'LFW') },
    ] as const
    expect(bubblesOf([table])).toEqual([
      { name: 'wide_resnet50_2', parameters: 10, macs: 20, top1: 80, family: 'wide resnet' },
    ])
  })

  test('bad input', () => {
    expect(() => bubbleChart([])).toThrow(ArgumentError)
    expect(() => bubbleChart([row('nothing', { macs: 0 })])).toThrow(/nothing expects macs and parameters above 0/)
    wellFormed(bubbleChart([row('one')]))
  })
})
