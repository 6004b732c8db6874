/**
 * The default backend: WebAssembly SIMD kernels that are emitted for the shapes at hand, on as many threads as the host
 * gives.
 *
 * Every family of kernels is a function of the engine that gives the methods it speeds up; methods that no family
 * gives, and dtypes other than float32, run the plain loops of the reference backend on the same memory.
 */
import { checkPrecision, type Precision } from '../../precision.ts'
import type { Backend } from '../backend.ts'
import { loops } from '../reference/loops.ts'
import { copies } from './copy.ts'
import { elementwise } from './elementwise.ts'
import { Engine, type Kernels } from './engine.ts'
import { convKernels } from './kernels/conv.ts'
import { gatherKernels } from './kernels/gather.ts'
import { interpolateKernels } from './kernels/interpolate.ts'
import { matmulKernels } from './kernels/matmul.ts'
import { normKernels } from './kernels/norm.ts'
import { poolKernels } from './kernels/pool.ts'
import { randomKernels } from './kernels/random.ts'
import { reduceKernels } from './kernels/reduce.ts'
import { softmaxKernels } from './kernels/softmax.ts'
import { WasmRecording } from './recording.ts'
import { storage } from './storage.ts'

type Plain = ReturnType<typeof loops>
type Store = ReturnType<typeof storage>

/** All kernels of an engine. A family takes the engine and the loops to fall back on; later rows win. */
export function kernelsOf(engine: Engine, plain: Plain = loops(engine), store: Store = storage(engine)): Kernels {
  return {
    ...plain,
    ...store,
    ...copies(engine),
    ...elementwise(engine, plain),
    ...matmulKernels(engine, plain),
    ...convKernels(engine, plain),
    ...reduceKernels(engine, plain),
    ...normKernels(engine, plain),
    ...poolKernels(engine, plain),
    ...interpolateKernels(engine, plain),
    ...softmaxKernels(engine, plain),
    ...gatherKernels(engine, plain),
    ...randomKernels(engine, plain),
  }
}

const engine = /* @__PURE__ */ new Engine()

/** The engine of the backend. */
export function wasmEngine(): Engine {
  return engine
}

/** The default backend. Nothing is made or compiled before its first use. */
export const wasm: Backend = /* @__PURE__ */ createBackend()

function createBackend(): Backend {
  const record: Backend['record'] = (options) =>
    options.changing && !engine.heap.canHoldPeak ? undefined : new WasmRecording(engine, options)
  return { name: 'wasm', ...engine.guarded(kernelsOf(engine)), record }
}

/**
 * Sets the number of threads that kernels of the wasm backend use, the calling one included; by default one per core,
 * at most 8. Results do not depend on it. Where there is no shared memory, and on the main thread of a browser, there
 * is one thread whatever is set. Throws an `ArgumentError` unless `threads` is an integer from 1 to 64.
 */
export function setThreads(threads: number): void {
  engine.pool.threads = threads
}

/** The number of threads that kernels of the wasm backend use, the calling one included. */
export function getThreads(): number {
  return engine.pool.threads
}

/**
 * Chooses how products of the wasm backend are computed, convolutions among them: `fast` (the default) or `strict`, see
 * `Precision`. `withPrecision` does it for what runs inside a function, and `conv2d` for one call.
 */
export function setPrecision(precision: Precision): void {
  engine.precision = checkPrecision('setPrecision', precision)
}

/** The precision that holds now: that of the surrounding `withPrecision`, or what `setPrecision` has chosen. */
export function getPrecision(): Precision {
  return engine.precision
}
