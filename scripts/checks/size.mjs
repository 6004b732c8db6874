// What a package costs its user: the built entry with all of the package's own code, minified and gzipped.
// Other packages are counted where they live. `pnpm build && pnpm size` prints the table.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { packages } from '../workspace.mjs'
import { each } from './each.mjs'

/**
 * Kilobytes (1,000 bytes) per entry. tensor holds every op with its gradient and the whole wasm backend: assembler,
 * kernels, Winograd, threads, and plain loops for the other dtypes. From 68 on: convolutions of small maps by images (2), turbo
 * with its self-test (1), precision by scope and threads that are known to live (1). From 73 on: moving models between backends
 * (1), norms folded into convolutions and F(2x2, 3x3) (2), weights that are drawn late and uploaded in tiles (1). From 80 on:
 * Winograd tiles that threads transform once and share (1), batch norm in one op with its activation and its running statistics
 * (2), convolutions that end in an activation and products that pack as they go (1), recorded functions with their
 * gradients (6), norms finished by kernels (1).
 */
const budgets = {
  tensor: 92,
  'tensor/asm': 3,
  // WebGPU through gpu.js, which is counted where it lives.
  'tensor/gpu': 19,
  'tensor/host': 2,
  // Bundles what it shares with tensor: the ops' shapes, and the plan of the wasm backend's memory.
  'tensor/shape-only': 57,
  // Engine and pool, to start threads; a program that has tensors has them already.
  'tensor/worker': 18,
  nn: 12,
  // Clipping without reading a norm back from a device is the sixth.
  optim: 7,
  // Image files, resizing in WebAssembly, every transform of torchvision, data sets, downloads and worker threads; whoever
  // imports a part of it gets that part alone.
  data: 38,
  // Five formats with every length and limit checked, and a sentence for each thing that can be wrong; tree-shaken per format.
  weights: 32,
  testkit: 25,
  // The blocks of fifteen papers, each tree-shaken; resnet50 with its facts and what it needs of these is 6.
  blocks: 13,
  // Plans, traces, and pictures as text; who only profiles gets no pictures.
  profile: 17,
  'models-classic': 12,
  // Facts of 68 networks and 185 sets of weights; whoever imports one network gets its facts alone.
  'models-modern': 18,
  train: 12,
  // Eight commands with their help and messages; each is loaded when it is called.
  cli: 17,
}

async function sizeOf(file, dir) {
  const result = await build({
    entryPoints: [file],
    absWorkingDir: dir,
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'silent',
  })
  return gzipSync(result.outputFiles[0].contents, { level: 9 }).length
}

const entries = packages.flatMap(({ name, dir, manifest }) =>
  Object.entries(manifest.publishConfig.exports)
    .filter(([, target]) => target.import)
    .map(([path, target]) => ({ name: join(name, path), dir, file: join(dir, target.import) })),
)

export const check = () =>
  each(
    entries,
    ({ name }) => name,
    async ({ name, dir, file }) => {
      const budget = budgets[name]
      if (budget === undefined) throw new Error(`${name} has no budget in scripts/checks/size.mjs.`)
      const size = (await sizeOf(file, dir)) / 1000
      const report = `${size.toFixed(1)} of ${budget} kB`
      if (size > budget) throw new Error(`too large: ${report}`)
      return report
    },
  )

if (import.meta.url === pathToFileURL(process.argv[1]).href) process.exitCode = (await check()).failed > 0 ? 1 : 0
