/** A browser and a site for the tests of a file. */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect } from 'vitest'
import { launch, type Site, site } from '../src/index.ts'

/** Opens pages of the site, and fails for what the browser complains of. */
export interface Driver {
  /** A page of the bundle: cross-origin isolated unless it is asked otherwise. */
  open(name?: string, server?: 'isolated' | 'plain' | 'strict'): Promise<Page>
  readonly site: Site
}

/** To be called in a `describe`. */
export function drive(): Driver {
  let browser: Browser
  let pages: Site
  beforeAll(async () => {
    pages = await site()
    browser = await launch()
  })
  afterAll(async () => {
    await browser?.close()
    await pages?.close()
  })
  return {
    get site() {
      return pages
    },
    async open(name = 'index.html', server = 'isolated') {
      const page = await browser.newPage({ viewport: { width: 900, height: 640 } })
      const complaints: string[] = []
      page.on('pageerror', (error) => complaints.push(error.message))
      page.on('requestfailed', (request) => complaints.push(`${request.url()} did not load`))
      page.on('response', (answer) => {
        if (answer.status() >= 400) complaints.push(`${answer.url()}: status ${answer.status()}`)
      })
      await page.goto(pages[server] + name, { waitUntil: 'load' })
      expect(complaints).toEqual([])
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(server !== 'plain')
      return page
    },
  }
}
