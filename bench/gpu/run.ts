/** `pnpm bench --only gpu`: the modes of gpu.js against each other and against the wasm backend, in a browser. */
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'
import type { PageReport, Timing } from './shapes.ts'

const software = ['--enable-unsafe-swiftshader', '--use-webgpu-adapter=swiftshader', '--use-angle=swiftshader'] as const

async function bundle(): Promise<string> {
  const entry = fileURLToPath(new URL('page.ts', import.meta.url))
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: 'iife',
    write: false,
  })
  return outputFiles[0]?.text ?? ''
}

/** `browser`: program to run; `realGpu`: on the machine's GPU, in a window, and not on SwiftShader. */
export async function measureInBrowser(
  browser: string,
  realGpu: boolean,
  modes: readonly string[] = ['webgpu', 'webgl2', 'webasm'],
): Promise<PageReport> {
  if (!existsSync(browser)) throw new Error(`gpu: there is no ${browser}; --browser FILE names a Chromium or a Chrome`)
  const script = await bundle()
  const server = createServer((request, response) => {
    const isScript = request.url === '/page.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    response.end(isScript ? script : '<!doctype html><meta charset="utf-8"><script src="/page.js"></script>')
  }).listen(0)
  const running = await chromium.launch({
    executablePath: browser,
    headless: !realGpu,
    args: ['--no-sandbox', '--enable-unsafe-webgpu', '--no-first-run', ...(realGpu ? [] : software)],
  })
  try {
    const page = await running.newPage()
    page.setDefaultTimeout(0)
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`)
    return await page.evaluate(async (list) => {
      const { report } = globalThis as unknown as { report(modes: readonly string[]): Promise<PageReport> }
      return await report(list)
    }, modes)
  } finally {
    await running.close()
    server.close()
  }
}

function table(title: string, timings: readonly Timing[]): string[] {
  const contestants = [...new Set(timings.map(({ contestant }) => contestant))]
  const names = [...new Set(timings.map(({ name }) => name))]
  const cell = (name: string, contestant: string): string => {
    const found = timings.find((one) => one.name === name && one.contestant === contestant)
    if (found === undefined) return ''
    const { milliseconds, flops } = found
    const rate = flops === 0 ? '' : ` (${(flops / milliseconds / 1e6).toFixed(1)} GFLOP/s)`
    return `${milliseconds.toFixed(milliseconds < 10 ? 2 : 0)} ms${rate}`
  }
  return [
    `| ${[title, ...contestants].join(' | ')} |`,
    `|---|${contestants.map(() => '---:').join('|')}|`,
    ...names.map((name) => `| ${[name, ...contestants.map((contestant) => cell(name, contestant))].join(' | ')} |`),
  ]
}

/** The report as Markdown. */
export function gpuTables({ adapters, timings, variants, missing }: PageReport): string[] {
  return [
    ...Object.entries(adapters).map(([mode, adapter]) => `${mode}: ${adapter}`),
    ...missing,
    '',
    ...table('op', timings),
    '',
    ...table('raw kernels', variants),
  ]
}
