/** Reports and charts as a browser shows them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describeInBrowser, launch } from '@convnets/browser'
import { diagram, profile, withoutNumbers } from '@convnets/profile'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { networkOf } from '../src/networks.ts'
import { command } from './drive.ts'

/** What a reader would be annoyed by: texts that lie on each other or stick out, and nothing to see. */
function faults(selector: string): string[] {
  const found: string[] = []
  const texts = [...document.querySelectorAll(selector)].filter(
    (element) => element.textContent?.trim() && element.checkVisibility(),
  )
  if (texts.length === 0) found.push('there is no text')
  const boxes = texts.map((element) => ({ text: element.textContent ?? '', box: element.getBoundingClientRect() }))
  const { scrollWidth, clientWidth } = document.documentElement
  if (scrollWidth > clientWidth + 1) found.push(`the page is ${scrollWidth - clientWidth} pixels too wide`)
  for (const [i, a] of boxes.entries()) {
    if (a.box.width === 0) continue
    for (const b of boxes.slice(i + 1)) {
      const wide = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left)
      const high = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top)
      // Line boxes are taller than letters.
      if (wide > 1 && high > 4) found.push(`'${a.text}' lies on '${b.text}'`)
    }
  }
  return found
}

/** Names that the browser's own width says stick out of a picture. */
function outside(): string[] {
  const svg = document.documentElement.getBoundingClientRect()
  return [...document.querySelectorAll('text')].flatMap((text) => {
    const { left, right, top, bottom } = text.getBoundingClientRect()
    return left < svg.left || right > svg.right || top < svg.top || bottom > svg.bottom ? [text.textContent ?? ''] : []
  })
}

const average = async (page: Page): Promise<number> => {
  const png = (await page.screenshot()).toString('base64')
  return page.evaluate(async (data) => {
    const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${data}`)).blob())
    const canvas = new OffscreenCanvas(image.width, image.height)
    const context = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D
    context.drawImage(image, 0, 0)
    const pixels = context.getImageData(0, 0, image.width, image.height).data
    return pixels.reduce((sum, value) => sum + value, 0) / pixels.length
  }, png)
}

describeInBrowser('in a real browser', () => {
  let browser: Browser
  let folder: string
  const at = (name: string): string => join(folder, name)

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'convnets-pictures-'))
    browser = await launch()
    const { code } = await command('compare', '--svg', at('chart.svg'))
    expect(code).toBe(0)
    for (const name of ['inception_resnet_v2', 'densenet121', 'vgg16_bn']) {
      const entry = networkOf(name)
      await writeFile(
        at(`${name}.svg`),
        diagram(
          profile(
            withoutNumbers(() => entry()),
            [3, ...entry.inputSize],
          ),
        ),
      )
    }
    expect(
      (await command('summary', 'inception_resnet_v2', '--html', at('summary.html'), '--optimizer', 'adam')).code,
    ).toBe(0)
    const bench = [
      'bench',
      'resnet20',
      '--runs',
      '1',
      '--train',
      '--trace',
      at('trace.json'),
      '--html',
      at('bench.html'),
    ]
    expect((await command(...bench)).code).toBe(0)
  })

  afterAll(async () => {
    await browser?.close()
    await rm(folder, { recursive: true, force: true })
  })

  /** Opens a file and fails for anything that the browser complains of or fetches. */
  async function open(
    name: string,
    colorScheme: 'light' | 'dark',
    size: { width: number; height: number },
  ): Promise<Page> {
    const page = await browser.newPage({ colorScheme, viewport: size })
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('request', (request) => {
      if (!request.url().startsWith('file:') && !request.url().startsWith('data:')) complaints.push(request.url())
    })
    await page.goto(pathToFileURL(at(name)).href)
    expect(complaints).toEqual([])
    return page
  }

  test.each(['chart', 'inception_resnet_v2', 'densenet121', 'vgg16_bn'])(
    '%s.svg is readable, light and dark',
    async (name) => {
      const brightness: number[] = []
      for (const scheme of ['light', 'dark'] as const) {
        const page = await open(`${name}.svg`, scheme, { width: 1200, height: 1200 })
        expect(await page.evaluate(faults, 'text')).toEqual([])
        expect(await page.evaluate(outside)).toEqual([])
        brightness.push(await average(page))
        await page.close()
      }
      expect(brightness[0]).toBeGreaterThan((brightness[1] as number) + 60)
    },
  )

  test.each(['summary', 'bench'])(
    '%s.html is readable, light and dark, wide and narrow, folded and unfolded',
    async (name) => {
      const brightness: number[] = []
      for (const scheme of ['light', 'dark'] as const) {
        for (const width of [1280, 420]) {
          const page = await open(`${name}.html`, scheme, { width, height: 900 })
          const cells =
            '.tile b, .tile span, .row .name b, .row .name i, .row .num, .bar span, h1, h2, p, td, th, svg text'
          expect(await page.evaluate(faults, cells)).toEqual([])
          if (width > 1000) {
            brightness.push(await average(page))
            const before = await page.locator('.row:visible').count()
            await page.locator('details details > summary').first().click()
            expect(await page.locator('.row:visible').count()).toBeGreaterThan(before)
            expect(await page.evaluate(faults, cells)).toEqual([])
          }
          await page.close()
        }
      }
      expect(brightness[0]).toBeGreaterThan((brightness[1] as number) + 60)
    },
  )

  test('bars are as long as the numbers say', async () => {
    const page = await open('summary.html', 'light', { width: 1280, height: 900 })
    const widths = await page.evaluate(() =>
      [...document.querySelectorAll('.tree > details > details > summary .row, .tree > details > .row')].map((row) => {
        const bar = row.querySelectorAll('.bar')[1] as Element
        const part = bar.querySelector('u')?.getBoundingClientRect().width ?? 0
        return { path: row.querySelector('b')?.textContent, share: part / bar.getBoundingClientRect().width }
      }),
    )
    const entry = networkOf('inception_resnet_v2')
    const p = profile(
      withoutNumbers(() => entry()),
      [3, ...entry.inputSize],
    )
    expect(widths.map(({ path }) => path)).toEqual(p.root.children.map((child) => child.name))
    for (const { path, share } of widths) expect(share).toBeCloseTo(p.at(path as string).cost.macs / p.macs, 2)
    await page.close()
  })
})
