/** `pnpm verify --backend gpu`: PyTorch's numbers on WebGPU, on the software adapter that Debian's Chromium brings. */
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { runVerify } from '../../../scripts/verify/command.ts'
import { softwareAdapter } from '../../../scripts/verify/webgpu.ts'

const goldens = fileURLToPath(new URL('../../../fixtures/goldens/', import.meta.url))

describe.skipIf(!softwareAdapter && !process.env.CI)('verify --backend gpu', () => {
  it.each([
    ['ops and their gradients', '^ops.json', 73],
    ['training by every optimizer', '^training.json', 18],
    ['logits of networks', '^(resnet18|googlenet|densenet121|efficientnet_b0) logits', 4],
  ])(
    '%s',
    async (_, only, count) => {
      const lines: string[] = []
      const print = (line: string): void => void lines.push(line)
      const status = await runVerify([goldens, '--backend', 'gpu', '--only', only], { out: print, error: print })
      expect(lines[0]).toMatch(/^gpu: webgpu on /)
      expect(lines.filter((line) => line.startsWith('FAILED'))).toEqual([])
      expect(lines.at(-1)).toBe(`${count} passed, 0 failed`)
      expect(status).toBe(0)
    },
    900_000,
  )
})
