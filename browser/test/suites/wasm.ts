/** The wasm backend from the minified bundle: on the page's main thread, and on several threads in a worker. */
import { readFileSync } from 'node:fs'
import type { Page } from 'playwright-core'
import { beforeAll, expect, it } from 'vitest'
import { type GoldensResult, jobs, type TrainingResult } from '../../pages/jobs.ts'
import type { Tests } from '../../pages/tests.ts'
import type { Driver } from '../drive.ts'

declare const tests: Tests

const text = readFileSync(new URL('../../../fixtures/goldens/ops.json', import.meta.url), 'utf8')
const goldens = { text, backend: 'wasm' }
/** In Node as it is written, in the browser compiled: recorded in the third step, and done again in the others. */
const training = { steps: 5, backend: 'wasm', compiled: true }

export function wasmSuite({ open }: Driver): void {
  /** What Node gives: the same bits are expected everywhere. */
  let inNode: { goldens: GoldensResult; training: TrainingResult }

  beforeAll(async () => {
    inNode = {
      goldens: await jobs.goldens(goldens),
      training: await jobs.train({ ...training, compiled: false }, { progress: async () => {} }),
    }
  })

  it('gives the results of PyTorch and the bits of Node on the main thread, which has no helpers', async () => {
    const page = await open()
    const { reason, ...info } = await page.evaluate(() => tests.jobs.threads())
    expect(info).toMatchObject({ threads: 1, cores: expect.any(Number) })
    expect(reason).toMatch(/main thread of a browser must not wait/)
    const ops = await page.evaluate((input) => tests.jobs.goldens(input), goldens)
    expect(ops.failed).toEqual([])
    expect(ops.cases).toBe(73)
    expect(ops).toEqual(inNode.goldens)
    const run = await page.evaluate((input) => tests.jobs.train(input, { progress: async () => {} }), training)
    expect(run).toEqual(inNode.training)
    await page.close()
  })

  /** Goldens and training in a worker; the threads that it has, and why not more. */
  async function inWorker(page: Page, threads: number) {
    return await page.evaluate(
      async ({ goldens, training, threads }) => {
        const engine = tests.start(threads)
        const info = await engine.info()
        const reported: number[] = []
        const [ops, run] = await Promise.all([
          engine.run('goldens', goldens),
          engine.run('train', training, { onProgress: (loss) => reported.push(loss) }),
        ])
        const helped = await engine.run('help')
        engine.close()
        return { info, ops, run, reported, helped }
      },
      { goldens, training, threads },
    )
  }

  it('gives the same on two threads of a worker', async () => {
    const page = await open()
    const { info, ops, run, reported, helped } = await inWorker(page, 2)
    expect(info).toMatchObject({ threads: 2 })
    expect(info.reason).toBeUndefined()
    expect(helped).toBe(true)
    expect(ops).toEqual(inNode.goldens)
    expect(run).toEqual(inNode.training)
    expect(reported).toEqual(run.losses)
    await page.close()
  })

  it('gives the same where a page is not cross-origin isolated, and says why there is one thread', async () => {
    const page = await open('index.html', 'plain')
    const { info, ops, run, helped } = await inWorker(page, 2)
    expect(info).toMatchObject({ threads: 1 })
    expect(info.reason).toMatch(/no shared memory.*Cross-Origin-Opener-Policy: same-origin/)
    expect(helped).toBe(false)
    expect(ops).toEqual(inNode.goldens)
    expect(run).toEqual(inNode.training)
    await page.close()
  })

  it("gives the same where a page's policy forbids threads, and says why there is one", async () => {
    const page = await open('index.html', 'strict')
    const { info, run, helped } = await inWorker(page, 2)
    expect(info).toMatchObject({ threads: 1 })
    expect(info.reason).toMatch(/did not come up.*worker-src must allow blob:/)
    expect(helped).toBe(false)
    expect(run).toEqual(inNode.training)
    await page.close()
  })
}
