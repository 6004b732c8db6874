/**
 * What the processor can do at most: multiply-adds in registers, without memory, on one thread or several. What kernels reach
 * is judged against it.
 */
import { checkInteger, checkNumber, getThreads, readOptions } from '@convnets/tensor'

/** Measured peak of single-precision arithmetic. */
export interface Peak {
  /** 10^9 floating-point operations per second of all threads together; a multiply-add is two. */
  readonly gflops: number
  readonly threads: number
  /** Whether the engine has fused multiply-adds (relaxed SIMD), which do both in one instruction. */
  readonly fma: boolean
  /** False where threads could not be started (browsers): one thread was measured and multiplied. */
  readonly together: boolean
}

/** How the peak is measured. */
export interface PeakOptions {
  /** Default: what `getThreads()` gives. */
  readonly threads?: number
  /** Time that is measured over, after a warm-up of the same length. Default 100. */
  readonly milliseconds?: number
}

const unroll = 8
/** Independent sums: enough to fill the pipeline, few enough for 16 registers. Which is best depends on the processor. */
const sums = [8, 10, 12] as const

const leb = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >>> 7)])
const vector = (items: readonly (readonly number[])[]): number[] => [...leb(items.length), ...items.flat()]
const section = (id: number, content: readonly number[]): number[] => [id, ...leb(content.length), ...content]
const float = (value: number): number[] => [0x43, ...new Uint8Array(new Float32Array([value]).buffer)]

/**
 * A module with `run(n)`: n turns of a loop in which `count` vectors of four numbers are each multiplied and added to, over and
 * over. It gives a number that depends on all of them, so that nothing can be left out.
 */
function loop(count: number, fma: boolean): Uint8Array<ArrayBuffer> {
  const [a, b] = [count + 1, count + 2]
  const get = (local: number): number[] => [0x20, ...leb(local)]
  const set = (local: number): number[] => [0x21, ...leb(local)]
  const splat = [0xfd, 0x13]
  const [mul, add, madd] = [
    [0xfd, 0xe6, 0x01],
    [0xfd, 0xe4, 0x01],
    [0xfd, 0x85, 0x02],
  ] as const
  const all = Array.from({ length: count }, (_, i) => i + 1)
  // s = s * a + b with a below 1 stays finite.
  const step = (s: number): number[] =>
    fma
      ? [...get(s), ...get(a), ...get(b), ...madd, ...set(s)]
      : [...get(s), ...get(a), ...mul, ...get(b), ...add, ...set(s)]
  const code = [
    ...vector([[...leb(count + 2), 0x7b]]),
    ...all.flatMap((s) => [...float(s / 16), ...splat, ...set(s)]),
    ...[...float(0.999), ...splat, ...set(a)],
    ...[...float(1e-3), ...splat, ...set(b)],
    ...[0x03, 0x40],
    ...Array.from({ length: unroll }, () => all.flatMap(step)).flat(),
    // n -= 1; again while it is not 0.
    ...[0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b],
    ...get(1),
    ...all.slice(1).flatMap((s) => [...get(s), ...add]),
    ...[0xfd, 0x1f, 0],
    0x0b,
  ]
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([[0x60, 1, 0x7f, 1, 0x7d]])),
    ...section(3, vector([[0]])),
    ...section(7, vector([[3, 0x72, 0x75, 0x6e, 0, 0]])),
    ...section(10, vector([[...leb(code.length), ...code]])),
  ])
}

/** The code of a loop and its FLOPs per turn. */
interface Job {
  readonly code: Uint8Array<ArrayBuffer>
  readonly flops: number
}

/** Turns of one call: about a tenth of a millisecond, and nobody can call it back. */
const turns = 4000

/** Source of a function, as workers need it too: GFLOP/s of `job` over some milliseconds. */
const source = `(job, milliseconds) => {
  const { run } = new WebAssembly.Instance(new WebAssembly.Module(job.code)).exports
  const during = (time) => {
    const start = performance.now()
    let calls = 0
    let now = start
    for (; now - start < time; now = performance.now(), calls++) run(${turns})
    return (calls * ${turns} * job.flops) / (now - start) / 1e6
  }
  during(milliseconds)
  return during(milliseconds)
}`

function rate({ code, flops }: Job, milliseconds: number): number {
  const { run } = new WebAssembly.Instance(new WebAssembly.Module(code)).exports as { run: (n: number) => number }
  const start = performance.now()
  let calls = 0
  let now = start
  for (; now - start < milliseconds; now = performance.now(), calls++) run(turns)
  return (calls * turns * flops) / (now - start) / 1e6
}

/** Whether the engine has fused multiply-adds; Node 20 has them behind a flag that may be set at run time. */
function hasFma(): boolean {
  const code = loop(8, true)
  const { process } = globalThis
  if (!WebAssembly.validate(code) && process?.versions?.v8?.startsWith('11.')) {
    process.getBuiltinModule?.('node:v8')?.setFlagsFromString('--experimental-wasm-relaxed-simd')
  }
  return WebAssembly.validate(code)
}

/** GFLOP/s of one job on many threads at once; undefined where there are no threads to start. */
async function together(job: Job, threads: number, milliseconds: number): Promise<number | undefined> {
  const workers = globalThis.process?.getBuiltinModule?.('node:worker_threads')
  if (workers === undefined || typeof SharedArrayBuffer !== 'function') return undefined
  // Each thread counts itself in, and all start when the last has come.
  const gate = new Int32Array(new SharedArrayBuffer(4))
  const text = `
    const { workerData, parentPort } = require('node:worker_threads')
    const { gate, threads, job, milliseconds } = workerData
    const rate = ${source}
    Atomics.add(gate, 0, 1)
    Atomics.notify(gate, 0)
    for (let now; (now = Atomics.load(gate, 0)) < threads; ) Atomics.wait(gate, 0, now, 1000)
    parentPort.postMessage(rate(job, milliseconds))`
  const rates = await Promise.all(
    Array.from(
      { length: threads },
      () =>
        new Promise<number>((resolve, reject) => {
          const worker = new workers.Worker(text, { eval: true, workerData: { gate, threads, job, milliseconds } })
          worker.once('message', resolve)
          worker.once('error', reject)
        }),
    ),
  )
  return rates.reduce((sum, each) => sum + each, 0)
}

/**
 * Measures the peak of single-precision arithmetic in WebAssembly: a loop of multiply-adds in registers, in as many independent
 * sums as run fastest, on `threads` threads at once. It takes about `8 milliseconds`; other work on the machine makes it less.
 */
export async function measurePeak(options: PeakOptions = {}): Promise<Peak> {
  const defaults = { threads: getThreads(), milliseconds: 100 }
  const { threads, milliseconds } = readOptions('measurePeak', options, defaults)
  checkInteger('measurePeak', 'threads', threads, 1)
  checkNumber('measurePeak', 'milliseconds', milliseconds, 1)
  const fma = hasFma()
  const jobs = sums.map((count): Job => ({ code: loop(count, fma), flops: 2 * 4 * count * unroll }))
  const timed = jobs.map((job) => {
    rate(job, milliseconds / 2)
    return { job, gflops: rate(job, milliseconds) }
  })
  const best = timed.reduce((a, b) => (b.gflops > a.gflops ? b : a))
  if (threads === 1) return { gflops: best.gflops, threads, fma, together: true }
  const all = await together(best.job, threads, milliseconds)
  return { gflops: all ?? threads * best.gflops, threads, fma, together: all !== undefined }
}
