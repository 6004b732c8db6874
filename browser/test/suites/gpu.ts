/** The gpu backend from the minified bundle, in the modes that browsers have. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import type { Tests } from '../../pages/tests.ts'
import type { Driver } from '../drive.ts'

declare const tests: Tests

const text = readFileSync(new URL('../../../fixtures/goldens/ops.json', import.meta.url), 'utf8')

export function gpuSuite({ open }: Driver): void {
  it.each(['webgpu', 'webgl2'])('%s gives the outputs and gradients of PyTorch', async (backend) => {
    const page = await open()
    expect(await page.evaluate((backend) => tests.jobs.describe(backend), backend)).toMatch(
      new RegExp(`^${backend} on .*SwiftShader.*\\(software\\)$`, 'i'),
    )
    const { cases, failed } = await page.evaluate((input) => tests.jobs.goldens(input), { text, backend })
    expect(failed).toEqual([])
    expect(cases).toBe(73)
    await page.close()
  })

  it.each(['isolated', 'plain'] as const)(
    'webasm trains a network with more kernels than a browser allows memories (%s page)',
    async (server) => {
      const page = await open('index.html', server)
      const train = (backend: string) =>
        page.evaluate((backend) => tests.jobs.train({ steps: 2, backend }, { progress: async () => {} }), backend)
      const [expected, got] = [await train('wasm'), await train('webasm')]
      expect(got.losses).toHaveLength(2)
      for (const [i, loss] of got.losses.entries()) expect(loss).toBeCloseTo(expected.losses[i] as number, 3)
      await page.close()
    },
  )
}
