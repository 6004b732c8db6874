/**
 * How long it takes to make a picture of 1920 x 1080 one whose shorter side is 256, by Pillow's arithmetic, beside sharp's own
 * resizing of the same pixels. In turns, medians.
 *
 *     npx tsx bench/resize.ts [--runs 40] [--threads 1]
 */
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { Image, resize } from '@convnets/data'
import { Generator } from '@convnets/tensor'
import sharp from 'sharp'
import { median } from './src/median.ts'

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '40' }, threads: { type: 'string', default: '1' } },
})
const [runs, threads] = [Number(values.runs), Number(values.threads)]
const say = (line: string): void => void process.stdout.write(`${line}\n`)

const [height, width, channels] = [1080, 1920, 3] as const
const generator = new Generator(1)
const picture = new Image(
  Uint8Array.from({ length: height * width * channels }, () => generator.integer(256)),
  height,
  width,
  channels,
)
const [short, long] = [256, Math.trunc((256 * width) / height)]

/** Our filters, and sharp's that look the same. */
const filters = [
  ['bilinear', 'linear'],
  ['bicubic', 'cubic'],
  ['lanczos', 'lanczos3'],
] as const

sharp.concurrency(threads)
say(
  `${cpus()[0]?.model}, Node ${process.version}, sharp on ${threads} threads, ours on one; load ${loadavg()[0]?.toFixed(2)}`,
)
for (const [interpolation, kernel] of filters) {
  const shrink = resize(short, { interpolation })
  const times = { ours: [] as number[], sharp: [] as number[] }
  for (let run = -5; run < runs; run++) {
    const started = performance.now()
    shrink(picture)
    const between = performance.now()
    const raw = { width, height, channels }
    await sharp(picture.data, { raw }).resize(long, short, { kernel, fit: 'fill' }).raw().toBuffer()
    const ended = performance.now()
    // The first five warm up.
    if (run < 0) continue
    times.ours.push(between - started)
    times.sharp.push(ended - between)
  }
  const [ours, theirs] = [median(times.ours), median(times.sharp)]
  say(
    `${interpolation}: ours ${ours.toFixed(2)} ms, sharp ${theirs.toFixed(2)} ms, ${(ours / theirs).toFixed(2)} times as long`,
  )
}
