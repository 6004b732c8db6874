/** The page that trains a small network for twenty steps, by every backend; what it looked like is kept. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, it } from 'vitest'
import { jobs } from '../../pages/jobs.ts'
import type { Learned } from '../../pages/learning.ts'
import type { Driver } from '../drive.ts'

const pictures = fileURLToPath(new URL('../../../node_modules/.cache/browser/', import.meta.url))

const kinds = [
  { backend: 'wasm', where: 'page', says: /^wasm, 1 thread \(The main thread/ },
  { backend: 'wasm', where: 'worker', says: /^in a worker: wasm, \d+ thread/ },
  { backend: 'webgpu', where: 'page', says: /^webgpu on .*SwiftShader.*\(software\)$/i },
  { backend: 'webgl2', where: 'page', says: /^webgl2 on .*SwiftShader.*\(software\)$/i },
] as const

export function trainingPageSuite({ open }: Driver): void {
  let inNode: Learned
  beforeAll(async () => {
    inNode = await jobs.learn({ backend: 'wasm', steps: 20 }, { progress: async () => {} })
  })

  it.each(kinds)('$backend in a $where', async ({ backend, where, says }) => {
    const page = await open(`training.html?backend=${backend}&in=${where}`)
    await page.waitForSelector('body[data-state]', { timeout: 200_000 })
    const text = (await page.textContent('#loss')) ?? ''
    expect(text).toMatch(/^loss \d\.\d+ at first, \d\.\d+ after 20 steps/)
    expect(await page.textContent('#where')).toMatch(says)
    const { losses, tensors }: Learned = JSON.parse((await page.getAttribute('body', 'data-learned')) ?? '{}')
    if (backend === 'wasm') expect(losses).toEqual(inNode.losses)
    else for (const [step, loss] of losses.entries()) expect(loss).toBeCloseTo(inNode.losses[step] as number, 3)
    expect(losses).toHaveLength(20)
    expect(losses[0]).toBeGreaterThan(2)
    expect(Math.min(...losses.slice(-3))).toBeLessThan(1.6)
    // A step leaves nothing behind.
    expect(tensors[1]).toBe(tensors[0])
    const points = (await page.getAttribute('polyline', 'points'))?.split(' ').length
    expect(points).toBe(20)
    await mkdir(pictures, { recursive: true })
    await page.screenshot({ path: join(pictures, `training-${backend}-${where}.png`) })
    await page.close()
  })
}
