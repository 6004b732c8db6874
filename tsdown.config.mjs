// One build for every package, run from the package's own folder: what package.json exports is what is built.
import { readFileSync } from 'node:fs'
import { defineConfig } from 'tsdown'

const { exports, bin = {} } = JSON.parse(readFileSync('package.json', 'utf8'))
const sources = [...Object.values(exports), ...Object.values(bin)].filter((path) => path.endsWith('.ts'))

export default defineConfig({
  entry: sources,
  format: 'esm',
  target: 'es2022',
  platform: 'neutral',
  external: /^node:/,
  fixedExtension: false,
  dts: { oxc: true },
  clean: true,
  logLevel: 'warn',
  failOnWarn: true,
})
