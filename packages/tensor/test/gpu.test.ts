/** The gpu backend on WebGPU in Node: Dawn on the software adapter that Debian's Chromium brings. */
import { backendConformance } from '@convnets/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nodeWebGPU, softwareAdapter } from '../../../scripts/verify/webgpu.ts'
import { type GpuBackend, gpu } from '../src/gpu.ts'

if (!softwareAdapter && !process.env.CI) {
  process.stderr.write('The gpu backend is not tested: there is no SwiftShader (Debian: apt-get install chromium).\n')
}

describe.skipIf(!softwareAdapter && !process.env.CI)('gpu on WebGPU', () => {
  let backend: GpuBackend
  beforeAll(async () => {
    backend = await gpu({ mode: 'webgpu', webgpu: await nodeWebGPU({ software: true }) })
  })
  afterAll(() => backend?.destroy())

  it('tells what it runs on', () => {
    expect(backend.info()).toMatchObject({ mode: 'webgpu', software: true, passedOver: [] })
    expect(backend.info().adapter).toMatch(/SwiftShader/)
  })

  it('conforms to the contract', async () => {
    const results = await backendConformance(backend, { largestInteger: 2 ** 24, without: ['float64'] })
    const failed = results.filter(({ passed }) => !passed)
    expect(failed.map(({ op, case: name, error, reason }) => `${op} ${name}: ${reason ?? error}`)).toEqual([])
    expect(results.length).toBeGreaterThan(1500)
  }, 300_000)
})
