/** What Vite made of the packages. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Driver } from '../drive.ts'

export function bundleSuite(driver: Driver): void {
  it('is minified, was made without a complaint, and holds nothing of Node', async () => {
    const { folder, warnings } = driver.site
    expect(warnings).toEqual([])
    const names = (await readdir(join(folder, 'assets'))).filter((name) => name.endsWith('.js'))
    // What stands for modules that only Node has.
    expect(names.filter((name) => name.includes('browser-external'))).toEqual([])
    expect(names.length).toBeGreaterThan(2)
    for (const name of names) {
      const source = await readFile(join(folder, 'assets', name), 'utf8')
      expect(source.split('\n').length, name).toBeLessThan(400)
      // Chunks import each other and nothing else. Sentences of error messages hold the words too.
      const imported = [...source.matchAll(/\b(?:from|import)\s*\(?\s*["']([^"']+)["']/g)].map(([, from = '']) => from)
      expect(imported.filter((from) => /^[@\w][\w@/.:-]*$/.test(from))).toEqual([])
    }
  })
}
