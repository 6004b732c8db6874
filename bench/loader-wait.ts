/**
 * How long training waits for its data: ResNet-18, 64 x 64 pixels, batches of 16, from a folder of JPEG files, with no, one
 * and two workers. Prints the share of the time that went by between asking for a batch and having it.
 *
 *     npx tsx bench/loader-wait.ts [--steps 40] [--side 256] [--workers 0,1,2]
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { DataLoader } from '@convnets/data'
import { resnet18 } from '@convnets/models-modern'
import { SGD } from '@convnets/optim'
import { crossEntropy, Generator, getThreads, tidy } from '@convnets/tensor'
import sharp from 'sharp'

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '40' },
    side: { type: 'string', default: '256' },
    size: { type: 'string', default: '64' },
    batch: { type: 'string', default: '16' },
    workers: { type: 'string', default: '0,1,2' },
  },
})
const [steps, side, batchSize] = [values.steps, values.side, values.batch].map(Number) as [number, number, number]
const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** A picture as cameras make them, more or less: soft colours, edges, noise. */
async function photo(path: string, generator: Generator): Promise<void> {
  const small = Uint8Array.from({ length: 16 * 16 * 3 }, () => generator.integer(256))
  const noise = Uint8Array.from({ length: side * side * 3 }, () => 118 + generator.integer(20))
  const raw = { width: side, height: side, channels: 3 } as const
  const soft = await sharp(small, { raw: { width: 16, height: 16, channels: 3 } })
    .resize(side, side)
    .raw()
    .toBuffer()
  await sharp(soft, { raw })
    .composite([{ input: Buffer.from(noise), raw, blend: 'soft-light' }])
    .jpeg({ quality: 90 })
    .toFile(path)
}

const root = await mkdtemp(join(tmpdir(), 'convnets-loader-wait-'))
try {
  for (let label = 0; label < 10; label++) {
    await mkdir(join(root, `class${label}`))
    for (let i = 0; i < 40; i++) {
      await photo(join(root, `class${label}`, `${i}.jpg`), new Generator(label * 1000 + i))
    }
  }
  process.env.LOADER_WAIT_ROOT = root
  process.env.LOADER_WAIT_SIZE = values.size
  const { train } = await import('./loader-wait/photos.ts')
  say(`${cpus().length} cores (${cpus()[0]?.model}), ${getThreads()} threads for the network, Node ${process.version}`)
  say(
    `${train.dataset.length} JPEG files of ${side} x ${side}, ResNet-18 at ${values.size} x ${values.size}, batches of ${batchSize}`,
  )
  for (const workers of values.workers.split(',').map(Number)) {
    const model = resnet18({ numClasses: 10, seed: 1 })
    const optimizer = new SGD(model.parameters(), { lr: 0.01, momentum: 0.9 })
    await using loader = new DataLoader(train, { batchSize, shuffle: true, seed: 1, workers })
    let [waited, worked, count, first] = [0, 0, 0, 0]
    for (let epoch = 0; count < steps + 1; epoch++) {
      const batches = loader.epoch(epoch)[Symbol.asyncIterator]()
      while (count < steps + 1) {
        const asked = performance.now()
        const { done, value } = await batches.next()
        if (done) break
        const got = performance.now()
        tidy(() => {
          optimizer.zeroGrad()
          const loss = crossEntropy(model.forward(value.input), value.target)
          loss.backward()
          optimizer.step()
          return loss.item()
        })
        value.input.dispose()
        value.target.dispose()
        // The first step starts workers and threads, and is told apart.
        if (count++ === 0) first = got - asked
        else {
          waited += got - asked
          worked += performance.now() - got
        }
      }
      await batches.return?.()
    }
    const share = (100 * waited) / (waited + worked)
    say(
      `${workers} workers: waited ${share.toFixed(1)} % of the time (${(waited / steps).toFixed(1)} ms before steps of ${(worked / steps).toFixed(0)} ms; the first batch after ${first.toFixed(0)} ms); load ${loadavg()[0]?.toFixed(2)}`,
    )
  }
} finally {
  await rm(root, { recursive: true })
}
