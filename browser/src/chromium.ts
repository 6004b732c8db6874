/** Where Chromium is, and how it is started. */
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'
import { describe } from 'vitest'

/** Chromium as distributions install it; `CHROMIUM` names another one. */
const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser']

/** Software adapters of WebGPU and WebGL, and nothing that talks to the network by itself. */
const args = [
  ...['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  ...['--enable-unsafe-swiftshader', '--use-angle=swiftshader'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
  ...['--no-first-run', '--disable-quic'],
]

/** The browser's program, if there is one. */
export const chromiumPath: string | undefined = process.env.CHROMIUM ?? places.find((path) => existsSync(path))

/** Starts Chromium without a window. */
export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath ?? places[0] ?? '', args, headless: true })
}

/** A `describe` that is left out, saying so, where there is no browser; never in CI, where its tests fail then. */
export const describeInBrowser: typeof describe.skip = describe.skipIf(chromiumPath === undefined && !process.env.CI)

if (chromiumPath === undefined && !process.env.CI) {
  process.stderr.write(
    `Nothing is run in a browser: there is no ${places.join(' or ')} (Debian: apt-get install chromium; or set CHROMIUM).\n`,
  )
}
