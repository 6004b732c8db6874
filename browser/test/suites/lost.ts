/** The device of a GPU goes away: in a page and in a worker, a run is told and goes on from its last checkpoint. */
import { expect, it } from 'vitest'
import type { Tests } from '../../pages/tests.ts'
import type { Driver } from '../drive.ts'

declare const tests: Tests

const modes = ['webgpu', 'webgl2'] as const
const places = ['page', 'worker'] as const

export function lostSuite({ open }: Driver): void {
  it.each(modes.flatMap((mode) => places.map((where) => ({ mode, where }))))(
    '$mode in a $where',
    async ({ mode, where }) => {
      const page = await open()
      const { failures, steps, resumed, whole } = await page.evaluate(
        async ({ mode, where }) => {
          if (where === 'page') return await tests.losing.goesOn({ mode })
          const engine = tests.start(1)
          try {
            return await engine.run('goesOn', { mode })
          } finally {
            engine.close()
          }
        },
        { mode, where },
      )
      expect(failures).toHaveLength(5)
      for (const failure of failures) {
        expect(failure).toMatch(/^DeviceLostError: .*the device was lost.*make another backend with gpu\(\)/)
      }
      expect(steps).toEqual([5, 6, 7, 8, 9, 10, 11, 12])
      expect(resumed).toEqual(whole)
      expect(whole.length).toBeGreaterThan(100)
      await page.close()
    },
  )
}
