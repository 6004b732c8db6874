/**
 * V8's revectorizer, which makes one instruction on 256 bits of two on 128. It is an experiment of V8's, off unless a flag
 * is set for the whole process, so it is never used unasked, and believed only after a test of numbers and speed.
 */
import type { Buffer, ConvSpec } from '../backend.ts'
import { Engine } from './engine.ts'
import { chosenTiles, productGain, tileShape } from './kernels/tile-choice.ts'
import { kernelsOf, wasmEngine } from './wasm.ts'

/**
 * Why `enableTurbo` changed nothing: the host is no Node, so that no flag can be set (`host`); its processor is not x64
 * (`cpu`); its V8 is older than 13, that of Node 24 (`engine`); in the self-test some bits differed (`numbers`) or kernels
 * were not at least 1.2 times as fast (`speed`).
 */
export type TurboRefusal = 'host' | 'cpu' | 'engine' | 'numbers' | 'speed'

/** What became of `enableTurbo`. */
export type Turbo =
  | {
      readonly enabled: true
      /** How many times as fast the innermost loop of products became in the self-test. */
      readonly speedup: number
    }
  | {
      readonly enabled: false
      readonly reason: TurboRefusal
      /** The reason as a sentence. */
      readonly message: string
    }

/** With less it would not be worth an experimental compiler. */
const enoughSpeedup = 1.2

const flag = 'experimental-wasm-revectorize'

let current: Turbo | undefined

/**
 * Makes products and convolutions of the wasm backend about twice as fast where V8's revectorizer can be had: on Node 24 and
 * newer, on x64 processors with AVX2. Results keep their bits. It may be called at any time, since all kernels are compiled
 * anew, also for the backend's threads; it takes about a third of a second, most of it for the self-test.
 *
 * The flag that it sets, `--experimental-wasm-revectorize`, concerns all WebAssembly of the process that is compiled later.
 * `disableTurbo` is the way back. In a worker thread of one's own, which has a backend of its own, it is called there.
 *
 * Where it has no effect it says why, and nothing has changed. On Node 20 there is nothing to switch on: relaxed SIMD, which
 * is off there unless a flag is set, has been in use since the first kernel.
 *
 * ```ts
 * const turbo = enableTurbo()
 * console.log(turbo.enabled ? `${turbo.speedup.toFixed(1)} times as fast` : turbo.message)
 * ```
 */
export function enableTurbo(): Turbo {
  if (current?.enabled) return current
  current = tryTurbo()
  return current
}

/** Undoes `enableTurbo`: the flag is taken back and all kernels are compiled anew. Without it, nothing happens. */
export function disableTurbo(): void {
  if (!current?.enabled) return
  current = undefined
  setFlag(flag, false)
  rebuild(wasmEngine(), false)
}

function tryTurbo(): Turbo {
  const { process } = globalThis
  if (process?.getBuiltinModule?.('node:v8')?.setFlagsFromString === undefined) {
    return refusal('host', 'only in Node can a flag of the compiler be set while a program runs')
  }
  if (process.arch !== 'x64')
    return refusal('cpu', `the revectorizer is for x64 processors, this one is ${process.arch}`)
  const { v8, node } = process.versions
  if (!(Number.parseInt(v8, 10) >= 13)) {
    return refusal('engine', `the revectorizer came with V8 13, that of Node 24; this is Node ${node} with V8 ${v8}`)
  }
  let speedup: number
  try {
    const before = test(false)
    setFlag(flag, true)
    const after = test(true)
    const wrong = before.results.find((result, i) => !sameBits(result.numbers, after.results[i]?.numbers))
    if (wrong !== undefined) {
      setFlag(flag, false)
      // What has reached the last stage of the compiler meanwhile is not to be trusted.
      wasmEngine().recompile()
      return refusal('numbers', `in the self-test, ${wrong.name} gave other bits`)
    }
    speedup = productGain(before.engine, after.engine)
    if (speedup < enoughSpeedup) {
      setFlag(flag, false)
      return refusal('speed', `in the self-test, kernels became ${speedup.toFixed(2)} times as fast`)
    }
  } catch (error) {
    setFlag(flag, false)
    throw error
  }
  rebuild(wasmEngine(), true)
  return { enabled: true, speedup }
}

function refusal(reason: TurboRefusal, why: string): Turbo {
  return { enabled: false, reason, message: `enableTurbo: nothing was changed: ${why}` }
}

function setFlag(name: string, on: boolean): void {
  process.getBuiltinModule('node:v8').setFlagsFromString(`--${on ? '' : 'no-'}${name}`)
}

function rebuild(engine: Engine, turbo: boolean): void {
  engine.turbo = turbo
  chosenTiles.delete(engine)
  engine.recompile()
}

interface Result {
  readonly name: string
  readonly numbers: Int32Array
}

/** Results of one kernel of each kind, on an engine of its own, which has chosen its tile. */
function test(turbo: boolean): { engine: Engine; results: Result[] } {
  const engine = new Engine({ threads: 1, initialPages: 128, maximumPages: 1024 })
  // By the optimising compiler at once, instead of after some milliseconds of running.
  setFlag('liftoff', false)
  try {
    if (turbo) rebuild(engine, true)
    tileShape(engine)
    return { engine, results: samples(engine) }
  } finally {
    setFlag('liftoff', true)
  }
}

/** Convolutions for every algorithm; sizes are such that tiles and vectors do not come out even. */
const convolutions: readonly (readonly [name: string, spec: ConvSpec])[] = [
  ['a 3 x 3 convolution', square(13, 24, 20, 3)],
  ['a 1 x 1 convolution', square(11, 36, 44, 1)],
  ['a 5 x 5 convolution', square(9, 7, 19, 5)],
  ['a grouped convolution', square(9, 12, 36, 3, 3)],
  ['a depthwise convolution', square(10, 20, 20, 3, 20)],
]

function square(size: number, inChannels: number, outChannels: number, kernel: number, groups = 1): ConvSpec {
  const pad = (kernel - 1) / 2
  return {
    batch: 2,
    inHeight: size,
    inWidth: size,
    inChannels,
    outHeight: size,
    outWidth: size,
    outChannels,
    kernelHeight: kernel,
    kernelWidth: kernel,
    strideHeight: 1,
    strideWidth: 1,
    padTop: pad,
    padLeft: pad,
    dilationHeight: 1,
    dilationWidth: 1,
    groups,
  }
}

function samples(engine: Engine): Result[] {
  const backend = engine.guarded(kernelsOf(engine))
  let seed = 0
  const random = (length: number): Buffer => backend.random('normal', 'float32', length, { seed: seed++, offset: 0 })
  const results: Result[] = []
  const note = (name: string, buffer: Buffer): void => {
    const { buffer: bytes, byteOffset, length } = backend.readSync(buffer)
    results.push({ name, numbers: new Int32Array(bytes, byteOffset, length) })
  }
  for (const [name, spec] of convolutions) {
    const { batch, inHeight, outHeight, inChannels, outChannels, kernelHeight, groups } = spec
    const x = random(batch * inHeight ** 2 * inChannels)
    const weight = random((outChannels * kernelHeight ** 2 * inChannels) / groups)
    const g = random(batch * outHeight ** 2 * outChannels)
    note(name, backend.conv2d(x, weight, random(outChannels), spec))
    note(`the input gradient of ${name}`, backend.conv2dInputGrad(g, weight, spec))
    note(`the weight gradient of ${name}`, backend.conv2dWeightGrad(x, g, spec))
  }
  const rows = [7, 37, 5] as const
  const x = random(rows[0] * rows[1] * rows[2])
  note('a normalisation', backend.normalize(x, null, null, [7, 37, 5, 1], 1e-5).output)
  note('softmax', backend.softmax(x, rows, false))
  note('a sum', backend.reduce('sum', x, rows))
  return results
}

function sameBits(a: Int32Array, b: Int32Array | undefined): boolean {
  return b?.length === a.length && a.every((value, i) => value === b[i])
}
